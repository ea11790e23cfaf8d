//! Avro values to the library's types.

use std::collections::BTreeMap;

use apache_avro::schema::RecordSchema;
use apache_avro::types::Value;

use super::avro_schema::NAMED_IDS;
use crate::error::{Error, Result};
use crate::spec::{Datum, PrimitiveType};

/// The field ids of a record, in its order; -1 for fields that have none.
pub fn field_ids(record: &RecordSchema) -> Vec<i32> {
    let id = |field: &apache_avro::schema::RecordField| {
        let attribute = field.custom_attributes.get("field-id");
        let given = attribute
            .and_then(serde_json::Value::as_i64)
            .and_then(|id| id.try_into().ok());
        let named = || {
            NAMED_IDS
                .iter()
                .find(|(name, _)| *name == field.name)
                .map(|&(_, id)| id)
        };
        given.or_else(named).unwrap_or(-1)
    };
    record.fields.iter().map(id).collect()
}

/// The schema of the record that the field with this id is, optional or not.
pub fn nested_record(record: &RecordSchema, id: i32) -> Option<&RecordSchema> {
    let position = field_ids(record)
        .into_iter()
        .position(|field_id| field_id == id)?;
    record_of(&record.fields.get(position)?.schema)
}

/// The record that a type is, or that its union or list holds.
fn record_of(schema: &apache_avro::Schema) -> Option<&RecordSchema> {
    match schema {
        apache_avro::Schema::Record(nested) => Some(nested),
        apache_avro::Schema::Union(union) => union.variants().iter().find_map(record_of),
        apache_avro::Schema::Array(array) => record_of(&array.items),
        _ => None,
    }
}

/// A value of a field, which errors name.
pub struct FieldValue<'a> {
    pub path: &'a str,
    pub field: &'a str,
    pub value: Value,
}

impl<'a> FieldValue<'a> {
    pub fn new(path: &'a str, field: &'a str, value: Value) -> Self {
        let value = match value {
            Value::Union(_, inner) => *inner,
            value => value,
        };
        Self { path, field, value }
    }

    fn error(&self, expected: &str) -> Error {
        Error::invalid_metadata(self.path, self.field, format!("must be {expected}"))
    }

    /// `None` for null.
    pub fn present(self) -> Option<Self> {
        if self.value == Value::Null {
            None
        } else {
            Some(self)
        }
    }

    pub fn long(self) -> Result<i64> {
        integer(&self.value).ok_or_else(|| self.error("an integer"))
    }

    pub fn int(self) -> Result<i32> {
        let number = integer(&self.value).and_then(|number| number.try_into().ok());
        number.ok_or_else(|| self.error("a 32-bit integer"))
    }

    pub fn boolean(self) -> Result<bool> {
        match self.value {
            Value::Boolean(flag) => Ok(flag),
            _ => Err(self.error("a boolean")),
        }
    }

    pub fn string(self) -> Result<String> {
        match self.value {
            Value::String(text) => Ok(text),
            _ => Err(self.error("a string")),
        }
    }

    pub fn bytes(self) -> Result<Vec<u8>> {
        match self.value {
            Value::Bytes(bytes) | Value::Fixed(_, bytes) => Ok(bytes),
            _ => Err(self.error("bytes")),
        }
    }

    pub fn record(self) -> Result<Vec<(String, Value)>> {
        match self.value {
            Value::Record(fields) => Ok(fields),
            _ => Err(self.error("a record")),
        }
    }

    pub fn array(self) -> Result<Vec<Value>> {
        match self.value {
            Value::Array(elements) => Ok(elements),
            _ => Err(self.error("an array")),
        }
    }

    pub fn longs(self) -> Result<Vec<i64>> {
        let (path, field) = (self.path, self.field);
        let long = |value| FieldValue::new(path, field, value).long();
        self.array()?.into_iter().map(long).collect()
    }

    pub fn ints(self) -> Result<Vec<i32>> {
        let (path, field) = (self.path, self.field);
        let int = |value| FieldValue::new(path, field, value).int();
        self.array()?.into_iter().map(int).collect()
    }

    pub fn long_map(self) -> Result<BTreeMap<i32, i64>> {
        self.map(FieldValue::long)
    }

    pub fn bytes_map(self) -> Result<BTreeMap<i32, Vec<u8>>> {
        self.map(FieldValue::bytes)
    }

    /// A map with integer keys: an array of pairs. Entries whose value is null are left out.
    fn map<T>(self, read: impl Fn(FieldValue<'a>) -> Result<T>) -> Result<BTreeMap<i32, T>> {
        let (path, field) = (self.path, self.field);
        let mut map = BTreeMap::new();
        for element in self.array()? {
            let pair = FieldValue::new(path, field, element).record()?;
            let (mut key, mut value) = (None, None);
            for (name, part) in pair {
                match name.as_str() {
                    "key" => key = Some(FieldValue::new(path, field, part).int()?),
                    "value" => value = FieldValue::new(path, field, part).present(),
                    _ => {}
                }
            }
            let Some(key) = key else {
                return Err(Error::invalid_metadata(
                    path,
                    field,
                    "has an entry without a key",
                ));
            };
            if let Some(value) = value {
                map.insert(key, read(value)?);
            }
        }
        Ok(map)
    }

    /// A partition value; `None` for null and for types that have no single values.
    pub fn datum(self, primitive: &PrimitiveType) -> Result<Option<Datum>> {
        use PrimitiveType as P;
        if self.value == Value::Null {
            return Ok(None);
        }
        let expected = || self.error(&format!("a value of type {primitive}"));
        let long = || integer(&self.value).ok_or_else(expected);
        let int = || {
            integer(&self.value)
                .and_then(|n| n.try_into().ok())
                .ok_or_else(expected)
        };
        Ok(Some(match primitive {
            P::Boolean => match self.value {
                Value::Boolean(flag) => Datum::Boolean(flag),
                _ => return Err(expected()),
            },
            P::Int => Datum::Int(int()?),
            P::Long => Datum::Long(long()?),
            P::Date => Datum::Date(int()?),
            P::Time => Datum::Time(long()?),
            P::Timestamp => Datum::Timestamp(long()?),
            P::Timestamptz => Datum::Timestamptz(long()?),
            P::TimestampNs => Datum::TimestampNs(long()?),
            P::TimestamptzNs => Datum::TimestamptzNs(long()?),
            P::Float => match self.value {
                Value::Float(number) => Datum::Float(number),
                _ => return Err(expected()),
            },
            P::Double => match self.value {
                Value::Double(number) => Datum::Double(number),
                Value::Float(number) => Datum::Double(number.into()),
                _ => return Err(expected()),
            },
            P::String => match &self.value {
                Value::String(text) => Datum::String(text.clone()),
                _ => return Err(expected()),
            },
            P::Uuid => match &self.value {
                Value::Uuid(uuid) => Datum::Uuid(*uuid),
                Value::Bytes(bytes) | Value::Fixed(_, bytes) => {
                    Datum::Uuid(uuid::Uuid::from_slice(bytes).map_err(|_| expected())?)
                }
                _ => return Err(expected()),
            },
            P::Fixed(_) | P::Binary => match &self.value {
                Value::Bytes(bytes) | Value::Fixed(_, bytes) => match primitive {
                    P::Binary => Datum::Binary(bytes.clone()),
                    _ => Datum::Fixed(bytes.clone()),
                },
                _ => return Err(expected()),
            },
            P::Decimal { .. } => {
                let bytes = match &self.value {
                    Value::Decimal(decimal) => Vec::try_from(decimal).map_err(|_| expected())?,
                    Value::Bytes(bytes) | Value::Fixed(_, bytes) => bytes.clone(),
                    _ => return Err(expected()),
                };
                return Datum::from_bytes(primitive, &bytes)
                    .map_err(|reason| Error::invalid_metadata(self.path, self.field, reason));
            }
            P::Unknown | P::Variant | P::Geometry(_) | P::Geography(_) | P::Other(_) => {
                return Ok(None);
            }
        }))
    }
}

/// Any integer, whatever its logical type.
fn integer(value: &Value) -> Option<i64> {
    match *value {
        Value::Int(number) | Value::Date(number) | Value::TimeMillis(number) => Some(number.into()),
        Value::Long(number)
        | Value::TimeMicros(number)
        | Value::TimestampMillis(number)
        | Value::TimestampMicros(number)
        | Value::TimestampNanos(number)
        | Value::LocalTimestampMillis(number)
        | Value::LocalTimestampMicros(number)
        | Value::LocalTimestampNanos(number) => Some(number),
        _ => None,
    }
}
