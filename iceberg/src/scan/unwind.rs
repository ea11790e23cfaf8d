//! Panics of the Parquet library become errors.
//!
//! It is not hardened against every damaged file: some lengths in footers and pages are believed,
//! and indexing by them panics.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::error::{Error, Result};

/// What `read` returns, or the error that the file at `path` made it panic.
///
/// After an error nothing that `read` borrowed may be used but to be dropped.
pub(super) fn catch_panic<T>(path: &str, read: impl FnOnce() -> Result<T>) -> Result<T> {
    catch_unwind(AssertUnwindSafe(read)).unwrap_or_else(|panic| {
        let reason = format!(
            "it made the Parquet reader fail: {}",
            panic_message(&*panic)
        );
        Err(Error::invalid_data(path, reason))
    })
}

/// What a panic said.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
