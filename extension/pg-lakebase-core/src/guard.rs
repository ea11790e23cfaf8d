//! The guard under which every function runs that PostgreSQL calls.

use pgrx::pg_sys::panic::pgrx_extern_c_guard;

use crate::error::PgResult;

/// Runs the body of a C callback, and raises what it returns or panics with as a PostgreSQL error
/// after the body's frame is gone.
///
/// Callers are `extern "C-unwind"` functions that hold nothing with a destructor outside `body`.
#[inline(always)]
pub(crate) fn guard<R>(body: impl FnOnce() -> PgResult<R>) -> R {
    // SAFETY: callers are the topmost Rust frames below PostgreSQL, and own nothing that has a
    // destructor outside of `body`, so that the longjmp out of here crosses plain frames only.
    unsafe {
        pgrx_extern_c_guard(|| match body() {
            Ok(value) => value,
            Err(error) => error.raise(),
        })
    }
}

/// Runs the body of a C callback that cannot fail by itself; panics still become errors.
#[inline(always)]
pub(crate) fn guard_infallible<R>(body: impl FnOnce() -> R) -> R {
    guard(|| Ok(body()))
}

/// Calls a raising C function pointer: its error comes back as an unwinding panic.
macro_rules! call_c {
    ($function:expr, $($argument:expr),* $(,)?) => {{
        let function = $function;
        $(let _ = &$argument;)*
        ::pgrx::pg_sys::ffi::pg_guard_ffi_boundary(|| function($($argument),*))
    }};
}
pub(crate) use call_c;
