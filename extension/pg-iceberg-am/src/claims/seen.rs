//! What the catalog says of rows, and what is claimed.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::snapshot::Snapshot;
use pg_lakebase_core::{serializable, xact};

use super::{own, shared};
use crate::catalog::{Mark, RowChangeCatalog, Successor, Writing, find_changed_rows};
use crate::directory::StorageKey;
use crate::row_id::RowId;

/// As [`find_changed_rows`], with those that this transaction has claimed, by commands that the snapshot sees.
pub fn changed_rows(
    rel: Relation<'_>,
    key: &StorageKey,
    snapshot: Option<Snapshot<'_>>,
) -> PgResult<Vec<RowId>> {
    if let Some(seen) = snapshot.filter(|_| serializable::is_serializable()) {
        for xid in shared::others(key) {
            serializable::note_unseen_write(rel, xid, seen);
        }
    }
    let mut rows = find_changed_rows(rel, key, snapshot)?;
    let curcid = snapshot.map(|snapshot| snapshot.cur_cid());
    let claimed = match curcid {
        Some(curcid) if xact::is_parallel_worker() => shared::rows_of_leader(key, curcid),
        _ => own::rows(key, curcid),
    };
    if !claimed.is_empty() {
        rows.extend(claimed);
        rows.sort_unstable();
        rows.dedup();
    }
    Ok(rows)
}

/// As [`RowChangeCatalog::marks_of`], with what this transaction has claimed.
pub fn marks_of(
    changes: &RowChangeCatalog,
    key: &StorageKey,
    row: RowId,
) -> PgResult<Vec<(Mark, Writing)>> {
    let own = own::mark(key, row).map(|(mark, cid)| (mark, Writing::Own(cid)));
    let mut marks = changes.marks_of(key, row)?;
    marks.splice(0..0, own);
    Ok(marks)
}

/// As [`RowChangeCatalog::predecessor_of`], with what this transaction has claimed.
pub fn predecessor_of(
    changes: &RowChangeCatalog,
    key: &StorageKey,
    row: RowId,
) -> PgResult<Option<RowId>> {
    match own::predecessor_of(key, row) {
        Some(earlier) => Ok(Some(earlier)),
        None => changes.predecessor_of(key, row),
    }
}

/// As [`RowChangeCatalog::successor_seen_by`], with what this transaction has claimed.
pub fn successor_seen_by(
    changes: &RowChangeCatalog,
    key: &StorageKey,
    row: RowId,
    snapshot: Snapshot<'_>,
) -> PgResult<Option<Successor>> {
    match own::mark(key, row) {
        Some((Mark::Changed(successor, _), cid)) if cid < snapshot.cur_cid() => Ok(Some(successor)),
        _ => changes.successor_seen_by(key, row, snapshot),
    }
}
