//! Values that are kept as text, by their type's input function.

use super::arena::Arena;
use super::column::DatumColumn;
use super::text::Strings;
use crate::error::ValueError;
use crate::memory::{ContextSwitch, OwnedContext};
use crate::types::{Storage, TextForm};
use crate::varlena::{Detoasted, VARHDRSZ};
use arrow::array::{Array, AsArray};
use pgrx::pg_sys::{self, Datum};

/// Text that is no value of the type raises the input function's own error, as a pgrx panic.
pub(super) fn decode_text_form(
    array: &dyn Array,
    form: &TextForm,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    form.check_functions()
        .map_err(|hint| ValueError::TextFormFunctions { hint })?;
    let strings = Strings::new(array.as_string(), arena);
    // SAFETY: the arena's context is valid, and is not reset before this function ends.
    let (kept, scratch) = unsafe {
        (
            OwnedContext::new(arena.context(), c"input function"),
            OwnedContext::new(arena.context(), c"input of a value"),
        )
    };
    let mut function = pg_sys::FmgrInfo::default();
    // SAFETY: the function exists by the type's entry in the catalog; what it keeps is freed after
    // the last call.
    unsafe { pg_sys::fmgr_info_cxt(form.input, &mut function, kept.get()) };
    // SAFETY: the scratch context lives until the end of this function.
    let _switch = unsafe { ContextSwitch::to(scratch.get()) };
    let mut text = Vec::new();
    out.fill_with(array, |row| {
        text.clear();
        text.extend_from_slice(strings.value(row)?.as_bytes());
        text.push(0);
        // SAFETY: the text ends in a zero byte. The result is a datum of the type, in the scratch
        // context unless it is passed by value, and is copied before that is reset.
        unsafe {
            let datum = input(&mut function, &mut text, form);
            let copy = copy(datum, form.storage, arena);
            scratch.reset();
            copy
        }
    })
}

/// Calls the input function. Where it says what is wrong without raising, that is raised; it then
/// leaves notices out, which are for whoever writes a value.
///
/// # Safety
///
/// `function` is the form's input function, and `text` ends in a zero byte.
unsafe fn input(function: &mut pg_sys::FmgrInfo, text: &mut [u8], form: &TextForm) -> Datum {
    let mut result = Datum::null();
    let mut context = pg_sys::ErrorSaveContext {
        type_: pg_sys::NodeTag::T_ErrorSaveContext,
        error_occurred: false,
        details_wanted: true,
        error_data: std::ptr::null_mut(),
    };
    // SAFETY: the caller vouches for function and text; context and result are live locals. Where
    // the call fails, it has set the error's data.
    unsafe {
        if !pg_sys::InputFunctionCallSafe(
            function,
            text.as_mut_ptr().cast(),
            form.io_param,
            form.typmod,
            (&raw mut context).cast(),
            &mut result,
        ) {
            pg_sys::ThrowErrorData(context.error_data);
        }
    }
    result
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
