//! JSON text of any depth that makes sense.
//!
//! A struct within a struct takes three levels of JSON, so that serde_json's own bound of 128 levels
//! refuses tables that other engines make. What is nested deeper is taken apart level by level here,
//! up to a bound that the stack of any thread is large enough for.

use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::Value;
use serde_json::value::RawValue;

use super::json::JsonObject;

/// The deepest nesting of arrays and objects that is read: structs some 80 deep, for which a
/// thread's usual stack of 2 MiB is enough even in unoptimised builds.
pub(crate) const MAX_NESTING: usize = 256;

/// What serde_json reads at once, and some levels less.
const NESTING_AT_ONCE: usize = 120;

/// The value of a JSON text; the error is a sentence.
pub(crate) fn json_value(text: &[u8]) -> Result<Value, String> {
    let error = match serde_json::from_slice(text) {
        Ok(value) => return Ok(value),
        Err(error) => error.to_string(),
    };
    // Which is looked at only now, because few texts are deep.
    match nesting(text) {
        ..=NESTING_AT_ONCE => Err(error),
        nesting if nesting > MAX_NESTING => Err(too_deep()),
        _ => deep_value(serde_json::from_slice(text).map_err(|e| e.to_string())?),
    }
}

fn too_deep() -> String {
    format!("is nested more than {MAX_NESTING} levels deep")
}

/// The members of a JSON object of any depth; the one named `keep_raw` stays text.
pub(crate) fn json_members<'a>(
    text: &'a [u8],
    keep_raw: &str,
) -> Result<(JsonObject, Option<&'a RawValue>), String> {
    let mut members = JsonObject::new();
    let mut raw = None;
    let RawMembers(texts) = serde_json::from_slice(text).map_err(|e| e.to_string())?;
    for (name, text) in texts {
        if name == keep_raw {
            raw = Some(text);
        } else {
            members.insert(name, json_value(text.get().as_bytes())?);
        }
    }
    Ok((members, raw))
}

/// Whether a text is nested too deep for serde_json.
pub(crate) fn is_deep(text: &[u8]) -> bool {
    nesting(text) > NESTING_AT_ONCE
}

fn deep_value(raw: &RawValue) -> Result<Value, String> {
    let text = raw.get();
    let error = |e: serde_json::Error| e.to_string();
    let read = |raw: &RawValue| match is_deep(raw.get().as_bytes()) {
        true => deep_value(raw),
        false => serde_json::from_str(raw.get()).map_err(error),
    };
    if text.starts_with('{') {
        let RawMembers(members) = serde_json::from_str(text).map_err(error)?;
        let members = members
            .into_iter()
            .map(|(name, raw)| Ok((name, read(raw)?)));
        Ok(Value::Object(members.collect::<Result<_, String>>()?))
    } else if text.starts_with('[') {
        let elements: Vec<&RawValue> = serde_json::from_str(text).map_err(error)?;
        let elements = elements.into_iter().map(read);
        Ok(Value::Array(elements.collect::<Result<_, String>>()?))
    } else {
        serde_json::from_str(text).map_err(error)
    }
}

/// How many arrays and objects stand within one another at most.
pub(crate) fn nesting(text: &[u8]) -> usize {
    let (mut depth, mut deepest) = (0_usize, 0);
    let mut bytes = text.iter();
    while let Some(byte) = bytes.next() {
        match byte {
            b'{' | b'[' => {
                depth += 1;
                deepest = deepest.max(depth);
            }
            b'}' | b']' => depth = depth.saturating_sub(1),
            b'"' => {
                while let Some(byte) = bytes.next() {
                    match byte {
                        b'"' => break,
                        b'\\' => {
                            bytes.next();
                        }
                        _ => {}
                    }
                }
            }
            _ => {}
        }
    }
    deepest
}

/// The members of an object in their order, as text.
struct RawMembers<'a>(Vec<(String, &'a RawValue)>);

impl<'de> Deserialize<'de> for RawMembers<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct MembersVisitor;

        impl<'de> Visitor<'de> for MembersVisitor {
            type Value = RawMembers<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(RawMembers(members))
            }
        }

        deserializer.deserialize_map(MembersVisitor)
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use serde_json::json;

    use super::*;

    fn nested(depth: usize) -> String {
        format!(
            "{}1{}",
            r#"{"a": [2, "]}\"", "#.repeat(depth),
            r#"], "b": null}"#.repeat(depth)
        )
    }

    #[test]
    fn deep_values_are_read_up_to_the_bound_and_refused_beyond() {
        for depth in [1, 59, 60, 61, 64, MAX_NESTING / 2] {
            let mut value = json_value(nested(depth).as_bytes()).unwrap();
            for _ in 0..depth {
                assert_eq!(value["b"], Value::Null);
                assert_eq!(
                    (&value["a"][0], &value["a"][1]),
                    (&json!(2), &json!("]}\""))
                );
                value = value["a"][2].take();
            }
            assert_eq!(value, json!(1));
        }
        let error = json_value(nested(MAX_NESTING / 2 + 1).as_bytes()).unwrap_err();
        assert!(error.contains("nested more than 256"), "{error}");
    }

    #[test]
    fn deep_texts_that_are_no_json_are_errors() {
        let good = nested(100);
        for length in [0, 1, 300, good.len() - 1] {
            assert!(json_value(&good.as_bytes()[..length]).is_err(), "{length}");
        }
        let doubled = format!("{good}{good}");
        assert!(json_value(doubled.as_bytes()).is_err());
        let mut damaged = good.into_bytes();
        damaged[700] = 0xff;
        assert!(json_value(&damaged).is_err());
    }
}
