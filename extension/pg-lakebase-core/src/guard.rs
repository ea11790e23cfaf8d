//! The two sides of the border: Rust that PostgreSQL calls, and PostgreSQL that Rust calls.

use std::mem::MaybeUninit;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use pgrx::pg_sys;
use pgrx::pg_sys::panic::pgrx_extern_c_guard;

use crate::error::{PgError, PgResult, from_payload, throw};

/// Runs the body of a C callback, and raises what it returns or panics with as a PostgreSQL error
/// after the body's frame is gone.
///
/// Callers are `extern "C-unwind"` functions that hold nothing with a destructor outside `body`.
#[inline(always)]
pub(crate) fn guard<R>(body: impl FnOnce() -> PgResult<R>) -> R {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        // SAFETY: callers are the topmost Rust frames below PostgreSQL, and own nothing that has a
        // destructor outside of `body`, so that the longjmp crosses plain frames only.
        Ok(Err(error)) => unsafe { throw(error) },
        // SAFETY: as above.
        Err(payload) => unsafe { throw_payload(payload) },
    }
}

/// # Safety
///
/// As [`throw`].
#[cold]
#[inline(never)]
unsafe fn throw_payload(payload: Box<dyn std::any::Any + Send>) -> ! {
    match from_payload(payload) {
        // SAFETY: the caller's promise.
        Ok(error) => unsafe { throw(error) },
        // A bug in Rust: pgrx knows where it happened, and tells.
        // SAFETY: the caller's promise; the payload moves into the guard.
        Err(panic) => unsafe { pgrx_extern_c_guard(move || resume_unwind(panic)) },
    }
}

/// Runs the body of a C callback that cannot fail by itself; panics still become errors.
#[inline(always)]
pub(crate) fn guard_infallible<R>(body: impl FnOnce() -> R) -> R {
    guard(|| Ok(body()))
}

/// Calls C that may raise: its error unwinds, with all that PostgreSQL knew of it.
///
/// pgrx's wrappers of `pg_sys` functions do the same, but keep an error's SQLSTATE, message, detail
/// and hint only. This is for calls that lead to other people's code, such as a hook's predecessor.
/// The unwinding must end in one of this crate's guards, or in [`crate::error::catch`].
///
/// # Safety
///
/// On the backend thread; `call` is a bare call of C, and owns nothing that has a destructor.
pub(crate) unsafe fn call_raising<T>(call: impl FnOnce() -> T) -> T {
    let mut result = MaybeUninit::uninit();
    // SAFETY: what elog.c's PG_TRY does, with the caller's promise: the jump crosses C and the
    // closures below, which own nothing.
    unsafe {
        let context = pg_sys::CurrentMemoryContext;
        let exception_stack = pg_sys::PG_exception_stack;
        let context_stack = pg_sys::error_context_stack;
        let jumped = cee_scape::call_with_sigsetjmp(false, |buffer| {
            pg_sys::PG_exception_stack = std::ptr::from_ref(buffer).cast_mut().cast();
            result.write(call());
            0
        });
        pg_sys::PG_exception_stack = exception_stack;
        pg_sys::error_context_stack = context_stack;
        if jumped == 0 {
            return result.assume_init();
        }
        // elog.c leaves its own context current.
        pg_sys::CurrentMemoryContext = context;
    }
    resume_unwind(Box::new(take_error()))
}

/// Takes the error that PostgreSQL has just raised out of elog.c.
#[cold]
fn take_error() -> PgError {
    // SAFETY: an error was raised and not flushed; the copy is valid until it is freed.
    unsafe {
        let data = pg_sys::CopyErrorData();
        pg_sys::FlushErrorState();
        let error = PgError::from_error_data(&mut *data);
        pg_sys::FreeErrorData(data);
        error
    }
}

/// [`call_raising`] for a function and its arguments.
macro_rules! call_c {
    ($function:expr, $($argument:expr),* $(,)?) => {
        $crate::guard::call_raising(|| $function($($argument),*))
    };
}
pub(crate) use call_c;
