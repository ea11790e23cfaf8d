//! Getting hold of a row version.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::interrupt;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::row_lock::{self, Latched, WaitingTo};
use pg_lakebase_core::slot::Tid;
use pg_lakebase_core::table_am::{FailureData, LockTupleMode, LockWaitPolicy, TmResult};
use pgrx::{PgSqlErrorCode, pg_sys};

use crate::catalog::{Mark, RowChangeCatalog, Successor, Writing};
use crate::claims;
use crate::directory::StorageKey;
use crate::row_id::{Chunk, RowId};
use crate::transaction;

/// `MovedPartitionsOffsetNumber` and `MovedPartitionsBlockNumber` (`storage/itemptr.h`).
pub const MOVED: Tid = Tid {
    block: pg_sys::InvalidBlockNumber,
    offset: 0xfffd,
};

/// What command `cid` wants of a row.
#[derive(Clone, Copy)]
pub struct Wanted<'a> {
    pub rel: Relation<'a>,
    pub row: RowId,
    pub cid: pg_sys::CommandId,
    pub mode: LockTupleMode,
    pub policy: LockWaitPolicy,
    pub to: WaitingTo,
    /// Whether FOR KEY SHARE goes by updates, which leave the key alone, as there is none: not on the way to the last
    /// version of the row.
    pub goes_by_updates: bool,
}

/// What came of it.
pub enum Acquired<T> {
    /// The row was nobody else's, and this has come of what was done with it. For FOR KEY SHARE there may be a next
    /// version, to which that does not matter.
    Got(T, Option<RowId>),
    /// Somebody was faster.
    Not(TmResult, FailureData),
}

/// What there is to be seen of a row.
enum Seen {
    /// Nobody has it, or those who do agree with what is wanted.
    Free {
        /// The strongest lock that this transaction has of it.
        own: Option<LockTupleMode>,
        next: Option<RowId>,
        /// Whether there is a next version that is not known yet.
        is_claimed: bool,
    },
    /// It was changed.
    Changed(TmResult, FailureData),
    /// Transactions in progress have it.
    Busy {
        others: Vec<pg_sys::TransactionId>,
        /// Whether this transaction has it locked as well.
        is_own: bool,
    },
}

impl Wanted<'_> {
    /// Does `work` with the row, which notes it in the catalog, once the row is nobody else's to change. It is told the
    /// strongest lock that this transaction has of the row. Waits as the policy says.
    pub fn acquire<T>(
        self,
        work: impl FnOnce(&RowChangeCatalog, Option<LockTupleMode>) -> PgResult<T>,
    ) -> PgResult<Acquired<T>> {
        let changes = RowChangeCatalog::open_for_update().ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                "rows of Iceberg tables cannot be changed or locked: table \"lakebase.row_change\" is missing",
            )
            .with_hint("ALTER EXTENSION pg_iceberg_am UPDATE makes it, where the extension is of version 0.1.0.")
        })?;
        let tid = self.row.to_tid();
        let mut is_next = false;
        let acquired = loop {
            interrupt::check();
            let latched = Latched::take(self.rel, Chunk::of(self.row).0.number(), tid);
            match self.look(&changes)? {
                Seen::Free {
                    own,
                    next,
                    is_claimed,
                } => {
                    if self.mode == LockTupleMode::Exclusive && claims::has_updated() {
                        self.keep_out_key_share(&changes)?;
                    }
                    let done = work(&changes, own)?;
                    latched.release();
                    // Who has claimed it may have committed since: then others see the next version, and know nothing of the
                    // earlier one's locks.
                    let next = match is_claimed {
                        true => self.next_version(&changes)?,
                        false => next,
                    };
                    break Acquired::Got(done, next);
                }
                Seen::Changed(result, by) => {
                    latched.release();
                    break Acquired::Not(result, by);
                }
                Seen::Busy { others, is_own } => {
                    latched.release();
                    // Who has it locked already does not stand in line: others there wait for him.
                    let queues = !is_next && !is_own;
                    is_next |= queues && self.queue(tid)?;
                    if queues && !is_next || !self.wait_for(&others, tid)? {
                        break Acquired::Not(TmResult::WouldBlock, FailureData::default());
                    }
                }
            }
        };
        if is_next {
            row_lock::leave(self.rel, tid, self.mode);
        }
        Ok(acquired)
    }

    /// Looks at what is said of the row.
    fn look(self, changes: &RowChangeCatalog) -> PgResult<Seen> {
        let key = StorageKey::of(self.rel);
        let mut own = None;
        let mut next = None;
        let mut changed = None;
        let mut others = Vec::new();
        let mut is_claimed = false;
        // First: what is claimed is noted before it is claimed no longer.
        for (xid, is_update) in claims::claims_of_others(&key, self.row) {
            let goes_by = self.goes_by_updates
                && is_update
                && !conflict(LockTupleMode::NoKeyExclusive, self.mode);
            is_claimed |= goes_by;
            // SAFETY: a transaction id is looked up.
            if !goes_by && unsafe { pg_sys::TransactionIdIsInProgress(xid) } {
                others.push(xid);
            }
        }
        for (mark, by) in claims::marks_of(changes, &key, self.row)? {
            match (mark, by) {
                (Mark::Changed(successor, _), Writing::Own(by)) => {
                    return Ok(self.changed_by_itself(by, successor));
                }
                (Mark::Changed(Successor::Row(row), mode), _)
                    if self.goes_by_updates && !conflict(mode, self.mode) =>
                {
                    next = Some(row);
                }
                (Mark::Changed(successor, _), Writing::Committed(xid)) => {
                    changed = Some(self.changed(successor, xid));
                }
                (Mark::Changed(..), Writing::InProgress(xid)) => others.push(xid),
                (Mark::Locked(mode), Writing::Own(_)) => own = own.max(Some(mode)),
                (Mark::Locked(mode), Writing::InProgress(xid)) => {
                    others.extend(conflict(mode, self.mode).then_some(xid));
                }
                (Mark::Locked(_), Writing::Committed(_)) => {}
            }
        }
        // Those who have it FOR KEY SHARE are waited for before, even though it is another's already.
        if others.is_empty()
            && let Some(changed) = changed
        {
            return Ok(changed);
        }
        if self.mode == LockTupleMode::Exclusive {
            others.extend(self.lockers_of_earlier(changes, &key)?);
        }
        Ok(match others.is_empty() {
            true => Seen::Free {
                own,
                next,
                is_claimed,
            },
            false => Seen::Busy {
                others,
                is_own: own.is_some(),
            },
        })
    }

    /// The next version of the row, if it is noted.
    fn next_version(self, changes: &RowChangeCatalog) -> PgResult<Option<RowId>> {
        let marks = claims::marks_of(changes, &StorageKey::of(self.rel), self.row)?;
        Ok(marks.into_iter().find_map(|(mark, _)| match mark {
            Mark::Changed(Successor::Row(next), _) => Some(next),
            _ => None,
        }))
    }

    /// Those in progress who have an earlier version of the row locked: an update goes by FOR KEY SHARE, and who deletes
    /// what came of it does not.
    fn lockers_of_earlier(
        self,
        changes: &RowChangeCatalog,
        key: &StorageKey,
    ) -> PgResult<Vec<pg_sys::TransactionId>> {
        let mut lockers = Vec::new();
        let mut row = self.row;
        while let Some(earlier) = claims::predecessor_of(changes, key, row)? {
            for (mark, by) in claims::marks_of(changes, key, earlier)? {
                if let (Mark::Locked(mode), Writing::InProgress(xid)) = (mark, by) {
                    lockers.extend(conflict(mode, self.mode).then_some(xid));
                }
            }
            row = earlier;
        }
        Ok(lockers)
    }

    /// FOR KEY SHARE does not go by updates of rows whose next version is locked FOR UPDATE, or deleted. It does not find
    /// that by itself where the update is only claimed.
    fn keep_out_key_share(self, changes: &RowChangeCatalog) -> PgResult<()> {
        let key = StorageKey::of(self.rel);
        let mut row = self.row;
        while let Some(earlier) = claims::predecessor_of(changes, &key, row)? {
            if claims::is_own(&key, earlier) {
                let mode = LockTupleMode::Exclusive;
                transaction::lock_row(self.rel, changes, earlier, mode, self.cid);
            }
            row = earlier;
        }
        Ok(())
    }

    fn queue(self, tid: Tid) -> PgResult<bool> {
        self.unless_refused(|waits| row_lock::queue(self.rel, tid, self.mode, waits))
    }

    /// Waits for transactions; false if that was not to be.
    fn wait_for(self, others: &[pg_sys::TransactionId], tid: Tid) -> PgResult<bool> {
        self.unless_refused(|waits| {
            others.iter().all(|&xid| {
                if waits {
                    row_lock::wait_for(xid, self.rel, tid, self.to);
                    return true;
                }
                row_lock::is_over(xid)
            })
        })
    }

    /// What `lock` says, which is told whether it may wait; an error instead of a refusal where that is wanted.
    fn unless_refused(self, lock: impl FnOnce(bool) -> bool) -> PgResult<bool> {
        let is_locked = lock(self.policy == LockWaitPolicy::Block);
        if is_locked || self.policy != LockWaitPolicy::Error {
            return Ok(is_locked);
        }
        Err(PgError::new(
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            format!(
                "could not obtain lock on row in relation \"{}\"",
                self.rel.name()
            ),
        ))
    }

    fn changed_by_itself(self, by: pg_sys::CommandId, successor: Successor) -> Seen {
        let (result, failure) = self.own_change(by, successor);
        Seen::Changed(result, failure)
    }

    /// What is answered of a row that this transaction has changed.
    pub fn own_change(
        self,
        by: pg_sys::CommandId,
        successor: Successor,
    ) -> (TmResult, FailureData) {
        let result = if by >= self.cid {
            TmResult::SelfModified
        } else {
            TmResult::Invisible
        };
        let failure = FailureData {
            ctid: self.next_tid(successor),
            // SAFETY: the transaction has an id, as it has written.
            xmax: unsafe { pg_sys::GetCurrentTransactionIdIfAny() },
            cmax: by,
            traversed: false,
        };
        (result, failure)
    }

    fn changed(self, successor: Successor, xid: pg_sys::TransactionId) -> Seen {
        let result = match successor {
            Successor::None => TmResult::Deleted,
            Successor::Row(_) | Successor::Elsewhere => TmResult::Updated,
        };
        let failure = FailureData {
            ctid: self.next_tid(successor),
            xmax: xid,
            ..FailureData::default()
        };
        Seen::Changed(result, failure)
    }

    fn next_tid(self, successor: Successor) -> Tid {
        match successor {
            Successor::None => self.row.to_tid(),
            Successor::Row(next) => next.to_tid(),
            Successor::Elsewhere => MOVED,
        }
    }
}

/// Whether two row locks exclude one another ("Row-Level Locks" in PostgreSQL's documentation).
fn conflict(one: LockTupleMode, other: LockTupleMode) -> bool {
    let (weaker, stronger) = (one.min(other), one.max(other));
    match stronger {
        LockTupleMode::Exclusive => true,
        LockTupleMode::NoKeyExclusive => weaker != LockTupleMode::KeyShare,
        LockTupleMode::Share | LockTupleMode::KeyShare => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn row_locks_exclude_one_another_as_documented() {
        use LockTupleMode::{Exclusive, KeyShare, NoKeyExclusive, Share};
        let modes = [KeyShare, Share, NoKeyExclusive, Exclusive];
        let table = [
            [false, false, false, true],
            [false, false, true, true],
            [false, true, true, true],
            [true, true, true, true],
        ];
        for (one, row) in modes.into_iter().zip(table) {
            for (other, expected) in modes.into_iter().zip(row) {
                assert_eq!(conflict(one, other), expected, "{one:?}, {other:?}");
            }
        }
    }
}
