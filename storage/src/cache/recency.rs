//! Which objects were used, and which go first when room is needed.
//!
//! An object that was used once only goes before all that were used again, so that reading much once does not
//! push out what is read all the time. Those that were used again take at most [`KEPT_SHARE`] of the room.

use std::collections::{BTreeMap, HashMap};

use super::key::ObjectKey;

/// Of the capacity, in hundredths, what objects that were used again may take.
const KEPT_SHARE: u64 = 80;

/// What is known of a cached object's use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Use {
    /// Bytes on disk.
    pub(super) bytes: u64,
    /// Time of last use in ticks; unique.
    pub(super) tick: u64,
    /// Whether it was used again.
    pub(super) again: bool,
}

/// The order of all objects. Does not touch the disk.
#[derive(Debug, Default)]
pub(super) struct Recency {
    uses: HashMap<ObjectKey, Use>,
    /// Those used once and those used again, by tick.
    once: BTreeMap<u64, ObjectKey>,
    again: BTreeMap<u64, ObjectKey>,
    used: u64,
    used_again: u64,
    tick: u64,
}

impl Recency {
    /// Bytes of all objects.
    pub(super) fn used(&self) -> u64 {
        self.used
    }

    /// Number of objects.
    pub(super) fn len(&self) -> usize {
        self.uses.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ObjectKey, &Use)> {
        self.uses.iter()
    }

    pub(super) fn get(&self, key: &ObjectKey) -> Option<Use> {
        self.uses.get(key).copied()
    }

    /// Adds an object as it was known before, or a new one.
    pub(super) fn insert(&mut self, key: ObjectKey, before: Option<Use>) {
        self.remove(&key);
        let mut use_ = before.unwrap_or(Use {
            bytes: 0,
            tick: 0,
            again: false,
        });
        let taken = |tick| self.once.contains_key(&tick) || self.again.contains_key(&tick);
        if before.is_none() || taken(use_.tick) {
            use_.tick = self.tick + 1;
        }
        self.tick = self.tick.max(use_.tick);
        self.put(key, use_);
    }

    /// Marks an object used.
    pub(super) fn touch(&mut self, key: &ObjectKey, capacity: u64) {
        let Some(use_) = self.take(key) else {
            return;
        };
        self.tick += 1;
        let tick = self.tick;
        self.put(
            key.clone(),
            Use {
                tick,
                again: true,
                ..use_
            },
        );
        while self.used_again > capacity / 100 * KEPT_SHARE && self.again.len() > 1 {
            let Some((_, oldest)) = self.again.first_key_value() else {
                return;
            };
            let oldest = oldest.clone();
            if let Some(use_) = self.take(&oldest) {
                self.put(
                    oldest,
                    Use {
                        again: false,
                        ..use_
                    },
                );
            }
        }
    }

    /// Sets how many bytes an object takes.
    pub(super) fn set_bytes(&mut self, key: &ObjectKey, bytes: u64) {
        if let Some(use_) = self.take(key) {
            self.put(key.clone(), Use { bytes, ..use_ });
        }
    }

    pub(super) fn remove(&mut self, key: &ObjectKey) -> Option<Use> {
        self.take(key)
    }

    /// Removes those that go first until no more than `most` bytes are left; `spared` stays.
    pub(super) fn evict(&mut self, most: u64, spared: Option<&ObjectKey>) -> Vec<ObjectKey> {
        let mut evicted = Vec::new();
        let mut excess = self.used.saturating_sub(most);
        let order = self.once.values().chain(self.again.values());
        for key in order.filter(|key| Some(*key) != spared) {
            if excess == 0 {
                break;
            }
            let bytes = self.uses.get(key).map_or(0, |use_| use_.bytes);
            excess = excess.saturating_sub(bytes);
            evicted.push(key.clone());
        }
        for key in &evicted {
            self.take(key);
        }
        evicted
    }

    fn take(&mut self, key: &ObjectKey) -> Option<Use> {
        let use_ = self.uses.remove(key)?;
        self.used -= use_.bytes;
        if use_.again {
            self.used_again -= use_.bytes;
            self.again.remove(&use_.tick);
        } else {
            self.once.remove(&use_.tick);
        }
        Some(use_)
    }

    fn put(&mut self, key: ObjectKey, use_: Use) {
        self.used += use_.bytes;
        if use_.again {
            self.used_again += use_.bytes;
            self.again.insert(use_.tick, key.clone());
        } else {
            self.once.insert(use_.tick, key.clone());
        }
        self.uses.insert(key, use_);
    }
}
