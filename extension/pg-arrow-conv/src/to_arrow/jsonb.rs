//! `jsonb`, as the text that `jsonb_out` prints.

use super::bytes::ByteValues;
use super::text::append_utf8;
use crate::error::ValueError;
use crate::varlena::{Detoasted, VARHDRSZ};
use pgrx::pg_sys::{self, Datum};
use std::ffi::CStr;

/// The deepest nesting of arrays and objects. With its default of 2 MB `max_stack_depth` allows
/// `jsonb_in` about three times as many levels, and some that functions make it does not read.
const MAX_NESTING: usize = 5_000;

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
        let bytes_of_text = CStr::from_ptr(text).to_bytes();
        let appended = if is_nested_deeper(bytes_of_text, MAX_NESTING) {
            Err(ValueError::JsonbTooDeep { limit: MAX_NESTING })
        } else {
            append_utf8(values, bytes_of_text, bytes)
        };
        pg_sys::pfree(text.cast());
        appended
    }
}

/// Whether arrays and objects are nested more than `limit` levels deep in text that `jsonb_out` printed.
fn is_nested_deeper(json: &[u8], limit: usize) -> bool {
    let is_opening = |byte: &u8| matches!(byte, b'[' | b'{');
    // Most values have fewer of them than there may be levels.
    if json.len() <= limit || json.iter().filter(|byte| is_opening(byte)).count() <= limit {
        return false;
    }
    let (mut depth, mut in_string) = (0, false);
    let mut rest = json.iter();
    while let Some(byte) = rest.next() {
        match byte {
            b'"' => in_string = !in_string,
            b'\\' if in_string => {
                rest.next();
            }
            _ if in_string => {}
            b']' | b'}' => depth -= 1,
            byte if is_opening(byte) => {
                depth += 1;
                if depth > limit {
                    return true;
                }
            }
            _ => {}
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_in_strings_and_side_by_side_are_not_levels() {
        assert!(!is_nested_deeper(br#"[[], {}, [], {"a": []}]"#, 3));
        assert!(is_nested_deeper(br#"[[], {}, [], {"a": []}]"#, 2));
        assert!(!is_nested_deeper(br#"["[[[[", "\"[[[\\", "{{{"]"#, 1));
        assert!(is_nested_deeper(br#"["\\", ["]]"]]"#, 1));
    }
}
