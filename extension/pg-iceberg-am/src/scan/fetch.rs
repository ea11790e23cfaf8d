//! Single rows by TID.
//!
//! AFTER ROW triggers come back for every row that a statement inserted, one TID after the other
//! (`AfterTriggerExecute`), so the reader that found a row is kept for the next one.

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

thread_local! {
    static LAST: RefCell<Option<Fetcher>> = const { RefCell::new(None) };
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
/// A snapshot that is not MVCC, as EvalPlanQual and triggers use, sees the latest committed state and all of the
/// transaction's own rows.
pub fn fetch(
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
    let last = LAST
        .take()
        .filter(|last| last.key == key && last.snapshot == seen);
    if let Some(mut last) = last {
        // Under the same MVCC snapshot nothing has changed but own rows. Without one, others may have committed; but
        // a row that was there before still is: rows go only with a rollback, or the storage.
        let is_same = seen.is_some() && last.pending_rows == pending_rows;
        let found = find(&mut last.reader, id, slot)?;
        if found || is_same {
            LAST.set(Some(last));
            return Ok(found);
        }
    }
    let view = TableView::resolve(rel, Some(snapshot))?;
    let projection = Projection::new(&view, |_| true)?.with_row_ids();
    let mut reader = RowReader::new(view, projection, None)?;
    let found = find(&mut reader, id, slot)?;
    LAST.set(Some(Fetcher {
        key,
        snapshot: seen,
        pending_rows,
        reader,
    }));
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

/// Forgets the reader: what it has read of the transaction's own rows or columns may be so no longer.
pub fn forget() {
    LAST.set(None);
}
