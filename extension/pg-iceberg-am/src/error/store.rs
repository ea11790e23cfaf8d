//! Why a store gave nothing.

use pg_lakebase_core::error::PgError;
use pg_lakebase_storage::client::ClientError;
use pg_lakebase_storage::protocol::FailureCode;
use pgrx::PgSqlErrorCode;

use super::causes::with_causes;

/// The storage service said no, or was not waited for any longer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// What PostgreSQL raised meanwhile, the query being cancelled, or why there is no service to ask.
    #[error(transparent)]
    Raised(PgError),
    /// What the client of the service says.
    #[error(transparent)]
    Client(ClientError),
}

impl StoreError {
    /// The error that users see.
    pub fn into_pg_error(self) -> PgError {
        match self {
            Self::Raised(error) => error,
            Self::Client(error) => of_client(&error),
        }
    }

    /// Whether the service has answered with this failure.
    pub fn is(&self, code: FailureCode) -> bool {
        match self {
            Self::Raised(_) => false,
            Self::Client(error) => (error.failure()).is_some_and(|failure| failure.code == code),
        }
    }

    /// The SQLSTATE of what the service answers.
    pub fn sqlstate(code: FailureCode) -> PgSqlErrorCode {
        match code {
            FailureCode::NotFound => PgSqlErrorCode::ERRCODE_UNDEFINED_FILE,
            FailureCode::Exists => PgSqlErrorCode::ERRCODE_DUPLICATE_FILE,
            FailureCode::CacheFull => PgSqlErrorCode::ERRCODE_DISK_FULL,
            FailureCode::Changed => PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            FailureCode::InvalidStore => PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            FailureCode::PermissionDenied | FailureCode::Unauthenticated => {
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE
            }
            _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
        }
    }

    /// As [`Self::into_pg_error`], of an error that somebody else holds.
    pub fn to_pg_error(&self) -> PgError {
        match self {
            Self::Raised(error) => error.clone(),
            Self::Client(error) => of_client(error),
        }
    }
}

impl From<StoreError> for std::io::Error {
    fn from(error: StoreError) -> Self {
        Self::other(error)
    }
}

fn of_client(error: &ClientError) -> PgError {
    use ClientError as E;
    let sqlstate = match error {
        E::Unreachable { .. } | E::Disconnected { .. } => {
            PgSqlErrorCode::ERRCODE_CONNECTION_FAILURE
        }
        E::Interrupted(_) => PgSqlErrorCode::ERRCODE_QUERY_CANCELED,
        E::Failed { source, .. } => StoreError::sqlstate(source.code),
        _ => PgSqlErrorCode::ERRCODE_IO_ERROR,
    };
    let pg_error = PgError::new(sqlstate, error.to_string());
    let pg_error = match std::error::Error::source(error) {
        None => pg_error,
        Some(cause) => pg_error.with_detail(format!("{}.", with_causes(cause))),
    };
    match error {
        E::Unreachable { .. } => pg_error.with_hint(
            "See lakebase.storage_service for whether the storage service runs, and its log for why not, which is the server's if that runs it.",
        ),
        E::Failed { operation: "read", source, .. } if source.code == FailureCode::NotFound => {
            pg_error.with_hint(
                "The server that made it keeps an object for pg_lakebase.object_retention after it has ceased to need it: too short for a query on a standby that takes longer and gives no hot_standby_feedback, and for a server that was set back to a time before that.",
            )
        }
        _ => pg_error,
    }
}
