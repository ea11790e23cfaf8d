//! Values that are kept as text, by their type's input function.

use super::arena::Arena;
use super::column::{DatumColumn, Part};
use super::text::Strings;
use crate::error::ValueError;
use crate::input_function::InputFunction;
use crate::types::{Storage, TextForm};
use crate::varlena::{Detoasted, VARHDRSZ};
use pgrx::pg_sys::{self, Datum};
use std::ptr::NonNull;

/// Text that is no value of the type raises the input function's own error, as a pgrx panic.
pub(super) fn decode_text_form(
    array: &Part<'_>,
    form: &TextForm,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    form.check_functions()
        .map_err(|hint| ValueError::TextFormFunctions { hint })?;
    let strings = Strings::new(array, arena);
    // SAFETY: the arena's context is valid, and is not reset before this function ends. The function
    // exists by the type's entry in the catalog.
    let mut input =
        unsafe { InputFunction::new(form.input, form.io_param, form.typmod, arena.context()) };
    let mut text = Vec::new();
    out.fill_with(array, |row| {
        text.clear();
        text.extend_from_slice(strings.value(row)?.as_bytes());
        // SAFETY: a datum of the type, or what the call says is wrong.
        unsafe {
            input
                .call(&mut text, |datum| copy(datum, form.storage, arena))
                .unwrap_or_else(|error| raise(error))
        }
    })
}

/// # Safety
///
/// `error` is what an input function says is wrong.
unsafe fn raise(error: NonNull<pg_sys::ErrorData>) -> Result<Datum, ValueError> {
    // SAFETY: the caller vouches for the error; pgrx's guard turns it into a panic.
    unsafe { pg_sys::ThrowErrorData(error.as_ptr()) };
    Err(ValueError::Corrupt("text"))
}

/// The datum in the arena's memory (`datumCopy`), without a short or compressed header.
///
/// # Safety
///
/// `datum` is a valid datum of a type with this storage.
unsafe fn copy(datum: Datum, storage: Storage, arena: &mut Arena) -> Result<Datum, ValueError> {
    if storage.by_value {
        return Ok(datum);
    }
    match usize::try_from(storage.length) {
        Ok(length) => {
            let start = arena.alloc(length);
            // SAFETY: the value has that many bytes, and as many were allocated.
            unsafe { start.copy_from_nonoverlapping(datum.cast_mut_ptr::<u8>(), length) };
            Ok(Datum::from(start))
        }
        // SAFETY: a varlena, by its length.
        Err(_) => arena.varlena(&unsafe { Detoasted::aligned(datum) }.as_bytes()[VARHDRSZ..]),
    }
}
