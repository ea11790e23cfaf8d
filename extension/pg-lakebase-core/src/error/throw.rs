//! Handing an error to PostgreSQL.

use std::cell::RefCell;
use std::collections::HashSet;
use std::ffi::{CStr, CString, c_char};
use std::ptr::null_mut;

use pgrx::pg_sys;

use super::PgError;
use super::origin::{original, text_fields};

unsafe extern "C-unwind" {
    /// Past pgrx's guard: these are meant to leave by `longjmp`.
    #[link_name = "ThrowErrorData"]
    fn throw_error_data(data: *mut pg_sys::ErrorData);
    #[link_name = "ReThrowError"]
    fn rethrow_error(data: *mut pg_sys::ErrorData) -> !;
    /// Past pgrx's guard: with `MCXT_ALLOC_NO_OOM` and `MCXT_ALLOC_HUGE` it does not raise.
    #[link_name = "MemoryContextAllocExtended"]
    fn alloc_extended(
        context: pg_sys::MemoryContext,
        size: pg_sys::Size,
        flags: std::ffi::c_int,
    ) -> *mut std::ffi::c_void;
}

/// Raises the error in PostgreSQL: the topmost Rust frame below C is left by `longjmp`.
///
/// # Safety
///
/// No caller up to that frame, included, owns anything with a destructor.
#[cold]
#[inline(never)]
pub(crate) unsafe fn throw(error: PgError) -> ! {
    // All that Rust owns is gone when `to_error_data` returns: what is left is plain data.
    let (mut data, again) = to_error_data(error);
    // SAFETY: the data is valid, its texts are palloc'd or static; the caller's promise for the
    // frames above.
    unsafe {
        if again {
            rethrow_error(&mut data)
        }
        throw_error_data(&mut data);
    }
    // `ThrowErrorData` comes back for levels below ERROR only.
    std::process::abort()
}

fn to_error_data(error: PgError) -> (pg_sys::ErrorData, bool) {
    let shown = error.origin.as_ref().map(|origin| &origin.shown);
    let text = |index: usize, text: Option<&str>| {
        let raw = shown.and_then(|shown: &[_; 3]| shown[index].as_ref());
        to_palloced(original(raw, text))
    };
    let mut data = pg_sys::ErrorData {
        elevel: pg_sys::elog::PgLogLevel::ERROR as i32,
        sqlerrcode: error.sqlstate as i32,
        message: text(0, Some(&error.message)),
        detail: text(1, error.detail.as_deref()),
        hint: text(2, error.hint.as_deref()),
        ..Default::default()
    };
    if data.message.is_null() {
        data.message = c"out of memory while reporting an error"
            .as_ptr()
            .cast_mut();
    }
    let Some(origin) = error.origin else {
        return (data, false);
    };
    data.sqlerrcode = origin.sqlerrcode(error.sqlstate);
    data.output_to_server = origin.output_to_server;
    data.output_to_client = origin.output_to_client;
    data.hide_stmt = origin.hide_stmt;
    data.hide_ctx = origin.hide_ctx;
    data.filename = intern(origin.file.as_deref());
    data.lineno = origin.line;
    data.funcname = intern(origin.function.as_deref());
    data.cursorpos = origin.cursor_position;
    data.internalpos = origin.internal_position;
    data.saved_errno = origin.saved_errno;
    for (field, text) in text_fields(&mut data).into_iter().zip(&origin.texts) {
        *field = to_palloced(text.as_deref().map(CStr::to_bytes));
    }
    (data, origin.complete)
}

/// A terminated copy in the current memory context, up to the first zero byte; null for want of
/// memory.
fn to_palloced(text: Option<&[u8]>) -> *mut c_char {
    let Some(text) = text else {
        return null_mut();
    };
    let length = text
        .iter()
        .position(|byte| *byte == 0)
        .unwrap_or(text.len());
    let flags = pg_sys::MCXT_ALLOC_NO_OOM | pg_sys::MCXT_ALLOC_HUGE;
    // SAFETY: the allocation does not raise with these flags; it has room for text and terminator.
    unsafe {
        let copy =
            alloc_extended(pg_sys::CurrentMemoryContext, length + 1, flags as i32).cast::<c_char>();
        if !copy.is_null() {
            copy.copy_from_nonoverlapping(text.as_ptr().cast(), length);
            copy.add(length).write(0);
        }
        copy
    }
}

/// A copy that lives forever, of a name that there are few of: PostgreSQL keeps the pointers to
/// names of source files and functions.
fn intern(name: Option<&CStr>) -> *const c_char {
    thread_local! {
        static NAMES: RefCell<HashSet<&'static CStr>> = RefCell::new(HashSet::new());
    }
    let Some(name) = name else {
        return std::ptr::null();
    };
    NAMES.with_borrow_mut(|names| match names.get(name) {
        Some(known) => known.as_ptr(),
        None => {
            let kept: &'static CStr = Box::leak(CString::from(name).into_boxed_c_str());
            names.insert(kept);
            kept.as_ptr()
        }
    })
}
