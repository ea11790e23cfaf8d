//! Rows that are deleted, superseded or locked.

use std::cell::RefCell;
use std::collections::BTreeSet;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::slot::Tid;
use pg_lakebase_core::table_am::LockTupleMode;
use pgrx::pg_sys;

use super::state::{with_transaction, with_writable_storage};
use crate::catalog::{Mark, RowChangeCatalog};
use crate::claims;
use crate::directory::StorageKey;
use crate::row_id::RowId;

thread_local! {
    /// The storages of which the transaction has locked rows.
    static LOCKED: RefCell<BTreeSet<StorageKey>> = const { RefCell::new(BTreeSet::new()) };
}

/// Notes as command `cid` what becomes of a row of `rel`, which nobody else may change meanwhile.
pub fn change_row(
    rel: Relation<'_>,
    changes: &RowChangeCatalog,
    row: RowId,
    change: Mark,
    cid: pg_sys::CommandId,
) -> PgResult<()> {
    let key = StorageKey::of(rel);
    note_changes(rel, &key)?;
    changes.insert(&key, row, change, cid);
    claims::close(&key, row);
    Ok(())
}

/// Notes that the transaction changes rows of `rel`, which has the storage `key`.
pub fn note_changes(rel: Relation<'_>, key: &StorageKey) -> PgResult<()> {
    with_writable_storage(rel, *key, |storage, _| {
        storage.row_changes += 1;
        Ok(())
    })
}

/// Notes as command `cid` that a row of `rel` is locked until this subtransaction is over.
pub fn lock_row(
    rel: Relation<'_>,
    changes: &RowChangeCatalog,
    row: RowId,
    mode: LockTupleMode,
    cid: pg_sys::CommandId,
) {
    let key = StorageKey::of(rel);
    changes.insert(&key, row, Mark::Locked(mode), cid);
    claims::close(&key, row);
    LOCKED.with_borrow_mut(|locked| locked.insert(key));
}

/// Whether this transaction has inserted the row at `tid` into a table; in doubt it has.
pub fn may_have_inserted(relid: pg_sys::Oid, tid: Tid) -> PgResult<bool> {
    let Some(row) = RowId::from_tid(tid) else {
        return Ok(false);
    };
    with_transaction(|state| {
        // Of a table that was truncated there are several.
        for storage in state.storages.values() {
            if storage.relid == relid && storage.rows.may_have(row)? {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

/// Removes, before the end of the transaction, what notes its row locks: they last until it is over all the same.
pub fn clear_locks() -> PgResult<()> {
    let locked = LOCKED.take();
    if locked.is_empty() {
        return Ok(());
    }
    // SAFETY: in a transaction that commits; what the last command has noted is to be found.
    unsafe { pg_sys::CommandCounterIncrement() };
    match RowChangeCatalog::open_for_update() {
        Some(changes) => locked.iter().try_for_each(|key| changes.clear_locks(key)),
        None => Ok(()),
    }
}

/// Forgets the row locks of a transaction that is over.
pub fn forget_locks() {
    LOCKED.take();
}
