//! Errors of libraries.

use arrow::error::ArrowError;
use iceberg_lite::error::Error;
use pg_arrow_conv::{ConvError, ValueError};
use pg_lakebase_core::error::PgError;
use pgrx::PgSqlErrorCode;

use super::causes::with_causes;
use super::store::StoreError;

/// Turns an error of a library into PostgreSQL's.
pub fn to_pg_error(error: impl IntoPgError) -> PgError {
    error.into_pg_error()
}

/// Errors that PostgreSQL users may meet.
pub trait IntoPgError {
    /// The error as PostgreSQL reports it.
    fn into_pg_error(self) -> PgError;
}

impl IntoPgError for Error {
    fn into_pg_error(self) -> PgError {
        if let Error::Io { source, .. } = &self
            && let Some(cause) = source.get_ref()
            && let Some(of_store) = cause.downcast_ref::<StoreError>()
        {
            return of_store.to_pg_error();
        }
        let sqlstate = match &self {
            Error::Io { source, .. } => match source.raw_os_error() {
                Some(libc::ENOSPC | libc::EDQUOT) => PgSqlErrorCode::ERRCODE_DISK_FULL,
                Some(libc::ENOENT) => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
                Some(libc::EACCES | libc::EPERM) => PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                Some(libc::ENFILE | libc::EMFILE) => PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
                _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
            },
            Error::Unsupported { .. } => PgSqlErrorCode::ERRCODE_FEATURE_NOT_SUPPORTED,
            Error::RequirementFailed { .. } | Error::CommitConflict { .. } => {
                PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE
            }
            _ => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
        };
        // The message says it all: what failed, and what each layer below said.
        PgError::new(sqlstate, with_causes(&self))
    }
}

impl IntoPgError for ConvError {
    fn into_pg_error(self) -> PgError {
        let mut error = PgError::new(self.sqlstate(), self.to_string());
        if let Some(detail) = self.detail() {
            error = error.with_detail(detail);
        }
        let hint = match &self {
            ConvError::Value { source, .. }
                if matches!(
                    source.innermost(),
                    ValueError::UnconstrainedNumericOverflow { .. }
                ) =>
            {
                Some(UNCONSTRAINED_NUMERIC_HINT.to_owned())
            }
            ConvError::Value { source, .. }
                if matches!(
                    source.innermost(),
                    ValueError::UnconstrainedNumericSpecial(_)
                ) =>
            {
                Some(UNCONSTRAINED_SPECIAL_HINT.to_owned())
            }
            _ => self.hint(),
        };
        if let Some(hint) = hint {
            error = error.with_hint(hint);
        }
        error
    }
}

/// What to do about a numeric that its column's decimal form does not hold.
const UNCONSTRAINED_NUMERIC_HINT: &str = "Round the value, declare the column as numeric(p,s), or create the table with pg_iceberg_am.unconstrained_numeric set to text.";

/// What to do about NaN and infinities in such a column.
const UNCONSTRAINED_SPECIAL_HINT: &str = "Store NULL instead, declare the column double precision, or create the table with pg_iceberg_am.unconstrained_numeric set to text.";

/// What Arrow says of an operation, as the error that is raised.
pub fn arrow_error(operation: &'static str) -> impl FnOnce(ArrowError) -> PgError {
    move |source| to_pg_error(Error::Arrow { operation, source })
}
