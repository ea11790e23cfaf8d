//! Datums of one column, and the dispatch by type family.

use super::arena::Arena;
use super::{composite, datetime, jsonb, list, numeric, primitive, promote, text, text_form};
use crate::error::ValueError;
use crate::types::{ColumnType, TypeKind};
use arrow::array::{Array, ArrayRef};
use arrow::datatypes::DataType;
use pgrx::pg_sys::Datum;
use std::ops::{Deref, Range};

/// Rows of an array, of one of the types that the column's decoder reads.
pub(super) struct Part<'a> {
    pub(super) array: &'a dyn Array,
    pub(super) rows: Range<usize>,
}

impl<'a> Deref for Part<'a> {
    type Target = dyn Array + 'a;

    fn deref(&self) -> &Self::Target {
        self.array
    }
}

/// Datums and NULL flags, one for each row of a part. Where a value is NULL its datum is zero.
#[derive(Default)]
pub(super) struct DatumColumn {
    pub(super) values: Vec<Datum>,
    pub(super) isnull: Vec<bool>,
}

impl DatumColumn {
    pub(super) fn clear(&mut self) {
        self.values.clear();
        self.isnull.clear();
    }

    /// Fills the column with what `make` yields for the rows, by their numbers in the array, that are not NULL.
    #[inline]
    pub(super) fn fill_with(
        &mut self,
        part: &Part<'_>,
        mut make: impl FnMut(usize) -> Result<Datum, ValueError>,
    ) -> Result<(), ValueError> {
        let rows = part.rows.clone();
        self.clear();
        self.values.reserve(rows.len());
        match part.nulls().filter(|nulls| nulls.null_count() > 0) {
            None => {
                self.isnull.resize(rows.len(), false);
                for row in rows {
                    self.values.push(make(row)?);
                }
            }
            Some(nulls) => {
                self.isnull.reserve(rows.len());
                for row in rows {
                    let valid = nulls.is_valid(row);
                    self.values
                        .push(if valid { make(row)? } else { Datum::null() });
                    self.isnull.push(!valid);
                }
            }
        }
        Ok(())
    }
}

/// Converts an array to datums of the column's type, allocated in the arena.
pub(super) fn decode(
    column: &ColumnType,
    array: &ArrayRef,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let array = promote::promote(column, array)?;
    let rows = 0..array.len();
    decode_part(
        column,
        &Part {
            array: &*array,
            rows,
        },
        out,
        arena,
    )
}

/// As [`decode`], for some rows of an array that needs no promotion.
pub(super) fn decode_part(
    column: &ColumnType,
    array: &Part<'_>,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    match column.kind() {
        TypeKind::Bool => primitive::decode_bool(array, out),
        TypeKind::Int2 => primitive::decode_int2(array, out),
        TypeKind::Int4 => primitive::decode_int4(array, out),
        TypeKind::Int8 => primitive::decode_int8(array, out),
        TypeKind::Float4 => primitive::decode_float4(array, out),
        TypeKind::Float8 => primitive::decode_float8(array, out),
        TypeKind::Numeric { precision, scale } => {
            numeric::decode_numeric(array, *precision, *scale, out, arena)
        }
        TypeKind::UnconstrainedNumeric { text, .. } => match array.data_type() {
            DataType::Decimal128(_, scale) => {
                numeric::decode_unconstrained(array, scale.unsigned_abs(), out, arena)
            }
            _ => text_form::decode_text_form(array, text, out, arena),
        },
        TypeKind::Oid => primitive::decode_oid(array, out),
        TypeKind::Xid8 => numeric::decode_xid8(array, out),
        TypeKind::Tsquery(form) | TypeKind::TextForm(form) => {
            text_form::decode_text_form(array, form, out, arena)
        }
        TypeKind::Text => text::decode_text(array, out, arena),
        TypeKind::Varchar(None) | TypeKind::Bpchar(None) => text::decode_text(array, out, arena),
        TypeKind::Varchar(Some(limit)) => text::decode_varchar(array, *limit, out, arena),
        TypeKind::Bpchar(Some(limit)) => text::decode_bpchar(array, *limit, out, arena),
        TypeKind::Name => text::decode_name(array, out, arena),
        TypeKind::Jsonb => jsonb::decode_jsonb(array, out, arena),
        TypeKind::Bytea => text::decode_bytea(array, out, arena),
        TypeKind::Date => datetime::decode_date(array, out),
        TypeKind::Time => datetime::decode_time(array, out),
        TypeKind::Timestamp => datetime::decode_timestamp(array, "timestamp", out),
        TypeKind::Timestamptz => datetime::decode_timestamp(array, "timestamp with time zone", out),
        TypeKind::Uuid => primitive::decode_uuid(array, out, arena),
        TypeKind::Array(kind) => list::decode_list(array, kind, out, arena),
        TypeKind::Composite(kind) => composite::decode_struct(array, kind, out, arena),
    }
}
