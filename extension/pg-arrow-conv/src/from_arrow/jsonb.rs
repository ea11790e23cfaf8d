//! `jsonb`, by `jsonb_in`.

use super::arena::Arena;
use super::column::{DatumColumn, Part};
use super::text::Strings;
use crate::error::ValueError;
use crate::memory::{ContextSwitch, OwnedContext};
use crate::varlena::{Detoasted, VARHDRSZ};
use pgrx::pg_sys::{self, Oid};

/// Text that is no JSON raises `jsonb_in`'s own error, as a pgrx panic.
pub(super) fn decode_jsonb(
    array: &Part<'_>,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let strings = Strings::new(array, arena);
    // SAFETY: the arena's context is valid.
    let scratch = unsafe { OwnedContext::new(arena.context(), c"jsonb input") };
    // SAFETY: the scratch context lives until the end of this function.
    let _switch = unsafe { ContextSwitch::to(scratch.get()) };
    let mut function = pg_sys::FmgrInfo::default();
    // SAFETY: looks up a built-in function.
    unsafe { pg_sys::fmgr_info(Oid::from_u32(pg_sys::F_JSONB_IN), &mut function) };
    let mut text = Vec::new();
    out.fill_with(array, |row| {
        text.clear();
        text.extend_from_slice(strings.value(row)?.as_bytes());
        text.push(0);
        // SAFETY: the text ends in a zero byte. jsonb_in returns a jsonb datum in the scratch
        // context, which is copied before that is reset.
        unsafe {
            let datum = pg_sys::InputFunctionCall(
                &mut function,
                text.as_mut_ptr().cast(),
                Oid::INVALID,
                -1,
            );
            let copy = arena.varlena(&Detoasted::aligned(datum).as_bytes()[VARHDRSZ..]);
            scratch.reset();
            copy
        }
    })
}
