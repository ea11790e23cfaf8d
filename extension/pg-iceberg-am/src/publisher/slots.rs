//! Which databases have a publisher, in shared memory.

use std::collections::BTreeSet;
use std::time::Duration;

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::bgworkers::BackgroundWorkerBuilder;
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

use crate::directory;

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
    /// Of the worker that was started last for the database: another one has no say here.
    ticket: u32,
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
struct Slots {
    slots: [Slot; SLOTS],
    /// The ticket given out last.
    last_ticket: u32,
}

// SAFETY: plain data; a latch belongs to a PGPROC, which lies in shared memory at the same address in
// every process.
unsafe impl PGRXSharedMemory for Slots {}

impl Default for Slots {
    fn default() -> Self {
        let free = Slot {
            database: pg_sys::InvalidOid,
            ticket: 0,
            latch: std::ptr::null_mut(),
            since: 0,
            requests: 0,
            urgent: false,
            dismissed: false,
        };
        Self {
            slots: [free; SLOTS],
            last_ticket: 0,
        }
    }
}

impl Slots {
    fn of(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.database == database)
    }

    /// The slot that was given to the worker of this name.
    fn of_worker(&mut self, name: WorkerName) -> Option<&mut Slot> {
        self.of(name.database)
            .filter(|slot| slot.ticket == name.ticket)
    }

    /// Takes a slot, free or of a worker that is gone, for a worker that is about to be started.
    fn assign(&mut self, database: pg_sys::Oid, now: pg_sys::TimestampTz) -> Option<WorkerName> {
        let ticket = self.last_ticket.wrapping_add(1);
        let known = self.of(database).is_some();
        let slot = self.of(if known { database } else { pg_sys::InvalidOid })?;
        *slot = Slot {
            database,
            ticket,
            latch: std::ptr::null_mut(),
            since: now,
            requests: 0,
            urgent: false,
            dismissed: false,
        };
        self.last_ticket = ticket;
        Some(WorkerName { database, ticket })
    }
}

/// A worker's database and ticket, which are its argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WorkerName {
    database: pg_sys::Oid,
    ticket: u32,
}

impl WorkerName {
    fn to_datum(self) -> pg_sys::Datum {
        let bits = u64::from(self.ticket) << 32 | u64::from(self.database.to_u32());
        pg_sys::Datum::from(bits)
    }

    /// The name that a worker has got as its argument.
    pub fn from_datum(argument: pg_sys::Datum) -> Self {
        let bits = argument.value() as u64;
        Self {
            database: (bits as u32).into(),
            ticket: (bits >> 32) as u32,
        }
    }

    /// The worker's database.
    pub fn database(self) -> pg_sys::Oid {
        self.database
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

/// Has a publisher look for inline commits in this database. Returns whether one runs or will: if not,
/// `max_worker_processes` are in use.
pub fn ensure_running() -> bool {
    // SAFETY: the database that the session is connected to.
    let database = unsafe { pg_sys::MyDatabaseId };
    ensure_running_in(database, false)
}

/// Has the publisher of this database put all inline commits into the metadata at once. Returns as
/// [`ensure_running`] does.
pub fn hurry() -> bool {
    // SAFETY: as above.
    let database = unsafe { pg_sys::MyDatabaseId };
    ensure_running_in(database, true)
}

/// Has a publisher look for inline commits in every database that has Iceberg tables: after recovery.
pub fn start_in_all_databases() {
    let databases: BTreeSet<u32> = directory::database_directories(None)
        .into_iter()
        .filter(|directory| directory::holds_tables(directory))
        .filter_map(|directory| directory.file_name()?.to_str()?.parse().ok())
        .collect();
    for database in databases {
        ensure_running_in(database.into(), false);
    }
}

fn ensure_running_in(database: pg_sys::Oid, urgent: bool) -> bool {
    if directory::upgrade::is_running() {
        return false;
    }
    let now = clock_timestamp();
    let mut slots = SLOTS_IN_USE.exclusive();
    let start = i64::try_from(START.as_micros()).unwrap_or(i64::MAX);
    let is_there = slots
        .of(database)
        .is_some_and(|slot| !slot.latch.is_null() || now - slot.since < start);
    if !is_there && !start_worker(&mut slots, database, now) {
        return false;
    }
    let Some(slot) = slots.of(database) else {
        return false;
    };
    slot.requests += 1;
    if urgent {
        slot.urgent = true;
        slot.wake();
    }
    true
}

/// Registers a worker for a database, with a slot of its own; whether there is room for both.
fn start_worker(slots: &mut Slots, database: pg_sys::Oid, now: pg_sys::TimestampTz) -> bool {
    let Some(name) = slots.assign(database, now) else {
        return false;
    };
    let is_started = BackgroundWorkerBuilder::new("pg_iceberg publisher")
        .set_library("pg_iceberg_am")
        .set_function("pg_iceberg_publisher_main")
        .set_argument(Some(name.to_datum()))
        .enable_spi_access()
        .set_restart_time(None)
        .load_dynamic()
        .is_ok();
    if !is_started && let Some(slot) = slots.of_worker(name) {
        slot.free();
    }
    is_started
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
pub struct Held(WorkerName);

/// What has been asked of a publisher.
pub struct Requests {
    /// How often anybody has asked.
    pub count: u64,
    /// Whether somebody waits for the metadata.
    pub urgent: bool,
}

impl Held {
    /// Takes the slot of the worker `name`, which this process is: the publisher's wake-ups are for it from
    /// now on. `None` if the slot has been given to another one since.
    pub fn take(name: WorkerName) -> Option<Self> {
        let mut slots = SLOTS_IN_USE.exclusive();
        // SAFETY: the process's own latch.
        slots.of_worker(name)?.latch = unsafe { pg_sys::MyLatch };
        Some(Self(name))
    }

    /// What has been asked; `None` if the publisher has been dismissed.
    pub fn requests(&self) -> Option<Requests> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of_worker(self.0).filter(|slot| !slot.dismissed)?;
        Some(Requests {
            count: slot.requests,
            urgent: std::mem::take(&mut slot.urgent),
        })
    }

    /// Gives the slot back unless somebody has asked for anything since there were `count` requests.
    pub fn give_back(&self, count: u64) -> bool {
        let mut slots = SLOTS_IN_USE.exclusive();
        match slots.of_worker(self.0) {
            Some(slot) if slot.requests != count => false,
            Some(slot) => {
                slot.free();
                true
            }
            None => true,
        }
    }
}

/// Frees the slot of a publisher when its process exits, whatever ends it. `argument` is the worker's name: a
/// successor's slot is left alone.
pub unsafe extern "C-unwind" fn free_slot(_code: std::ffi::c_int, argument: pg_sys::Datum) {
    if let Some(slot) = SLOTS_IN_USE
        .exclusive()
        .of_worker(WorkerName::from_datum(argument))
    {
        slot.free();
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const DATABASE: pg_sys::Oid = pg_sys::Oid::from_u32(5);

    #[test]
    fn a_worker_is_known_by_its_argument() {
        let name = WorkerName {
            database: pg_sys::Oid::from_u32(u32::MAX),
            ticket: u32::MAX - 1,
        };
        assert_eq!(WorkerName::from_datum(name.to_datum()), name);
    }

    /// It freed the slot when its process exited: a third publisher was started beside the second.
    #[test]
    fn a_worker_that_leaves_does_not_free_its_successors_slot() {
        let mut slots = Slots::default();
        let first = slots.assign(DATABASE, 0).unwrap();
        // It gave the slot back, or took too long to start.
        slots.of_worker(first).unwrap().free();
        let second = slots.assign(DATABASE, 1).unwrap();
        assert!(slots.of_worker(first).is_none());
        assert!(slots.of_worker(second).is_some());
        let third = slots.assign(DATABASE, 2).unwrap();
        assert!(slots.of_worker(second).is_none());
        assert_eq!(
            slots
                .slots
                .iter()
                .filter(|slot| slot.database == DATABASE)
                .count(),
            1
        );
        assert!(slots.of_worker(third).is_some());
    }
}
