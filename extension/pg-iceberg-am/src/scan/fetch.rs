//! Single rows by TID.
//!
//! AFTER ROW triggers come back for every row that a statement inserted, one TID after the other
//! (`AfterTriggerExecute`), so the reader that found a row is kept for the next one.

use std::cell::RefCell;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::slot::{Slot, Tid};
use pg_lakebase_core::snapshot::{Snapshot, SnapshotKind};
use pgrx::pg_sys;

use super::{Projection, RowAddress, RowReader, TableView};
use crate::storage::StorageKey;

thread_local! {
    static LAST: RefCell<Option<Fetcher>> = const { RefCell::new(None) };
}

/// A reader, with what it was made for.
struct Fetcher {
    key: StorageKey,
    scope: Scope,
    reader: RowReader,
}

/// Under which circumstances a view can be used again: nothing that it shows can have changed.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Scope {
    snapshot: Option<(
        pg_sys::TransactionId,
        pg_sys::TransactionId,
        pg_sys::CommandId,
    )>,
    pending_rows: u64,
}

/// Stores the row at `tid`, if `snapshot` sees one there.
pub fn fetch(
    rel: Relation<'_>,
    tid: Tid,
    snapshot: Snapshot<'_>,
    slot: &mut Slot<'_>,
) -> PgResult<bool> {
    let Some(address) = RowAddress::from_tid(tid) else {
        return Ok(false);
    };
    let key = StorageKey::of(rel);
    let scope = scope(&key, snapshot, address);
    let reuse = LAST
        .take()
        .filter(|last| last.key == key && scope.is_some_and(|scope| last.scope == scope));
    let mut reader = match reuse {
        Some(last) => last.reader,
        None => {
            let view = TableView::resolve(rel, Some(snapshot))?;
            let projection = Projection::new(&view, |_| true)?;
            RowReader::new(view, projection, None)?
        }
    };
    let found = match reader.view().row_at(address) {
        None => false,
        Some(row) => {
            reader.seek(row)?;
            reader.next(slot)? && slot.tid() == tid
        }
    };
    if found {
        // The reader's memory is reset by the next fetch; the slot may live longer.
        slot.materialize();
        slot.set_tid(tid);
    } else {
        slot.clear();
    }
    if let Some(scope) = scope {
        LAST.set(Some(Fetcher { key, scope, reader }));
    }
    Ok(found)
}

/// Forgets the reader: a subtransaction was rolled back, or the transaction is over.
pub fn forget() {
    LAST.set(None);
}

/// The scope of a fetch; `None` when a reader must not be kept.
///
/// Own pending rows stay what they are until a rollback, which calls [`forget`]. Committed rows are
/// kept for the snapshot they were read under; without an MVCC snapshot others may commit any time.
fn scope(key: &StorageKey, snapshot: Snapshot<'_>, address: RowAddress) -> Option<Scope> {
    let pending_rows = crate::transaction::pending_row_count(key);
    let mvcc = snapshot.kind() == SnapshotKind::Mvcc;
    if !mvcc && address.pending_row().is_none() {
        return None;
    }
    // SAFETY: an MVCC snapshot's fields are valid as long as the snapshot is, which is borrowed.
    let snapshot = mvcc.then(|| unsafe {
        let raw = snapshot.as_ptr();
        ((*raw).xmin, (*raw).xmax, (*raw).curcid)
    });
    Some(Scope {
        snapshot,
        pending_rows,
    })
}
