//! Values that are kept as the text that their type's output function prints.

use super::bytes::ByteValues;
use super::text::append_utf8;
use crate::codec::tsquery;
use crate::error::ValueError;
use crate::memory::{ContextSwitch, OwnedContext};
use crate::types::TextForm;
use crate::varlena::Detoasted;
use pgrx::pg_sys::{self, Datum};
use std::ffi::CStr;

pub(super) struct TextFormValues {
    pub(super) text: ByteValues,
    function: pg_sys::FmgrInfo,
    /// What the output function leaves, until the next value.
    scratch: OwnedContext,
    /// What the output function keeps from call to call; `function` refers to it.
    _kept: OwnedContext,
}

impl TextFormValues {
    /// Looks the output function up, so it needs a transaction.
    pub(super) fn new(form: &TextForm) -> Self {
        // SAFETY: TopMemoryContext lives as long as the process. The function exists by the type's
        // entry in the catalog; what it keeps is freed after the last call, with this value.
        unsafe {
            let kept = OwnedContext::new(pg_sys::TopMemoryContext, c"output function of a column");
            let scratch = OwnedContext::new(pg_sys::TopMemoryContext, c"output of a column");
            let mut function = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info_cxt(form.output, &mut function, kept.get());
            Self {
                text: ByteValues::default(),
                function,
                scratch,
                _kept: kept,
            }
        }
    }

    /// Appends what the output function prints with the settings as they are.
    ///
    /// # Safety
    ///
    /// `datum` is a valid datum of the type.
    pub(super) unsafe fn append(
        &mut self,
        datum: Datum,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        self.scratch.reset();
        // SAFETY: the scratch context lives longer than the switch. The function is the output
        // function of the datum's type; its result is a C string in the scratch context.
        unsafe {
            let _switch = ContextSwitch::to(self.scratch.get());
            let text = pg_sys::OutputFunctionCall(&mut self.function, datum);
            append_utf8(&mut self.text, CStr::from_ptr(text).to_bytes(), bytes)
        }
    }
}

/// # Safety
///
/// `datum` is a valid `tsquery` datum.
pub(super) unsafe fn append_tsquery(
    values: &mut ByteValues,
    datum: Datum,
    bytes: &mut usize,
) -> Result<(), ValueError> {
    let mut text = Vec::new();
    // SAFETY: tsquery is a varlena type.
    tsquery::print(unsafe { Detoasted::aligned(datum) }.as_bytes(), &mut text)?;
    append_utf8(values, &text, bytes)
}
