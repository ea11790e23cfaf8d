//! Single rows by TID.
//!
//! AFTER ROW triggers come back for every row that a statement has inserted or changed, one TID after the other
//! (`AfterTriggerExecute`), so the readers that found rows are kept for the next ones.

use std::cell::RefCell;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::slot::{Slot, Tid};
use pg_lakebase_core::snapshot::{Snapshot, SnapshotKind};
use pg_lakebase_core::xact::{self, TransactionCallbacks};
use pgrx::pg_sys;

use super::{Projection, RowReader, TableView};
use crate::directory::StorageKey;
use crate::row_id::RowId;
use crate::transaction;

/// Readers that are kept: of the old and the new versions of rows that a statement has updated, triggers come for both in
/// turns.
const READERS: usize = 2;

thread_local! {
    /// The readers used last, of one storage and one snapshot, the very last first.
    static LAST: RefCell<Vec<Fetcher>> = const { RefCell::new(Vec::new()) };
}

/// A reader, with what it was made for.
struct Fetcher {
    key: StorageKey,
    snapshot: Option<SeenSnapshot>,
    pending_rows: u64,
    reader: RowReader,
}

/// All that tells an MVCC snapshot from others of the same transaction.
#[derive(PartialEq, Eq)]
struct SeenSnapshot {
    xmin: pg_sys::TransactionId,
    xmax: pg_sys::TransactionId,
    curcid: pg_sys::CommandId,
    in_progress: Vec<pg_sys::TransactionId>,
    in_progress_children: Vec<pg_sys::TransactionId>,
}

impl SeenSnapshot {
    /// `None` for a snapshot of another kind, which sees what is committed when it is used.
    fn of(snapshot: Snapshot<'_>) -> Option<Self> {
        if snapshot.kind() != SnapshotKind::Mvcc {
            return None;
        }
        // SAFETY: an MVCC snapshot's fields and arrays are valid as long as the snapshot is, which is borrowed.
        unsafe {
            let raw = &*snapshot.as_ptr();
            Some(Self {
                xmin: raw.xmin,
                xmax: raw.xmax,
                curcid: raw.curcid,
                in_progress: copy(raw.xip, raw.xcnt as usize),
                in_progress_children: copy(raw.subxip, raw.subxcnt.max(0) as usize),
            })
        }
    }
}

/// # Safety
///
/// `array` has `length` elements; it may be null if that is 0.
unsafe fn copy(array: *const pg_sys::TransactionId, length: usize) -> Vec<pg_sys::TransactionId> {
    if length == 0 {
        return Vec::new();
    }
    // SAFETY: the caller's promise.
    unsafe { std::slice::from_raw_parts(array, length) }.to_vec()
}

/// Stores the row at `tid`, if `snapshot` sees one there.
///
/// A snapshot that is not MVCC, as EvalPlanQual and triggers use, sees all rows of the latest committed state and of the
/// transaction's own, deleted and superseded ones as well, and those that the active snapshot may see.
pub fn fetch(
    rel: Relation<'_>,
    tid: Tid,
    snapshot: Snapshot<'_>,
    slot: &mut Slot<'_>,
) -> PgResult<bool> {
    if fetch_with(rel, tid, snapshot, slot)? {
        return Ok(true);
    }
    if snapshot.kind() == SnapshotKind::Mvcc {
        return Ok(false);
    }
    // A row that others have deleted since, and that is in no file of the latest state any more.
    match (Snapshot::active(), RowId::from_tid(tid)) {
        (Some(active), Some(id)) if active.kind() == SnapshotKind::Mvcc => {
            let view = TableView::resolve_with_deleted_rows(rel, Some(active))?;
            find(&mut RowReader::of_whole_rows(view)?, id, slot)
        }
        _ => Ok(false),
    }
}

/// Whether `snapshot`, an MVCC one, sees the row at `tid`.
pub fn sees(rel: Relation<'_>, tid: Tid, snapshot: Snapshot<'_>) -> PgResult<bool> {
    let view = TableView::resolve(rel, Some(snapshot))?;
    let Some(id) = RowId::from_tid(tid) else {
        return Ok(false);
    };
    RowReader::new(view, Projection::default().with_row_ids(), None)?.has(id)
}

fn fetch_with(
    rel: Relation<'_>,
    tid: Tid,
    snapshot: Snapshot<'_>,
    slot: &mut Slot<'_>,
) -> PgResult<bool> {
    let Some(id) = RowId::from_tid(tid) else {
        return Ok(false);
    };
    let key = StorageKey::of(rel);
    let seen = SeenSnapshot::of(snapshot);
    let pending_rows = transaction::pending_row_count(&key);
    let mut last = LAST.take();
    last.retain(|last| last.key == key && last.snapshot == seen);
    if let Some(place) = last.iter().position(|last| last.reader.stands_near(id)) {
        let mut near = last.remove(place);
        let found = find(&mut near.reader, id, slot)?;
        last.insert(0, near);
        if found {
            LAST.set(last);
            return Ok(true);
        }
    }
    // Under the same MVCC snapshot nothing has changed but own rows. Without one, others may have committed; but
    // a row that was there before still is: rows go only with a rollback, or the storage.
    if let Some(newest) = last.iter().max_by_key(|last| last.pending_rows) {
        let is_same = seen.is_some() && newest.pending_rows == pending_rows;
        let known_rows = newest.pending_rows;
        let view = newest.reader.view().clone();
        if view.row_of(id)?.is_some() || is_same {
            let fetcher = Fetcher {
                key,
                snapshot: seen,
                pending_rows: known_rows,
                reader: RowReader::of_whole_rows(view)?,
            };
            return fetch_by(fetcher, last, id, slot);
        }
    }
    let view = match seen {
        Some(_) => TableView::resolve(rel, Some(snapshot))?,
        None => TableView::resolve_with_deleted_rows(rel, None)?,
    };
    let fetcher = Fetcher {
        key,
        snapshot: seen,
        pending_rows,
        reader: RowReader::of_whole_rows(view)?,
    };
    fetch_by(fetcher, last, id, slot)
}

/// Fetches a row by a reader that has read nothing yet, and keeps that.
fn fetch_by(
    mut fetcher: Fetcher,
    mut others: Vec<Fetcher>,
    id: RowId,
    slot: &mut Slot<'_>,
) -> PgResult<bool> {
    let found = find(&mut fetcher.reader, id, slot)?;
    others.insert(0, fetcher);
    others.truncate(READERS);
    LAST.set(others);
    Ok(found)
}

fn find(reader: &mut RowReader, id: RowId, slot: &mut Slot<'_>) -> PgResult<bool> {
    let found = reader.find(id, slot)?;
    if found {
        // The reader's memory is reset by the next fetch; the slot may live longer.
        slot.materialize();
        slot.set_tid(id.to_tid());
    } else {
        slot.clear();
    }
    Ok(found)
}

/// What a kept reader must not outlive.
struct Turns;

/// Registers the turns of transactions at which the reader is forgotten; called once, from `_PG_init`.
pub fn register() {
    xact::register::<Turns>();
}

impl TransactionCallbacks for Turns {
    fn commit() {
        forget();
    }

    fn abort() {
        forget();
    }

    fn prepare() {
        forget();
    }

    fn sub_abort(_subid: pg_sys::SubTransactionId, _parent: pg_sys::SubTransactionId) {
        forget();
    }
}

/// Forgets the readers: what they have read of the transaction's own rows or columns may be so no longer.
pub fn forget() {
    LAST.take();
}
