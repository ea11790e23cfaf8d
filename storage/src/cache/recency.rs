//! Entries in memory, in the order of their last use, within a limit of bytes.

use std::collections::BTreeMap;

use super::key::{EntryKey, Part, StoreBinding};
use crate::protocol::{ObjectPath, ObjectVersion};

/// A file of the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Name of the file within its store's directory, unique in the cache.
    pub(super) file: u64,
    /// Length in bytes.
    pub(super) length: u64,
    /// Time of last use in ticks; unique.
    pub(super) last_use: u64,
}

/// Knows every entry and how much room is left. Does not touch the disk.
#[derive(Debug, Default)]
pub(super) struct Recency {
    /// Ordered, so that the parts of an object are neighbours.
    entries: BTreeMap<EntryKey, Entry>,
    order: BTreeMap<u64, EntryKey>,
    used: u64,
    /// Bytes being written, promised to [`Recency::reserve`].
    reserved: u64,
    tick: u64,
}

impl Recency {
    /// A time later than all before.
    pub(super) fn next_tick(&mut self) -> u64 {
        self.tick += 1;
        self.tick
    }

    /// Adds an entry, and returns the one it replaces.
    pub(super) fn insert(&mut self, key: EntryKey, mut entry: Entry) -> Option<Entry> {
        let replaced = self.remove(&key);
        self.tick = self.tick.max(entry.last_use);
        if self.order.contains_key(&entry.last_use) {
            // Two entries of a strange index were used at the same time: one was not.
            entry.last_use = self.next_tick();
        }
        self.used += entry.length;
        self.order.insert(entry.last_use, key.clone());
        self.entries.insert(key, entry);
        replaced
    }

    pub(super) fn get(&self, key: &EntryKey) -> Option<Entry> {
        self.entries.get(key).copied()
    }

    /// Finds an entry and marks it used.
    pub(super) fn touch(&mut self, key: &EntryKey) -> Option<Entry> {
        let tick = self.next_tick();
        let entry = self.entries.get_mut(key)?;
        if let Some(key) = self.order.remove(&entry.last_use) {
            self.order.insert(tick, key);
        }
        entry.last_use = tick;
        Some(*entry)
    }

    pub(super) fn remove(&mut self, key: &EntryKey) -> Option<Entry> {
        let entry = self.entries.remove(key)?;
        self.order.remove(&entry.last_use);
        self.used -= entry.length;
        Some(entry)
    }

    /// Removes all parts of all versions of an object.
    pub(super) fn remove_object(
        &mut self,
        binding: &StoreBinding,
        path: &ObjectPath,
    ) -> Vec<(EntryKey, Entry)> {
        let least = EntryKey {
            binding: binding.clone(),
            path: path.clone(),
            version: ObjectVersion {
                etag: None,
                size: 0,
            },
            part: Part::Block(0),
        };
        let keys = self
            .entries
            .range(least..)
            .map(|(key, _)| key)
            .take_while(|key| key.binding == *binding && key.path == *path)
            .cloned()
            .collect();
        self.remove_all(keys)
    }

    /// Removes all entries of a store.
    pub(super) fn remove_store(&mut self, binding: &StoreBinding) -> Vec<(EntryKey, Entry)> {
        let of = |key: &&EntryKey| key.binding == *binding;
        let keys = self.entries.keys().filter(of).cloned().collect();
        self.remove_all(keys)
    }

    fn remove_all(&mut self, keys: Vec<EntryKey>) -> Vec<(EntryKey, Entry)> {
        keys.into_iter()
            .filter_map(|key| self.remove(&key).map(|entry| (key, entry)))
            .collect()
    }

    /// Promises `bytes` of room within `capacity`, and returns the entries that have to go: those
    /// unused for longest. `None`, and nothing goes, when there cannot be room.
    pub(super) fn reserve(&mut self, bytes: u64, capacity: u64) -> Option<Vec<(EntryKey, Entry)>> {
        let wanted = self.reserved.checked_add(bytes)?;
        if wanted > capacity {
            return None;
        }
        self.reserved = wanted;
        let mut evicted = Vec::new();
        while self.used + self.reserved > capacity
            && let Some((_, key)) = self.order.pop_first()
        {
            if let Some(entry) = self.entries.remove(&key) {
                self.used -= entry.length;
                evicted.push((key, entry));
            }
        }
        Some(evicted)
    }

    pub(super) fn release(&mut self, bytes: u64) {
        self.reserved = self.reserved.saturating_sub(bytes);
    }

    pub(super) fn entries(&self) -> impl Iterator<Item = (&EntryKey, &Entry)> {
        self.entries.iter()
    }

    pub(super) fn used(&self) -> u64 {
        self.used
    }

    pub(super) fn reserved(&self) -> u64 {
        self.reserved
    }
}
