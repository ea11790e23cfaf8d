//! Which databases have a publisher, or wait for one, in shared memory.

use std::collections::BTreeSet;
use std::time::Duration;

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::bgworkers::{BackgroundWorkerBuilder, BgWorkerStartTime};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

use super::rest::Rest;
use super::{merges, orders};
use crate::{directory, guc};

/// Databases that can have a publisher, or wait for one, at a time. Transactions in others publish by themselves.
const SLOTS: usize = 256;
/// Tables of a database whose rests are remembered from one worker to the next.
const RESTS: usize = 8;
/// How long the postmaster may take to start a publisher.
const START: Duration = Duration::from_secs(10);
/// How long after a publisher was ended from outside its database gets another one.
const PAUSE_AFTER_END: Duration = Duration::from_secs(1);
/// How soon after a turn what is asked for by those who do not wait may bring the next turn.
const PAUSE_AFTER_TURN: Duration = Duration::from_millis(100);
/// How often the postmaster is asked for a worker while it has none to give.
const ASK_AGAIN: Duration = Duration::from_millis(100);

// SAFETY: no other lock has the name.
static SLOTS_IN_USE: PgLwLock<Slots> = unsafe { PgLwLock::new(c"pg_iceberg_publishers") };

/// A storage of a database: relation file number and tablespace.
pub type Storage = (u32, u32);

/// What a worker leaves to the next one in its database.
#[derive(Clone, Copy, Default)]
pub struct Carried {
    /// Tables that are left alone, those with the longest rests.
    rests: [Option<(Storage, Rest)>; RESTS],
    /// Inline commits folded, and rows of garbage cleared away, since their tables were vacuumed.
    pub folded: usize,
    pub cleared: usize,
}

impl Carried {
    /// Remembers the longest of `rests`.
    pub fn new(
        rests: impl IntoIterator<Item = (Storage, Rest)>,
        folded: usize,
        cleared: usize,
        now: pg_sys::TimestampTz,
    ) -> Self {
        let mut longest: Vec<_> = rests.into_iter().collect();
        longest.sort_by_key(|(_, rest)| std::cmp::Reverse(rest.left(now)));
        let mut rests = [None; RESTS];
        for (place, rest) in rests.iter_mut().zip(longest) {
            *place = Some(rest);
        }
        Self {
            rests,
            folded,
            cleared,
        }
    }

    /// The tables that are left alone.
    pub fn rests(&self) -> impl Iterator<Item = (Storage, Rest)> {
        self.rests.into_iter().flatten()
    }
}

/// What all tables are looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thorough {
    /// History that has grown old.
    History,
    /// That, and files that nobody needs.
    Orphans,
}

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

/// How far a database has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// It has no worker and gets one, in its turn, from this time on.
    Waits(pg_sys::TimestampTz),
    /// The postmaster was asked for a worker at this time.
    Starts(pg_sys::TimestampTz),
    /// A worker is connected.
    IsServed,
    /// The worker is about to end; after that the database waits until this time, if anybody has asked for it.
    IsLeft(Option<pg_sys::TimestampTz>),
}

#[derive(Clone, Copy)]
struct Slot {
    /// `InvalidOid` for a free slot.
    database: pg_sys::Oid,
    stage: Stage,
    /// Of the worker that was started last for the database: another one has no say here.
    ticket: u32,
    /// The worker's latch; null unless it is connected.
    latch: *mut pg_sys::Latch,
    /// How often anybody has asked since; what a worker has not seen keeps it from giving the slot back.
    requests: u64,
    /// Whether somebody waits for the metadata.
    urgent: bool,
    /// Whether all tables are to be looked at, those included that nobody has written to, and for what.
    thorough: Option<Thorough>,
    /// Whether the database waits for its files to be removed in time, and for nothing else.
    only_waits_for_time: bool,
    /// Whether the database is about to be dropped.
    dismissed: bool,
    carried: Carried,
}

impl Slot {
    /// A slot of a database that waits since `now` for a worker; with `InvalidOid`, a free one.
    fn waiting(database: pg_sys::Oid, now: pg_sys::TimestampTz) -> Self {
        Self {
            database,
            stage: Stage::Waits(now),
            ticket: 0,
            latch: std::ptr::null_mut(),
            requests: 0,
            urgent: false,
            thorough: None,
            only_waits_for_time: false,
            dismissed: false,
            carried: Carried::default(),
        }
    }

    fn is_free(&self) -> bool {
        self.database == pg_sys::InvalidOid
    }

    /// Whether it has a worker, or the postmaster is about to start one.
    fn is_active(&self, now: pg_sys::TimestampTz) -> bool {
        !self.is_free()
            && match self.stage {
                Stage::Waits(_) => false,
                Stage::Starts(since) => now < after(since, START),
                Stage::IsServed | Stage::IsLeft(_) => true,
            }
    }

    /// Since when it has been this database's turn, if it is.
    fn due(&self, now: pg_sys::TimestampTz) -> Option<pg_sys::TimestampTz> {
        let due = match self.stage {
            _ if self.is_free() => return None,
            Stage::Waits(due) => due,
            // The postmaster could not start it.
            Stage::Starts(since) => after(since, START),
            Stage::IsServed | Stage::IsLeft(_) => return None,
        };
        (due <= now).then_some(due)
    }

    /// Notes that somebody asks for the publisher, and perhaps waits. Returns whether the database's turn comes sooner
    /// for it.
    fn note_request(&mut self, waits: bool, now: pg_sys::TimestampTz) -> bool {
        self.requests += 1;
        self.only_waits_for_time = false;
        let pause = if waits {
            Duration::ZERO
        } else {
            PAUSE_AFTER_TURN
        };
        let soon = after(now, pause);
        match &mut self.stage {
            Stage::Waits(due) if *due > soon => {
                *due = soon;
                true
            }
            Stage::IsLeft(due) => {
                *due = Some(due.map_or(soon, |due| due.min(soon)));
                false
            }
            _ => false,
        }
    }

    /// The worker has ended. Inline commits may be left where something else than its own will has ended it, perhaps
    /// for the sake of ALTER DATABASE.
    fn worker_ended(&mut self, now: pg_sys::TimestampTz) {
        let due = match self.stage {
            _ if self.dismissed => None,
            Stage::IsServed => Some(after(now, PAUSE_AFTER_END)),
            Stage::IsLeft(due) => due,
            Stage::Waits(due) => Some(due),
            // It could not connect.
            Stage::Starts(_) => None,
        };
        self.latch = std::ptr::null_mut();
        match due {
            Some(due) => self.stage = Stage::Waits(due),
            None => self.free(),
        }
    }

    fn free(&mut self) {
        self.database = pg_sys::InvalidOid;
        self.latch = std::ptr::null_mut();
    }
}

/// Wakes the process that a latch is of, if any.
fn wake(latch: *mut pg_sys::Latch) {
    if !latch.is_null() {
        // SAFETY: the latch of a PGPROC, which stays one whoever owns it now.
        unsafe { pg_sys::SetLatch(latch) };
    }
}

fn after(time: pg_sys::TimestampTz, pause: Duration) -> pg_sys::TimestampTz {
    time.saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}

#[derive(Clone, Copy)]
struct Slots {
    slots: [Slot; SLOTS],
    /// The ticket given out last.
    last_ticket: u32,
    /// The launcher's latch; null while it is not there.
    launcher: *mut pg_sys::Latch,
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
    fn look_at_all(
        &mut self,
        databases: &BTreeSet<u32>,
        thorough: Thorough,
        now: pg_sys::TimestampTz,
    ) {
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
    fn start_workers(&mut self, now: pg_sys::TimestampTz) -> bool {
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

/// The launcher's hold on its place.
pub struct Launcher;

impl Launcher {
    /// Takes the launcher's place: who leaves wakes this process from now on.
    pub fn take() -> Self {
        // SAFETY: the process's own latch.
        SLOTS_IN_USE.exclusive().launcher = unsafe { pg_sys::MyLatch };
        Self
    }

    /// Gives every database that has Iceberg tables a turn: inline commits may have been waiting when the server
    /// stopped, and snapshots grow old where nobody writes.
    pub fn look_at_all(&self, thorough: Thorough) {
        let databases: BTreeSet<u32> = directory::database_directories(None)
            .into_iter()
            .filter(|directory| directory::holds_tables(directory))
            .filter_map(|directory| directory.file_name()?.to_str()?.parse().ok())
            .collect();
        SLOTS_IN_USE
            .exclusive()
            .look_at_all(&databases, thorough, clock_timestamp());
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

/// A publisher's hold on its slot.
pub struct Held(WorkerName);

/// What has been asked of a publisher.
pub struct Requests {
    /// How often anybody has asked.
    pub count: u64,
    /// Whether somebody waits for the metadata.
    pub urgent: bool,
    /// Whether all tables are to be looked at, and for what.
    pub thorough: Option<Thorough>,
}

impl Held {
    /// Takes the slot of the worker `name`, which this process is: the publisher's wake-ups are for it from
    /// now on. `None` if the slot has been given to another one since.
    pub fn take(name: WorkerName) -> Option<(Self, Carried)> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of_worker(name)?;
        slot.stage = Stage::IsServed;
        // SAFETY: the process's own latch.
        slot.latch = unsafe { pg_sys::MyLatch };
        let carried = std::mem::take(&mut slot.carried);
        Some((Self(name), carried))
    }

    /// What has been asked; `None` if the publisher has been dismissed.
    pub fn requests(&self) -> Option<Requests> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of_worker(self.0).filter(|slot| !slot.dismissed)?;
        Some(Requests {
            count: slot.requests,
            urgent: std::mem::take(&mut slot.urgent),
            thorough: std::mem::take(&mut slot.thorough),
        })
    }

    /// Whether it is another database's turn.
    pub fn others_wait(&self) -> bool {
        let now = clock_timestamp();
        let slots = SLOTS_IN_USE.share();
        slots.slots.iter().any(|slot| slot.due(now).is_some())
    }

    /// Gives the slot back unless somebody has asked for anything since there were `count` requests. The database's
    /// next turn comes after `pause`, if there is one.
    pub fn give_back(&self, count: u64, pause: Option<Duration>) -> bool {
        let now = clock_timestamp();
        let mut slots = SLOTS_IN_USE.exclusive();
        match slots.of_worker(self.0) {
            Some(slot) if slot.requests != count => false,
            Some(slot) => {
                slot.stage = Stage::IsLeft(pause.map(|pause| after(now, pause)));
                slot.only_waits_for_time = true;
                true
            }
            None => true,
        }
    }

    /// Lets the others have their turns; this database's next one comes after `pause`, or at once if somebody waits.
    pub fn take_turns(&self, pause: Duration, carried: Carried) {
        let now = clock_timestamp();
        let mut slots = SLOTS_IN_USE.exclusive();
        if let Some(slot) = slots.of_worker(self.0) {
            let pause = if slot.urgent { Duration::ZERO } else { pause };
            slot.carried = carried;
            slot.only_waits_for_time = false;
            slot.stage = Stage::IsLeft(Some(after(now, pause)));
        }
    }
}

/// Ends a publisher's hold on its slot when its process exits, whatever ends it, and has the launcher look who is
/// next. `argument` is the worker's name: a successor's slot is left alone.
pub unsafe extern "C-unwind" fn free_slot(_code: std::ffi::c_int, argument: pg_sys::Datum) {
    let name = WorkerName::from_datum(argument);
    merges::forget_own();
    let mut slots = SLOTS_IN_USE.exclusive();
    if let Some(slot) = slots.of_worker(name) {
        orders::put_back(name.database);
        slot.worker_ended(clock_timestamp());
    }
    wake(slots.launcher);
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const DATABASE: pg_sys::Oid = pg_sys::Oid::from_u32(5);

    fn database(number: u32) -> pg_sys::Oid {
        pg_sys::Oid::from_u32(number)
    }

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

    #[test]
    fn the_longest_rests_are_remembered() {
        let rests = (0..20).map(|n| ((n, 0), Rest::of(Duration::from_secs(n.into()), 0)));
        let carried = Carried::new(rests, 3, 4, 0);
        let kept: Vec<_> = carried.rests().map(|((n, _), _)| n).collect();
        assert_eq!(kept, [19, 18, 17, 16, 15, 14, 13, 12]);
        assert_eq!((carried.folded, carried.cleared), (3, 4));
    }
}
