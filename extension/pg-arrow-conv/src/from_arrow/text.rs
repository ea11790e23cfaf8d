//! Strings and `bytea`.

use super::arena::Arena;
use super::column::{DatumColumn, Part};
use crate::error::ValueError;
use arrow::array::{AsArray, StringArray};
use pgrx::pg_sys::{Datum, NAMEDATALEN};

/// `text`, `json`, and `varchar` and `char` without a limit.
pub(super) fn decode_text(
    array: &Part<'_>,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let strings = Strings::new(array, arena);
    out.fill_with(array, |row| arena.varlena(strings.value(row)?.as_bytes()))
}

/// `varchar(n)`: longer strings are refused, as `varchar_input` does.
pub(super) fn decode_varchar(
    array: &Part<'_>,
    limit: usize,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let strings = Strings::new(array, arena);
    out.fill_with(array, |row| {
        let value = strings.value(row)?;
        if value.len() > limit && value.chars().count() > limit {
            return Err(too_long("character varying", limit));
        }
        arena.varlena(value.as_bytes())
    })
}

/// `char(n)`: shorter strings are padded with blanks, longer ones refused, as `bpchar_input` does.
pub(super) fn decode_bpchar(
    array: &Part<'_>,
    limit: usize,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let strings = Strings::new(array, arena);
    let mut padded = String::new();
    out.fill_with(array, |row| {
        let value = strings.value(row)?;
        let characters = match value.is_ascii() {
            true => value.len(),
            false => value.chars().count(),
        };
        if characters > limit {
            return Err(too_long("character", limit));
        }
        if characters == limit {
            return arena.varlena(value.as_bytes());
        }
        padded.clear();
        padded.push_str(value);
        padded.extend(std::iter::repeat_n(' ', limit - characters));
        arena.varlena(padded.as_bytes())
    })
}

/// `name`: padded with zeros to its fixed length.
pub(super) fn decode_name(
    array: &Part<'_>,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    const LENGTH: usize = NAMEDATALEN as usize;
    let strings = Strings::new(array, arena);
    out.fill_with(array, |row| {
        let value = strings.value(row)?.as_bytes();
        if value.len() >= LENGTH {
            return Err(too_long("name", LENGTH - 1));
        }
        let start = arena.alloc(LENGTH);
        // SAFETY: LENGTH bytes were allocated, and the value is shorter.
        unsafe {
            start.write_bytes(0, LENGTH);
            start.copy_from_nonoverlapping(value.as_ptr(), value.len());
        }
        Ok(Datum::from(start))
    })
}

/// `bytea`.
pub(super) fn decode_bytea(
    array: &Part<'_>,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let values = array.as_binary::<i32>();
    reserve(arena, offsets_of(values.value_offsets(), array));
    out.fill_with(array, |row| arena.varlena(values.value(row)))
}

/// Strings that are checked for zero bytes.
pub(super) struct Strings<'a> {
    array: &'a StringArray,
    has_zero_byte: bool,
}

impl<'a> Strings<'a> {
    /// Reserves the memory for all of the part, and looks for zero bytes in one pass.
    pub(super) fn new(part: &Part<'a>, arena: &mut Arena) -> Self {
        let array: &StringArray = part.array.as_string();
        let offsets = offsets_of(array.value_offsets(), part);
        reserve(arena, offsets);
        let (first, last) = bounds(offsets);
        let has_zero_byte = array.value_data()[first..last].contains(&0);
        Self {
            array,
            has_zero_byte,
        }
    }

    #[inline]
    pub(super) fn value(&self, row: usize) -> Result<&'a str, ValueError> {
        let value = self.array.value(row);
        if self.has_zero_byte && value.as_bytes().contains(&0) {
            return Err(ValueError::ZeroByte);
        }
        Ok(value)
    }
}

/// The offsets of a part's values, and of their end.
fn offsets_of<'a>(offsets: &'a [i32], part: &Part<'_>) -> &'a [i32] {
    &offsets[part.rows.start..=part.rows.end]
}

fn reserve(arena: &mut Arena, offsets: &[i32]) {
    let (first, last) = bounds(offsets);
    arena.reserve(last - first + offsets.len() * Arena::varlena_space(0));
}

fn bounds(offsets: &[i32]) -> (usize, usize) {
    let at = |offset: Option<&i32>| offset.map_or(0, |offset| *offset as usize);
    (at(offsets.first()), at(offsets.last()))
}

#[cold]
fn too_long(type_name: &'static str, limit: usize) -> ValueError {
    ValueError::StringTooLong { type_name, limit }
}
