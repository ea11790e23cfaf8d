//! Who hands out row ids: a counter for each storage, in shared memory.
//!
//! What a counter says is in no log. Whoever finds none for a storage reads the largest row id that any row version
//! in the catalog tells of, be it committed, prepared or never to count, and begins behind. That is right as
//! long as all ids given before are written down there, or were given to rows that are gone. So a transaction
//! that takes ids pins the counter till its end: a pinned counter stays. It is unpinned when its rows are written
//! down: also at PREPARE TRANSACTION.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::interrupt;
use pgrx::prelude::*;
use pgrx::{AssertPGRXSharedMemory, PgAtomic, PgLwLock, pg_shmem_init};

use super::RowId;
use super::directory::Directory;
use crate::directory::StorageKey;

/// Counters in shared memory.
const COUNTERS: usize = 16_384;
/// So many of them a transaction may pin: others need some as well.
const PINS: usize = COUNTERS / 4;

// SAFETY: no other lock has the name.
static DIRECTORY: PgLwLock<Directory<COUNTERS>> =
    unsafe { PgLwLock::new(c"pg_iceberg_row_id_directory") };
// SAFETY: no other shared memory has the name.
static SHARED: PgAtomic<AssertPGRXSharedMemory<[Shared; COUNTERS]>> =
    unsafe { PgAtomic::new(c"pg_iceberg_row_id_counters") };

thread_local! {
    /// The counters that the transaction has pinned.
    static PINNED: RefCell<BTreeSet<usize>> = const { RefCell::new(BTreeSet::new()) };
}

/// A counter as all processes see it. Without the directory's lock it is used by those alone who have pinned it.
struct Shared {
    /// The number of the next row id.
    next: AtomicU64,
    /// How many transactions have pinned it. Pins are added under the directory's lock.
    pins: AtomicU32,
}

impl Shared {
    const fn new() -> Self {
        Self {
            next: AtomicU64::new(0),
            pins: AtomicU32::new(0),
        }
    }
}

/// Asks for shared memory; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(DIRECTORY = Directory::default());
    pg_shmem_init!(SHARED = new_counters());
}

fn new_counters() -> AssertPGRXSharedMemory<[Shared; COUNTERS]> {
    // SAFETY: atomics, which hold no pointers.
    unsafe { AssertPGRXSharedMemory::new([const { Shared::new() }; COUNTERS]) }
}

/// The counter of a storage, pinned until the end of the transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Counter(usize);

impl Counter {
    /// Pins the counter of `key`. `read` tells one past the largest row id written down, should there be none.
    pub fn pin(key: &StorageKey, read: impl Fn() -> PgResult<u64>) -> PgResult<Self> {
        loop {
            interrupt::check();
            let removals = {
                let directory = DIRECTORY.share();
                if let Some(slot) = directory.find(key) {
                    return Self::pinned(slot);
                }
                directory.removals()
            };
            let next = read()?;
            let mut directory = DIRECTORY.exclusive();
            if let Some(slot) = directory.find(key) {
                return Self::pinned(slot);
            }
            // Somebody may have had the counter since, have written ids down, and the counter has gone.
            if directory.removals() == removals {
                return Self::begin(&mut directory, *key, next);
            }
        }
    }

    /// Pins the counter of `key`, a storage just made, which begins anew.
    pub fn pin_new(key: &StorageKey) -> PgResult<Self> {
        let mut directory = DIRECTORY.exclusive();
        match directory.find(key) {
            // What had the same relation file number once.
            Some(slot) => {
                shared(slot).next.store(0, Ordering::Relaxed);
                Self::pinned(slot)
            }
            None => Self::begin(&mut directory, *key, 0),
        }
    }

    fn begin(directory: &mut Directory<COUNTERS>, key: StorageKey, next: u64) -> PgResult<Self> {
        let slot = directory.insert(key, is_idle).ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_OUT_OF_MEMORY,
                format!("more than {COUNTERS} Iceberg tables are being inserted into"),
            )
            .with_hint(
                "Insert into fewer tables in one transaction, or in fewer transactions at a time.",
            )
        })?;
        shared(slot).next.store(next, Ordering::Relaxed);
        Self::pinned(slot)
    }

    /// The directory's lock is held.
    fn pinned(slot: usize) -> PgResult<Self> {
        PINNED.with_borrow_mut(|pinned| {
            if pinned.contains(&slot) {
                return Ok(Self(slot));
            }
            if pinned.len() >= PINS {
                return Err(PgError::new(
                    PgSqlErrorCode::ERRCODE_PROGRAM_LIMIT_EXCEEDED,
                    format!("cannot insert into more than {PINS} Iceberg tables in a transaction"),
                )
                .with_detail("A table that is made, truncated or rewritten counts each time."));
            }
            shared(slot).pins.fetch_add(1, Ordering::Relaxed);
            pinned.insert(slot);
            Ok(Self(slot))
        })
    }

    /// Unpins the counter of a storage that is no more, nor will be.
    pub fn unpin(self) {
        if PINNED.with_borrow_mut(|pinned| pinned.remove(&self.0)) {
            shared(self.0).pins.fetch_sub(1, Ordering::Release);
        }
    }

    /// Hands out ids for `rows` rows, one after the other, and returns the first. `None` if there are not so many left.
    pub fn take(self, rows: u64) -> Option<RowId> {
        take(&shared(self.0).next, rows)
    }
}

fn take(next: &AtomicU64, rows: u64) -> Option<RowId> {
    // Numbers are far below the largest of the type, also where they have gone beyond the last id.
    let first = next.fetch_add(rows, Ordering::Relaxed);
    (first + rows <= RowId::COUNT).then(|| RowId::new(first))
}

fn shared(slot: usize) -> &'static Shared {
    &SHARED.get()[slot]
}

fn is_idle(slot: usize) -> bool {
    // What the last one who had it pinned has written comes before.
    shared(slot).pins.load(Ordering::Acquire) == 0
}

/// Unpins what the transaction has pinned: its rows are written down, or gone.
pub fn unpin_all() {
    PINNED.with_borrow_mut(|pinned| {
        for slot in std::mem::take(pinned) {
            shared(slot).pins.fetch_sub(1, Ordering::Release);
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_handed_out_once_and_end() {
        let next = AtomicU64::new(RowId::COUNT - 3);
        assert_eq!(take(&next, 2), Some(RowId::new(RowId::COUNT - 3)));
        assert_eq!(take(&next, 2), None);
        assert_eq!(take(&next, 1), None);
        let next = AtomicU64::new(0);
        assert_eq!(take(&next, 1), Some(RowId::new(0)));
        assert_eq!(take(&next, 1000), Some(RowId::new(1)));
        assert_eq!(take(&next, 1), Some(RowId::new(1001)));
    }
}
