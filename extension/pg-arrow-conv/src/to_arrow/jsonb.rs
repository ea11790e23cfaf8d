//! `jsonb`, as the text that `jsonb_out` prints.

use super::bytes::ByteValues;
use super::text::append_utf8;
use crate::error::ValueError;
use crate::varlena::{Detoasted, VARHDRSZ};
use pgrx::pg_sys::{self, Datum};
use std::ffi::CStr;

/// # Safety
///
/// `datum` is a valid `jsonb` datum.
pub(super) unsafe fn append_jsonb(
    values: &mut ByteValues,
    datum: Datum,
    bytes: &mut usize,
) -> Result<(), ValueError> {
    // SAFETY: jsonb is a varlena type.
    let jsonb = unsafe { Detoasted::aligned(datum) };
    let length = jsonb.as_bytes().len();
    // SAFETY: the container follows the varlena header, aligned as the header is. The result is a
    // palloc'd C string; pgrx's guard turns an ERROR into a panic, which drops `jsonb`.
    unsafe {
        let root = jsonb
            .as_ptr()
            .add(VARHDRSZ)
            .cast::<pg_sys::JsonbContainer>();
        // Lengths of datums fit i32.
        let text = pg_sys::JsonbToCString(std::ptr::null_mut(), root, length as i32);
        let appended = append_utf8(values, CStr::from_ptr(text).to_bytes(), bytes);
        pg_sys::pfree(text.cast());
        appended
    }
}
