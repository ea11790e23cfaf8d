//! Errors of object stores, and which of them may pass.

use std::{error::Error, io};

use crate::protocol::{Failure, FailureCode, ObjectPath, Persistence, StoreId};

/// What kind of error; decides code and persistence of the failure told to the client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ErrorKind {
    NotFound,
    PermissionDenied,
    Unauthenticated,
    Changed,
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
}

impl BackendError {
    pub fn new(
        kind: ErrorKind,
        operation: &'static str,
        path: &ObjectPath,
        source: impl Into<Box<dyn Error + Send + Sync>>,
    ) -> Self {
        Self {
            kind,
            operation,
            path: path.to_string(),
            source: source.into(),
        }
    }

    pub(super) fn from_store(
        operation: &'static str,
        path: impl ToString,
        source: object_store::Error,
    ) -> Self {
        Self {
            kind: classify(&source),
            operation,
            path: path.to_string(),
            source: Box::new(source),
        }
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
            ErrorKind::InvalidStore => FailureCode::InvalidStore,
            ErrorKind::Refused => FailureCode::BadRequest,
            ErrorKind::Unavailable => FailureCode::Unavailable,
            ErrorKind::TimedOut => FailureCode::TimedOut,
        };
        Failure {
            code,
            persistence: if self.is_transient() {
                Persistence::Transient
            } else {
                Persistence::Permanent
            },
            object: format!("{store}:{}", self.path),
            message: format!("could not {}: {}", self.operation, one_line(&*self.source)),
        }
    }
}

fn classify(error: &object_store::Error) -> ErrorKind {
    use object_store::Error as E;
    match error {
        E::NotFound { .. } => ErrorKind::NotFound,
        E::PermissionDenied { .. } => ErrorKind::PermissionDenied,
        E::Unauthenticated { .. } => ErrorKind::Unauthenticated,
        E::Precondition { .. } | E::NotModified { .. } => ErrorKind::Changed,
        E::UnknownConfigurationKey { .. } => ErrorKind::InvalidStore,
        E::InvalidPath { .. }
        | E::NotSupported { .. }
        | E::NotImplemented { .. }
        | E::AlreadyExists { .. } => ErrorKind::Refused,
        _ => classify_cause(error),
    }
}

/// An error that the store crate has no word for: by its cause, and transient when that says
/// nothing, since a second attempt does no harm.
fn classify_cause(error: &(dyn Error + 'static)) -> ErrorKind {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            match error.kind() {
                io::ErrorKind::NotFound => return ErrorKind::NotFound,
                io::ErrorKind::PermissionDenied => return ErrorKind::PermissionDenied,
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidFilename => {
                    return ErrorKind::Refused;
                }
                io::ErrorKind::TimedOut => return ErrorKind::TimedOut,
                _ => {}
            }
        }
        cause = error.source();
    }
    // The type that holds the HTTP status is private to the store crate; its text is all there is.
    let text = one_line(error);
    let client_error = text
        .split_once("status code: 4")
        .or_else(|| text.split_once("status: 4"))
        .is_some_and(|(_, rest)| !rest.starts_with("08") && !rest.starts_with("29"));
    if client_error || text.contains("redirect without LOCATION") {
        ErrorKind::Refused
    } else {
        ErrorKind::Unavailable
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
