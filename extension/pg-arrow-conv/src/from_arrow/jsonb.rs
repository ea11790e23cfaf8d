//! `jsonb`, by `jsonb_in`.

use super::arena::{Arena, ContextSwitch};
use super::column::DatumColumn;
use super::text::Strings;
use crate::error::ValueError;
use crate::varlena::{Detoasted, VARHDRSZ};
use arrow::array::{Array, AsArray};
use pgrx::pg_sys::{self, MemoryContext, Oid};

/// Text that is no JSON raises `jsonb_in`'s own error, as a pgrx panic.
pub(super) fn decode_jsonb(
    array: &dyn Array,
    out: &mut DatumColumn,
    arena: &mut Arena,
) -> Result<(), ValueError> {
    let strings = Strings::new(array.as_string(), arena);
    // SAFETY: the arena's context is valid.
    let scratch = unsafe { Scratch::new(arena.context()) };
    // SAFETY: the scratch context lives until the end of this function.
    let _switch = unsafe { ContextSwitch::to(scratch.0) };
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
            pg_sys::MemoryContextReset(scratch.0);
            copy
        }
    })
}

/// A child memory context, deleted on drop.
struct Scratch(MemoryContext);

impl Scratch {
    /// # Safety
    ///
    /// `parent` is a valid memory context that outlives the value.
    unsafe fn new(parent: MemoryContext) -> Self {
        // SAFETY: the caller vouches for the parent; the name is a static C string.
        Self(unsafe {
            pg_sys::AllocSetContextCreateInternal(
                parent,
                c"jsonb input".as_ptr(),
                pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
                pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
            )
        })
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        // SAFETY: the context is ours, and no longer current: the switch is dropped before.
        unsafe { pg_sys::MemoryContextDelete(self.0) }
    }
}
