//! Strings and `bytea`.

use super::bytes::ByteValues;
use crate::error::ValueError;
use crate::varlena;
use pgrx::pg_sys::{Datum, NAMEDATALEN};

/// Appends a `text`, `varchar`, `char(n)` or `json` value, blanks and all.
///
/// # Safety
///
/// `datum` is a valid datum of one of these types.
#[inline]
pub(super) unsafe fn append_text(
    values: &mut ByteValues,
    datum: Datum,
    bytes: &mut usize,
) -> Result<(), ValueError> {
    // SAFETY: all of them are varlena types.
    unsafe { varlena::with_bytes(datum, |text| append_utf8(values, text, bytes)) }
}

/// Appends a `name`, without its padding.
///
/// # Safety
///
/// `datum` is a valid `name` datum.
pub(super) unsafe fn append_name(
    values: &mut ByteValues,
    datum: Datum,
    bytes: &mut usize,
) -> Result<(), ValueError> {
    // SAFETY: a name is passed by reference and has NAMEDATALEN bytes without alignment.
    let name = unsafe { &*datum.cast_mut_ptr::<[u8; NAMEDATALEN as usize]>() };
    let length = name
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(name.len());
    append_utf8(values, &name[..length], bytes)
}

/// Appends a `bytea`.
///
/// # Safety
///
/// `datum` is a valid `bytea` datum.
#[inline]
pub(super) unsafe fn append_bytea(
    values: &mut ByteValues,
    datum: Datum,
    bytes: &mut usize,
) -> Result<(), ValueError> {
    // SAFETY: bytea is a varlena type.
    unsafe { varlena::with_bytes(datum, |value| values.push(value, bytes)) }
}

/// Appends a string of a UTF-8 database, which may yet have been corrupted.
#[inline]
pub(super) fn append_utf8(
    values: &mut ByteValues,
    text: &[u8],
    bytes: &mut usize,
) -> Result<(), ValueError> {
    if std::str::from_utf8(text).is_err() {
        return Err(ValueError::InvalidUtf8);
    }
    values.push(text, bytes)
}
