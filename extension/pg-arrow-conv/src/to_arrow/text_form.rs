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
    form: TextForm,
    /// Made for the first value: much that has columns never appends to them.
    output: Option<OutputFunction>,
}

impl TextFormValues {
    pub(super) fn new(form: &TextForm) -> Self {
        Self {
            text: ByteValues::default(),
            form: *form,
            output: None,
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
        let output = self
            .output
            .get_or_insert_with(|| OutputFunction::of(&self.form));
        // SAFETY: the caller vouches for the datum.
        unsafe { output.call(datum, |text| append_utf8(&mut self.text, text, bytes)) }
    }
}

struct OutputFunction {
    function: pg_sys::FmgrInfo,
    /// What a call leaves, until the next.
    scratch: OwnedContext,
    /// What the function keeps from call to call; `function` refers to it.
    _kept: OwnedContext,
}

impl OutputFunction {
    fn of(form: &TextForm) -> Self {
        // SAFETY: TopMemoryContext lives as long as the process. The function exists by the type's
        // entry in the catalog; what it keeps is freed after the last call, with this value.
        unsafe {
            let kept = OwnedContext::new(pg_sys::TopMemoryContext, c"output function of a column");
            let scratch = OwnedContext::new(pg_sys::TopMemoryContext, c"output of a column");
            let mut function = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info_cxt(form.output, &mut function, kept.get());
            Self {
                function,
                scratch,
                _kept: kept,
            }
        }
    }

    /// Calls `read` with what the function prints.
    ///
    /// # Safety
    ///
    /// `datum` is a valid datum of the function's type.
    unsafe fn call<R>(&mut self, datum: Datum, read: impl FnOnce(&[u8]) -> R) -> R {
        self.scratch.reset();
        // SAFETY: the scratch context lives longer than the switch. The function's result is a C string
        // in the scratch context.
        unsafe {
            let _switch = ContextSwitch::to(self.scratch.get());
            let text = pg_sys::OutputFunctionCall(&mut self.function, datum);
            read(CStr::from_ptr(text).to_bytes())
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
