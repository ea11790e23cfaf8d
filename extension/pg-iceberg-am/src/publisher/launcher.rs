//! The launcher's place.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::pg_sys;

use super::slot::{START, Stage, Thorough, after};
use super::slots::SLOTS_IN_USE;
use crate::directory;
use crate::stores::claimed_tablespaces;

/// How often the postmaster is asked for a worker while it has none to give.
const ASK_AGAIN: Duration = Duration::from_millis(100);

/// The launcher's hold on its place.
pub struct Launcher;

impl Launcher {
    /// Takes the launcher's place: who leaves wakes this process from now on.
    pub fn take() -> Self {
        // SAFETY: the process's own latch.
        SLOTS_IN_USE.exclusive().launcher = unsafe { pg_sys::MyLatch };
        Self
    }

    /// Gives every database that has Iceberg tables, or has had some in an object store, a turn: inline commits may have been
    /// waiting when the server stopped, snapshots grow old where nobody writes, and objects are kept for longer than their
    /// tables. It is done again after `pause`.
    pub fn look_at_all(&self, thorough: Thorough, pause: Duration) {
        let stores: Vec<PathBuf> = match claimed_tablespaces() {
            Ok(claimed) => claimed
                .into_iter()
                .map(directory::tablespace_directory)
                .collect(),
            Err(error) => {
                error.log();
                Vec::new()
            }
        };
        let is_in = |stores: &[PathBuf], database: &Path| {
            (database.parent()).is_some_and(|parent| stores.iter().any(|store| store == parent))
        };
        let databases: BTreeSet<u32> = directory::database_directories(None)
            .into_iter()
            .filter(|directory| directory::holds_tables(directory) || is_in(&stores, directory))
            .filter_map(|directory| directory.file_name()?.to_str()?.parse().ok())
            .collect();
        let now = clock_timestamp();
        let mut slots = SLOTS_IN_USE.exclusive();
        slots.look_at_all(&databases, thorough, now);
        slots.next_look = after(now, pause);
    }

    /// Starts workers for those whose turn it is. Returns how long to wait at most before the next call: for ever
    /// if nobody will get a turn merely by waiting.
    pub fn start_workers(&self) -> Option<Duration> {
        let now = clock_timestamp();
        let mut slots = SLOTS_IN_USE.exclusive();
        if !slots.start_workers(now) {
            return Some(ASK_AGAIN);
        }
        let turns = slots.slots.iter().filter(|slot| !slot.is_free());
        turns
            .filter_map(|slot| match slot.stage {
                Stage::Waits(due) => Some(due),
                Stage::Starts(since) => Some(after(since, START)),
                Stage::IsServed | Stage::IsLeft(_) => None,
            })
            // Those whose turn it is are started when somebody leaves.
            .filter(|&due| due > now)
            .min()
            .map(|due| Duration::from_micros((due - now).unsigned_abs()))
    }
}

impl Drop for Launcher {
    fn drop(&mut self) {
        SLOTS_IN_USE.exclusive().launcher = std::ptr::null_mut();
    }
}

/// When all tables of all databases will be looked at again; `None` while there is no launcher, as on standbys.
pub fn next_look() -> Option<pg_sys::TimestampTz> {
    let slots = SLOTS_IN_USE.share();
    (!slots.launcher.is_null()).then_some(slots.next_look)
}
