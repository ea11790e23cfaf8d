//! Calling the input function of a type.

use crate::memory::{ContextSwitch, OwnedContext};
use pgrx::pg_sys::{self, Datum, MemoryContext, Oid};
use std::ptr::NonNull;

/// An input function, looked up once and called for many values.
pub(crate) struct InputFunction {
    function: pg_sys::FmgrInfo,
    io_param: Oid,
    typmod: i32,
    /// What a call leaves, until the next.
    scratch: OwnedContext,
    /// What the function keeps from call to call; `function` refers to it.
    _kept: OwnedContext,
}

impl InputFunction {
    /// # Safety
    ///
    /// `function` is an input function of a type in the catalog, and `io_param` what it is told as the type.
    /// `parent` is a valid memory context that outlives the value.
    pub(crate) unsafe fn new(
        function: Oid,
        io_param: Oid,
        typmod: i32,
        parent: MemoryContext,
    ) -> Self {
        // SAFETY: the caller vouches for the parent and the function; what the function keeps is freed
        // after the last call, with this value.
        unsafe {
            let kept = OwnedContext::new(parent, c"input function");
            let scratch = OwnedContext::new(parent, c"input of a value");
            let mut info = pg_sys::FmgrInfo::default();
            pg_sys::fmgr_info_cxt(function, &mut info, kept.get());
            Self {
                function: info,
                io_param,
                typmod,
                scratch,
                _kept: kept,
            }
        }
    }

    /// Calls `read` with the value, which lives as long as that call. What the function says is wrong
    /// without raising comes back as the error, valid until the next call; the function then leaves notices
    /// out, which are for whoever writes a value.
    ///
    /// `text` loses nothing, and ends in a zero byte afterwards.
    pub(crate) fn call<R>(
        &mut self,
        text: &mut Vec<u8>,
        read: impl FnOnce(Datum) -> R,
    ) -> Result<R, NonNull<pg_sys::ErrorData>> {
        self.scratch.reset();
        // SAFETY: the scratch context lives longer than the switch.
        let _switch = unsafe { ContextSwitch::to(self.scratch.get()) };
        text.push(0);
        let mut result = Datum::null();
        let mut context = pg_sys::ErrorSaveContext {
            type_: pg_sys::NodeTag::T_ErrorSaveContext,
            error_occurred: false,
            details_wanted: true,
            error_data: std::ptr::null_mut(),
        };
        // SAFETY: the text ends in a zero byte; context and result are live locals.
        let is_value = unsafe {
            pg_sys::InputFunctionCallSafe(
                &mut self.function,
                text.as_mut_ptr().cast(),
                self.io_param,
                self.typmod,
                (&raw mut context).cast(),
                &mut result,
            )
        };
        match NonNull::new(context.error_data) {
            Some(error) if !is_value => Err(error),
            _ => Ok(read(result)),
        }
    }
}
