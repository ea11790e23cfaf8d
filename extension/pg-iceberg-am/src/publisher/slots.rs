//! Which databases have a publisher, in shared memory.

use std::collections::BTreeSet;
use std::time::Duration;

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

use crate::storage;

/// Databases that can have a publisher at a time.
const SLOTS: usize = 64;
/// How long the postmaster may take to start a publisher.
const START: Duration = Duration::from_secs(10);

// SAFETY: no other lock has the name.
static SLOTS_IN_USE: PgLwLock<Slots> = unsafe { PgLwLock::new(c"pg_iceberg_publishers") };

#[derive(Clone, Copy)]
struct Slot {
    /// `InvalidOid` for a free slot.
    database: pg_sys::Oid,
    /// The worker's latch; null until it has started.
    latch: *mut pg_sys::Latch,
    /// When the worker was asked for.
    since: pg_sys::TimestampTz,
    /// How often anybody has asked since; what a worker has not seen keeps it from leaving.
    requests: u64,
    /// Whether somebody waits for the metadata.
    urgent: bool,
    /// Whether the database is about to be dropped.
    dismissed: bool,
}

impl Slot {
    /// Wakes the worker, if it has started.
    fn wake(&self) {
        if !self.latch.is_null() {
            // SAFETY: the latch of a PGPROC, which stays one whoever owns it now.
            unsafe { pg_sys::SetLatch(self.latch) };
        }
    }

    fn free(&mut self) {
        self.database = pg_sys::InvalidOid;
        self.latch = std::ptr::null_mut();
    }
}

#[derive(Clone, Copy)]
struct Slots([Slot; SLOTS]);

// SAFETY: plain data; a latch belongs to a PGPROC, which lies in shared memory at the same address in
// every process.
unsafe impl PGRXSharedMemory for Slots {}

impl Default for Slots {
    fn default() -> Self {
        Self(
            [Slot {
                database: pg_sys::InvalidOid,
                latch: std::ptr::null_mut(),
                since: 0,
                requests: 0,
                urgent: false,
                dismissed: false,
            }; SLOTS],
        )
    }
}

impl Slots {
    fn of(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        self.0.iter_mut().find(|slot| slot.database == database)
    }
}

/// Asks for shared memory; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(SLOTS_IN_USE = Slots::default());
}

/// Has a publisher look for appends in this database. Returns whether one runs or will: if not,
/// `max_worker_processes` are in use.
pub fn ensure_running() -> bool {
    // SAFETY: the database that the session is connected to.
    let database = unsafe { pg_sys::MyDatabaseId };
    ensure_running_in(database, false)
}

/// Has the publisher of this database put all appends into the metadata at once. Returns as
/// [`ensure_running`] does.
pub fn hurry() -> bool {
    // SAFETY: as above.
    let database = unsafe { pg_sys::MyDatabaseId };
    ensure_running_in(database, true)
}

/// Has a publisher look for appends in every database that has Iceberg tables: after recovery.
pub fn start_in_all_databases() {
    let databases: BTreeSet<u32> = storage::database_directories(None)
        .into_iter()
        .filter(|directory| storage::holds_tables(directory))
        .filter_map(|directory| directory.file_name()?.to_str()?.parse().ok())
        .collect();
    for database in databases {
        ensure_running_in(database.into(), false);
    }
}

fn ensure_running_in(database: pg_sys::Oid, urgent: bool) -> bool {
    let now = clock_timestamp();
    let mut slots = SLOTS_IN_USE.exclusive();
    let start = i64::try_from(START.as_micros()).unwrap_or(i64::MAX);
    let known = slots.of(database).is_some();
    let Some(slot) = slots.of(if known { database } else { pg_sys::InvalidOid }) else {
        return false;
    };
    let is_there = known && (!slot.latch.is_null() || now - slot.since < start);
    if !is_there {
        let is_started = BackgroundWorkerBuilder::new("pg_iceberg publisher")
            .set_library("pg_iceberg_am")
            .set_function("pg_iceberg_publisher_main")
            .set_argument(database.into_datum())
            .enable_spi_access()
            .set_restart_time(None)
            .load_dynamic()
            .is_ok();
        if !is_started {
            slot.free();
            return false;
        }
        *slot = Slot {
            database,
            latch: std::ptr::null_mut(),
            since: now,
            requests: 0,
            urgent: false,
            dismissed: false,
        };
    }
    slot.requests += 1;
    if urgent {
        slot.urgent = true;
        slot.wake();
    }
    true
}

/// Has the publisher of a database leave, which is about to be dropped.
pub fn dismiss(database: pg_sys::Oid) {
    let mut slots = SLOTS_IN_USE.exclusive();
    if let Some(slot) = slots.of(database) {
        slot.dismissed = true;
        slot.wake();
    }
}

/// A publisher's hold on its slot.
pub struct Held {
    database: pg_sys::Oid,
}

/// What has been asked of a publisher.
pub struct Requests {
    /// How often anybody has asked.
    pub count: u64,
    /// Whether somebody waits for the metadata.
    pub urgent: bool,
}

impl Held {
    /// Takes the slot of `database` for this process, which the publisher's wake-ups are for from now on.
    pub fn take(database: pg_sys::Oid) -> Self {
        if let Some(slot) = SLOTS_IN_USE.exclusive().of(database) {
            // SAFETY: the process's own latch.
            slot.latch = unsafe { pg_sys::MyLatch };
        }
        Self { database }
    }

    /// What has been asked; `None` if the publisher has been dismissed.
    pub fn requests(&self) -> Option<Requests> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of(self.database).filter(|slot| !slot.dismissed)?;
        Some(Requests {
            count: slot.requests,
            urgent: std::mem::take(&mut slot.urgent),
        })
    }

    /// Gives the slot back unless somebody has asked for anything since there were `count` requests.
    pub fn give_back(&self, count: u64) -> bool {
        let mut slots = SLOTS_IN_USE.exclusive();
        match slots.of(self.database) {
            Some(slot) if slot.requests != count => false,
            Some(slot) => {
                slot.free();
                true
            }
            None => true,
        }
    }
}

/// Frees the slot of a publisher when its process exits, whatever ends it. `argument` is the database.
pub unsafe extern "C-unwind" fn free_slot(_code: std::ffi::c_int, argument: pg_sys::Datum) {
    // SAFETY: the datum is the database's oid.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) };
    let mut slots = SLOTS_IN_USE.exclusive();
    if let Some(slot) = database.and_then(|database| slots.of(database)) {
        slot.free();
    }
}
