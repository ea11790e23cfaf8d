//! Which databases have a publisher, or wait for one, in shared memory, and whose turn it is.

use std::collections::BTreeSet;

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

use super::slot::{PAUSE_AFTER_END, Slot, Stage, Thorough, wake};
use super::worker_name::WorkerName;
use crate::{directory, guc};

/// Databases that can have a publisher, or wait for one, at a time. Transactions in others publish by themselves.
const SLOTS: usize = 256;

// SAFETY: no other lock has the name.
pub(super) static SLOTS_IN_USE: PgLwLock<Slots> =
    unsafe { PgLwLock::new(c"pg_iceberg_publishers") };

/// What somebody asks of a publisher.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asks {
    /// To look whether there is anything to do; nobody waits.
    ToLook,
    /// To carry out an order.
    ForAnOrder,
    /// To put everything into the metadata.
    ForMetadata,
}

#[derive(Clone, Copy)]
pub(super) struct Slots {
    pub(super) slots: [Slot; SLOTS],
    /// The ticket given out last.
    last_ticket: u32,
    /// The launcher's latch; null while it is not there.
    pub(super) launcher: *mut pg_sys::Latch,
    /// Whether some publisher is to look for what dropped databases have left in stores.
    pub(super) searches_for_dropped: bool,
    /// When it will have all tables looked at again.
    pub(super) next_look: pg_sys::TimestampTz,
}

// SAFETY: plain data; a latch belongs to a PGPROC, which lies in shared memory at the same address in
// every process.
unsafe impl PGRXSharedMemory for Slots {}

impl Default for Slots {
    fn default() -> Self {
        let free = Slot::waiting(pg_sys::InvalidOid, 0);
        Self {
            slots: [free; SLOTS],
            last_ticket: 0,
            launcher: std::ptr::null_mut(),
            searches_for_dropped: false,
            next_look: 0,
        }
    }
}

impl Slots {
    pub(super) fn of(&mut self, database: pg_sys::Oid) -> Option<&mut Slot> {
        self.slots.iter_mut().find(|slot| slot.database == database)
    }

    /// The slot that was given to the worker of this name.
    pub(super) fn of_worker(&mut self, name: WorkerName) -> Option<&mut Slot> {
        self.of(name.database)
            .filter(|slot| slot.ticket == name.ticket)
    }

    /// The database's slot, where it has none a free one in which it waits from now on.
    fn of_or_new(&mut self, database: pg_sys::Oid, now: pg_sys::TimestampTz) -> Option<&mut Slot> {
        if self.of(database).is_none() {
            *self.free_one()? = Slot::waiting(database, now);
        }
        self.of(database)
    }

    /// A free slot, or that of a database which can be left to the launcher's next look at all of them.
    fn free_one(&mut self) -> Option<&mut Slot> {
        let free = self.slots.iter().position(Slot::is_free);
        let patient = |slot: &Slot| {
            slot.only_waits_for_time
                && matches!(slot.stage, Stage::Waits(_))
                && slot.thorough.is_none()
        };
        let index = free.or_else(|| self.slots.iter().position(patient))?;
        self.slots.get_mut(index)
    }

    /// Has all tables of these databases looked at, each in its turn.
    pub(super) fn look_at_all(
        &mut self,
        databases: &BTreeSet<u32>,
        thorough: Thorough,
        now: pg_sys::TimestampTz,
    ) {
        self.searches_for_dropped |= thorough == Thorough::Orphans;
        for &database in databases {
            if let Some(slot) = self.of_or_new(database.into(), now) {
                slot.note_request(false, now);
                slot.thorough = slot.thorough.max(Some(thorough));
            }
        }
    }

    /// The database whose turn it has been for longest, if there may be another worker.
    fn next(&self, now: pg_sys::TimestampTz, max_workers: usize) -> Option<pg_sys::Oid> {
        let active = self.slots.iter().filter(|slot| slot.is_active(now));
        if active.count() >= max_workers {
            return None;
        }
        let due = |slot: &Slot| Some((slot.due(now)?, slot.database));
        let turns = self.slots.iter().filter_map(due);
        turns
            .min_by_key(|&(due, _)| due)
            .map(|(_, database)| database)
    }

    /// Names the worker that is about to be started for a database; an earlier one has no say any more.
    fn assign(&mut self, database: pg_sys::Oid, now: pg_sys::TimestampTz) -> Option<WorkerName> {
        let ticket = self.last_ticket.wrapping_add(1);
        let slot = self.of(database)?;
        slot.stage = Stage::Starts(now);
        slot.ticket = ticket;
        slot.latch = std::ptr::null_mut();
        self.last_ticket = ticket;
        Some(WorkerName { database, ticket })
    }

    /// Has the postmaster start workers for those whose turn it is. Returns whether it had enough of them to give.
    pub(super) fn start_workers(&mut self, now: pg_sys::TimestampTz) -> bool {
        while let Some(database) = self.next(now, guc::max_workers()) {
            let Some(before) = self.of(database).map(|slot| slot.stage) else {
                return true;
            };
            let Some(name) = self.assign(database, now) else {
                return true;
            };
            if !start_worker(name) {
                if let Some(slot) = self.of_worker(name) {
                    slot.stage = before;
                }
                return false;
            }
        }
        true
    }

    /// Notes that somebody in a database asks for its publisher. Returns whether one is at work or will be.
    fn ask(&mut self, database: pg_sys::Oid, asks: Asks, now: pg_sys::TimestampTz) -> bool {
        let launcher = self.launcher;
        let Some(slot) = self.of_or_new(database, now) else {
            return false;
        };
        slot.urgent |= asks == Asks::ForMetadata;
        if slot.note_request(asks != Asks::ToLook, now) {
            wake(launcher);
        }
        if asks != Asks::ToLook {
            wake(slot.latch);
        }
        if slot.is_active(now) || self.start_workers(now) {
            return true;
        }
        // Where nobody is at work, nobody makes room by leaving.
        wake(launcher);
        self.slots.iter().any(|slot| slot.is_active(now))
    }
}

/// Asks for shared memory and the launcher; called once, from `_PG_init`.
#[expect(
    unexpected_cfgs,
    reason = "pgrx's macro asks for versions of PostgreSQL by features"
)]
pub fn register() {
    pg_shmem_init!(SLOTS_IN_USE = Slots::default());
    if directory::upgrade::is_running() {
        return;
    }
    BackgroundWorkerBuilder::new("pg_iceberg launcher")
        .set_library("pg_iceberg_am")
        .set_function("pg_iceberg_launcher_main")
        .set_start_time(BgWorkerStartTime::RecoveryFinished)
        .set_restart_time(Some(PAUSE_AFTER_END))
        .enable_spi_access()
        .load();
}

/// Has a publisher look for inline commits in this database. Returns whether one does, or will in its turn: if not,
/// `max_worker_processes` are in use, or too many databases wait.
pub fn ensure_running() -> bool {
    // SAFETY: the database that the session is connected to.
    let database = unsafe { pg_sys::MyDatabaseId };
    ask(database, Asks::ToLook)
}

/// Has the publisher of this database put all inline commits into the metadata, without regard to the interval.
/// Returns as [`ensure_running`] does.
pub fn hurry() -> bool {
    // SAFETY: as above.
    let database = unsafe { pg_sys::MyDatabaseId };
    ask(database, Asks::ForMetadata)
}

/// Has the publisher of this database look for orders. Returns as [`ensure_running`] does.
pub fn call() -> bool {
    // SAFETY: as above.
    let database = unsafe { pg_sys::MyDatabaseId };
    ask(database, Asks::ForAnOrder)
}

fn ask(database: pg_sys::Oid, asks: Asks) -> bool {
    if directory::upgrade::is_running() {
        return false;
    }
    let mut slots = SLOTS_IN_USE.exclusive();
    slots.ask(database, asks, clock_timestamp())
}

/// Has the postmaster start a worker, unless `max_worker_processes` run.
fn start_worker(name: WorkerName) -> bool {
    BackgroundWorkerBuilder::new("pg_iceberg publisher")
        .set_library("pg_iceberg_am")
        .set_function("pg_iceberg_publisher_main")
        .set_argument(Some(name.to_datum()))
        .enable_spi_access()
        .set_restart_time(None)
        .load_dynamic()
        .is_ok()
}

/// Has the publisher of a database leave, which is about to be dropped.
pub fn dismiss(database: pg_sys::Oid) {
    let mut slots = SLOTS_IN_USE.exclusive();
    if let Some(slot) = slots.of(database) {
        if matches!(slot.stage, Stage::Waits(_)) {
            slot.free();
        } else {
            slot.dismissed = true;
            wake(slot.latch);
        }
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::super::slot::{START, after};
    use super::*;

    const DATABASE: pg_sys::Oid = pg_sys::Oid::from_u32(5);

    fn database(number: u32) -> pg_sys::Oid {
        pg_sys::Oid::from_u32(number)
    }

    /// It freed the slot when its process exited: a third publisher was started beside the second.
    #[test]
    fn a_worker_that_leaves_does_not_free_its_successors_slot() {
        let mut slots = Slots::default();
        slots.of_or_new(DATABASE, 0).unwrap();
        let first = slots.assign(DATABASE, 0).unwrap();
        // It gave the slot back, or took too long to start.
        slots.of_worker(first).unwrap().free();
        slots.of_or_new(DATABASE, 1).unwrap();
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

    /// Each database had a worker of its own, as many as `max_worker_processes`.
    #[test]
    fn there_are_no_more_workers_than_may_be() {
        let mut slots = Slots::default();
        for number in 1..=5 {
            slots.of_or_new(database(number), 0).unwrap();
        }
        for number in 1..=2 {
            assert_eq!(slots.next(0, 2), Some(database(number)));
            slots.assign(database(number), 0).unwrap();
        }
        assert_eq!(slots.next(0, 2), None);
        assert_eq!(slots.next(0, 3), Some(database(3)));
    }

    #[test]
    fn the_one_that_has_waited_longest_is_next() {
        let mut slots = Slots::default();
        for (number, due) in [(1, 30), (2, 10), (3, 20), (4, 99)] {
            slots.of_or_new(database(number), due).unwrap();
        }
        let mut order = Vec::new();
        while let Some(next) = slots.next(50, 1) {
            order.push(next.to_u32());
            // Its turn is over, and it waits for another one.
            slots.assign(next, 50).unwrap();
            let slot = slots.of(next).unwrap();
            slot.stage = Stage::IsLeft(Some(100));
            slot.worker_ended(50);
        }
        assert_eq!(order, [2, 3, 1]);
    }

    /// Databases whose files wait for their time took the places of those that are written to.
    #[test]
    fn who_only_waits_for_time_makes_room() {
        let mut slots = Slots::default();
        for number in 1..=SLOTS as u32 {
            slots.of_or_new(database(number), 0).unwrap();
        }
        let new = database(SLOTS as u32 + 1);
        assert!(slots.of_or_new(new, 0).is_none());
        let slot = slots.of(database(7)).unwrap();
        slot.stage = Stage::Waits(1000);
        slot.only_waits_for_time = true;
        assert!(slots.of_or_new(new, 0).is_some());
        assert!(slots.of(database(7)).is_none());
        slots.of(new).unwrap().note_request(false, 0);
        assert!(slots.of_or_new(database(7), 0).is_none());
    }

    /// A worker that the postmaster could not start kept its place for ever.
    #[test]
    fn a_worker_that_does_not_start_makes_room() {
        let mut slots = Slots::default();
        slots.of_or_new(database(1), 0).unwrap();
        slots.assign(database(1), 0).unwrap();
        slots.of_or_new(database(2), 1).unwrap();
        assert_eq!(slots.next(1, 1), None);
        let late = after(0, START);
        assert_eq!(slots.next(late, 1), Some(database(2)));
        slots.assign(database(2), late).unwrap();
        assert_eq!(slots.next(late, 2), Some(database(1)));
    }

    /// What was asked for between the last look and the end of the process was forgotten.
    #[test]
    fn who_asks_while_the_worker_leaves_gets_another_one() {
        let mut slots = Slots::default();
        slots.of_or_new(DATABASE, 0).unwrap();
        slots.assign(DATABASE, 0).unwrap();
        let slot = slots.of(DATABASE).unwrap();
        slot.stage = Stage::IsLeft(None);
        slot.note_request(true, 7);
        slot.worker_ended(8);
        assert_eq!(slot.stage, Stage::Waits(7));
    }

    /// Databases that were renamed had inline commits left until somebody wrote to them again.
    #[test]
    fn a_worker_that_was_terminated_is_replaced_unless_the_database_goes() {
        for dismissed in [false, true] {
            let mut slots = Slots::default();
            let slot = slots.of_or_new(DATABASE, 0).unwrap();
            slot.stage = Stage::IsServed;
            slot.dismissed = dismissed;
            slot.worker_ended(0);
            assert_eq!(slots.of(DATABASE).is_none(), dismissed);
        }
    }
}
