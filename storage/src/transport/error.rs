//! Errors of sockets and frames.

use std::{io, path::PathBuf, time::Duration};

use crate::protocol::DecodeError;

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TransportError {
    #[error("could not {operation} {}", path.display())]
    Socket {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("another process listens at {}", path.display())]
    InUse { path: PathBuf },
    #[error("{} exists and is no socket", path.display())]
    NotASocket { path: PathBuf },
    #[error("could not {operation}")]
    Io {
        operation: &'static str,
        source: io::Error,
    },
    #[error("could not {operation} within {limit:?}")]
    TimedOut {
        operation: &'static str,
        limit: Duration,
    },
    #[error("user {uid} may not connect")]
    PeerRefused { uid: u32 },
    #[error("the peer sent what is no frame")]
    Malformed(#[from] DecodeError),
}
