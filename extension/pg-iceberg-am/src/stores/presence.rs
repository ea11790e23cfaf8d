//! Whether there is a storage service to ask, and waiting for it: the server may be starting it.

use std::time::{Duration, Instant};

use pg_lakebase_core::error::{PgError, catch};
use pg_lakebase_core::{background, interrupt};
use pgrx::PgSqlErrorCode;

use crate::storage_service::supervision::{self, Absence};

/// How long the service may take to be there.
const PATIENCE: Duration = Duration::from_secs(5);
const POLL: Duration = Duration::from_millis(10);

/// How long the service has been waited for.
#[derive(Clone, Copy, Debug)]
pub struct Patience(Instant);

impl Patience {
    /// Waiting begins.
    pub fn new() -> Self {
        Self(Instant::now())
    }

    /// Whether it has an end.
    pub fn is_over(self) -> bool {
        self.0.elapsed() >= PATIENCE
    }

    /// Waits a moment. For threads other than the backend's, too.
    pub fn pause() {
        std::thread::sleep(POLL);
    }

    /// Has the service started if it is the server that runs it, and waits until it answers. For the backend's thread.
    ///
    /// # Errors
    /// Why there is none, and what interrupts raise.
    pub fn await_service(self) -> Result<(), PgError> {
        while !supervision::is_there().map_err(is_absent)? {
            if self.is_over() {
                return Err(does_not_answer(supervision::last_failure()));
            }
            catch(interrupt::check)?;
            if background::is_to_end() {
                return Err(PgError::new(
                    PgSqlErrorCode::ERRCODE_ADMIN_SHUTDOWN,
                    "terminating background worker due to administrator command",
                ));
            }
            Self::pause();
        }
        Ok(())
    }
}

fn is_absent(absence: Absence) -> PgError {
    match absence {
        Absence::IsOff => PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "there is no storage service",
        )
        .with_detail("Object stores are reached by it alone, and pg_lakebase.storage_service is off.")
        .with_hint("Set pg_lakebase.storage_service to auto, or pg_lakebase.storage_socket to the socket of a service that somebody else runs."),
        Absence::NoRoom => PgError::new(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            "could not start the storage service",
        )
        .with_detail("No background worker is left for it.")
        .with_hint("You might need to increase max_worker_processes."),
    }
}

fn does_not_answer(last_failure: Option<String>) -> PgError {
    let error = PgError::new(
        PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE,
        "the storage service does not answer",
    )
    .with_hint("See the server's log, and lakebase.storage_service.");
    match last_failure {
        Some(failure) => error.with_detail(format!("What failed last: {failure}.")),
        None => error,
    }
}
