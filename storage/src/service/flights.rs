//! One download at a time for each thing: who comes second waits and finds it cached.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::{Mutex as AsyncMutex, OwnedMutexGuard};

use crate::cache::EntryKey;

type Turns = HashMap<EntryKey, Arc<AsyncMutex<()>>>;

/// Turns by key.
#[derive(Debug, Default)]
pub(super) struct Flights {
    turns: Mutex<Turns>,
}

/// The right to download what a key stands for, until dropped.
pub(super) struct Flight<'a> {
    flights: &'a Flights,
    key: EntryKey,
    turn: Option<OwnedMutexGuard<()>>,
}

impl Flights {
    /// Waits for one's turn.
    pub(super) async fn join(&self, key: &EntryKey) -> Flight<'_> {
        // Made before the wait: a wait given up cleans up like a flight that ended.
        let mut flight = Flight {
            flights: self,
            key: key.clone(),
            turn: None,
        };
        let turn = Arc::clone(self.lock().entry(key.clone()).or_default());
        flight.turn = Some(turn.lock_owned().await);
        flight
    }

    fn lock(&self) -> MutexGuard<'_, Turns> {
        self.turns.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Flight<'_> {
    fn drop(&mut self) {
        let mut turns = self.flights.lock();
        self.turn = None;
        // Those who wait hold the turn too.
        if turns
            .get(&self.key)
            .is_some_and(|turn| Arc::strong_count(turn) == 1)
        {
            turns.remove(&self.key);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::{
        cache::{CacheConfig, DiskCache, Part},
        protocol::{ObjectPath, ObjectVersion, StoreId},
    };

    fn key() -> EntryKey {
        let directory = tempfile::tempdir().unwrap();
        let cache = DiskCache::open(CacheConfig::new(directory.path(), 1)).unwrap();
        EntryKey {
            binding: cache
                .bind_store(&StoreId::new("s").unwrap(), "memory://")
                .unwrap(),
            path: ObjectPath::new("a").unwrap(),
            version: ObjectVersion {
                etag: None,
                size: 1,
            },
            part: Part::Whole,
        }
    }

    #[tokio::test]
    async fn turns_are_taken_one_by_one_and_nothing_is_left_of_them() {
        let flights = Flights::default();
        let key = key();
        let first = flights.join(&key).await;
        let second = flights.join(&key);
        tokio::pin!(second);
        let early = tokio::time::timeout(std::time::Duration::from_millis(20), &mut second).await;
        assert!(early.is_err(), "two at a time");
        drop(first);
        drop(second.await);
        assert!(flights.lock().is_empty());
    }

    #[tokio::test]
    async fn a_wait_given_up_leaves_nothing() {
        let flights = Flights::default();
        let key = key();
        let first = flights.join(&key).await;
        let waited =
            tokio::time::timeout(std::time::Duration::from_millis(5), flights.join(&key)).await;
        assert!(waited.is_err());
        drop(first);
        assert!(flights.lock().is_empty());
    }
}
