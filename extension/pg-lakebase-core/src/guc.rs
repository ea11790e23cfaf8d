//! Configuration parameters.
//!
//! pgrx's registry is used as it is; what it lacks is added here.

use std::ffi::CStr;

use pgrx::pg_sys;

pub use pgrx::guc::{GucContext, GucFlags, GucRegistry, GucSetting, PostgresGucEnum};

/// Makes unknown parameters with this prefix an error from now on, and drops those that were set
/// before the library was loaded (`MarkGUCPrefixReserved`). Call it after all definitions.
pub fn reserve_prefix(prefix: &'static CStr) {
    // SAFETY: the name is a valid string; PostgreSQL copies it.
    unsafe { pg_sys::MarkGUCPrefixReserved(prefix.as_ptr()) }
}

/// Whether the library is being loaded by `shared_preload_libraries`, which is when parameters of
/// context `Postmaster`, shared memory and resource managers can be had.
pub fn is_preloading() -> bool {
    // SAFETY: reads a flag of the process.
    unsafe { pg_sys::process_shared_preload_libraries_in_progress }
}
