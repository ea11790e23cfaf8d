//! Carrying out what a session has asked for and waits for.

use std::time::{Duration, Instant};

use iceberg_lite::compaction::Extent;
use pg_lakebase_core::background::try_in_transaction;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::shmem::Message;

use super::merging::{Advance, Job, Planned};
use super::storage::{key_of, open_unless_locked};
use super::upkeep::{expire, pointer_of};
use crate::catalog::has_relation;
use crate::publisher::Storage;
use crate::publisher::orders::{Outcome, SoFar, Taken, Task};
use crate::publisher::upkept::{self, Work};
use crate::transaction::{self, Expiring};

/// How long a table may be locked.
const PATIENCE: Duration = Duration::from_secs(10);
/// So often full tiers are merged for one order: what comes of one may fill the next, and others write meanwhile.
const PASSES: usize = 16;

/// An order that is carried out.
pub struct Ordered {
    taken: Taken,
    so_far: SoFar,
    job: Option<Job>,
    /// Whether a merge has been put in place.
    has_merged: bool,
    locked_since: Option<Instant>,
}

enum Step {
    Going,
    Locked,
    Done,
}

impl Ordered {
    /// The next order of this database.
    pub fn next() -> Option<Self> {
        Taken::next().map(|taken| Self {
            taken,
            so_far: taken.so_far,
            job: None,
            has_merged: false,
            locked_since: None,
        })
    }

    /// The table.
    pub fn storage(&self) -> Storage {
        self.taken.storage
    }

    /// Whether it cannot go on at once.
    pub fn waits(&self) -> bool {
        self.locked_since.is_some()
    }

    /// Whether it can be left to the next worker in the database, other databases being next: between two merges, of which
    /// each worker does one.
    pub fn may_be_left(&self) -> bool {
        self.has_merged && self.job.is_none()
    }

    /// Does some of it. `None` once it has ended.
    pub fn go_on(mut self) -> Option<Self> {
        if !self.taken.is_wanted() {
            self.abandon();
            return None;
        }
        let (work, step) = match self.taken.task {
            Task::Expire(age) => (Work::History, self.expire(age)),
            Task::Compact { everything } => (Work::Merging, self.compact(everything)),
        };
        let outcome = match step {
            Ok(Step::Going) => {
                self.locked_since = None;
                return Some(self);
            }
            Ok(Step::Locked) => {
                let since = *self.locked_since.get_or_insert_with(Instant::now);
                if since.elapsed() < PATIENCE {
                    return Some(self);
                }
                Outcome::Locked
            }
            Ok(Step::Done) => {
                upkept::note_done(self.taken.storage, work);
                Outcome::Done(self.so_far.summary)
            }
            Err(error) => {
                upkept::note_failure(self.taken.storage, work, &error);
                Outcome::Failed(Message::new(&error.message))
            }
        };
        self.taken.end(outcome);
        if let Some(job) = self.job.take() {
            job.abandon();
        }
        None
    }

    /// Gives it up.
    pub fn abandon(self) {
        if let Some(job) = self.job {
            job.abandon();
        }
    }

    fn expire(&mut self, age: Option<i64>) -> PgResult<Step> {
        let storage = self.taken.storage;
        let expiring = age.map_or(Expiring::Now, Expiring::OlderThan);
        let count = || pointer_of(storage).map_or(0, |pointer| pointer.snapshot_count);
        let before = count();
        if !try_in_transaction(|| expire(storage, expiring))? {
            return match try_in_transaction(|| Ok(has_relation(&key_of(storage))))? {
                true => Ok(Step::Locked),
                false => Ok(Step::Done),
            };
        }
        self.so_far.summary.snapshots = u64::try_from(before.saturating_sub(count())).unwrap_or(0);
        Ok(Step::Done)
    }

    fn compact(&mut self, everything: bool) -> PgResult<Step> {
        let Some(mut job) = self.job.take() else {
            return self.plan(everything);
        };
        match job.go_on() {
            Ok(advance @ (Advance::Going | Advance::Waiting)) => {
                self.job = Some(job);
                match advance {
                    Advance::Waiting => Ok(Step::Locked),
                    _ => Ok(Step::Going),
                }
            }
            Ok(Advance::Done) => {
                self.has_merged = true;
                self.so_far.summary = self.so_far.summary.and(job.summary());
                self.so_far.passes += usize::from(job.is_whole());
                self.taken.keep(self.so_far);
                let is_over = job.is_whole() && (everything || self.so_far.passes >= PASSES);
                if is_over {
                    return Ok(Step::Done);
                }
                Ok(Step::Going)
            }
            Ok(Advance::Lost) => {
                job.abandon();
                self.so_far.passes += 1;
                Ok(Step::Going)
            }
            Err(error) => {
                job.abandon();
                Err(error)
            }
        }
    }

    fn plan(&mut self, everything: bool) -> PgResult<Step> {
        let extent = match everything {
            true => Extent::Everything,
            false => Extent::FullTiers,
        };
        let storage = self.taken.storage;
        // What waits for the metadata is to be merged as well.
        try_in_transaction(|| match open_unless_locked(storage) {
            Some(rel) => transaction::fold(rel.relation()),
            None => Ok(0),
        })?;
        match Job::plan(storage, |_| Some(extent))? {
            Planned::Job(job) => {
                self.job = Some(*job);
                Ok(Step::Going)
            }
            Planned::Locked => Ok(Step::Locked),
            Planned::Nothing | Planned::Gone => Ok(Step::Done),
        }
    }
}
