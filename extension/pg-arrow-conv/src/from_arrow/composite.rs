//! Composite values, from Arrow structs.

use super::arena::Arena;
use super::column::{DatumColumn, Part, decode};
use crate::error::ValueError;
use crate::memory::ContextSwitch;
use crate::types::{CompositeKind, RowType};
use arrow::array::{Array, ArrayRef, AsArray, make_array};
use arrow::buffer::NullBuffer;
use pgrx::pg_sys::{self, Datum};
use std::sync::Arc;

/// `array` is a Struct. Its fields are found by name; fields that the type lacks are ignored.
pub(super) fn decode_struct(
    array: &Part<'_>,
    kind: &CompositeKind,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let first = array.rows.start;
    let structs = array.as_struct().slice(first, array.rows.len());
    let mut columns = Vec::new();
    for (position, column) in kind.live() {
        let field = structs
            .column_by_name(column.name())
            .ok_or_else(|| ValueError::MissingField(column.name().to_owned()))?;
        let field = mask(field, structs.nulls())?;
        let mut datums = DatumColumn::default();
        decode(column, &field, &mut datums, arena)
            .map_err(|error| error.in_field(column.name()))?;
        columns.push((position, datums));
    }

    // SAFETY: the arena's context is valid for as long as the datums are used.
    let _switch = unsafe { ContextSwitch::to(arena.context()) };
    let row_type = RowType::copy_of(kind.type_oid);
    if row_type.attributes().len() != kind.attributes.len() {
        return Err(ValueError::CompositeChanged(kind.type_oid.to_u32()));
    }
    // Dropped attributes stay NULL.
    let mut values = vec![Datum::null(); kind.attributes.len()];
    let mut isnull = vec![true; kind.attributes.len()];
    out.fill_with(array, |row| {
        for (position, datums) in &columns {
            values[*position] = datums.values[row - first];
            isnull[*position] = datums.isnull[row - first];
        }
        // SAFETY: there is a datum of its type for each attribute of the row type. The tuple's
        // header is a composite datum: none of its values is stored elsewhere.
        unsafe {
            let tuple =
                pg_sys::heap_form_tuple(row_type.as_ptr(), values.as_ptr(), isnull.as_ptr());
            Ok(Datum::from((*tuple).t_data))
        }
    })
}

/// The field with NULL where the struct is NULL: what Arrow has there is arbitrary, and must not be
/// refused for its value.
fn mask(field: &ArrayRef, nulls: Option<&NullBuffer>) -> Result<ArrayRef, ValueError> {
    let Some(nulls) = nulls.filter(|nulls| nulls.null_count() > 0) else {
        return Ok(Arc::clone(field));
    };
    let nulls = NullBuffer::union(Some(nulls), field.nulls());
    let data = field.to_data().into_builder().nulls(nulls).build();
    data.map(make_array)
        .map_err(|_| ValueError::Corrupt("struct"))
}
