//! Which storage has which counter: a hash table of a fixed size, for shared memory.

use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};

use pgrx::PGRXSharedMemory;

use crate::directory::StorageKey;

/// Marks the end of a chain.
const NONE: u16 = u16::MAX;

/// Storages with the numbers of their slots, of which there are `N`. A slot's number stays the same as
/// long as the storage is there.
pub struct Directory<const N: usize> {
    /// First slot of each chain.
    heads: [u16; N],
    slots: [Slot; N],
    /// Slots from here on have never been used.
    unused: u16,
    /// Where the search for a slot to empty goes on.
    hand: u16,
    /// How many storages have been taken out.
    removals: u64,
}

#[derive(Clone, Copy)]
struct Slot {
    key: Option<StorageKey>,
    next: u16,
}

// SAFETY: plain data.
unsafe impl<const N: usize> PGRXSharedMemory for Directory<N> {}

impl<const N: usize> Default for Directory<N> {
    fn default() -> Self {
        const { assert!(N < NONE as usize) };
        Self {
            heads: [NONE; N],
            slots: [Slot {
                key: None,
                next: NONE,
            }; N],
            unused: 0,
            hand: 0,
            removals: 0,
        }
    }
}

impl<const N: usize> Directory<N> {
    /// The slot of `key`.
    pub fn find(&self, key: &StorageKey) -> Option<usize> {
        let mut at = self.heads[chain::<N>(key)];
        while at != NONE {
            let slot = &self.slots[usize::from(at)];
            if slot.key == Some(*key) {
                return Some(at.into());
            }
            at = slot.next;
        }
        None
    }

    /// How many storages have been taken out: while the number stays the same, what was not found has not been
    /// there in between.
    pub fn removals(&self) -> u64 {
        self.removals
    }

    /// Gives `key`, which is not there, a slot. Where none is free, another storage gives up its own, one for which
    /// `is_idle` holds. `None` if there is no such storage.
    pub fn insert(&mut self, key: StorageKey, is_idle: impl Fn(usize) -> bool) -> Option<usize> {
        let at = if usize::from(self.unused) < N {
            self.unused += 1;
            self.unused - 1
        } else {
            let idle = (0..N)
                .map(|step| (usize::from(self.hand) + step) % N)
                .find(|&at| is_idle(at))?;
            self.hand = ((idle + 1) % N) as u16;
            self.remove(idle as u16);
            idle as u16
        };
        let head = &mut self.heads[chain::<N>(&key)];
        self.slots[usize::from(at)] = Slot {
            key: Some(key),
            next: std::mem::replace(head, at),
        };
        Some(at.into())
    }

    /// Takes the storage of a slot out of its chain.
    fn remove(&mut self, out: u16) {
        let Slot {
            key: Some(key),
            next,
        } = self.slots[usize::from(out)]
        else {
            return;
        };
        let head = chain::<N>(&key);
        if self.heads[head] == out {
            self.heads[head] = next;
        } else {
            let mut before = self.heads[head];
            while before != NONE && self.slots[usize::from(before)].next != out {
                before = self.slots[usize::from(before)].next;
            }
            if before != NONE {
                self.slots[usize::from(before)].next = next;
            }
        }
        self.removals += 1;
    }
}

/// The chain that a key is in, the same in every process.
fn chain<const N: usize>(key: &StorageKey) -> usize {
    let hash = BuildHasherDefault::<DefaultHasher>::default().hash_one(key);
    (hash % N as u64) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(rel_number: u32) -> StorageKey {
        StorageKey {
            tablespace: 1663,
            database: 5,
            rel_number,
            backend: -1,
        }
    }

    #[test]
    fn storages_keep_their_slots_and_idle_ones_give_way() {
        let mut directory = Directory::<8>::default();
        let slots: Vec<_> = (0..8)
            .map(|number| directory.insert(key(number), |_| true))
            .collect();
        for number in 0..8 {
            assert_eq!(directory.find(&key(number)), slots[number as usize]);
        }
        assert_eq!(directory.removals(), 0);
        // All are in use.
        assert_eq!(directory.insert(key(8), |_| false), None);
        let busy = directory.find(&key(3));
        let new = directory.insert(key(8), |slot| Some(slot) != busy);
        assert_eq!(directory.find(&key(8)), new);
        assert_eq!(directory.find(&key(3)), busy);
        assert_eq!(directory.removals(), 1);
        let left = (0..8).filter(|&number| directory.find(&key(number)).is_some());
        assert_eq!(left.count(), 7);
        // The next one to give way is another one.
        assert_ne!(directory.insert(key(9), |slot| Some(slot) != busy), new);
        assert!(directory.find(&key(8)).is_some());
    }

    #[test]
    fn no_chain_breaks_when_storages_come_and_go() {
        let mut directory = Directory::<8>::default();
        for number in 0..1000 {
            assert!(directory.insert(key(number), |_| true).is_some());
            let there: Vec<_> = (0..=number)
                .filter(|&number| directory.find(&key(number)).is_some())
                .collect();
            assert!(there.contains(&number));
            assert_eq!(there.len(), (number as usize + 1).min(8));
        }
        assert_eq!(directory.removals(), 992);
    }
}
