//! DELETE and UPDATE of single rows.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::row_lock::WaitingTo;
use pg_lakebase_core::slot::{Slot, Tid};
use pg_lakebase_core::snapshot::{Snapshot, SnapshotKind};
use pg_lakebase_core::table_am::{FailureData, LockTupleMode, LockWaitPolicy, TmResult};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::acquire::{Acquired, Wanted};
use crate::catalog::{Mark, Origin, RowChangeCatalog, Successor, Writing};
use crate::claims::{self, Claim};
use crate::directory::StorageKey;
use crate::row_id::RowId;
use crate::{scan, transaction};

/// Deletes the row at `tid`, as `heap_delete` does; `successor` is not a row of this table.
pub fn delete(
    rel: Relation<'_>,
    tid: Tid,
    cid: pg_sys::CommandId,
    crosscheck: Option<Snapshot<'_>>,
    failure: &mut FailureData,
    successor: Successor,
) -> PgResult<TmResult> {
    let wanted = Wanted {
        rel,
        row: row_at(tid, "delete")?,
        cid,
        mode: LockTupleMode::Exclusive,
        policy: LockWaitPolicy::Block,
        to: WaitingTo::Delete,
        goes_by_updates: false,
    };
    match claim(wanted, crosscheck, false)? {
        Claim::First | Claim::Yes => {
            claims::note(&StorageKey::of(rel), wanted.row, cid, successor)?;
            return Ok(TmResult::Ok);
        }
        Claim::Before(successor) => return Ok(wanted.changed_before(successor, failure)),
        Claim::No => {}
    }
    change(wanted, crosscheck, failure, "delete", || Ok(successor))
}

/// Replaces the row at `tid` by the one in `slot`, which gets its TID, as `heap_update` does.
pub fn update(
    rel: Relation<'_>,
    tid: Tid,
    slot: &mut Slot<'_>,
    cid: pg_sys::CommandId,
    crosscheck: Option<Snapshot<'_>>,
    failure: &mut FailureData,
) -> PgResult<TmResult> {
    let wanted = Wanted {
        rel,
        row: row_at(tid, "update")?,
        cid,
        mode: LockTupleMode::NoKeyExclusive,
        policy: LockWaitPolicy::Block,
        to: WaitingTo::Update,
        goes_by_updates: false,
    };
    let mut insert = || {
        transaction::insert(rel, std::iter::once(&mut *slot), cid, Origin::New)?;
        row_at(slot.tid(), "update").map(Successor::Row)
    };
    match claim(wanted, crosscheck, true)? {
        Claim::First | Claim::Yes => {
            claims::note(&StorageKey::of(rel), wanted.row, cid, insert()?)?;
            return Ok(TmResult::Ok);
        }
        Claim::Before(successor) => return Ok(wanted.changed_before(successor, failure)),
        Claim::No => {}
    }
    change(wanted, crosscheck, failure, "update", insert)
}

impl Wanted<'_> {
    /// What is answered of a row that the command itself has changed before.
    fn changed_before(self, successor: Successor, failure: &mut FailureData) -> TmResult {
        let (result, by) = self.own_change(self.cid, successor);
        *failure = by;
        result
    }
}

/// Claims the row, if its command changes many and need not look for it elsewhere.
fn claim(wanted: Wanted<'_>, crosscheck: Option<Snapshot<'_>>, is_update: bool) -> PgResult<Claim> {
    let Wanted { rel, row, cid, .. } = wanted;
    if crosscheck.is_some() {
        return Ok(Claim::No);
    }
    let claim = claims::claim(rel, row, cid, is_update)?;
    if claim == Claim::First {
        transaction::note_changes(rel, &StorageKey::of(rel))?;
    }
    Ok(claim)
}

/// Changes a row if nobody else has, which gives the row a successor.
fn change(
    wanted: Wanted<'_>,
    crosscheck: Option<Snapshot<'_>>,
    failure: &mut FailureData,
    verb: &str,
    successor: impl FnOnce() -> PgResult<Successor>,
) -> PgResult<TmResult> {
    let Wanted {
        rel,
        row,
        cid,
        mode,
        ..
    } = wanted;
    let tid = row.to_tid();
    let acquired = wanted.acquire(|changes, own| {
        if let Some(crosscheck) = crosscheck
            && !scan::fetch::sees(rel, tid, crosscheck)?
        {
            return Ok(TmResult::Updated);
        }
        let successor = successor()?;
        // Who had it locked more strongly keeps it as strongly.
        let mode = own.map_or(mode, |own| own.max(mode));
        transaction::change_row(rel, changes, row, Mark::Changed(successor, mode), cid)?;
        Ok(TmResult::Ok)
    })?;
    match acquired {
        Acquired::Got(TmResult::Ok, _) => Ok(TmResult::Ok),
        Acquired::Got(result, _) => {
            failure.ctid = tid;
            Ok(result)
        }
        Acquired::Not(TmResult::Invisible, _) => Err(invisible(verb)),
        Acquired::Not(result, by) => {
            *failure = by;
            Ok(result)
        }
    }
}

fn row_at(tid: Tid, verb: &str) -> PgResult<RowId> {
    RowId::from_tid(tid).ok_or_else(|| invisible(verb))
}

fn invisible(verb: &str) -> PgError {
    PgError::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("attempted to {verb} invisible tuple"),
    )
}

/// The newest version that `snapshot` sees of the row at `tid`, as `heap_get_latest_tid` finds it.
pub fn latest_version(rel: Relation<'_>, tid: Tid, snapshot: Snapshot<'_>) -> PgResult<Tid> {
    let (Some(mut row), Some(changes)) = (RowId::from_tid(tid), RowChangeCatalog::open()) else {
        return Ok(tid);
    };
    let key = StorageKey::of(rel);
    while let Some(Successor::Row(next)) = claims::successor_seen_by(&changes, &key, row, snapshot)?
    {
        row = next;
    }
    Ok(row.to_tid())
}

/// Whether `snapshot` sees the row at `tid`, which somebody could see once.
pub fn is_live(rel: Relation<'_>, tid: Tid, snapshot: Snapshot<'_>) -> PgResult<bool> {
    match snapshot.kind() {
        SnapshotKind::Any => Ok(true),
        SnapshotKind::Mvcc => scan::fetch::sees(rel, tid, snapshot),
        _ => {
            let (Some(row), Some(changes)) = (RowId::from_tid(tid), RowChangeCatalog::open())
            else {
                return Ok(false);
            };
            let marks = claims::marks_of(&changes, &StorageKey::of(rel), row)?;
            let is_gone = |(mark, by): &(Mark, Writing)| {
                matches!(mark, Mark::Changed(..)) && !matches!(by, Writing::InProgress(_))
            };
            Ok(!marks.iter().any(is_gone))
        }
    }
}
