//! The publisher: see [`crate::publisher`].

use std::collections::HashMap;
use std::time::{Duration, Instant};

use pg_lakebase_core::background::{self, try_in_transaction};
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::bgworkers::{BackgroundWorker, SignalWakeFlags};
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::storage::{key_of, open_unless_locked};
use super::upkeep::{Upkeep, fail};
use crate::catalog::{GarbageCatalog, InlineCommitCatalog, PointerCatalog, RowChangeCatalog};
use crate::files::Place;
use crate::publisher::upkept::{self, Work};
use crate::publisher::{Carried, Held, Requests, Rest, Storage, WorkerName, free_slot};
use crate::transaction::garbage;
use crate::{guc, transaction};

/// How long a publisher stays when there is nothing to do.
const LINGER: Duration = Duration::from_secs(1);
/// How long a publisher stays when it cannot do what there is to do.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long after it could not find out what there is to do it tries again.
const RETRY: Duration = Duration::from_secs(1);
/// How often a publisher looks for inline commits.
const TICK: Duration = Duration::from_millis(100);
/// Of a publisher's time, the part that one table's metadata may take, or looking for garbage, is one in so many.
const SHARE: u32 = 10;
/// After so many inline commits and changes of rows, or rows of garbage, their tables are vacuumed,
const VACUUM_EVERY: usize = 1000;
/// unless it just was.
const VACUUM_PAUSE: Duration = Duration::from_secs(2);

/// The publisher's main function; the argument is the worker's name.
#[pg_guard]
#[unsafe(no_mangle)]
pub extern "C-unwind" fn pg_iceberg_publisher_main(argument: pg_sys::Datum) {
    let name = WorkerName::from_datum(argument);
    // SAFETY: the function frees the worker's slot, whatever ends the process. It runs when nobody sees the process in
    // the database any more, and while it may still take LWLocks: before `ProcKill`, which is registered.
    unsafe { pg_sys::on_shmem_exit(Some(free_slot), argument) };
    BackgroundWorker::attach_signal_handlers(SignalWakeFlags::SIGHUP | SignalWakeFlags::SIGTERM);
    background::give_way();
    BackgroundWorker::connect_worker_to_spi_by_oid(Some(name.database()), None);
    configure();
    let Some((slot, carried)) = Held::take(name) else {
        return;
    };
    let mut publisher = Publisher::new(slot, &carried);
    while let Some(pause) = publisher.round() {
        if !BackgroundWorker::wait_latch(Some(pause)) {
            break;
        }
        background::reload_configuration_if_asked();
    }
    publisher.upkeep.leave();
}

/// Settings of sessions that are not for this process. Nothing is lost if its commits are: they can be
/// made again.
fn configure() {
    for (name, value) in [
        (c"transaction_timeout", c"0"),
        // A server that is shut down waits for this process, and this process for nobody.
        (c"lock_timeout", c"2s"),
        (c"default_transaction_isolation", c"read committed"),
        (c"default_transaction_read_only", c"off"),
        (c"synchronous_commit", c"off"),
    ] {
        background::override_setting(name, value);
    }
}

struct Publisher {
    slot: Held,
    /// The tables that are left alone: their metadata was replaced a moment ago, or could not be. Others do not wait
    /// for them.
    rests: HashMap<Storage, Rest>,
    /// When there was last anything to do, and when it was last done.
    busy: Instant,
    progress: Instant,
    /// Inline commits folded since their table was vacuumed, and when the last vacuum was.
    folded: usize,
    vacuumed: Instant,
    /// Rows of garbage cleared away since their table was vacuumed, and when there may be more of them.
    cleared: usize,
    clears_again: Instant,
    upkeep: Upkeep,
}

impl Publisher {
    fn new(slot: Held, carried: &Carried) -> Self {
        let now = Instant::now();
        Self {
            slot,
            rests: carried.rests().collect(),
            busy: now,
            progress: now,
            folded: carried.folded,
            vacuumed: now,
            cleared: carried.cleared,
            clears_again: now,
            upkeep: Upkeep::new(),
        }
    }

    /// Does what is due. Returns how long to wait for more; `None` when it is time to leave.
    fn round(&mut self) -> Option<Duration> {
        let Requests {
            count,
            urgent,
            thorough,
        } = self.slot.requests()?;
        let waiting = background::in_transaction(waiting_storages);
        self.clear_garbage();
        let is_known = waiting.is_some();
        let mut pause = None;
        match waiting {
            None => pause = Some(RETRY),
            Some(waiting) => {
                self.rests
                    .retain(|storage, _| waiting.contains_key(storage));
                if waiting.is_empty() {
                    self.progress = Instant::now();
                }
                for (storage, waiting) in waiting {
                    if background::is_to_end() {
                        return None;
                    }
                    let next = self.visit(storage, waiting, urgent);
                    pause = Some(pause.map_or(next, |pause: Duration| pause.min(next)));
                    self.busy = Instant::now();
                }
            }
        }
        self.cleared += self.upkeep.round(thorough, count);
        let others_wait = self.slot.others_wait();
        let upkeep_pause = self.upkeep.pause(others_wait);
        if upkeep_pause.is_some() {
            self.busy = Instant::now();
            self.progress = self.busy;
        }
        let is_stuck = self.progress.elapsed() >= PATIENCE + guc::publish_interval();
        let is_idle = match pause {
            None => self.busy.elapsed() >= LINGER && !self.upkeep.looks_again(count),
            Some(_) => is_stuck && !is_known,
        };
        let makes_room = others_wait && self.upkeep.may_leave();
        self.vacuum_if_worthwhile(is_idle || makes_room);
        // SAFETY: reports what this process has done, outside of a transaction.
        unsafe { pg_sys::pgstat_report_stat(is_idle || makes_room) };
        if is_idle || makes_room && pause.is_none() {
            let next = self.upkeep.next_turn();
            if self.slot.give_back(count, next) {
                return None;
            }
        }
        if is_stuck && is_known {
            self.take_turns(pause.map(|pause| pause.max(RETRY)));
            return None;
        }
        if makes_room {
            self.take_turns(pause);
            return None;
        }
        let longest = if is_known { TICK } else { RETRY };
        let pauses = [pause, upkeep_pause, Some(longest)];
        let pause = pauses.into_iter().flatten().min().unwrap_or(longest);
        Some(pause.max(Duration::from_millis(1)))
    }

    /// Leaves, and has the database served again after a pause.
    fn take_turns(&self, pause: Option<Duration>) {
        let rests = self.rests.iter().map(|(&storage, &rest)| (storage, rest));
        let carried = Carried::new(rests, self.folded, self.cleared, clock_timestamp());
        self.slot.take_turns(pause.unwrap_or(TICK), carried);
    }

    /// Removes what committed transactions have dropped, where they could not do so themselves.
    fn clear_garbage(&mut self) {
        let began = Instant::now();
        if began < self.clears_again {
            return;
        }
        let cleared = background::in_transaction(|| garbage::sweep(None)).unwrap_or(0);
        self.clears_again = Instant::now() + began.elapsed() * SHARE;
        if cleared > 0 {
            self.cleared += cleared;
            self.busy = Instant::now();
            self.progress = self.busy;
        }
    }

    /// Folds one storage's inline commits if it is time. Returns how long to wait for the next visit.
    fn visit(
        &mut self,
        storage: Storage,
        Waiting {
            published_at,
            interval,
        }: Waiting,
        urgent: bool,
    ) -> Duration {
        let began = Instant::now();
        let now = clock_timestamp();
        let age = u64::try_from(now - published_at).map_or(interval, Duration::from_micros);
        // Even those who are in a hurry heed it.
        let rest = upkept::rest_of(storage, Work::Publishing);
        if !rest.is_zero() {
            return rest;
        }
        let rest = (self.rests.get(&storage)).map_or(Duration::ZERO, |rest| rest.left(now));
        let wait = interval.saturating_sub(age).max(rest);
        if !wait.is_zero() && !urgent {
            return wait;
        }
        let result = try_in_transaction(|| fold(storage));
        let now = clock_timestamp();
        let rest = match result {
            Ok(count) if count > 0 => {
                self.progress = Instant::now();
                self.folded += count;
                upkept::note_published(storage);
                Rest::of(began.elapsed() * SHARE, now)
            }
            // It is locked, or somebody else has done it.
            Ok(_) => Rest::of(TICK, now),
            Err(error) => {
                fail(storage, Work::Publishing, error);
                Rest::of(upkept::rest_of(storage, Work::Publishing), now)
            }
        };
        self.rests.insert(storage, rest);
        rest.left(now).max(interval)
    }

    /// Inline commits and garbage live for a moment: their tables would grow with the dead until autovacuum came by.
    fn vacuum_if_worthwhile(&mut self, is_idle: bool) {
        if !is_idle && self.vacuumed.elapsed() < VACUUM_PAUSE {
            return;
        }
        // The tables are closed before the transaction ends.
        if self.folded >= VACUUM_EVERY {
            self.folded = 0;
            self.vacuum(|| {
                InlineCommitCatalog::open().map(|inline_commits| inline_commits.relid())
            });
            self.vacuum(|| RowChangeCatalog::open().map(|changes| changes.relid()));
        }
        if self.cleared >= VACUUM_EVERY {
            self.cleared = 0;
            self.vacuum(|| GarbageCatalog::open().map(|garbage| garbage.relid()));
        }
    }

    fn vacuum(&mut self, find: impl FnOnce() -> Option<pg_sys::Oid>) {
        self.vacuumed = Instant::now();
        background::in_transaction(|| {
            if let Some(relid) = find() {
                background::vacuum(relid);
            }
            Ok(())
        });
    }
}

/// A storage that has inline commits or changes of rows.
struct Waiting {
    /// When it was given its metadata.
    published_at: pg_sys::TimestampTz,
    /// How long it takes from then to the next.
    interval: Duration,
}

/// The storages that have inline commits or changes of rows.
fn waiting_storages() -> PgResult<HashMap<Storage, Waiting>> {
    let (Some(inline_commits), Some(pointers)) =
        (InlineCommitCatalog::open(), PointerCatalog::open())
    else {
        return Ok(HashMap::new());
    };
    let latest = inline_commits.latest();
    let mut waiting = HashMap::new();
    let mut storages = inline_commits.storages(latest.snapshot())?;
    if let Some(changes) = RowChangeCatalog::open() {
        storages.extend(changes.storages(latest.snapshot())?);
    }
    for storage in storages {
        let key = key_of(storage);
        let pointer = pointers.find(&key, latest.snapshot())?;
        let wait = Waiting {
            published_at: pointer.map_or(0, |pointer| pointer.published_at),
            // What is wrong with the options of one tablespace is told by whoever opens its tables, and stops no others.
            interval: Place::of(&key).map_or_else(
                |_| guc::publish_interval(),
                |place| place.publish_interval(),
            ),
        };
        waiting.insert(storage, wait);
    }
    Ok(waiting)
}

/// Has the end of the transaction fold a storage's inline commits. Returns how many there are: none if its
/// table is locked, or if somebody else is replacing its metadata.
fn fold(storage: Storage) -> PgResult<usize> {
    open_unless_locked(storage).map_or(Ok(0), |rel| transaction::fold(rel.relation()))
}
