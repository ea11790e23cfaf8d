//! The keys that sessions meet at: a few of each table at a time. Where enough was appended the oldest makes way for a new
//! one, so that lists stay short.

use super::history::{Key, TABLES};
use std::sync::atomic::{AtomicU32, Ordering};

/// A table, and a place among its keys in use.
pub type Place = (usize, u32);

/// Keys of a table in use at a time.
pub const SLOTS: u32 = 5;
/// About how many elements a list gets.
const ELEMENTS: u32 = 40;
/// Keys that are made ahead of their use.
const AHEAD: u32 = 60;

#[derive(Debug, Default)]
pub struct Keys([Used; TABLES.len()]);

#[derive(Debug, Default)]
struct Used {
    appends: AtomicU32,
    /// Keys with smaller numbers have rows.
    made: AtomicU32,
}

impl Keys {
    /// The keys at these places now; different ones, if the places are.
    pub fn at(&self, places: &[Place]) -> Vec<Key> {
        let oldest: Vec<u32> = self.0.iter().map(Used::oldest).collect();
        places
            .iter()
            .map(|&(table, slot)| Key {
                table,
                number: oldest.get(table).copied().unwrap_or(0) + slot,
            })
            .collect()
    }

    /// As [`Self::at`], for an element each.
    pub fn append(&self, places: &[Place]) -> Vec<Key> {
        for used in places.iter().filter_map(|(table, _)| self.0.get(*table)) {
            used.appends.fetch_add(1, Ordering::SeqCst);
        }
        self.at(places)
    }

    /// How many keys of a table have rows, and how many should have from now on.
    pub fn make(&self, table: usize) -> (u32, u32) {
        let Some(used) = self.0.get(table) else {
            return (0, 0);
        };
        let wanted = used.oldest() + SLOTS + AHEAD;
        (used.made.swap(wanted, Ordering::SeqCst), wanted)
    }

    /// All that have rows.
    pub fn all(&self) -> Vec<Key> {
        let of = |(table, used): (usize, &Used)| {
            (0..used.made.load(Ordering::SeqCst)).map(move |number| Key { table, number })
        };
        self.0.iter().enumerate().flat_map(of).collect()
    }
}

impl Used {
    fn oldest(&self) -> u32 {
        let last = self.made.load(Ordering::SeqCst).saturating_sub(SLOTS);
        (self.appends.load(Ordering::SeqCst) / ELEMENTS).min(last)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_make_way_for_new_ones_that_have_rows() {
        let keys = Keys::default();
        let numbers = |places: &[Place]| -> Vec<u32> {
            keys.at(places).iter().map(|key| key.number).collect()
        };
        assert_eq!(keys.make(0), (0, SLOTS + AHEAD));
        assert_eq!(numbers(&[(0, 1), (1, 2)]), [1, 2]);
        for _ in 0..ELEMENTS {
            keys.append(&[(0, 0)]);
        }
        assert_eq!(numbers(&[(0, 1), (0, 3), (1, 2)]), [2, 4, 2]);
        for _ in 0..2 * AHEAD * ELEMENTS {
            keys.append(&[(0, 0)]);
        }
        assert_eq!(numbers(&[(0, SLOTS - 1)]), [SLOTS + AHEAD - 1]);
        assert_eq!(keys.make(0), (SLOTS + AHEAD, SLOTS + 2 * AHEAD));
        assert_eq!(keys.all().len(), 125);
    }
}
