//! Raised errors and panics as values.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use pgrx::pg_sys::panic::{CaughtError, ErrorReportWithLevel};

use super::{PgError, PgResult};

/// Runs `body` and returns a raised PostgreSQL error or a Rust panic as a value.
///
/// PostgreSQL's own state is not rolled back: this is for code that must not raise (commit and
/// abort callbacks, memory context callbacks), or that raises the error again. Recovering from an
/// error and going on takes a subtransaction.
pub fn catch<T>(body: impl FnOnce() -> T) -> PgResult<T> {
    catch_unwind(AssertUnwindSafe(body))
        .map_err(|payload| from_payload(payload).unwrap_or_else(|panic| from_panic(&*panic)))
}

/// Runs `body`; an error that it returns, or anything that is raised in it, becomes a WARNING.
///
/// Returns whether all went well.
pub fn catch_and_warn(body: impl FnOnce() -> PgResult<()>) -> bool {
    match catch(body).and_then(|result| result) {
        Ok(()) => true,
        Err(error) => {
            // Reporting a WARNING can itself fail, for want of memory: nothing more can be done.
            let _ = catch(|| error.warn());
            false
        }
    }
}

/// The error that a panic's payload stands for; the payload of a true Rust panic comes back.
pub(crate) fn from_payload(payload: Box<dyn Any + Send>) -> Result<PgError, Box<dyn Any + Send>> {
    let payload = match payload.downcast::<PgError>() {
        Ok(error) => return Ok(*error),
        Err(payload) => payload,
    };
    let payload = match payload.downcast::<ErrorReportWithLevel>() {
        Ok(report) => return Ok(PgError::from_report(&report)),
        Err(payload) => payload,
    };
    match payload.downcast::<CaughtError>() {
        Ok(caught) => match *caught {
            CaughtError::PostgresError(report) | CaughtError::ErrorReport(report) => {
                Ok(PgError::from_report(&report))
            }
            // pgrx takes payloads that it does not know for panics: ours may be among them.
            CaughtError::RustPanic { ereport, payload } => match payload.downcast::<PgError>() {
                Ok(error) => Ok(*error),
                Err(payload) => Err(Box::new(CaughtError::RustPanic { ereport, payload })),
            },
        },
        Err(payload) => Err(payload),
    }
}

/// The error that a Rust panic is shown as.
fn from_panic(payload: &(dyn Any + Send)) -> PgError {
    if let Some(CaughtError::RustPanic { ereport, .. }) = payload.downcast_ref::<CaughtError>() {
        return PgError::from_report(ereport);
    }
    let message = payload
        .downcast_ref::<&str>()
        .map(|message| (*message).to_owned())
        .or_else(|| payload.downcast_ref::<String>().cloned());
    PgError::internal(message.unwrap_or_else(|| "a panic without a message".to_owned()))
}
