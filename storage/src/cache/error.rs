//! Errors of the disk cache.

use std::{io, path::PathBuf};

#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CacheError {
    #[error("could not {operation} {}", path.display())]
    File {
        operation: &'static str,
        path: PathBuf,
        source: io::Error,
    },
    #[error("could not {operation} the cache index {}", path.display())]
    Index {
        operation: &'static str,
        path: PathBuf,
        source: Box<redb::Error>,
    },
    #[error("another process uses the cache index {}", path.display())]
    Busy { path: PathBuf },
    #[error("{wanted} bytes do not fit a cache of {capacity} bytes")]
    Full { wanted: u64, capacity: u64 },
}

impl CacheError {
    /// Is the cache, or its disk, too full, as opposed to broken?
    pub fn is_full(&self) -> bool {
        match self {
            Self::Full { .. } => true,
            Self::File { source, .. } => is_full(source),
            Self::Index { .. } | Self::Busy { .. } => false,
        }
    }
}

/// Does an error say that a disk, or a quota, is full?
pub(super) fn is_full(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
    )
}
