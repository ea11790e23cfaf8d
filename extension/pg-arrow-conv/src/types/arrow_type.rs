//! The Arrow type that each PostgreSQL type is kept as.

use super::{
    ColumnType, TypeKind, UNCONSTRAINED_PRECISION, UNCONSTRAINED_SCALE, UnconstrainedNumeric,
};
use arrow::datatypes::{DataType, Field, FieldRef, TimeUnit};
use std::sync::Arc;

/// Digits of the largest `xid8`.
pub(crate) const XID8_PRECISION: u8 = 20;
const UNCONSTRAINED_DECIMAL: DataType =
    DataType::Decimal128(UNCONSTRAINED_PRECISION, UNCONSTRAINED_SCALE as i8);

/// Name of the field of list elements, as the Parquet specification has it.
const ELEMENT: &str = "element";

impl ColumnType {
    /// The Arrow type that the column is kept as.
    pub fn arrow_type(&self) -> DataType {
        match &self.kind {
            TypeKind::Bool => DataType::Boolean,
            TypeKind::Int2 | TypeKind::Int4 => DataType::Int32,
            TypeKind::Int8 => DataType::Int64,
            TypeKind::Float4 => DataType::Float32,
            TypeKind::Float8 => DataType::Float64,
            // At most 38, so it fits.
            TypeKind::Numeric { precision, scale } => {
                DataType::Decimal128(*precision, *scale as i8)
            }
            TypeKind::UnconstrainedNumeric { form, .. } => match form {
                UnconstrainedNumeric::Decimal => UNCONSTRAINED_DECIMAL,
                UnconstrainedNumeric::Text => DataType::Utf8,
            },
            TypeKind::Oid => DataType::Int64,
            TypeKind::Xid8 => DataType::Decimal128(XID8_PRECISION, 0),
            TypeKind::Text
            | TypeKind::Varchar(_)
            | TypeKind::Bpchar(_)
            | TypeKind::Name
            | TypeKind::Jsonb
            | TypeKind::Tsquery(_)
            | TypeKind::TextForm(_) => DataType::Utf8,
            TypeKind::Bytea => DataType::Binary,
            TypeKind::Date => DataType::Date32,
            TypeKind::Time => DataType::Time64(TimeUnit::Microsecond),
            TypeKind::Timestamp => DataType::Timestamp(TimeUnit::Microsecond, None),
            TypeKind::Timestamptz => {
                DataType::Timestamp(TimeUnit::Microsecond, Some(Arc::from("UTC")))
            }
            TypeKind::Uuid => DataType::FixedSizeBinary(16),
            TypeKind::Array(array) => DataType::List(array.element.arrow_field(ELEMENT)),
            TypeKind::Composite(composite) => DataType::Struct(
                composite
                    .live()
                    .map(|(_, column)| column.arrow_field(&column.name))
                    .collect(),
            ),
        }
    }

    /// A nullable Arrow field of the column's type.
    pub fn arrow_field(&self, name: &str) -> FieldRef {
        Arc::new(Field::new(name, self.arrow_type(), true))
    }

    /// Whether values of the column may be kept as `found`: the same type up to the names,
    /// nullability and metadata of nested fields, up to the spelling of UTC, and for unconstrained
    /// numerics in either of their forms.
    pub fn accepts(&self, found: &DataType) -> bool {
        match (&self.kind, found) {
            (TypeKind::Timestamptz, DataType::Timestamp(TimeUnit::Microsecond, Some(zone))) => {
                is_utc(zone)
            }
            (TypeKind::UnconstrainedNumeric { .. }, found) => {
                *found == DataType::Utf8 || *found == UNCONSTRAINED_DECIMAL
            }
            (TypeKind::Array(array), DataType::List(element)) => {
                array.element.accepts(element.data_type())
            }
            (TypeKind::Composite(composite), DataType::Struct(fields)) => {
                composite.live().count() == fields.len()
                    && composite
                        .live()
                        .zip(fields)
                        .all(|((_, column), field)| column.accepts(field.data_type()))
            }
            _ => self.arrow_type() == *found,
        }
    }
}

fn is_utc(zone: &str) -> bool {
    ["UTC", "utc", "Z", "Etc/UTC", "+00:00", "+00"].contains(&zone)
}
