//! Rows going in.

use std::borrow::BorrowMut;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::slot::Slot;
use pgrx::pg_sys;

use super::state::with_writable_storage;
use crate::catalog::Origin;
use crate::directory::StorageKey;

/// Inserts the rows in `slots` and gives each slot its TID. If the storage was made by this
/// transaction, `origin` says what it is to older snapshots.
pub fn insert<'s, S>(
    rel: Relation<'_>,
    slots: impl ExactSizeIterator<Item = S>,
    cid: pg_sys::CommandId,
    origin: Origin,
) -> PgResult<()>
where
    S: BorrowMut<Slot<'s>>,
{
    insert_into(rel, StorageKey::of(rel), slots, cid, origin)
}

/// Inserts the rows in `slots` into the storage `key` of `rel`, and gives each slot its TID.
pub fn insert_into<'s, S>(
    rel: Relation<'_>,
    key: StorageKey,
    slots: impl ExactSizeIterator<Item = S>,
    cid: pg_sys::CommandId,
    origin: Origin,
) -> PgResult<()>
where
    S: BorrowMut<Slot<'s>>,
{
    with_writable_storage(rel, key, |storage, marks| {
        // Rows that come after those of before do not make it a new one.
        if storage.created && storage.origin != Origin::Rewritten {
            storage.origin = origin;
        }
        let rows = slots.len() as u64;
        let first = storage.take_row_ids(rel, rows)?;
        for (index, mut slot) in slots.enumerate() {
            let slot = slot.borrow_mut();
            let id = first.advance(index as u64);
            {
                let (values, nulls) = slot.load_all();
                storage.rows.push(values, nulls, id, cid, marks)?;
            }
            slot.set_tid(id.to_tid());
            slot.set_table_oid(rel.oid());
        }
        Ok(())
    })
}
