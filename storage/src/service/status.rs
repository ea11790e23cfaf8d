//! What the service tells of itself.

use super::storage_service::StorageService;
use crate::protocol::{CacheStatus, Status, StoreStatus};

impl StorageService {
    /// Counts since the start, and what the cache has now. Asks no store.
    pub fn status(&self) -> Status {
        let usage = self.cache.usage();
        let by_store = self.cache.usage_by_store();
        let stores = self.stores.all().into_iter().map(|store| {
            let cached = by_store.get(&store.binding).copied().unwrap_or_default();
            StoreStatus {
                identity: store.spec.identity(),
                hits: store.counters.hits(),
                misses: store.counters.misses(),
                cached_files: cached.objects,
                cached_bytes: cached.bytes,
                operations: store.counters.operations.counts(),
                store: store.spec.id.clone(),
            }
        });
        Status {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            uptime_milliseconds: u64::try_from(self.started.elapsed().as_millis())
                .unwrap_or(u64::MAX),
            cache: CacheStatus {
                capacity: self.cache.capacity(),
                files: usage.objects,
                bytes: usage.bytes,
                evictions: usage.evictions,
            },
            stores: stores.collect(),
        }
    }
}
