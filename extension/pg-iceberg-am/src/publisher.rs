//! The publisher: puts appends into the metadata of their tables.
//!
//! A background worker for each database, started by the first transaction that leaves appends (see
//! `transaction/publish.rs`) and after recovery, and gone when there have been none for a while. What it
//! does is a transaction like others: it locks the pointer row, writes one manifest for all appends to a
//! table, replaces the row and deletes the appends. Should it fail or be killed, the appends are still
//! there, and count.

use std::collections::{BTreeSet, HashMap};
use std::time::{Duration, Instant};

use pg_lakebase_core::error::{PgResult, catch};
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pgrx::bgworkers::{BackgroundWorker, BackgroundWorkerBuilder, SignalWakeFlags};
use pgrx::prelude::*;
use pgrx::{PGRXSharedMemory, PgLwLock, pg_shmem_init, pg_sys};

use crate::bindings::relid_by_relfilenumber;
use crate::catalog::{AppendCatalog, PointerCatalog};
use crate::storage::{self, StorageKey};
use crate::{guc, transaction};

/// Databases that can have a publisher at a time.
const SLOTS: usize = 64;
/// How long a publisher stays when there is nothing to do.
const LINGER: Duration = Duration::from_secs(1);
/// How long a publisher stays when it cannot do what there is to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after a failure it is tried again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a publisher looks for appends.
const TICK: Duration = Duration::from_millis(100);
/// How long the postmaster may take to start a publisher.
const START: Duration = Duration::from_secs(10);
/// Of a publisher's time, the part that one table's metadata may take is one in so many.
const SHARE: u32 = 10;
/// After so many appends the table of appends is vacuumed,
const VACUUM_EVERY: usize = 1000;
/// unless it just was.
const VACUUM_PAUSE: Duration = Duration::from_secs(2);

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
        .filter(|directory| {
            std::fs::read_dir(directory)
                .into_iter()
                .flatten()
                .flatten()
                .any(|entry| {
                    entry
                        .file_name()
                        .as_encoded_bytes()
                        .starts_with(b"iceberg_")
                })
        })
        .filter_map(|directory| directory.file_name()?.to_str()?.parse().ok())
        .collect();
    for database in databases {
        ensure_running_in(database.into(), false);
    }
}

fn ensure_running_in(database: pg_sys::Oid, urgent: bool) -> bool {
    let now = now();
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

fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// The publisher's main function; the argument is the database.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_iceberg_publisher_main(argument: pg_sys::Datum) {
    // SAFETY: the function frees the slot, whatever ends the process; the datum is an oid.
    let database = unsafe {
        pg_sys::before_shmem_exit(Some(free_slot), argument);
        pg_sys::Oid::from_datum(argument, false).unwrap_or(pg_sys::InvalidOid)
    };
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(database), None);
    configure();
    if let Some(slot) = SLOTS_IN_USE.exclusive().of(database) {
        // SAFETY: the process's own latch.
        slot.latch = unsafe { pg_sys::MyLatch };
    }
    let mut publisher = Publisher::new(database);
    while let Some(pause) = publisher.round() {
        if !BackgroundWorker::wait_latch(Some(pause)) {
            break;
        }
        if BackgroundWorker::sighup_received() {
            // SAFETY: as every process does that is told of a new configuration.
            unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
        }
    }
}

unsafe extern "C-unwind" fn free_slot(_code: std::ffi::c_int, argument: pg_sys::Datum) {
    // SAFETY: the datum is the database's oid.
    let database = unsafe { pg_sys::Oid::from_datum(argument, false) };
    let mut slots = SLOTS_IN_USE.exclusive();
    if let Some(slot) = database.and_then(|database| slots.of(database)) {
        slot.free();
    }
}

/// Settings of sessions that are not for this process. Nothing is lost if its commits are: they can be
/// made again.
fn configure() {
    for (name, value) in [
        (c"transaction_timeout", c"0"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
        (c"synchronous_commit", c"off"),
    ] {
        // SAFETY: settings of the process's own, as autovacuum workers make them (`AutoVacWorkerMain`).
        unsafe {
            pg_sys::SetConfigOption(
                name.as_ptr(),
                value.as_ptr(),
                pg_sys::GucContext::PGC_SUSET,
                pg_sys::GucSource::PGC_S_OVERRIDE,
            );
        }
    }
}

/// A storage of this database: relation file number and tablespace.
type Storage = (u32, u32);

struct Publisher {
    database: pg_sys::Oid,
    /// When a table's metadata may be replaced again at the earliest.
    not_before: HashMap<Storage, Instant>,
    /// When there was last anything to do, and when it was last done.
    busy: Instant,
    progress: Instant,
    /// Appends published since the table of appends was vacuumed, and when that was.
    published: usize,
    vacuumed: Instant,
}

impl Publisher {
    fn new(database: pg_sys::Oid) -> Self {
        let now = Instant::now();
        Self {
            database,
            not_before: HashMap::new(),
            busy: now,
            progress: now,
            published: 0,
            vacuumed: now,
        }
    }

    /// Publishes what is due. Returns how long to wait for more; `None` when it is time to leave.
    fn round(&mut self) -> Option<Duration> {
        let (requests, urgent) = self.requests()?;
        let waiting = in_transaction(waiting_storages);
        let mut pause = TICK;
        match waiting {
            None => pause = RETRY,
            Some(waiting) => {
                let now = Instant::now();
                self.not_before
                    .retain(|storage, _| waiting.contains_key(storage));
                if waiting.is_empty() {
                    self.progress = now;
                } else {
                    self.busy = now;
                }
                for (storage, published_at) in waiting {
                    pause = pause.min(self.visit(storage, published_at, urgent));
                }
            }
        }
        let is_idle = self.busy.elapsed() >= LINGER
            || self.progress.elapsed() >= PATIENCE + guc::publish_interval();
        self.vacuum_if_worthwhile(is_idle);
        // SAFETY: reports what this process has done, outside of a transaction.
        unsafe { pg_sys::pgstat_report_stat(false) };
        if is_idle && self.leave(requests) {
            return None;
        }
        Some(pause.max(Duration::from_millis(1)))
    }

    /// Publishes one storage's appends if it is time. Returns how long to wait for the next visit.
    fn visit(
        &mut self,
        storage: Storage,
        published_at: pg_sys::TimestampTz,
        urgent: bool,
    ) -> Duration {
        let now = Instant::now();
        let interval = guc::publish_interval();
        let age = u64::try_from(self::now() - published_at).map_or(interval, Duration::from_micros);
        let rest = self
            .not_before
            .get(&storage)
            .map_or(Duration::ZERO, |time| time.saturating_duration_since(now));
        let wait = interval.saturating_sub(age).max(rest);
        if !wait.is_zero() && !urgent {
            return wait;
        }
        let result = in_transaction(|| publish(storage));
        let next = match result {
            Some(count) if count > 0 => {
                self.progress = Instant::now();
                self.published += count;
                now.elapsed() * SHARE
            }
            // It is locked, or somebody else has done it.
            Some(_) => TICK,
            None => RETRY,
        };
        self.not_before.insert(storage, Instant::now() + next);
        next.max(interval)
    }

    /// What has been asked of this publisher; `None` if it has been dismissed.
    fn requests(&self) -> Option<(u64, bool)> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of(self.database).filter(|slot| !slot.dismissed)?;
        Some((slot.requests, std::mem::take(&mut slot.urgent)))
    }

    /// Gives the slot back unless somebody has asked for anything since there were `requests`.
    fn leave(&self, requests: u64) -> bool {
        let mut slots = SLOTS_IN_USE.exclusive();
        match slots.of(self.database) {
            Some(slot) if slot.requests != requests => false,
            Some(slot) => {
                slot.free();
                true
            }
            None => true,
        }
    }

    /// Appends live for a moment: their table would grow with the dead until autovacuum came by.
    fn vacuum_if_worthwhile(&mut self, is_idle: bool) {
        if self.published < VACUUM_EVERY || (!is_idle && self.vacuumed.elapsed() < VACUUM_PAUSE) {
            return;
        }
        self.published = 0;
        self.vacuumed = Instant::now();
        in_transaction(|| {
            // It is closed before the transaction ends.
            let appends = AppendCatalog::open().map(|appends| appends.relid());
            if let Some(relid) = appends {
                vacuum(relid);
            }
            Ok(())
        });
    }
}

/// The storages that have appends, each with the time of its metadata.
fn waiting_storages() -> PgResult<HashMap<Storage, pg_sys::TimestampTz>> {
    let (Some(appends), Some(pointers)) = (AppendCatalog::open(), PointerCatalog::open()) else {
        return Ok(HashMap::new());
    };
    let latest = appends.latest();
    let mut waiting = HashMap::new();
    for storage in appends.storages(latest.snapshot())? {
        let pointer = pointers.find(&key_of(storage), latest.snapshot())?;
        waiting.insert(storage, pointer.map_or(0, |pointer| pointer.published_at));
    }
    Ok(waiting)
}

fn key_of((rel_number, tablespace): Storage) -> StorageKey {
    StorageKey {
        tablespace,
        // SAFETY: the database that the process is connected to.
        database: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        rel_number,
        backend: pg_sys::INVALID_PROC_NUMBER,
    }
}

/// Has the end of the transaction publish a storage's appends. Returns how many there are: none if its
/// table is locked, or if somebody else is replacing its metadata.
fn publish(storage: Storage) -> PgResult<usize> {
    let key = key_of(storage);
    let relid = relid_by_relfilenumber(key.tablespace_in_catalog(), key.rel_number.into());
    if relid == pg_sys::InvalidOid {
        return Ok(0);
    }
    match OpenRelation::open_unless_locked(relid, LockMode::AccessShare) {
        Some(rel) if StorageKey::of(rel.relation()) == key => {
            transaction::adopt_appends(rel.relation())
        }
        _ => Ok(0),
    }
}

/// Runs a transaction; `None` if it fails, which is logged.
fn in_transaction<T>(work: impl FnOnce() -> PgResult<T>) -> Option<T> {
    let result = catch(|| {
        // SAFETY: as background workers do; an error ends up below.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = work()?;
        // SAFETY: as above. VACUUM has ended the transaction that it was called in, and its snapshot.
        unsafe {
            if pg_sys::ActiveSnapshotSet() {
                pg_sys::PopActiveSnapshot();
            }
            pg_sys::CommitTransactionCommand();
        }
        Ok(result)
    });
    match result.and_then(|result| result) {
        Ok(value) => Some(value),
        Err(error) => {
            // SAFETY: outside of all that the transaction did.
            unsafe { pg_sys::AbortCurrentTransaction() };
            error.log();
            None
        }
    }
}

/// VACUUM of a table, as autovacuum does it. It ends the current transaction and begins another.
fn vacuum(relid: pg_sys::Oid) {
    let mut params = pg_sys::VacuumParams {
        options: pg_sys::VACOPT_VACUUM
            | pg_sys::VACOPT_SKIP_LOCKED
            | pg_sys::VACOPT_PROCESS_MAIN
            | pg_sys::VACOPT_SKIP_DATABASE_STATS,
        freeze_min_age: -1,
        freeze_table_age: -1,
        multixact_freeze_min_age: -1,
        multixact_freeze_table_age: -1,
        is_wraparound: false,
        log_min_duration: -1,
        index_cleanup: pg_sys::VacOptValue::VACOPTVALUE_ENABLED,
        // That takes an exclusive lock.
        truncate: pg_sys::VacOptValue::VACOPTVALUE_DISABLED,
        toast_parent: pg_sys::InvalidOid,
        nworkers: -1,
    };
    // SAFETY: a list in a memory context that outlives the transactions of VACUUM, as `vacuum` asks; this
    // is the outermost level of a process that runs no other command.
    unsafe {
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"pg_iceberg vacuum".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        let before = pg_sys::MemoryContextSwitchTo(context);
        let relation =
            pg_sys::makeVacuumRelation(std::ptr::null_mut(), relid, std::ptr::null_mut());
        let relations = pg_sys::lappend(std::ptr::null_mut(), relation.cast());
        let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_VACUUM);
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::vacuum(relations, &mut params, strategy, context, true);
        pg_sys::MemoryContextDelete(context);
    }
}
