//! What was asked of the stores, counted since the start.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::{
    cache::Usage,
    protocol::{StoreId, StoreStatus},
};

/// Counts of one store.
#[derive(Debug, Default)]
pub(super) struct StoreCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    gets: AtomicU64,
    bytes_read: AtomicU64,
    puts: AtomicU64,
    bytes_written: AtomicU64,
    errors: AtomicU64,
}

impl StoreCounters {
    /// A request for ranges found all of them in the cache, or did not.
    pub(super) fn looked_up(&self, was_there: bool) {
        let count = if was_there { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// So many bytes of an object came.
    pub(super) fn read(&self, bytes: usize) {
        self.gets.fetch_add(1, Ordering::Relaxed);
        self.bytes_read.fetch_add(bytes as u64, Ordering::Relaxed);
    }

    /// An object of so many bytes was written.
    pub(super) fn wrote(&self, bytes: u64) {
        self.puts.fetch_add(1, Ordering::Relaxed);
        self.bytes_written.fetch_add(bytes, Ordering::Relaxed);
    }

    /// An operation failed for good.
    pub(super) fn failed(&self) {
        self.errors.fetch_add(1, Ordering::Relaxed);
    }

    /// The counts, of a store that has so much cached.
    pub(super) fn status(&self, id: StoreId, cached: Usage) -> StoreStatus {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        StoreStatus {
            id,
            objects: cached.objects,
            bytes: cached.bytes,
            hits: count(&self.hits),
            misses: count(&self.misses),
            reads: count(&self.gets),
            bytes_read: count(&self.bytes_read),
            writes: count(&self.puts),
            bytes_written: count(&self.bytes_written),
            errors: count(&self.errors),
        }
    }
}
