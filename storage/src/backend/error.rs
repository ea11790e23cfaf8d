//! Errors of object stores, and which of them may pass.

use std::error::Error;

use super::{
    answers::{Answers, Asked},
    failure_kind::kind_of,
};
use crate::protocol::{Failure, FailureCode, Persistence, StoreId};

pub type Result<T> = std::result::Result<T, BackendError>;

/// What kind of error; decides code and persistence of the failure told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    NotFound,
    PermissionDenied,
    /// The store does not know who asks, or there are no credentials to ask with.
    Unauthenticated,
    /// The object is not the version that it should be.
    Changed,
    /// An object is there that should not be.
    Exists,
    /// What was to be written is not what it was said to be.
    Damaged,
    /// The store is not what its options say: no such bucket, another region, an unusable option.
    InvalidStore,
    /// The store refuses the request, and would again.
    Refused,
    Unavailable,
    TimedOut,
}

/// A failed operation of a store.
#[derive(Debug, thiserror::Error)]
#[error("could not {operation} {path}")]
pub struct BackendError {
    pub kind: ErrorKind,
    pub operation: &'static str,
    pub path: String,
    pub source: Box<dyn Error + Send + Sync>,
    /// How often it was tried in vain.
    pub attempts: u32,
}

impl BackendError {
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        path: impl ToString,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            operation,
            path: path.to_string(),
            source: source.into(),
            attempts: 1,
        }
    }

    /// An error of the `object_store` crate, in the attempt that met it.
    pub(super) fn from_store(
        operation: &'static str,
        path: impl ToString,
        source: object_store::Error,
    ) -> Self {
        let last = Answers::last_of_attempt();
        let kind = kind_of(&source, last.as_ref());
        if last.is_some_and(|answer| answer.asked == Asked::Issuer) {
            let cause = format!("there are no credentials: {}", one_line(&source));
            return Self::new(kind, operation, path, cause);
        }
        Self::new(kind, operation, path, source)
    }

    pub fn is_transient(&self) -> bool {
        matches!(self.kind, ErrorKind::Unavailable | ErrorKind::TimedOut)
    }

    /// The error as the client is told it.
    pub fn into_failure(self, store: &StoreId) -> Failure {
        let code = match self.kind {
            ErrorKind::NotFound => FailureCode::NotFound,
            ErrorKind::PermissionDenied => FailureCode::PermissionDenied,
            ErrorKind::Unauthenticated => FailureCode::Unauthenticated,
            ErrorKind::Changed => FailureCode::Changed,
            ErrorKind::Exists => FailureCode::Exists,
            ErrorKind::Damaged => FailureCode::Damaged,
            ErrorKind::InvalidStore => FailureCode::InvalidStore,
            ErrorKind::Refused => FailureCode::BadRequest,
            ErrorKind::Unavailable => FailureCode::Unavailable,
            ErrorKind::TimedOut => FailureCode::TimedOut,
        };
        let mut message = format!("could not {}: {}", self.operation, one_line(&*self.source));
        if self.attempts > 1 {
            message.push_str(&format!(" (attempt {})", self.attempts));
        }
        Failure {
            code,
            persistence: if self.is_transient() {
                Persistence::Transient
            } else {
                Persistence::Permanent
            },
            object: format!("{store}:{}", self.path),
            message,
        }
    }
}

/// An error and its causes in one line; a cause that the error repeats already is left out.
pub(crate) fn one_line(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !line.contains(&text) {
            line.push_str(": ");
            line.push_str(&text);
        }
        cause = error.source();
    }
    line.replace(['\n', '\r'], " ")
}
