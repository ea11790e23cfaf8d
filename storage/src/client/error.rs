//! Errors of the client.

use std::{io, path::PathBuf, time::Duration};

use super::interrupt::Interrupted;
use crate::protocol::{DecodeError, Failure};

pub type Result<T> = std::result::Result<T, ClientError>;

/// Why an operation gave no result. Names the operation and the object concerned.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    #[error(transparent)]
    Interrupted(#[from] Interrupted),
    #[error("could not {operation} {object}")]
    Failed {
        operation: &'static str,
        object: String,
        source: Failure,
    },
    #[error("could not {operation} {object}: no answer from the storage service within {limit:?}")]
    TimedOut {
        operation: &'static str,
        object: String,
        limit: Duration,
    },
    #[error(
        "could not {operation} {object}: the storage service does not answer at {}", socket.display()
    )]
    Unreachable {
        operation: &'static str,
        object: String,
        socket: PathBuf,
        source: io::Error,
    },
    #[error("could not {operation} {object}: the connection to the storage service broke")]
    Disconnected {
        operation: &'static str,
        object: String,
        source: io::Error,
    },
    #[error("could not {operation} {object}: the storage service sent what cannot be understood")]
    Malformed {
        operation: &'static str,
        object: String,
        source: DecodeError,
    },
    #[error("could not {operation} {object}: the storage service sent {what}")]
    Unexpected {
        operation: &'static str,
        object: String,
        what: String,
    },
}

impl ClientError {
    /// May the same operation succeed later, with nothing changed by the caller?
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Failed { source, .. } => source.is_transient(),
            Self::TimedOut { .. } | Self::Unreachable { .. } | Self::Disconnected { .. } => true,
            Self::Interrupted(_) | Self::Malformed { .. } | Self::Unexpected { .. } => false,
        }
    }

    /// The daemon's answer, where it is the daemon that says no.
    pub fn failure(&self) -> Option<&Failure> {
        match self {
            Self::Failed { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// What is being done to what: the beginning of every message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Task<'a> {
    pub(super) operation: &'static str,
    pub(super) object: &'a str,
    pub(super) limit: Duration,
}

impl Task<'_> {
    pub(super) fn failed(&self, source: Failure) -> ClientError {
        ClientError::Failed {
            operation: self.operation,
            object: self.object.to_owned(),
            source,
        }
    }

    pub(super) fn timed_out(&self) -> ClientError {
        ClientError::TimedOut {
            operation: self.operation,
            object: self.object.to_owned(),
            limit: self.limit,
        }
    }

    pub(super) fn disconnected(&self, source: io::Error) -> ClientError {
        ClientError::Disconnected {
            operation: self.operation,
            object: self.object.to_owned(),
            source,
        }
    }

    pub(super) fn malformed(&self, source: DecodeError) -> ClientError {
        ClientError::Malformed {
            operation: self.operation,
            object: self.object.to_owned(),
            source,
        }
    }

    pub(super) fn unexpected(&self, what: impl Into<String>) -> ClientError {
        ClientError::Unexpected {
            operation: self.operation,
            object: self.object.to_owned(),
            what: what.into(),
        }
    }
}
