//! The Arrow types of an Iceberg schema.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{
    DataType, Field, FieldRef, Fields, Schema as ArrowSchema, SchemaRef, TimeUnit,
};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use crate::error::{Error, Result};
use crate::spec::{NestedField, PrimitiveType, Schema, Type};

/// The key under which the metadata of Arrow fields have their field ids.
pub const FIELD_ID_KEY: &str = PARQUET_FIELD_ID_META_KEY;

/// The Arrow schema of `schema`'s columns, with each field's id under [`FIELD_ID_KEY`] at every
/// level. Batches read and written have exactly these types.
pub fn arrow_schema(schema: &Schema) -> Result<SchemaRef> {
    let fields = arrow_fields(schema.columns())?;
    Ok(Arc::new(ArrowSchema::new(fields)))
}

/// The Arrow fields of a struct's fields.
pub(crate) fn arrow_fields(fields: &[NestedField]) -> Result<Fields> {
    fields.iter().map(arrow_field).collect()
}

/// The Arrow field of a column or struct field.
pub(crate) fn arrow_field(field: &NestedField) -> Result<FieldRef> {
    field_with_id(&field.name, field.id, &field.field_type, !field.required)
}

/// The Arrow type of values of an Iceberg type.
pub fn arrow_type(field_type: &Type) -> Result<DataType> {
    Ok(match field_type {
        Type::Primitive(primitive) => primitive_type(primitive)?,
        Type::Struct(fields) => DataType::Struct(arrow_fields(&fields.fields)?),
        Type::List(list) => DataType::List(field_with_id(
            "element",
            list.element_id,
            &list.element,
            !list.element_required,
        )?),
        Type::Map(map) => {
            let entries = Fields::from(vec![
                field_with_id("key", map.key_id, &map.key, false)?,
                field_with_id("value", map.value_id, &map.value, !map.value_required)?,
            ]);
            let entries = Field::new("key_value", DataType::Struct(entries), false);
            DataType::Map(Arc::new(entries), false)
        }
    })
}

fn field_with_id(name: &str, id: i32, field_type: &Type, nullable: bool) -> Result<FieldRef> {
    let metadata = HashMap::from([(FIELD_ID_KEY.to_owned(), id.to_string())]);
    let field = Field::new(name, arrow_type(field_type)?, nullable).with_metadata(metadata);
    Ok(Arc::new(field))
}

fn primitive_type(primitive: &PrimitiveType) -> Result<DataType> {
    let timestamp = |unit, utc: bool| DataType::Timestamp(unit, utc.then(|| "UTC".into()));
    let unsupported = || Error::unsupported(format!("columns of type {primitive}"));
    Ok(match primitive {
        PrimitiveType::Boolean => DataType::Boolean,
        PrimitiveType::Int => DataType::Int32,
        PrimitiveType::Long => DataType::Int64,
        PrimitiveType::Float => DataType::Float32,
        PrimitiveType::Double => DataType::Float64,
        &PrimitiveType::Decimal { precision, scale } => DataType::Decimal128(
            u8::try_from(precision).map_err(|_| unsupported())?,
            i8::try_from(scale).map_err(|_| unsupported())?,
        ),
        PrimitiveType::Date => DataType::Date32,
        PrimitiveType::Time => DataType::Time64(TimeUnit::Microsecond),
        PrimitiveType::Timestamp => timestamp(TimeUnit::Microsecond, false),
        PrimitiveType::Timestamptz => timestamp(TimeUnit::Microsecond, true),
        PrimitiveType::TimestampNs => timestamp(TimeUnit::Nanosecond, false),
        PrimitiveType::TimestamptzNs => timestamp(TimeUnit::Nanosecond, true),
        PrimitiveType::String => DataType::Utf8,
        PrimitiveType::Uuid => DataType::FixedSizeBinary(16),
        PrimitiveType::Fixed(length) => {
            DataType::FixedSizeBinary(i32::try_from(*length).map_err(|_| unsupported())?)
        }
        PrimitiveType::Binary => DataType::Binary,
        PrimitiveType::Unknown
        | PrimitiveType::Variant
        | PrimitiveType::Geometry(_)
        | PrimitiveType::Geography(_)
        | PrimitiveType::Other(_) => return Err(unsupported()),
    })
}
