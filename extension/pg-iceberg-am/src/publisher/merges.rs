//! Merges of small files that are going on, in shared memory.

use pgrx::{PGRXSharedMemory, PgLwLock, pg_guard, pg_shmem_init, pg_sys};

use super::slot::Storage;

/// Merges of all databases at a time: two of each worker.
const MERGES: usize = 128;

// SAFETY: no other lock has the name.
static MERGES_GOING_ON: PgLwLock<Merges> = unsafe { PgLwLock::new(c"pg_iceberg_merges") };

/// How far a merge has got.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Progress {
    /// Files that have been merged.
    pub files: u64,
    /// Files to merge.
    pub files_in_all: u64,
    /// Bytes of the files that have been merged.
    pub bytes: u64,
    /// Bytes of all.
    pub bytes_in_all: u64,
}

/// A merge that is going on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Merging {
    /// The worker.
    pub pid: i32,
    /// The database.
    pub database: pg_sys::Oid,
    /// Of what table.
    pub storage: Storage,
    /// Since when.
    pub since: pg_sys::TimestampTz,
    /// How far it has got.
    pub progress: Progress,
}

#[derive(Clone, Copy)]
struct Merges([Option<Merging>; MERGES]);

// SAFETY: plain data.
unsafe impl PGRXSharedMemory for Merges {}

impl Default for Merges {
    fn default() -> Self {
        Self([None; MERGES])
    }
}

/// Asks for shared memory; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(MERGES_GOING_ON = Merges::default());
}

/// Tells others of a merge until it is dropped, or the process ends.
pub struct Announced(usize);

impl Announced {
    /// Tells of a merge. `None` if there are too many.
    pub fn new(storage: Storage, since: pg_sys::TimestampTz, progress: Progress) -> Option<Self> {
        let mut merges = MERGES_GOING_ON.exclusive();
        let place = merges.0.iter().position(Option::is_none)?;
        // SAFETY: the process's own id and database.
        let (pid, database) = unsafe { (pg_sys::MyProcPid, pg_sys::MyDatabaseId) };
        merges.0[place] = Some(Merging {
            pid,
            database,
            storage,
            since,
            progress,
        });
        Some(Self(place))
    }

    /// Tells how far it has got.
    pub fn update(&self, progress: Progress) {
        if let Some(merging) = &mut MERGES_GOING_ON.exclusive().0[self.0] {
            merging.progress = progress;
        }
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        MERGES_GOING_ON.exclusive().0[self.0] = None;
    }
}

/// The merges in this database.
pub fn in_this_database() -> Vec<Merging> {
    // SAFETY: the session's database.
    let database = unsafe { pg_sys::MyDatabaseId };
    let merges = MERGES_GOING_ON.share();
    let going_on = merges.0.iter().flatten();
    going_on
        .filter(|merging| merging.database == database)
        .copied()
        .collect()
}

/// The process ends, whatever it was doing.
pub fn forget_own() {
    // SAFETY: the process's own id.
    let pid = unsafe { pg_sys::MyProcPid };
    for place in &mut MERGES_GOING_ON.exclusive().0 {
        if place.is_some_and(|merging| merging.pid == pid) {
            *place = None;
        }
    }
}
