//! Footers of Parquet files that were parsed before.
//!
//! Files never change once written, and their names are never used again, so what is known by a path is
//! right for ever; the bound is on memory alone.

use std::cell::RefCell;
use std::sync::Arc;

use super::file_metadata::{FileMetadata, footer_of};
use crate::bounded_cache::BoundedCache;
use crate::error::Result;
use crate::io::{FileIo, InputFile};

/// Footers by path; see [`FileIo::footer_cache`].
pub struct FooterCache(RefCell<BoundedCache<String, FileMetadata>>);

impl FooterCache {
    /// A cache of at most `bytes` in memory.
    pub fn new(bytes: usize) -> Self {
        Self(RefCell::new(BoundedCache::new(bytes)))
    }
}

impl FileMetadata {
    /// Has the footer of an open file fetched, unless the cache of `io` has it, and waits for nothing.
    pub fn prefetch(io: &dyn FileIo, file: &dyn InputFile) -> Result<()> {
        let cache = io.footer_cache();
        if cache.is_some_and(|cache| cache.0.borrow_mut().get(file.path()).is_some()) {
            return Ok(());
        }
        file.prefetch(&[footer_of(file)])
    }

    /// The footer of an open file: from the cache of `io`, or read.
    pub fn of(io: &dyn FileIo, file: &Arc<dyn InputFile>) -> Result<Self> {
        let Some(cache) = io.footer_cache() else {
            return Self::read(file);
        };
        if let Some(known) = cache.0.borrow_mut().get(file.path()) {
            return Ok(known);
        }
        let footer = Self::read(file)?;
        let weight = footer.memory_size() + file.path().len();
        cache
            .0
            .borrow_mut()
            .put(file.path().to_owned(), footer.clone(), weight);
        Ok(footer)
    }
}
