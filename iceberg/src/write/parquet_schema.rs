//! The Parquet schema of an Iceberg schema (specification, appendix A "Parquet").
//!
//! It is built here rather than inferred from Arrow, so that logical types (UUID among them), the
//! names of the groups inside lists and maps, and field ids are what the specification says.

use std::sync::Arc;

use parquet::basic::{LogicalType, Repetition, TimeUnit, Type as PhysicalType};
use parquet::errors::ParquetError;
use parquet::schema::types::{Type as ParquetType, TypePtr};

use crate::error::{Error, Result};
use crate::spec::{NestedField, PrimitiveType, Schema, Type};

/// The root of the Parquet schema for data files of `schema`; `path` is for errors.
pub(crate) fn parquet_schema(schema: &Schema, path: &str) -> Result<TypePtr> {
    let fields = struct_fields(schema.columns(), path)?;
    let root = ParquetType::group_type_builder("table")
        .with_fields(fields)
        .build();
    Ok(Arc::new(root.map_err(|e| Error::parquet(path, e))?))
}

fn struct_fields(fields: &[NestedField], path: &str) -> Result<Vec<TypePtr>> {
    fields
        .iter()
        .map(|field| {
            let name = compatible_name(&field.name);
            typed_field(
                &name,
                field.id,
                &field.field_type,
                repetition(field.required),
                path,
            )
        })
        .collect()
}

fn repetition(required: bool) -> Repetition {
    if required {
        Repetition::REQUIRED
    } else {
        Repetition::OPTIONAL
    }
}

fn typed_field(
    name: &str,
    id: i32,
    field_type: &Type,
    repetition: Repetition,
    path: &str,
) -> Result<TypePtr> {
    let group = |logical: Option<LogicalType>, fields: Vec<TypePtr>| {
        ParquetType::group_type_builder(name)
            .with_repetition(repetition)
            .with_logical_type(logical)
            .with_fields(fields)
            .with_id(Some(id))
            .build()
    };
    let built = match field_type {
        Type::Primitive(primitive) => primitive_field(name, id, primitive, repetition)?,
        Type::Struct(fields) => group(None, struct_fields(&fields.fields, path)?),
        Type::List(list) => {
            let required = self::repetition(list.element_required);
            let element = typed_field("element", list.element_id, &list.element, required, path)?;
            repeated("list", vec![element])
                .and_then(|repeated| group(Some(LogicalType::List), vec![repeated]))
        }
        Type::Map(map) => {
            let required = self::repetition(map.value_required);
            let key = typed_field("key", map.key_id, &map.key, Repetition::REQUIRED, path)?;
            let value = typed_field("value", map.value_id, &map.value, required, path)?;
            repeated("key_value", vec![key, value])
                .and_then(|repeated| group(Some(LogicalType::Map), vec![repeated]))
        }
    };
    Ok(Arc::new(built.map_err(|e| Error::parquet(path, e))?))
}

fn repeated(name: &str, fields: Vec<TypePtr>) -> Result<TypePtr, ParquetError> {
    let group = ParquetType::group_type_builder(name)
        .with_repetition(Repetition::REPEATED)
        .with_fields(fields)
        .build()?;
    Ok(Arc::new(group))
}

/// The outer error is an unsupported type, the inner one is Parquet's.
fn primitive_field(
    name: &str,
    id: i32,
    primitive: &PrimitiveType,
    repetition: Repetition,
) -> Result<Result<ParquetType, ParquetError>> {
    let unsupported = || Error::unsupported(format!("columns of type {primitive}"));
    let (physical, logical) = match primitive {
        PrimitiveType::Boolean => (PhysicalType::BOOLEAN, None),
        PrimitiveType::Int => (PhysicalType::INT32, None),
        PrimitiveType::Long => (PhysicalType::INT64, None),
        PrimitiveType::Float => (PhysicalType::FLOAT, None),
        PrimitiveType::Double => (PhysicalType::DOUBLE, None),
        &PrimitiveType::Decimal { precision, scale } => {
            let precision = i32::try_from(precision).map_err(|_| unsupported())?;
            let scale = i32::try_from(scale).map_err(|_| unsupported())?;
            (
                decimal_physical_type(precision),
                Some(LogicalType::decimal(scale, precision)),
            )
        }
        PrimitiveType::Date => (PhysicalType::INT32, Some(LogicalType::Date)),
        PrimitiveType::Time => (
            PhysicalType::INT64,
            Some(LogicalType::time(false, TimeUnit::MICROS)),
        ),
        PrimitiveType::Timestamp => timestamp(false, TimeUnit::MICROS),
        PrimitiveType::Timestamptz => timestamp(true, TimeUnit::MICROS),
        PrimitiveType::TimestampNs => timestamp(false, TimeUnit::NANOS),
        PrimitiveType::TimestamptzNs => timestamp(true, TimeUnit::NANOS),
        PrimitiveType::String => (PhysicalType::BYTE_ARRAY, Some(LogicalType::String)),
        PrimitiveType::Uuid => (PhysicalType::FIXED_LEN_BYTE_ARRAY, Some(LogicalType::Uuid)),
        PrimitiveType::Fixed(_) => (PhysicalType::FIXED_LEN_BYTE_ARRAY, None),
        PrimitiveType::Binary => (PhysicalType::BYTE_ARRAY, None),
        PrimitiveType::Unknown
        | PrimitiveType::Variant
        | PrimitiveType::Geometry(_)
        | PrimitiveType::Geography(_)
        | PrimitiveType::Other(_) => return Err(unsupported()),
    };
    let mut builder = ParquetType::primitive_type_builder(name, physical)
        .with_repetition(repetition)
        .with_logical_type(logical)
        .with_id(Some(id));
    match primitive {
        &PrimitiveType::Decimal { precision, scale } => {
            let precision = i32::try_from(precision).map_err(|_| unsupported())?;
            builder = builder
                .with_precision(precision)
                .with_scale(i32::try_from(scale).map_err(|_| unsupported())?)
                .with_length(decimal_length(precision));
        }
        PrimitiveType::Uuid => builder = builder.with_length(16),
        PrimitiveType::Fixed(length) => {
            builder = builder.with_length(i32::try_from(*length).map_err(|_| unsupported())?);
        }
        _ => {}
    }
    Ok(builder.build())
}

fn timestamp(utc: bool, unit: TimeUnit) -> (PhysicalType, Option<LogicalType>) {
    (PhysicalType::INT64, Some(LogicalType::timestamp(utc, unit)))
}

fn decimal_physical_type(precision: i32) -> PhysicalType {
    match precision {
        ..=9 => PhysicalType::INT32,
        10..=18 => PhysicalType::INT64,
        _ => PhysicalType::FIXED_LEN_BYTE_ARRAY,
    }
}

/// The least number of bytes whose two's complement holds every number of `precision` digits.
fn decimal_length(precision: i32) -> i32 {
    (1..16)
        .find(|length| {
            f64::from(8 * length - 1) * std::f64::consts::LOG10_2 >= f64::from(precision)
        })
        .unwrap_or(16)
}

/// A column's name as the other engines store it in Parquet: what is not a letter, a digit or an
/// underscore is spelled as `_x` and its code. Readers go by field ids.
fn compatible_name(name: &str) -> String {
    let mut safe = String::with_capacity(name.len());
    for (index, character) in name.chars().enumerate() {
        if character == '_' || character.is_alphabetic() {
            safe.push(character);
        } else if character.is_numeric() {
            if index == 0 {
                safe.push('_');
            }
            safe.push(character);
        } else {
            safe.push_str(&format!("_x{:X}", u32::from(character)));
        }
    }
    safe
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_with_other_characters_are_spelled_out() {
        assert_eq!(compatible_name("l_tax"), "l_tax");
        assert_eq!(compatible_name("a.b c"), "a_x2Eb_x20c");
        assert_eq!(compatible_name("1st"), "_1st");
        assert_eq!(compatible_name("größe"), "größe");
    }

    #[test]
    fn decimals_take_the_least_bytes_that_hold_every_value() {
        for precision in 1..=38_i32 {
            let length = decimal_length(precision);
            let largest = 10_i128.pow(precision.unsigned_abs()) - 1;
            let fits = |length: i32| length >= 16 || largest < 1_i128 << (8 * length - 1);
            assert!(fits(length), "{precision}");
            assert!(length == 1 || !fits(length - 1), "{precision}");
        }
    }
}
