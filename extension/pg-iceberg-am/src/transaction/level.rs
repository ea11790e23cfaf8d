//! What each open subtransaction would undo.

use std::collections::HashMap;

use pgrx::pg_sys;

use crate::directory::StorageKey;

/// How much a transaction has done to a storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// Rows inserted.
    pub rows: u64,
    /// Rows deleted or superseded.
    pub changes: u64,
}

/// One open (sub)transaction that has changed something.
///
/// Levels exist only for subtransactions that did change something, and are merged into their
/// parent when released: memory does not grow with the number of subtransactions.
#[derive(Debug)]
pub struct Level {
    /// The subtransaction.
    pub subid: pg_sys::SubTransactionId,
    /// Per storage, what had been done to it when this level first did something.
    pub marks: HashMap<StorageKey, Mark>,
    /// Storages made at this level.
    pub created: Vec<StorageKey>,
    /// Storages dropped at this level.
    pub dropped: Vec<StorageKey>,
    /// Storages whose columns were changed at this level.
    pub changed_columns: Vec<StorageKey>,
}

impl Level {
    fn new(subid: pg_sys::SubTransactionId) -> Self {
        Self {
            subid,
            marks: HashMap::new(),
            created: Vec::new(),
            dropped: Vec::new(),
            changed_columns: Vec::new(),
        }
    }
}

/// The open levels, outermost first.
#[derive(Debug, Default)]
pub struct Levels(Vec<Level>);

impl Levels {
    /// The level of `subid`, which is the innermost open subtransaction.
    pub fn current(&mut self, subid: pg_sys::SubTransactionId) -> &mut Level {
        if self.0.last().is_none_or(|level| level.subid != subid) {
            self.0.push(Level::new(subid));
        }
        let last = self.0.len() - 1;
        &mut self.0[last]
    }

    /// Row numbers of `key` at which open levels began, ascending.
    pub fn marks(&self, key: &StorageKey) -> Vec<u64> {
        self.0
            .iter()
            .filter_map(|level| level.marks.get(key))
            .map(|mark| mark.rows)
            .filter(|&rows| rows > 0)
            .collect()
    }

    /// Makes what `subid` did its parent's doing.
    pub fn commit(&mut self, subid: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
        let Some(mut level) = self.0.pop_if(|level| level.subid == subid) else {
            return;
        };
        match self.0.last_mut().filter(|above| above.subid == parent) {
            Some(above) => {
                for (key, mark) in level.marks {
                    above.marks.entry(key).or_insert(mark);
                }
                above.created.append(&mut level.created);
                above.dropped.append(&mut level.dropped);
                above.changed_columns.append(&mut level.changed_columns);
            }
            None => {
                level.subid = parent;
                self.0.push(level);
            }
        }
    }

    /// Takes out the level of `subid`, to be undone.
    pub fn abort(&mut self, subid: pg_sys::SubTransactionId) -> Option<Level> {
        self.0.pop_if(|level| level.subid == subid)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(rows: u64) -> Mark {
        Mark { rows, changes: 0 }
    }

    const KEY: StorageKey = StorageKey {
        tablespace: 1663,
        database: 5,
        rel_number: 16384,
        backend: -1,
    };

    #[test]
    fn released_levels_keep_the_parents_first_mark() {
        let mut levels = Levels::default();
        levels.current(1).marks.insert(KEY, mark(3));
        levels.current(2).marks.insert(KEY, mark(7));
        levels.commit(2, 1);
        assert_eq!(levels.marks(&KEY), [3]);
        assert_eq!(levels.0.len(), 1);
    }

    #[test]
    fn a_level_without_a_parent_level_is_handed_up() {
        let mut levels = Levels::default();
        levels.current(3).marks.insert(KEY, mark(5));
        levels.commit(3, 2);
        assert!(levels.abort(3).is_none());
        assert_eq!(
            levels
                .abort(2)
                .and_then(|level| level.marks.get(&KEY).copied()),
            Some(mark(5))
        );
    }

    #[test]
    fn releasing_many_subtransactions_leaves_one_level() {
        let mut levels = Levels::default();
        for subid in 2..1000 {
            levels
                .current(subid)
                .marks
                .entry(KEY)
                .or_insert(mark(u64::from(subid)));
            levels.commit(subid, 1);
        }
        assert_eq!(levels.0.len(), 1);
        assert_eq!(levels.marks(&KEY), [2]);
    }
}
