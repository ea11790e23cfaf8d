//! Arrays, from Arrow lists.

use super::arena::Arena;
use super::column::{DatumColumn, Part, decode};
use crate::codec::array::{
    MAX_ALLOC_SIZE, MAX_ARRAY_SIZE, align, data_offset, set_not_null, write_header,
};
use crate::error::ValueError;
use crate::types::{ArrayKind, Storage};
use crate::varlena::Detoasted;
use arrow::array::{Array, AsArray};
use pgrx::pg_sys::Datum;
use std::slice;

/// `array` is a List.
pub(super) fn decode_list(
    array: &Part<'_>,
    kind: &ArrayKind,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let lists = array.as_list::<i32>();
    let offsets = lists.value_offsets();
    let first = offsets[array.rows.start] as usize;
    let last = offsets[array.rows.end] as usize;
    // Elements outside of the lists are not looked at.
    let elements = lists.values().slice(first, last - first);
    let mut datums = DatumColumn::default();
    decode(&kind.element, &elements, &mut datums, arena)?;
    out.fill_with(array, |row| {
        let range = offsets[row] as usize - first..offsets[row + 1] as usize - first;
        form_array(
            kind,
            &datums.values[range.clone()],
            &datums.isnull[range],
            arena,
        )
    })
}

/// `construct_md_array` with one dimension that begins at 1.
fn form_array(
    kind: &ArrayKind,
    values: &[Datum],
    isnull: &[bool],
    arena: &mut Arena,
) -> Result<Datum, ValueError> {
    let count = values.len();
    if count > MAX_ARRAY_SIZE {
        return Err(ValueError::DatumTooLarge {
            size: count.saturating_mul(size_of::<Datum>()),
        });
    }
    let has_nulls = isnull.contains(&true);
    let data_offset = data_offset(count, has_nulls);
    let storage = kind.storage;

    let mut size = data_offset;
    for (value, isnull) in values.iter().zip(isnull) {
        if !*isnull {
            // SAFETY: the datum was just made, of the element type.
            size += unsafe { element_size(*value, storage) };
            size = align(size, storage.alignment);
            if size > MAX_ALLOC_SIZE {
                return Err(ValueError::DatumTooLarge { size });
            }
        }
    }

    let (datum, bytes) = arena.zeroed_varlena(size)?;
    write_header(bytes, kind.element_oid.to_u32(), count, has_nulls);
    let mut offset = data_offset;
    for (index, (value, isnull)) in values.iter().zip(isnull).enumerate() {
        if *isnull {
            continue;
        }
        if has_nulls {
            set_not_null(bytes, index);
        }
        // SAFETY: the datum was just made, of the element type, and the loop above made room.
        let size = unsafe { store_element(&mut bytes[offset..], *value, storage) };
        offset = align(offset + size, storage.alignment);
    }
    Ok(datum)
}

/// # Safety
///
/// `datum` is a valid datum of a type with this storage, not toasted.
#[inline]
unsafe fn element_size(datum: Datum, storage: Storage) -> usize {
    match usize::try_from(storage.length) {
        Ok(length) => length,
        // SAFETY: a varlena, by its length.
        Err(_) => unsafe { Detoasted::aligned(datum) }.as_bytes().len(),
    }
}

/// Writes the element's bytes and returns how many there are (`ArrayCastAndSet`).
///
/// # Safety
///
/// As [`element_size`]; `out` has room for the element.
#[inline]
unsafe fn store_element(out: &mut [u8], datum: Datum, storage: Storage) -> usize {
    // SAFETY: the caller vouches for the datum.
    let size = unsafe { element_size(datum, storage) };
    if storage.by_value {
        match size {
            1 => out[..1].copy_from_slice(&(datum.value() as u8).to_ne_bytes()),
            2 => out[..2].copy_from_slice(&(datum.value() as u16).to_ne_bytes()),
            4 => out[..4].copy_from_slice(&(datum.value() as u32).to_ne_bytes()),
            _ => out[..8].copy_from_slice(&(datum.value() as u64).to_ne_bytes()),
        }
    } else {
        // SAFETY: a value passed by reference has `size` bytes.
        let bytes = unsafe { slice::from_raw_parts(datum.cast_mut_ptr::<u8>(), size) };
        out[..size].copy_from_slice(bytes);
    }
    size
}
