//! The columns of a data file as fields of a table: for those that the table does not have.

use arrow::datatypes::{DataType, Field, TimeUnit};
use parquet::basic::LogicalType;

use super::file_metadata::FileMetadata;
use super::file_schema::own_id;
use crate::error::{Error, Result};
use crate::spec::{ListType, MapType, NestedField, PrimitiveType, StructType, Type};

impl FileMetadata {
    /// The top-level columns whose ids are `wanted`. Columns without ids are nobody's. One of a type that has no
    /// counterpart, or with fields without ids, is an error: `path` is for that.
    pub(crate) fn columns(
        &self,
        path: &str,
        wanted: &dyn Fn(i32) -> bool,
    ) -> Result<Vec<NestedField>> {
        let mut leaves = self
            .parquet()
            .file_metadata()
            .schema_descr()
            .columns()
            .iter();
        let mut is_uuid = || {
            let leaf = leaves.next();
            leaf.is_some_and(|leaf| leaf.logical_type_ref() == Some(&LogicalType::Uuid))
        };
        let mut columns = Vec::new();
        for column in self.arrow.schema().fields() {
            let field = field_of(column, &mut is_uuid);
            if own_id(column).is_none_or(|id| !wanted(id)) {
                continue;
            }
            columns.push(field.ok_or_else(|| {
                Error::unsupported(format!(
                    "carrying over column \"{}\" of type {}, of file \"{path}\"",
                    column.name(),
                    column.data_type()
                ))
            })?);
        }
        Ok(columns)
    }
}

/// `None` if it has no id or no counterpart. `is_uuid` is asked once for each leaf, in order.
fn field_of(field: &Field, is_uuid: &mut dyn FnMut() -> bool) -> Option<NestedField> {
    let (field_type, id) = (type_of(field.data_type(), is_uuid), own_id(field));
    let (name, field_type, id) = (field.name().as_str(), field_type?, id?);
    Some(if field.is_nullable() {
        NestedField::optional(id, name, field_type)
    } else {
        NestedField::required(id, name, field_type)
    })
}

fn type_of(data_type: &DataType, is_uuid: &mut dyn FnMut() -> bool) -> Option<Type> {
    match data_type {
        DataType::Struct(fields) => {
            // All leaves are to be counted, whether or not one before has no counterpart.
            let fields: Vec<_> = fields
                .iter()
                .map(|field| field_of(field, is_uuid))
                .collect();
            let fields = fields.into_iter().collect::<Option<Vec<_>>>()?;
            Some(StructType::new(fields).into())
        }
        DataType::List(element) => {
            let element = field_of(element, is_uuid)?;
            Some(ListType::new(element.id, element.field_type, element.required).into())
        }
        DataType::Map(entries, _) => {
            let DataType::Struct(entries) = entries.data_type() else {
                return None;
            };
            let fields: Vec<_> = entries
                .iter()
                .map(|field| field_of(field, is_uuid))
                .collect();
            let [Some(key), Some(value)] = <[_; 2]>::try_from(fields).ok()? else {
                return None;
            };
            let (key_type, value_type) = (key.field_type, value.field_type);
            Some(MapType::new(key.id, key_type, value.id, value_type, value.required).into())
        }
        _ => primitive_of(data_type, is_uuid()).map(Type::Primitive),
    }
}

fn primitive_of(data_type: &DataType, is_uuid: bool) -> Option<PrimitiveType> {
    use PrimitiveType as P;
    Some(match data_type {
        DataType::Boolean => P::Boolean,
        DataType::Int32 => P::Int,
        DataType::Int64 => P::Long,
        DataType::Float32 => P::Float,
        DataType::Float64 => P::Double,
        &DataType::Decimal128(precision, scale) => P::Decimal {
            precision: precision.into(),
            scale: u32::try_from(scale).ok()?,
        },
        DataType::Date32 => P::Date,
        DataType::Time64(TimeUnit::Microsecond) => P::Time,
        DataType::Timestamp(TimeUnit::Microsecond, None) => P::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => P::Timestamptz,
        DataType::Timestamp(TimeUnit::Nanosecond, None) => P::TimestampNs,
        DataType::Timestamp(TimeUnit::Nanosecond, Some(_)) => P::TimestamptzNs,
        DataType::Utf8 => P::String,
        DataType::Binary => P::Binary,
        DataType::FixedSizeBinary(16) if is_uuid => P::Uuid,
        DataType::FixedSizeBinary(length) => P::Fixed(u64::try_from(*length).ok()?),
        _ => return None,
    })
}
