//! JSON objects read field by field: every error names file and field, and what no reader took is
//! kept.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::error::{Error, Result};

/// JSON members in their order.
pub type JsonObject = serde_json::Map<String, Value>;

/// A JSON object of which fields are taken one after the other.
///
/// A field that is null counts as absent.
pub(crate) struct ObjectReader<'f> {
    file: &'f str,
    place: String,
    members: JsonObject,
}

/// A type that a JSON value can be read as; the error says what was expected.
pub(crate) trait FromJson: Sized {
    fn from_json(value: Value) -> Result<Self, &'static str>;
}

impl<'f> ObjectReader<'f> {
    /// Reads the object that stands at `place` of `file`.
    pub fn new(file: &'f str, place: impl Into<String>, value: Value) -> Result<Self> {
        let place = place.into();
        match value {
            Value::Object(members) => Ok(Self {
                file,
                place,
                members,
            }),
            _ => Err(Error::invalid_metadata(file, place, "must be an object")),
        }
    }

    /// The file that is read.
    pub fn file(&self) -> &'f str {
        self.file
    }

    /// The path of a field of this object.
    pub fn place_of(&self, name: &str) -> String {
        if self.place.is_empty() {
            name.to_owned()
        } else {
            format!("{}.{name}", self.place)
        }
    }

    /// An error about a field of this object.
    pub fn error(&self, name: &str, reason: impl Into<String>) -> Error {
        Error::invalid_metadata(self.file, self.place_of(name), reason)
    }

    /// Takes a field's value.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        match self.members.shift_remove(name) {
            None | Some(Value::Null) => None,
            Some(value) => Some(value),
        }
    }

    /// Takes a field that may be absent.
    pub fn optional<T: FromJson>(&mut self, name: &str) -> Result<Option<T>> {
        match self.take(name) {
            None => Ok(None),
            Some(value) => match T::from_json(value) {
                Ok(value) => Ok(Some(value)),
                Err(expected) => Err(self.error(name, format!("must be {expected}"))),
            },
        }
    }

    /// Takes a field that must be there.
    pub fn required<T: FromJson>(&mut self, name: &str) -> Result<T> {
        self.optional(name)?
            .ok_or_else(|| self.error(name, "is missing"))
    }

    /// Takes an array whose every element `read` turns into a value, given the element's place.
    pub fn list<T>(
        &mut self,
        name: &str,
        mut read: impl FnMut(&'f str, String, Value) -> Result<T>,
    ) -> Result<Option<Vec<T>>> {
        let Some(value) = self.take(name) else {
            return Ok(None);
        };
        let Value::Array(elements) = value else {
            return Err(self.error(name, "must be an array"));
        };
        let place = self.place_of(name);
        let read_element = |(index, element)| read(self.file, format!("{place}[{index}]"), element);
        elements
            .into_iter()
            .enumerate()
            .map(read_element)
            .collect::<Result<Vec<T>>>()
            .map(Some)
    }

    /// What was not taken.
    pub fn rest(self) -> JsonObject {
        self.members
    }
}

impl FromJson for i32 {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        value
            .as_i64()
            .and_then(|n| n.try_into().ok())
            .ok_or("a 32-bit integer")
    }
}

impl FromJson for u32 {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        value
            .as_u64()
            .and_then(|n| n.try_into().ok())
            .ok_or("a 32-bit integer that is not negative")
    }
}

impl FromJson for i64 {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        value.as_i64().ok_or("a 64-bit integer")
    }
}

impl FromJson for bool {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        value.as_bool().ok_or("a boolean")
    }
}

impl FromJson for String {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::String(text) => Ok(text),
            _ => Err("a string"),
        }
    }
}

impl<T: FromJson> FromJson for Vec<T> {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        match value {
            Value::Array(elements) => elements.into_iter().map(T::from_json).collect(),
            _ => Err("an array"),
        }
    }
}

/// Properties: numbers and booleans are taken for their text, as the reference implementation does.
impl FromJson for BTreeMap<String, String> {
    fn from_json(value: Value) -> Result<Self, &'static str> {
        const EXPECTED: &str = "an object of strings";
        let Value::Object(members) = value else {
            return Err(EXPECTED);
        };
        let text = |(name, value)| match value {
            Value::String(text) => Ok((name, text)),
            Value::Number(number) => Ok((name, number.to_string())),
            Value::Bool(flag) => Ok((name, flag.to_string())),
            _ => Err(EXPECTED),
        };
        members.into_iter().map(text).collect()
    }
}

/// Builds a JSON object: known members first, then what was kept.
pub(crate) struct ObjectWriter(JsonObject);

impl ObjectWriter {
    pub fn new() -> Self {
        Self(JsonObject::new())
    }

    pub fn set(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.0.insert(name.to_owned(), value.into());
        self
    }

    pub fn set_some(self, name: &str, value: Option<impl Into<Value>>) -> Self {
        match value {
            Some(value) => self.set(name, value),
            None => self,
        }
    }

    /// Known members win over kept ones.
    pub fn finish(mut self, extra: &JsonObject) -> Value {
        for (name, value) in extra {
            if !self.0.contains_key(name) {
                self.0.insert(name.clone(), value.clone());
            }
        }
        Value::Object(self.0)
    }
}
