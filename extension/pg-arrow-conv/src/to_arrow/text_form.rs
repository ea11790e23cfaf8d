//! Values that are kept as the text that their type's output function prints.

use super::bytes::ByteValues;
use super::text::append_utf8;
use crate::codec::tsquery;
use crate::error::ValueError;
use crate::input_function::InputFunction;
use crate::memory::{ContextSwitch, OwnedContext};
use crate::types::{ReadBack, TextForm};
use crate::varlena::Detoasted;
use pgrx::pg_sys::{self, Datum};
use std::ffi::CStr;

pub(super) struct TextFormValues {
    pub(super) text: ByteValues,
    form: TextForm,
    printer: Printer,
    read_back: Option<InputFunction>,
}

/// How values are printed. Functions are looked up for the first value: much that has columns never
/// appends to them.
enum Printer {
    Output(Option<OutputFunction>),
    /// Its output function's text can be read as another query.
    Tsquery,
}

impl TextFormValues {
    pub(super) fn new(form: &TextForm) -> Self {
        Self::with_printer(form, Printer::Output(None))
    }

    pub(super) fn tsquery(form: &TextForm) -> Self {
        Self::with_printer(form, Printer::Tsquery)
    }

    fn with_printer(form: &TextForm, printer: Printer) -> Self {
        Self {
            text: ByteValues::default(),
            form: *form,
            printer,
            read_back: None,
        }
    }

    /// Appends what the output function prints with the settings as they are, if it can be read back.
    ///
    /// # Safety
    ///
    /// `datum` is a valid datum of the type.
    pub(super) unsafe fn append(
        &mut self,
        datum: Datum,
        bytes: &mut usize,
    ) -> Result<(), ValueError> {
        let (form, read_back) = (&self.form, &mut self.read_back);
        let mut keep = |text: &[u8]| {
            let is_read_back = match form.read_back {
                ReadBack::Never => false,
                ReadBack::Always => true,
                ReadBack::From(length) => text.len() >= length,
            };
            if is_read_back {
                check_read_back(read_back.get_or_insert_with(|| input_of(form)), text)?;
            }
            append_utf8(&mut self.text, text, bytes)
        };
        match &mut self.printer {
            Printer::Output(output) => {
                let output = output.get_or_insert_with(|| OutputFunction::of(form));
                // SAFETY: the caller vouches for the datum.
                unsafe { output.call(datum, keep) }
            }
            Printer::Tsquery => {
                let mut text = Vec::new();
                // SAFETY: tsquery is a varlena type.
                tsquery::print(unsafe { Detoasted::aligned(datum) }.as_bytes(), &mut text)?;
                keep(&text)
            }
        }
    }
}

fn input_of(form: &TextForm) -> InputFunction {
    // SAFETY: TopMemoryContext lives as long as the process. The function exists by the type's entry in
    // the catalog.
    unsafe {
        InputFunction::new(
            form.input,
            form.io_param,
            form.typmod,
            pg_sys::TopMemoryContext,
        )
    }
}

fn check_read_back(input: &mut InputFunction, text: &[u8]) -> Result<(), ValueError> {
    input.call(&mut text.to_vec(), drop).map_err(|error| {
        // SAFETY: the call's error is valid until the next; its message is a C string.
        let message = unsafe { CStr::from_ptr(error.as_ref().message) };
        ValueError::NotReadBack {
            message: message.to_string_lossy().into_owned(),
        }
    })
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
