//! Deleted positions that were read before.
//!
//! Files never change once written, and their names are never used again, so what is known by a path is
//! right for ever; the bound is on memory alone.

use std::cell::RefCell;
use std::sync::Arc;

use super::row_ranges::RowRanges;
use crate::bounded_cache::BoundedCache;
use crate::manifest::{DataFile, DeleteId};

/// The rows that delete files about a single data file, and deletion vectors, delete; see
/// [`FileIo::delete_cache`](crate::io::FileIo::delete_cache).
pub struct DeleteCache {
    rows: RefCell<BoundedCache<DeleteId, Arc<RowRanges>>>,
    bytes: usize,
}

impl DeleteCache {
    /// A cache of at most `bytes` in memory.
    pub fn new(bytes: usize) -> Self {
        Self {
            rows: RefCell::new(BoundedCache::new(bytes)),
            bytes,
        }
    }

    /// What `delete` deletes of the one data file that it is about.
    pub(crate) fn get(&self, delete: &DataFile) -> Option<Arc<RowRanges>> {
        self.rows.borrow_mut().get(&delete.delete_id())
    }

    /// Keeps what `delete` deletes of the one data file that it is about, unless there is no room for it.
    pub(crate) fn put(&self, delete: &DataFile, rows: &Arc<RowRanges>) {
        let weight = delete.file_path.len() + rows.memory_size();
        if weight <= self.bytes {
            let mut cache = self.rows.borrow_mut();
            cache.put(delete.delete_id(), Arc::clone(rows), weight);
        }
    }
}
