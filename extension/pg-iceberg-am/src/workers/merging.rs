//! A merge of a table's small files, from the plan to the new files' places in the metadata.

use std::time::{Duration, Instant};

use iceberg_lite::compaction::Extent;
use pg_lakebase_core::background::{try_in_plain_transaction, try_in_transaction};
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::xact::clock_timestamp;

use super::storage::{key_of, open_unless_locked};
use crate::bindings::log_autovacuum_min_duration;
use crate::catalog::has_relation;
use crate::maintenance::compaction::Merge;
use crate::publisher::Storage;
use crate::publisher::merges::Announced;
use crate::publisher::orders::Summary;
use crate::transaction::{self, Replaced};

/// How long a merge goes on before the worker looks at other things.
pub const STEP: Duration = Duration::from_millis(50);

/// What there is to merge.
pub enum Planned {
    /// This.
    Job(Box<Job>),
    /// Nothing.
    Nothing,
    /// That cannot be told: the table is locked.
    Locked,
    /// The table is no more.
    Gone,
}

/// How far a job has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Advance {
    /// It goes on.
    Going,
    /// It has to wait: somebody is replacing the table's metadata, or has locked the table.
    Waiting,
    /// It is done.
    Done,
    /// It came to nothing: the table, or files of it, are no more.
    Lost,
}

/// A merge that is going on.
pub struct Job {
    storage: Storage,
    merge: Merge,
    announced: Option<Announced>,
    began: Instant,
    waits_since: Option<Instant>,
}

impl Job {
    /// Finds out what there is to merge in a table.
    pub fn plan(
        storage: Storage,
        extent: impl FnOnce(Relation<'_>) -> Option<Extent>,
    ) -> PgResult<Planned> {
        let merge = try_in_transaction(|| {
            let Some(rel) = open_unless_locked(storage) else {
                return Ok(match has_relation(&key_of(storage)) {
                    true => Err(Planned::Locked),
                    false => Err(Planned::Gone),
                });
            };
            let Some(extent) = extent(rel.relation()) else {
                return Ok(Err(Planned::Nothing));
            };
            let merge = Merge::plan(rel.relation(), extent)?;
            Ok(merge.ok_or(Planned::Nothing))
        })?;
        Ok(match merge {
            Ok(merge) => Planned::Job(Box::new(Self {
                storage,
                announced: Announced::new(storage, clock_timestamp(), merge.progress()),
                merge,
                began: Instant::now(),
                waits_since: None,
            })),
            Err(planned) => planned,
        })
    }

    /// Does some of it. An error ends it: then [`Self::abandon`] it.
    pub fn go_on(&mut self) -> PgResult<Advance> {
        if !try_in_plain_transaction(|| self.merge.step(STEP))? {
            if let Some(announced) = &self.announced {
                announced.update(self.merge.progress());
            }
            return Ok(Advance::Going);
        }
        let advance = self.put_in_place()?;
        self.waits_since = match advance {
            Advance::Waiting => self.waits_since.or_else(|| Some(Instant::now())),
            _ => None,
        };
        Ok(advance)
    }

    fn put_in_place(&self) -> PgResult<Advance> {
        try_in_transaction(|| {
            let Some(rel) = open_unless_locked(self.storage) else {
                return Ok(match has_relation(&key_of(self.storage)) {
                    true => Advance::Waiting,
                    false => Advance::Lost,
                });
            };
            let replaced = transaction::replace(rel.relation(), self.merge.compaction())?;
            Ok(match replaced {
                Replaced::Yes => Advance::Done,
                Replaced::Busy => Advance::Waiting,
                Replaced::Lost => Advance::Lost,
            })
        })
    }

    /// The table.
    pub fn storage(&self) -> Storage {
        self.storage
    }

    /// For how long it has had to wait.
    pub fn waits(&self) -> Duration {
        self.waits_since
            .map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// Whether nothing will be left to merge, of what there was when it was planned.
    pub fn is_whole(&self) -> bool {
        self.merge.is_whole()
    }

    /// What has been done.
    pub fn summary(&self) -> Summary {
        self.merge.summary()
    }

    /// For how long it has been going on.
    pub fn elapsed(&self) -> Duration {
        self.began.elapsed()
    }

    /// Tells of it in the server's log, where `log_autovacuum_min_duration` asks for that.
    pub fn log(&self) {
        let elapsed = self.elapsed();
        if log_autovacuum_min_duration().is_none_or(|least| elapsed < least) {
            return;
        }
        let name = try_in_transaction(|| {
            let rel = open_unless_locked(self.storage);
            Ok(rel.map(|rel| rel.relation().name()))
        });
        let Ok(Some(name)) = name else { return };
        let Summary {
            merged_files,
            merged_bytes,
            new_files,
            new_bytes,
            ..
        } = self.summary();
        pgrx::log!(
            "compacted Iceberg table \"{name}\": {merged_files} data files ({merged_bytes} bytes) into {new_files} \
             ({new_bytes} bytes), elapsed: {:.2} s",
            elapsed.as_secs_f64()
        );
    }

    /// Gives it up, and removes what was written.
    pub fn abandon(self) {
        self.merge.abandon();
    }
}
