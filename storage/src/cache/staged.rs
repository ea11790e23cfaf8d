//! Files on their way into the cache.

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::PathBuf,
    sync::Arc,
};

use super::{disk_cache::Shared, error::CacheError};

/// A file being written, with room reserved for it. Dropped before it is committed, it is gone.
#[derive(Debug)]
pub struct StagedFile {
    pub(super) shared: Arc<Shared>,
    pub(super) file: File,
    pub(super) path: PathBuf,
    pub(super) number: u64,
    /// Bytes reserved, the length that the file must have.
    pub(super) length: u64,
}

impl StagedFile {
    /// Writes bytes at their place. Pieces may come in any order and from any thread.
    ///
    /// # Errors
    /// [`CacheError::File`].
    pub fn write_at(&self, offset: u64, data: &[u8]) -> Result<(), CacheError> {
        self.file
            .write_all_at(data, offset)
            .map_err(|source| CacheError::File {
                operation: "write",
                path: self.path.clone(),
                source,
            })
    }
}

impl Drop for StagedFile {
    fn drop(&mut self) {
        // Once committed, the file has another name and this one is not there.
        let _ = fs::remove_file(&self.path);
        self.shared.lock().recency.release(self.length);
    }
}
