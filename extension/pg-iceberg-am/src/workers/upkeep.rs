//! What keeps tables small and quick: history that expires, small files that are merged, and files that nobody needs
//! any more.
//!
//! It is done a little at a time, so that whoever waits for the publisher waits no longer for that. What sessions have
//! asked for (`publisher/orders.rs`) goes first.

use std::collections::{BTreeMap, BTreeSet, HashMap, VecDeque};
use std::time::{Duration, Instant};

use iceberg_lite::compaction::Extent;
use pg_lakebase_core::background::{self, try_in_transaction};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::PgSqlErrorCode;

use super::merging::{Advance, Job, Planned, STEP};
use super::ordered::Ordered;
use super::storage::{key_of, open_unless_locked};
use crate::catalog::{GarbageCatalog, Pointer, PointerCatalog};
use crate::directory::TableDirectory;
use crate::guc;
use crate::maintenance::{compaction, orphans};
use crate::publisher::upkept::{self, Work};
use crate::publisher::{self, Storage, Thorough};
use crate::transaction::{self, Expiring, WORTHWHILE, garbage};

/// How often tables are looked at.
const PAUSE: Duration = Duration::from_secs(5);
/// How often files that nobody needs are looked for.
const SWEEP: Duration = Duration::from_millis(500);
/// Of the time, the part that looking for them may take is one in so many.
const SHARE: u32 = 10;
/// How soon what could not be done is tried again, and files that are due and that somebody still needs.
const RETRY: Duration = Duration::from_secs(10);
/// Age from which on files are orphans that no transaction's name tells of.
const ORPHAN_AGE: Duration = Duration::from_secs(24 * 3600);
/// How long a merge goes on although other databases wait for the worker: one that were given up each time would never
/// be done. There is time to read [`compaction::BATCH_BYTES`].
const PATIENCE: Duration = Duration::from_secs(30);
/// How long a merge that is done waits for its table, which somebody has locked: other tables wait for it.
const LOCK_PATIENCE: Duration = Duration::from_secs(10);

/// The upkeep of a database's tables.
pub struct Upkeep {
    looked: Option<Instant>,
    /// How often anybody had asked for the publisher by then.
    requests: u64,
    /// How many snapshots tables had when they were looked at.
    snapshots: HashMap<Storage, usize>,
    /// Tables whose history is to be looked at.
    to_expire: VecDeque<(Storage, Expiring)>,
    /// Tables that may have files to merge.
    to_merge: VecDeque<Storage>,
    /// The snapshots in which tables had nothing to merge.
    merged: HashMap<Storage, Option<i64>>,
    /// Tables whose directories are to be searched for orphans.
    to_search: VecDeque<Storage>,
    /// Whether stores are to be searched for what is left of tables that are no more.
    searches_stores: bool,
    /// Those that were locked.
    missed: Vec<(Storage, Expiring)>,
    /// Whether anything was done in this round.
    has_worked: bool,
    job: Option<Job>,
    ordered: Option<Ordered>,
    /// When files were last removed, how long it takes to the next time, and whether there may be more to remove at once.
    swept: Instant,
    sweep_pause: Duration,
    may_remove: bool,
    /// The table of which files were removed last.
    swept_last: Option<Storage>,
}

impl Upkeep {
    /// Nothing is known of any table.
    pub fn new() -> Self {
        Self {
            looked: None,
            requests: 0,
            snapshots: HashMap::new(),
            to_expire: VecDeque::new(),
            to_merge: VecDeque::new(),
            merged: HashMap::new(),
            to_search: VecDeque::new(),
            searches_stores: false,
            missed: Vec::new(),
            has_worked: false,
            job: None,
            ordered: None,
            swept: Instant::now(),
            sweep_pause: SWEEP,
            may_remove: true,
            swept_last: None,
        }
    }

    /// Does some of what is due. `thorough` has all tables looked at that have a history; `requests` is how often anybody
    /// has asked for the publisher. Returns how many rows of garbage were cleared away.
    pub fn round(&mut self, thorough: Option<Thorough>, requests: u64) -> usize {
        let now = Instant::now();
        if thorough.is_some() || self.looked.is_none_or(|looked| now - looked >= PAUSE) {
            self.looked = Some(now);
            self.requests = requests;
            self.look(thorough);
        }
        let missed = std::mem::take(&mut self.missed);
        self.has_worked = !self.to_expire.is_empty();
        for (storage, expiring) in self.to_expire.pop_front().into_iter().chain(missed) {
            self.expire(storage, expiring);
        }
        if let Some(storage) = self.to_search.pop_front() {
            self.has_worked = true;
            note(storage, Work::Orphans, remove_orphans(storage));
        } else if std::mem::take(&mut self.searches_stores) {
            self.has_worked = true;
            remove_left_objects();
        }
        self.ordered = match self.ordered.take().or_else(Ordered::next) {
            Some(ordered) => {
                self.has_worked = true;
                self.leave_to(&ordered);
                ordered.go_on()
            }
            None => {
                self.merge();
                None
            }
        };
        if !self.may_remove && self.swept.elapsed() < self.sweep_pause {
            return 0;
        }
        self.sweep()
    }

    /// Removes files that nobody needs any more, of one table after the other. Returns how many rows of garbage were
    /// cleared away.
    fn sweep(&mut self) -> usize {
        self.swept = Instant::now();
        self.may_remove = false;
        let due = background::in_transaction(|| match GarbageCatalog::open() {
            Some(garbage) => garbage.storages_with_files_due(),
            None => Ok(BTreeSet::new()),
        });
        // There is much that somebody still needs.
        self.sweep_pause = SWEEP.max(self.swept.elapsed() * SHARE);
        let due: BTreeSet<Storage> = (due.iter().flatten())
            .map(|key| (key.rel_number, key.tablespace))
            .collect();
        // Others have their turns before the one that was last.
        let (before, after): (Vec<_>, Vec<_>) = due
            .into_iter()
            .partition(|&storage| Some(storage) <= self.swept_last);
        let mut cleared = 0;
        for storage in after.into_iter().chain(before) {
            if !upkept::rest_of(storage, Work::Removal).is_zero() {
                continue;
            }
            if self.swept.elapsed() >= STEP {
                self.may_remove = true;
                break;
            }
            self.swept_last = Some(storage);
            let swept = try_in_transaction(|| garbage::sweep_files(&key_of(storage)));
            let count = *swept.as_ref().unwrap_or(&0);
            if count > 0 || swept.is_err() {
                note(storage, Work::Removal, swept);
            }
            self.may_remove |= count >= garbage::FILES_BATCH;
            cleared += count;
        }
        cleared
    }

    /// How soon there is more to do; `None` if there is nothing. Where other databases wait for the worker, a merge has all
    /// of its time.
    pub fn pause(&self, others_wait: bool) -> Option<Duration> {
        let is_urgent = self.may_remove
            || !self.to_expire.is_empty()
            || !self.to_search.is_empty()
            || self.searches_stores;
        if is_urgent
            || others_wait && self.job.is_some()
            || self
                .ordered
                .as_ref()
                .is_some_and(|ordered| !ordered.waits())
        {
            return Some(Duration::ZERO);
        }
        // In the background, half of the time.
        let is_busy = self.has_worked
            || self.ordered.is_some()
            || self.job.is_some()
            || !self.to_merge.is_empty();
        is_busy.then_some(STEP)
    }

    /// Has tables looked at in the next round if anybody has asked for the publisher since they were. Returns whether
    /// that is so.
    pub fn looks_again(&mut self, requests: u64) -> bool {
        if self.requests == requests {
            return false;
        }
        self.looked = None;
        true
    }

    /// Whether other databases may have the worker.
    pub fn may_leave(&self) -> bool {
        let patience = |job: &Job| job.elapsed() > PATIENCE;
        self.ordered.as_ref().is_none_or(Ordered::may_be_left)
            && self.job.as_ref().is_none_or(patience)
    }

    /// How long until there may be more to do though nobody writes to any table.
    pub fn next_turn(&self) -> Option<Duration> {
        let due = background::in_transaction(|| match GarbageCatalog::open() {
            Some(garbage) => garbage.files_due(),
            None => Ok(None),
        });
        let wait = due.flatten().map(|due| {
            let wait = u64::try_from(due - clock_timestamp()).unwrap_or(0);
            Duration::from_micros(wait).max(RETRY)
        });
        let is_missed = !self.missed.is_empty() || !self.to_merge.is_empty() || self.job.is_some();
        is_missed.then_some(RETRY).or(wait)
    }

    /// Gives up what is going on.
    pub fn leave(&mut self) {
        if let Some(job) = self.job.take() {
            job.abandon();
        }
        if let Some(ordered) = self.ordered.take() {
            ordered.abandon();
        }
    }

    /// Looks at all tables.
    fn look(&mut self, thorough: Option<Thorough>) {
        let pointers = background::in_transaction(pointers).unwrap_or_default();
        self.snapshots
            .retain(|storage, _| pointers.contains_key(storage));
        self.merged
            .retain(|storage, _| pointers.contains_key(storage));
        self.missed
            .retain(|(storage, _)| pointers.contains_key(storage));
        self.searches_stores |= thorough == Some(Thorough::Orphans);
        for (storage, pointer) in pointers {
            self.look_at_history(storage, &pointer, thorough.is_some());
            if thorough == Some(Thorough::Orphans) && !self.to_search.contains(&storage) {
                self.to_search.push_back(storage);
            }
            self.look_at_files(storage, &pointer);
        }
    }

    fn look_at_history(&mut self, storage: Storage, pointer: &Pointer, thorough: bool) {
        let count = usize::try_from(pointer.snapshot_count).unwrap_or(0);
        let before = self.snapshots.get(&storage).copied();
        let most = before.unwrap_or_else(guc::recent_snapshots) + WORTHWHILE;
        let expiring = match thorough {
            true if count > 1 => Expiring::Now,
            _ if count >= most => Expiring::WhenWorthwhile,
            _ => return,
        };
        if !upkept::rest_of(storage, Work::History).is_zero() {
            return;
        }
        self.to_expire.retain(|(queued, _)| *queued != storage);
        self.missed.retain(|(missed, _)| *missed != storage);
        self.to_expire.push_back((storage, expiring));
    }

    fn look_at_files(&mut self, storage: Storage, pointer: &Pointer) {
        let is_known = self.merged.get(&storage) == Some(&pointer.snapshot_id)
            || self.to_merge.contains(&storage)
            || (self.job.as_ref()).is_some_and(|job| job.storage() == storage);
        if !is_known
            && compaction::may_be_due(pointer)
            && upkept::rest_of(storage, Work::Merging).is_zero()
        {
            self.to_merge.push_back(storage);
        }
    }

    fn expire(&mut self, storage: Storage, expiring: Expiring) {
        match try_in_transaction(|| expire(storage, expiring)) {
            Ok(true) => upkept::note_done(storage, Work::History),
            Ok(false) => return self.missed.push((storage, expiring)),
            // It is tried again when the table is looked at, after its rest.
            Err(error) => return fail(storage, Work::History, error),
        }
        if let Some(pointer) = pointer_of(storage) {
            let count = usize::try_from(pointer.snapshot_count).unwrap_or(0);
            self.snapshots.insert(storage, count);
        }
    }

    /// Goes on merging files in the background.
    fn merge(&mut self) {
        let Some(mut job) = self.job.take() else {
            if let Some(storage) = self.to_merge.pop_front() {
                self.begin_to_merge(storage);
            }
            return;
        };
        let storage = job.storage();
        match job.go_on() {
            Ok(Advance::Waiting) if job.waits() > LOCK_PATIENCE => {
                job.abandon();
                fail(storage, Work::Merging, locked(storage));
            }
            Ok(Advance::Going | Advance::Waiting) => self.job = Some(job),
            Ok(Advance::Done) => {
                job.log();
                upkept::note_done(storage, Work::Merging);
                self.to_merge.push_back(storage);
            }
            Ok(Advance::Lost) => {
                job.abandon();
                self.to_merge.push_back(storage);
            }
            Err(error) => {
                job.abandon();
                fail(storage, Work::Merging, error);
            }
        }
    }

    /// Gives up the merge in the background if the table's files may be merged by an order as well.
    fn leave_to(&mut self, ordered: &Ordered) {
        let is_same = |job: &mut Job| job.storage() == ordered.storage();
        if let Some(job) = self.job.take_if(is_same) {
            self.to_merge.push_back(job.storage());
            job.abandon();
        }
    }

    fn begin_to_merge(&mut self, storage: Storage) {
        let extent = |rel: Relation<'_>| rel.is_autovacuum_enabled().then_some(Extent::FullTiers);
        match Job::plan(storage, extent) {
            Ok(Planned::Job(job)) => self.job = Some(*job),
            Ok(Planned::Nothing) => {
                let snapshot = pointer_of(storage).and_then(|pointer| pointer.snapshot_id);
                self.merged.insert(storage, snapshot);
            }
            // If it is locked, it is looked at again.
            Ok(Planned::Locked | Planned::Gone) => {}
            Err(error) => fail(storage, Work::Merging, error),
        }
    }
}

/// Notes how something went that was done for a table.
fn note<T>(storage: Storage, work: Work, result: PgResult<T>) {
    match result {
        Ok(_) => upkept::note_done(storage, work),
        Err(error) => fail(storage, work, error),
    }
}

/// Tells of what could not be done for a table.
pub fn fail(storage: Storage, work: Work, error: PgError) {
    upkept::note_failure(storage, work, &error);
    error.log();
}

fn locked(storage: Storage) -> PgError {
    let directory = TableDirectory::of(&key_of(storage));
    PgError::new(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        format!(
            "could not put merged data files in place: the table in \"{directory}\" or its metadata are locked"
        ),
    )
}

/// Removes what nothing needs of a table's files.
fn remove_orphans(storage: Storage) -> PgResult<()> {
    let removed = try_in_transaction(|| match open_unless_locked(storage) {
        Some(rel) => {
            let count = orphans::remove_from(rel.relation(), ORPHAN_AGE)?;
            Ok((count > 0).then(|| (rel.relation().name(), count)))
        }
        None => Ok(None),
    })?;
    if let Some((name, count)) = removed {
        pgrx::log!("removed {count} orphan files of Iceberg table \"{name}\"");
    }
    Ok(())
}

/// Has what is left in stores of tables and databases that are no more deleted. An error is in the log; there is a next time.
fn remove_left_objects() {
    let of_tables = || orphans::remove_left_objects(ORPHAN_AGE);
    let of_databases = || match publisher::takes_search_for_dropped() {
        true => orphans::remove_objects_of_dropped_databases(),
        false => Ok(0),
    };
    for (found, what) in [
        (try_in_transaction(of_tables), "Iceberg tables"),
        (try_in_transaction(of_databases), "databases"),
    ] {
        match found {
            Ok(0) => {}
            Ok(count) => pgrx::log!("found {count} objects of {what} that are no more"),
            Err(error) => error.log(),
        }
    }
}

/// Has the end of the transaction drop history of a table. Returns whether it will: not if it is locked, or if somebody
/// else is replacing its metadata.
pub fn expire(storage: Storage, expiring: Expiring) -> PgResult<bool> {
    match open_unless_locked(storage) {
        Some(rel) => transaction::expire(rel.relation(), expiring),
        None => Ok(false),
    }
}

/// The pointer rows of this database.
fn pointers() -> PgResult<BTreeMap<Storage, Pointer>> {
    match PointerCatalog::open() {
        Some(pointers) => pointers.all(pointers.latest().snapshot()),
        None => Ok(BTreeMap::new()),
    }
}

/// The latest pointer row of a storage.
pub fn pointer_of(storage: Storage) -> Option<Pointer> {
    let pointer = try_in_transaction(|| match PointerCatalog::open() {
        Some(pointers) => pointers.find_latest(&key_of(storage)),
        None => Ok(None),
    });
    pointer.unwrap_or_default()
}
