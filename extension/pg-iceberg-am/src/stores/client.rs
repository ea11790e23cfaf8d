//! Waiting for the storage service's answers.
//!
//! While the backend's thread waits for one, it serves interrupts; other threads give up when the query is cancelled.

use std::cell::RefCell;

use pg_lakebase_core::error::{PgError, catch};
use pg_lakebase_core::{interrupt, thread};
use pg_lakebase_storage::client::{ClientError, Interrupted, Interrupts, Result as ClientResult};
use pgrx::pg_sys;

use crate::error::StoreError;

thread_local! {
    /// What was raised while an answer was waited for.
    static RAISED: RefCell<Option<PgError>> = const { RefCell::new(None) };
}

/// Whether the query is to end.
pub struct QueryInterrupts;

impl Interrupts for QueryInterrupts {
    fn check(&mut self) -> Result<(), Interrupted> {
        if thread::is_backend() {
            return catch(interrupt::check).map_err(|error| {
                RAISED.set(Some(error));
                Interrupted
            });
        }
        // SAFETY: flags that signal handlers of the backend's thread set.
        let is_to_end = unsafe {
            (&raw const pg_sys::QueryCancelPending).read_volatile() != 0
                || (&raw const pg_sys::ProcDiePending).read_volatile() != 0
        };
        if is_to_end { Err(Interrupted) } else { Ok(()) }
    }
}

/// What a client with [`QueryInterrupts`] says, with what was raised meanwhile.
pub(super) fn outcome<T>(result: ClientResult<T>) -> Result<T, StoreError> {
    result.map_err(|error| match (error, RAISED.take()) {
        (ClientError::Interrupted(_), Some(raised)) => StoreError::Raised(raised),
        (error, _) => StoreError::Client(error),
    })
}
