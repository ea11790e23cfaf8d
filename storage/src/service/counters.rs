//! How often the cache had what was wanted of a store, and what the store was asked, counted since the start.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};

use crate::backend::OperationCounters;

/// Counts of one store.
#[derive(Debug, Default)]
pub(super) struct StoreCounters {
    hits: AtomicU64,
    misses: AtomicU64,
    pub(super) operations: Arc<OperationCounters>,
}

impl StoreCounters {
    /// A request for ranges found all of them in the cache, or did not.
    pub(super) fn looked_up(&self, was_there: bool) {
        let count = if was_there { &self.hits } else { &self.misses };
        count.fetch_add(1, Ordering::Relaxed);
    }

    /// Requests for ranges that were answered from the cache alone.
    pub(super) fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Requests for ranges that needed the store.
    pub(super) fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}
