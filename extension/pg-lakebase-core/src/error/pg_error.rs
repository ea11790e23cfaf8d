//! The error type.

use std::fmt;

use pgrx::PgLogLevel;
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys::panic::ErrorReport;

use super::Origin;

/// What a fallible operation of the framework returns.
pub type PgResult<T> = Result<T, PgError>;

/// An error with everything that PostgreSQL shows of one.
#[derive(Debug, Clone)]
pub struct PgError {
    /// The SQLSTATE.
    pub sqlstate: PgSqlErrorCode,
    /// The primary message: lower case, no full stop.
    pub message: String,
    /// The detail: whole sentences.
    pub detail: Option<String>,
    /// The hint: whole sentences that say what to do.
    pub hint: Option<String>,
    /// What else PostgreSQL knew of the error, if it raised it.
    pub(crate) origin: Option<Box<Origin>>,
}

impl PgError {
    /// An error of this SQLSTATE with its primary message.
    pub fn new(sqlstate: PgSqlErrorCode, message: impl Into<String>) -> Self {
        Self {
            sqlstate,
            message: message.into(),
            detail: None,
            hint: None,
            origin: None,
        }
    }

    /// An error of SQLSTATE `FEATURE_NOT_SUPPORTED`. Give it a hint that names the way round.
    pub fn feature_not_supported(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED, message)
    }

    /// An error of SQLSTATE `INTERNAL_ERROR`: something that should never be seen.
    pub fn internal(message: impl Into<String>) -> Self {
        Self::new(PgSqlErrorCode::ERRCODE_INTERNAL_ERROR, message)
    }

    /// An input or output error on the file or directory at `path`, with the SQLSTATE that
    /// PostgreSQL's `errcode_for_file_access` gives for the cause.
    pub fn file_access(operation: &str, path: &str, source: &std::io::Error) -> Self {
        Self::new(
            sqlstate_for_file_access(source),
            format!("could not {operation} \"{path}\": {source}"),
        )
    }

    /// The same error with a detail.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }

    /// The same error with a hint.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// The constraint that was violated, if PostgreSQL named one.
    pub fn constraint_name(&self) -> Option<&str> {
        self.origin
            .as_ref()
            .and_then(|origin| origin.constraint_name())
    }

    /// Whether the statement was told to end: cancelled, out of time or terminated.
    pub fn is_cancellation(&self) -> bool {
        use PgSqlErrorCode as C;
        matches!(
            self.sqlstate,
            C::ERRCODE_QUERY_CANCELED | C::ERRCODE_ADMIN_SHUTDOWN | C::ERRCODE_CRASH_SHUTDOWN
        )
    }

    /// Raises the error. Destructors of the calling frames run; the guard of the callback that
    /// PostgreSQL called reports it.
    ///
    /// Return the error instead where that is possible: it keeps all that PostgreSQL knew of it.
    #[track_caller]
    pub fn raise(self) -> ! {
        self.into_report().report(PgLogLevel::ERROR);
        unreachable!("a report of level ERROR does not return")
    }

    /// Reports the error as a WARNING, for places that must not raise.
    #[track_caller]
    pub fn warn(self) {
        self.into_report().report(PgLogLevel::WARNING);
    }

    /// Sends the message to the client as a NOTICE.
    #[track_caller]
    pub fn notice(self) {
        self.into_report().report(PgLogLevel::NOTICE);
    }

    /// Writes the error to the server log, without sending it to the client.
    #[track_caller]
    pub fn log(self) {
        self.into_report().report(PgLogLevel::LOG_SERVER_ONLY);
    }

    #[track_caller]
    fn into_report(self) -> ErrorReport {
        let mut report = ErrorReport::new(self.sqlstate, self.message, "");
        if let Some(detail) = self.detail {
            report = report.set_detail(detail);
        }
        if let Some(hint) = self.hint {
            report = report.set_hint(hint);
        }
        report
    }
}

impl PartialEq for PgError {
    /// Equal in what users see first; where the error came from does not count.
    fn eq(&self, other: &Self) -> bool {
        self.sqlstate == other.sqlstate
            && self.message == other.message
            && self.detail == other.detail
            && self.hint == other.hint
    }
}

impl Eq for PgError {}

impl fmt::Display for PgError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)?;
        if let Some(detail) = &self.detail {
            write!(f, " ({detail})")?;
        }
        Ok(())
    }
}

impl std::error::Error for PgError {}

/// PostgreSQL's `errcode_for_file_access`.
fn sqlstate_for_file_access(source: &std::io::Error) -> PgSqlErrorCode {
    match source.raw_os_error() {
        Some(libc::EPERM | libc::EACCES | libc::EROFS) => {
            PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
        }
        Some(libc::ENOENT) => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
        Some(libc::EEXIST) => PgSqlErrorCode::ERRCODE_DUPLICATE_FILE,
        Some(libc::ENOTDIR | libc::EISDIR | libc::ENOTEMPTY) => {
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE
        }
        Some(libc::ENOSPC) => PgSqlErrorCode::ERRCODE_DISK_FULL,
        Some(libc::ENOMEM) => PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
        Some(libc::ENFILE | libc::EMFILE) => PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        Some(libc::EIO) => PgSqlErrorCode::ERRCODE_IO_ERROR,
        _ => PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
    }
}
