//! One column in the making: its values by type family, and its validity.

use super::bytes::ByteValues;
use super::composite::StructValues;
use super::list::ListValues;
use super::text_form::TextFormValues;
use super::{datetime, jsonb, numeric, primitive, text};
use crate::error::ValueError;
use crate::types::{ColumnType, TypeKind};
use arrow::array::{
    ArrayRef, ArrowPrimitiveType, BooleanArray, BooleanBufferBuilder, FixedSizeBinaryArray,
    NullBufferBuilder, PrimitiveArray,
};
use arrow::buffer::{Buffer, NullBuffer, ScalarBuffer};
use arrow::datatypes::{
    DataType, Date32Type, Decimal128Type, Float32Type, Float64Type, Int32Type, Int64Type,
    Time64MicrosecondType, TimestampMicrosecondType,
};
use arrow::error::ArrowError;
use pgrx::pg_sys::Datum;
use std::sync::Arc;

/// Bytes of a `uuid`.
pub(super) const UUID_LEN: usize = 16;

pub(super) struct Column {
    nulls: NullBufferBuilder,
    values: Values,
}

/// The values, with an arbitrary one where the column is NULL.
enum Values {
    Bool(BooleanBufferBuilder),
    Int2(Vec<i32>),
    Int4(Vec<i32>),
    Int8(Vec<i64>),
    Float4(Vec<f32>),
    Float8(Vec<f64>),
    Numeric {
        precision: u8,
        scale: u8,
        values: Vec<i128>,
    },
    UnconstrainedNumeric(Vec<i128>),
    Oid(Vec<i64>),
    Xid8(Vec<i128>),
    Date(Vec<i32>),
    Time(Vec<i64>),
    Timestamp(Vec<i64>),
    Timestamptz(Vec<i64>),
    Uuid(Vec<u8>),
    Text(ByteValues),
    Name(ByteValues),
    Jsonb(ByteValues),
    Bytea(ByteValues),
    TextForm(Box<TextFormValues>),
    List(Box<ListValues>),
    Struct(Box<StructValues>),
}

impl Column {
    /// `arrow_type` is accepted by the column's type; nested fields, and the form of unconstrained
    /// numerics, are taken from it.
    pub(super) fn new(column: &ColumnType, arrow_type: &DataType) -> Self {
        let values = match column.kind() {
            TypeKind::Bool => Values::Bool(BooleanBufferBuilder::new(0)),
            TypeKind::Int2 => Values::Int2(Vec::new()),
            TypeKind::Int4 => Values::Int4(Vec::new()),
            TypeKind::Int8 => Values::Int8(Vec::new()),
            TypeKind::Float4 => Values::Float4(Vec::new()),
            TypeKind::Float8 => Values::Float8(Vec::new()),
            TypeKind::Numeric { precision, scale } => Values::Numeric {
                precision: *precision,
                scale: *scale,
                values: Vec::new(),
            },
            TypeKind::UnconstrainedNumeric { text, .. } => match arrow_type {
                DataType::Utf8 => Values::TextForm(Box::new(TextFormValues::new(text))),
                _ => Values::UnconstrainedNumeric(Vec::new()),
            },
            TypeKind::Oid => Values::Oid(Vec::new()),
            TypeKind::Xid8 => Values::Xid8(Vec::new()),
            TypeKind::Tsquery(form) => Values::TextForm(Box::new(TextFormValues::tsquery(form))),
            TypeKind::TextForm(form) => Values::TextForm(Box::new(TextFormValues::new(form))),
            TypeKind::Text | TypeKind::Varchar(_) | TypeKind::Bpchar(_) => {
                Values::Text(ByteValues::default())
            }
            TypeKind::Name => Values::Name(ByteValues::default()),
            TypeKind::Jsonb => Values::Jsonb(ByteValues::default()),
            TypeKind::Bytea => Values::Bytea(ByteValues::default()),
            TypeKind::Date => Values::Date(Vec::new()),
            TypeKind::Time => Values::Time(Vec::new()),
            TypeKind::Timestamp => Values::Timestamp(Vec::new()),
            TypeKind::Timestamptz => Values::Timestamptz(Vec::new()),
            TypeKind::Uuid => Values::Uuid(Vec::new()),
            TypeKind::Array(array) => Values::List(Box::new(ListValues::new(array, arrow_type))),
            TypeKind::Composite(composite) => {
                Values::Struct(Box::new(StructValues::new(composite, arrow_type)))
            }
        };
        Self {
            nulls: NullBufferBuilder::new(0),
            values,
        }
    }

    /// Bytes that each row takes, NULL or not.
    pub(super) fn fixed_width(&self) -> usize {
        match &self.values {
            Values::Bool(_) => 1,
            Values::Int2(_)
            | Values::Int4(_)
            | Values::Float4(_)
            | Values::Date(_)
            | Values::Text(_)
            | Values::Name(_)
            | Values::Jsonb(_)
            | Values::Bytea(_)
            | Values::TextForm(_)
            | Values::List(_) => 4,
            Values::Int8(_)
            | Values::Oid(_)
            | Values::Float8(_)
            | Values::Time(_)
            | Values::Timestamp(_)
            | Values::Timestamptz(_) => 8,
            Values::Numeric { .. } | Values::UnconstrainedNumeric(_) | Values::Xid8(_) => {
                size_of::<i128>()
            }
            Values::Uuid(_) => UUID_LEN,
            Values::Struct(values) => values.fixed_width(),
        }
    }

    /// Bytes of the variable-length values.
    pub(super) fn variable_bytes(&self) -> usize {
        match &self.values {
            Values::Text(values)
            | Values::Name(values)
            | Values::Jsonb(values)
            | Values::Bytea(values) => values.byte_len(),
            Values::TextForm(values) => values.text.byte_len(),
            Values::List(values) => values.variable_bytes(),
            Values::Struct(values) => values.variable_bytes(),
            _ => 0,
        }
    }

    /// Appends one value and adds the bytes beyond [`fixed_width`](Self::fixed_width) to `bytes`.
    ///
    /// After an error the column may be longer than before; the owner truncates it.
    ///
    /// # Safety
    ///
    /// Unless `isnull`, `datum` is a valid datum of the column's type.
    #[inline]
    pub(super) unsafe fn append(
        &mut self,
        datum: Datum,
        isnull: bool,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        if isnull {
            self.append_null();
            return Ok(());
        }
        // SAFETY: the caller vouches for the datum's type, which chose the variant.
        unsafe {
            match &mut self.values {
                Values::Bool(values) => values.append(primitive::bool_value(datum)),
                Values::Int2(values) => values.push(i32::from(primitive::int2_value(datum))),
                Values::Int4(values) => values.push(primitive::int4_value(datum)),
                Values::Int8(values) => values.push(primitive::int8_value(datum)),
                Values::Float4(values) => values.push(primitive::float4_value(datum)),
                Values::Float8(values) => values.push(primitive::float8_value(datum)),
                Values::Numeric {
                    precision,
                    scale,
                    values,
                } => {
                    values.push(numeric::value(datum, *precision, *scale)?);
                }
                Values::UnconstrainedNumeric(values) => {
                    values.push(numeric::unconstrained_value(datum)?);
                }
                Values::Oid(values) => values.push(i64::from(primitive::oid_value(datum))),
                Values::Xid8(values) => values.push(i128::from(primitive::xid8_value(datum))),
                Values::TextForm(values) => values.append(datum, bytes)?,
                Values::Date(values) => values.push(datetime::date_value(datum)?),
                Values::Time(values) => values.push(datetime::time_value(datum)?),
                Values::Timestamp(values) => {
                    values.push(datetime::timestamp_value(datum, "timestamp")?);
                }
                Values::Timestamptz(values) => {
                    values.push(datetime::timestamp_value(
                        datum,
                        "timestamp with time zone",
                    )?);
                }
                Values::Uuid(values) => values.extend_from_slice(&primitive::uuid_value(datum)),
                Values::Text(values) => text::append_text(values, datum, bytes)?,
                Values::Name(values) => text::append_name(values, datum, bytes)?,
                Values::Bytea(values) => text::append_bytea(values, datum, bytes)?,
                Values::Jsonb(values) => jsonb::append_jsonb(values, datum, bytes)?,
                Values::List(values) => values.append(datum, bytes)?,
                Values::Struct(values) => values.append(datum, bytes)?,
            }
        }
        self.nulls.append_non_null();
        Ok(())
    }

    #[inline]
    pub(super) fn append_null(&mut self) {
        match &mut self.values {
            Values::Bool(values) => values.append(false),
            Values::Int2(values) | Values::Int4(values) | Values::Date(values) => values.push(0),
            Values::Int8(values)
            | Values::Oid(values)
            | Values::Time(values)
            | Values::Timestamp(values)
            | Values::Timestamptz(values) => values.push(0),
            Values::Float4(values) => values.push(0.0),
            Values::Float8(values) => values.push(0.0),
            Values::Numeric { values, .. }
            | Values::UnconstrainedNumeric(values)
            | Values::Xid8(values) => values.push(0),
            Values::Uuid(values) => values.extend_from_slice(&[0; UUID_LEN]),
            Values::Text(values)
            | Values::Name(values)
            | Values::Jsonb(values)
            | Values::Bytea(values) => values.push_empty(),
            Values::TextForm(values) => values.text.push_empty(),
            Values::List(values) => values.append_empty(),
            Values::Struct(values) => values.append_null(),
        }
        self.nulls.append_null();
    }

    /// Drops the values after the first `rows`.
    pub(super) fn truncate(&mut self, rows: usize) {
        match &mut self.values {
            Values::Bool(values) => values.truncate(rows),
            Values::Int2(values) | Values::Int4(values) | Values::Date(values) => {
                values.truncate(rows);
            }
            Values::Int8(values)
            | Values::Oid(values)
            | Values::Time(values)
            | Values::Timestamp(values)
            | Values::Timestamptz(values) => values.truncate(rows),
            Values::Float4(values) => values.truncate(rows),
            Values::Float8(values) => values.truncate(rows),
            Values::Numeric { values, .. }
            | Values::UnconstrainedNumeric(values)
            | Values::Xid8(values) => values.truncate(rows),
            Values::Uuid(values) => values.truncate(rows * UUID_LEN),
            Values::Text(values)
            | Values::Name(values)
            | Values::Jsonb(values)
            | Values::Bytea(values) => values.truncate(rows),
            Values::TextForm(values) => values.text.truncate(rows),
            Values::List(values) => values.truncate(rows),
            Values::Struct(values) => values.truncate(rows),
        }
        self.nulls.truncate(rows);
    }

    /// The column as an array of `arrow_type`, the type it was made for; it is empty afterwards.
    pub(super) fn finish(&mut self, arrow_type: &DataType) -> Result<ArrayRef, ArrowError> {
        let nulls = self.nulls.finish();
        match &mut self.values {
            Values::Bool(values) => Ok(Arc::new(BooleanArray::new(values.finish(), nulls))),
            Values::Int2(values) | Values::Int4(values) => {
                finish_primitive::<Int32Type>(values, nulls, arrow_type)
            }
            Values::Int8(values) | Values::Oid(values) => {
                finish_primitive::<Int64Type>(values, nulls, arrow_type)
            }
            Values::Float4(values) => finish_primitive::<Float32Type>(values, nulls, arrow_type),
            Values::Float8(values) => finish_primitive::<Float64Type>(values, nulls, arrow_type),
            Values::Numeric { values, .. }
            | Values::UnconstrainedNumeric(values)
            | Values::Xid8(values) => finish_primitive::<Decimal128Type>(values, nulls, arrow_type),
            Values::Date(values) => finish_primitive::<Date32Type>(values, nulls, arrow_type),
            Values::Time(values) => {
                finish_primitive::<Time64MicrosecondType>(values, nulls, arrow_type)
            }
            Values::Timestamp(values) | Values::Timestamptz(values) => {
                finish_primitive::<TimestampMicrosecondType>(values, nulls, arrow_type)
            }
            Values::Uuid(values) => {
                let buffer = Buffer::from_vec(take_keeping_capacity(values));
                let array = FixedSizeBinaryArray::try_new(UUID_LEN as i32, buffer, nulls)?;
                Ok(Arc::new(array))
            }
            Values::Text(values) | Values::Name(values) | Values::Jsonb(values) => {
                Ok(values.finish_utf8(nulls))
            }
            Values::TextForm(values) => Ok(values.text.finish_utf8(nulls)),
            Values::Bytea(values) => Ok(values.finish_binary(nulls)),
            Values::List(values) => values.finish(nulls, arrow_type),
            Values::Struct(values) => values.finish(nulls, arrow_type),
        }
    }
}

fn finish_primitive<T: ArrowPrimitiveType>(
    values: &mut Vec<T::Native>,
    nulls: Option<NullBuffer>,
    arrow_type: &DataType,
) -> Result<ArrayRef, ArrowError> {
    let values = ScalarBuffer::from(take_keeping_capacity(values));
    let array = PrimitiveArray::<T>::try_new(values, nulls)?;
    Ok(Arc::new(array.with_data_type(arrow_type.clone())))
}

/// Takes the values and leaves room for as many: the next batch is likely of the same size.
pub(super) fn take_keeping_capacity<T>(values: &mut Vec<T>) -> Vec<T> {
    let capacity = values.len();
    std::mem::replace(values, Vec::with_capacity(capacity))
}
