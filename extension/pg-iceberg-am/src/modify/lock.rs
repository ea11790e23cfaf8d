//! SELECT FOR UPDATE and its siblings, and rows that are about to be changed.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::row_lock::WaitingTo;
use pg_lakebase_core::slot::{Slot, Tid};
use pg_lakebase_core::snapshot::Snapshot;
use pg_lakebase_core::table_am::{
    FailureData, LockTupleMode, LockWaitPolicy, TmResult, TupleLockFlags,
};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::acquire::{Acquired, MOVED, Wanted};
use crate::row_id::RowId;
use crate::{scan, transaction};

/// Locks the row at `tid` to the end of the transaction and stores it, as `heapam_tuple_lock` does: with
/// `find_last_version`, the newest version of a row that others have updated.
#[expect(clippy::too_many_arguments, reason = "PostgreSQL's callback")]
pub fn lock(
    rel: Relation<'_>,
    tid: Tid,
    slot: &mut Slot<'_>,
    cid: pg_sys::CommandId,
    mode: LockTupleMode,
    policy: LockWaitPolicy,
    flags: TupleLockFlags,
    failure: &mut FailureData,
) -> PgResult<TmResult> {
    // As heap does; what others have changed since stays known for as long as the transaction lasts.
    // SAFETY: in a transaction that may write.
    unsafe { pg_sys::GetCurrentTransactionId() };
    let mut tid = tid;
    let mut traversed = false;
    // The command of this transaction that made the version at `tid`.
    let mut own = None;
    loop {
        let Some(row) = RowId::from_tid(tid) else {
            return Ok(TmResult::Invisible);
        };
        let wanted = Wanted {
            rel,
            row,
            cid,
            mode,
            policy,
            to: WaitingTo::Lock,
            goes_by_updates: !traversed,
        };
        let made_by = own.filter(|&own| own >= cid);
        let acquired = match made_by {
            // It is not for this command to see, nor to lock.
            Some(_) => wanted.acquire(|_, _| Ok(()))?,
            None => lock_version(wanted)?,
        };
        let (result, by) = match acquired {
            Acquired::Got((), next) => {
                if let Some(cmax) = made_by {
                    *failure = FailureData {
                        ctid: tid,
                        // SAFETY: the transaction has an id.
                        xmax: unsafe { pg_sys::GetCurrentTransactionIdIfAny() },
                        cmax,
                        traversed,
                    };
                    return Ok(TmResult::SelfModified);
                }
                let later = match next {
                    Some(next) if flags.lock_update_in_progress() => lock_later(wanted, next)?,
                    _ => None,
                };
                match later {
                    None => {
                        failure.traversed = traversed;
                        return store(rel, tid, slot);
                    }
                    Some(not) => not,
                }
            }
            Acquired::Not(result, by) => (result, by),
        };
        match result {
            TmResult::Updated if flags.find_last_version() => {
                if by.ctid == MOVED {
                    return Err(PgError::new(
                        PgSqlErrorCode::ERRCODE_T_R_SERIALIZATION_FAILURE,
                        "tuple to be locked was already moved to another partition due to concurrent update",
                    ));
                }
                tid = by.ctid;
                traversed = true;
            }
            // This transaction has changed a version that others have made.
            TmResult::SelfModified | TmResult::Invisible if traversed => {
                if by.ctid == tid || by.ctid == MOVED {
                    *failure = FailureData { traversed, ..by };
                    return Ok(TmResult::Deleted);
                }
                tid = by.ctid;
                own = Some(by.cmax);
            }
            _ => {
                *failure = FailureData { traversed, ..by };
                return Ok(result);
            }
        }
    }
}

/// Locks the versions that came after one that is locked FOR KEY SHARE, as `heap_lock_updated_tuple` does. `None` if
/// that was possible.
fn lock_later(wanted: Wanted<'_>, next: RowId) -> PgResult<Option<(TmResult, FailureData)>> {
    let mut row = next;
    loop {
        let later = Wanted {
            row,
            goes_by_updates: true,
            ..wanted
        };
        match lock_version(later)? {
            Acquired::Got((), Some(later)) => row = later,
            Acquired::Got((), None) => return Ok(None),
            Acquired::Not(TmResult::SelfModified | TmResult::Invisible, _) => return Ok(None),
            Acquired::Not(TmResult::Updated, by) => {
                // Who looks for the last version begins with the next.
                let ctid = next.to_tid();
                return Ok(Some((TmResult::Updated, FailureData { ctid, ..by })));
            }
            Acquired::Not(result, by) => return Ok(Some((result, by))),
        }
    }
}

/// Locks a version, unless this transaction has it locked as strongly already.
fn lock_version(wanted: Wanted<'_>) -> PgResult<Acquired<()>> {
    let Wanted {
        rel,
        row,
        cid,
        mode,
        ..
    } = wanted;
    wanted.acquire(|changes, own| match own {
        Some(own) if own >= mode => Ok(()),
        _ => {
            transaction::lock_row(rel, changes, row, mode, cid);
            Ok(())
        }
    })
}

/// Stores a row that is locked.
fn store(rel: Relation<'_>, tid: Tid, slot: &mut Slot<'_>) -> PgResult<TmResult> {
    if scan::fetch::fetch(rel, tid, Snapshot::any(), slot)? {
        return Ok(TmResult::Ok);
    }
    Err(PgError::internal(format!(
        "row ({},{}) of Iceberg table \"{}\" was locked and is not there",
        tid.block,
        tid.offset,
        rel.name()
    )))
}
