//! Initial defaults (v3): the value of a column in files written before it was added.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, BinaryArray, FixedSizeBinaryArray, StringArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use serde_json::{Number, Value};

use super::convert::{cast, with_timezone};
use crate::error::{Error, Result};
use crate::spec::{NestedField, PrimitiveType, Type};

/// One value of type `target` from the JSON form of specification appendix D, "JSON single-value
/// serialization".
pub(super) fn default_array(
    field: &NestedField,
    default: &Value,
    target: &DataType,
) -> Result<ArrayRef> {
    let invalid = |reason: String| {
        Error::invalid_metadata("", format!("initial-default of \"{}\"", field.name), reason)
    };
    let not_of_type = || invalid(format!("{default} is not a value of type {target}"));
    let Type::Primitive(primitive) = &field.field_type else {
        return Err(Error::unsupported(format!(
            "an initial default for \"{}\", which is not of a primitive type",
            field.name
        )));
    };
    let text = match (primitive, default) {
        (PrimitiveType::Boolean, Value::Bool(value)) => value.to_string(),
        (
            PrimitiveType::Int | PrimitiveType::Long | PrimitiveType::Float | PrimitiveType::Double,
            Value::Number(value),
        ) => value.to_string(),
        (
            PrimitiveType::Boolean
            | PrimitiveType::Int
            | PrimitiveType::Long
            | PrimitiveType::Float
            | PrimitiveType::Double,
            _,
        ) => return Err(not_of_type()),
        (_, Value::String(value)) => value.clone(),
        _ => return Err(not_of_type()),
    };
    Ok(match primitive {
        PrimitiveType::String => Arc::new(StringArray::from(vec![text])),
        PrimitiveType::Uuid => {
            let value = uuid::Uuid::parse_str(&text).map_err(|_| not_of_type())?;
            fixed(value.as_bytes()).ok_or_else(not_of_type)?
        }
        PrimitiveType::Binary => {
            let bytes = from_hex(&text).ok_or_else(not_of_type)?;
            Arc::new(BinaryArray::from(vec![&bytes[..]]))
        }
        PrimitiveType::Fixed(length) => {
            let bytes = from_hex(&text).filter(|bytes| bytes.len() as u64 == *length);
            bytes.as_deref().and_then(fixed).ok_or_else(not_of_type)?
        }
        _ => {
            let text: ArrayRef = Arc::new(StringArray::from(vec![text]));
            let value = match target {
                DataType::Timestamp(unit, zone) => cast(&text, &DataType::Timestamp(*unit, None))
                    .map(|value| with_timezone(&value, *unit, zone.clone())),
                _ => cast(&text, target),
            };
            value.map_err(|_| not_of_type())?
        }
    })
}

/// The one value of `array`, which is not null, in the JSON form that [`default_array`] reads; `None` if it has none: the
/// field is of no primitive type, or the value is NaN, an infinity, or lies before the year 1 or after 9999.
pub fn default_json(field: &NestedField, array: &ArrayRef) -> Option<Value> {
    let Type::Primitive(primitive) = &field.field_type else {
        return None;
    };
    let text = || {
        let text = cast(array, &DataType::Utf8).ok()?;
        Some(text.as_string::<i32>().value(0).to_owned())
    };
    let hex = |bytes: &[u8]| {
        let digits = bytes.iter().map(|byte| format!("{byte:02x}"));
        Value::String(digits.collect())
    };
    let is_common = |text: &String| text.as_bytes().get(4) == Some(&b'-') && !text.starts_with('-');
    let json = match primitive {
        PrimitiveType::Boolean => Value::Bool(array.as_boolean().value(0)),
        PrimitiveType::Int | PrimitiveType::Long => Value::Number(text()?.parse().ok()?),
        PrimitiveType::Float => {
            let value = array.as_primitive::<Float32Type>().value(0);
            Value::Number(Number::from_f64(value.into())?)
        }
        PrimitiveType::Double => {
            let value = array.as_primitive::<Float64Type>().value(0);
            Value::Number(Number::from_f64(value)?)
        }
        PrimitiveType::String | PrimitiveType::Decimal { .. } | PrimitiveType::Time => {
            Value::String(text()?)
        }
        PrimitiveType::Date => Value::String(text().filter(is_common)?),
        PrimitiveType::Timestamp
        | PrimitiveType::Timestamptz
        | PrimitiveType::TimestampNs
        | PrimitiveType::TimestamptzNs => {
            let DataType::Timestamp(unit, zone) = array.data_type() else {
                return None;
            };
            let local = with_timezone(array, *unit, None);
            let text = cast(&local, &DataType::Utf8).ok()?;
            let text = Some(text.as_string::<i32>().value(0).to_owned()).filter(is_common)?;
            let offset = zone.as_ref().map_or("", |_| "+00:00");
            Value::String(format!("{text}{offset}"))
        }
        PrimitiveType::Uuid => {
            let bytes = array.as_fixed_size_binary().value(0);
            Value::String(uuid::Uuid::from_slice(bytes).ok()?.to_string())
        }
        PrimitiveType::Fixed(_) => hex(array.as_fixed_size_binary().value(0)),
        PrimitiveType::Binary => hex(array.as_binary::<i32>().value(0)),
        _ => return None,
    };
    let read_again = default_array(field, &json, array.data_type()).ok()?;
    (&read_again == array).then_some(json)
}

fn fixed(bytes: &[u8]) -> Option<ArrayRef> {
    let array = FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes)).ok()?;
    Some(Arc::new(array))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u32> = text
        .chars()
        .map(|c| c.to_digit(16))
        .collect::<Option<_>>()?;
    let pairs = digits.chunks_exact(2);
    if !pairs.remainder().is_empty() {
        return None;
    }
    pairs
        .map(|pair| u8::try_from(pair[0] * 16 + pair[1]).ok())
        .collect()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use arrow::datatypes::{
        Date32Type, Decimal128Type, Int64Type, Time64MicrosecondType, TimestampMicrosecondType,
    };
    use serde_json::json;

    use super::*;
    use crate::write::arrow_type;

    fn read(primitive: PrimitiveType, json: &Value) -> Result<ArrayRef> {
        let field = NestedField::required(1, "c", primitive);
        let target = arrow_type(&field.field_type)?;
        let array = default_array(&field, json, &target)?;
        assert_eq!(array.data_type(), &target);
        assert_eq!(array.len(), 1);
        Ok(array)
    }

    #[test]
    fn defaults_have_the_values_of_the_specification() {
        let long = read(PrimitiveType::Long, &json!(34)).unwrap();
        assert_eq!(long.as_primitive::<Int64Type>().value(0), 34);
        let decimal = PrimitiveType::Decimal {
            precision: 9,
            scale: 2,
        };
        let decimal = read(decimal, &json!("14.20")).unwrap();
        assert_eq!(decimal.as_primitive::<Decimal128Type>().value(0), 1420);
        let date = read(PrimitiveType::Date, &json!("2017-11-16")).unwrap();
        assert_eq!(date.as_primitive::<Date32Type>().value(0), 17486);
        let time = read(PrimitiveType::Time, &json!("22:31:08.123456")).unwrap();
        assert_eq!(
            time.as_primitive::<Time64MicrosecondType>().value(0),
            81_068_123_456
        );
        let stamp = json!("2017-11-16T22:31:08.123456+00:00");
        let stamp = read(PrimitiveType::Timestamptz, &stamp).unwrap();
        let micros = stamp.as_primitive::<TimestampMicrosecondType>().value(0);
        assert_eq!(micros, 1_510_871_468_123_456);
        let fixed = read(PrimitiveType::Fixed(3), &json!("000aFF")).unwrap();
        assert_eq!(fixed.as_fixed_size_binary().value(0), [0, 10, 255]);
        let text = read(PrimitiveType::String, &json!("iceberg")).unwrap();
        assert_eq!(text.as_string::<i32>().value(0), "iceberg");
        assert!(
            read(PrimitiveType::Boolean, &json!(true))
                .unwrap()
                .as_boolean()
                .value(0)
        );
    }

    #[test]
    fn defaults_are_written_as_they_are_read() {
        let decimal = PrimitiveType::Decimal {
            precision: 9,
            scale: 2,
        };
        let cases = [
            (PrimitiveType::Boolean, json!(false)),
            (PrimitiveType::Int, json!(-7)),
            (PrimitiveType::Long, json!(i64::MIN)),
            (PrimitiveType::Double, json!(0.1)),
            (PrimitiveType::Double, json!(-0.0)),
            (PrimitiveType::Float, json!(f64::from(0.1_f32))),
            (decimal, json!("-14.20")),
            (PrimitiveType::Date, json!("0001-01-01")),
            (PrimitiveType::Time, json!("22:31:08.123456")),
            (
                PrimitiveType::Timestamp,
                json!("2017-11-16T22:31:08.123456"),
            ),
            (
                PrimitiveType::Timestamptz,
                json!("1969-12-31T23:59:59.999999+00:00"),
            ),
            (PrimitiveType::String, json!("\"é\n")),
            (
                PrimitiveType::Uuid,
                json!("f79c3e09-677c-4bbd-a479-3f349cb785e7"),
            ),
            (PrimitiveType::Binary, json!("000aff")),
            (PrimitiveType::Fixed(2), json!("00ff")),
        ];
        for (primitive, json) in cases {
            let array = read(primitive.clone(), &json).unwrap();
            let field = NestedField::optional(1, "c", primitive);
            assert_eq!(default_json(&field, &array), Some(json));
        }
    }

    #[test]
    fn what_json_has_no_form_for_is_no_default() {
        let has_form = |primitive, array: ArrayRef| {
            default_json(&NestedField::optional(1, "c", primitive), &array).is_some()
        };
        let doubles = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        for value in doubles {
            let array = Arc::new(arrow::array::Float64Array::from(vec![value]));
            assert!(!has_form(PrimitiveType::Double, array));
        }
        for days in [-800_000, 3_000_000, i32::MAX, i32::MIN] {
            let array = Arc::new(arrow::array::Date32Array::from(vec![days]));
            assert!(!has_form(PrimitiveType::Date, array));
        }
        for micros in [i64::MIN, i64::MAX, 253_402_300_800_000_000] {
            let array = arrow::array::TimestampMicrosecondArray::from(vec![micros]);
            assert!(!has_form(PrimitiveType::Timestamp, Arc::new(array.clone())));
            let array = array.with_timezone_utc();
            assert!(!has_form(PrimitiveType::Timestamptz, Arc::new(array)));
        }
    }

    #[test]
    fn a_default_of_another_type_is_refused() {
        assert!(read(PrimitiveType::Int, &json!("x")).is_err());
        assert!(read(PrimitiveType::Int, &json!(1_i64 << 40)).is_err());
        assert!(read(PrimitiveType::Fixed(2), &json!("00")).is_err());
        assert!(read(PrimitiveType::Date, &json!("yesterday")).is_err());
    }
}
