//! Rows going in, and what cannot be done to them.

use std::borrow::BorrowMut;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::pgstat;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::slot::Slot;
use pg_lakebase_core::table_am::Operation;
use pgrx::pg_sys;

use crate::catalog::Origin;
use crate::storage::StorageKey;
use crate::transaction;

/// Appends the rows in `slots` and gives each slot its TID. If the storage was made by this
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
    let inserted = append(rel, StorageKey::of(rel), slots, cid, origin)?;
    pgstat::count_inserts(rel, inserted);
    Ok(())
}

/// Appends the rows in `slots` to the storage `key` of `rel`, gives each slot its TID, and returns
/// how many they were.
pub fn append<'s, S>(
    rel: Relation<'_>,
    key: StorageKey,
    slots: impl ExactSizeIterator<Item = S>,
    cid: pg_sys::CommandId,
    origin: Origin,
) -> PgResult<i64>
where
    S: BorrowMut<Slot<'s>>,
{
    transaction::with_writable_storage(rel, key, |storage, marks| {
        if storage.created {
            storage.origin = origin;
        }
        let rows = slots.len() as u64;
        let first = storage.take_row_ids(rel, rows)?;
        for (index, mut slot) in slots.enumerate() {
            let slot = slot.borrow_mut();
            let id = first.advance(index as u64);
            {
                let (values, nulls) = slot.load_all();
                storage.rows.append(values, nulls, id, cid, marks)?;
            }
            slot.set_tid(id.to_tid());
            slot.set_table_oid(rel.oid());
        }
        Ok(rows.cast_signed())
    })
}

/// The error for an operation that Iceberg tables do not have.
pub fn unsupported(operation: Operation, table: &str) -> PgError {
    match operation {
        Operation::TupleUpdate => cannot("update rows of", table, REWRITE_HINT),
        Operation::TupleDelete => cannot("delete rows of", table, REWRITE_HINT),
        Operation::TupleLock => cannot("lock rows of", table, LOCK_HINT),
        Operation::TupleInsertSpeculative => cannot("use ON CONFLICT with", table, CONFLICT_HINT),
        Operation::IndexFetch
        | Operation::IndexBuild
        | Operation::IndexValidate
        | Operation::IndexDelete => cannot("create an index on", table, INDEX_HINT),
        _ => cannot("do this with", table, REWRITE_HINT),
    }
}

/// "cannot <do something to> Iceberg table", with what to do instead.
pub fn cannot(what: &str, table: &str, hint: &str) -> PgError {
    PgError::feature_not_supported(format!("cannot {what} Iceberg table \"{table}\""))
        .with_hint(hint)
}

/// What to do instead of UPDATE, DELETE and MERGE.
pub const REWRITE_HINT: &str = "Write the rows to keep into a new table with CREATE TABLE ... USING iceberg AS SELECT, or TRUNCATE the table.";
/// What to do instead of row locks.
pub const LOCK_HINT: &str = "Use LOCK TABLE to keep others from writing.";
/// What to do instead of ON CONFLICT.
pub const CONFLICT_HINT: &str = "Select the rows to insert with WHERE NOT EXISTS (SELECT ...).";
/// What to do instead of indexes and the constraints that need them.
pub const INDEX_HINT: &str = "Iceberg tables are searched by the column statistics of their files; leave the index, or the PRIMARY KEY, UNIQUE or EXCLUDE constraint, out.";
