//! New storage for a table, and filling it from the old.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{Persistence, RelFileLocator, Relation};
use pg_lakebase_core::slot::OwnedSlot;
use pg_lakebase_core::table_am::{CopyCounts, Horizons};
use pg_lakebase_core::{interrupt, smgr, xact};
use pgrx::pg_sys;

use super::enum_labels;
use crate::catalog::Origin;
use crate::directory::{StorageKey, upgrade};
use crate::scan::{Projection, RowReader, TableView};
use crate::schema::TableColumns;
use crate::stores;
use crate::tablespaces::catalog;
use crate::transaction;

/// Makes an empty storage at `new` for `rel`; an old one that it replaces is dropped.
///
/// As heap does, an empty main fork is created through the storage manager: it keeps the
/// relfilenumber taken, and its removal is PostgreSQL's own business. When pg_upgrade makes the table, it
/// gets the storage that the old cluster had at the same locator instead. Transaction ids are never
/// stored in an Iceberg table, so there is nothing to freeze.
pub fn set_new_filelocator(
    rel: Relation<'_>,
    new: RelFileLocator,
    persistence: Persistence,
) -> PgResult<Horizons> {
    enum_labels::hold(&TableColumns::resolve(rel.tuple_desc())?.columns);
    let key = StorageKey::with_locator(rel, new);
    keep_place(&key);
    smgr::create(new, persistence);
    if upgrade::is_running() && !key.is_temporary() {
        if catalog::is_object_tablespace(key.tablespace.into()) {
            stores::adopt_identities(&upgrade::old_cluster()?)?;
        }
        upgrade::take_over(&key)?;
        return Ok(Horizons::default());
    }
    if StorageKey::of(rel) != key {
        // TRUNCATE of a table that was there before.
        transaction::drop_storage(rel)?;
    }
    transaction::create_storage(rel, key)?;
    Ok(Horizons::default())
}

/// Copies the rows of `rel` to a storage at `new` (ALTER TABLE SET TABLESPACE).
pub fn copy_data(rel: Relation<'_>, new: RelFileLocator) -> PgResult<()> {
    let key = StorageKey::with_locator(rel, new);
    keep_place(&key);
    smgr::create(new, rel.persistence());
    transaction::create_storage(rel, key)?;
    transaction::note_rewritten(&key);
    copy_rows(rel, |slot| {
        transaction::insert_into(
            rel,
            key,
            std::iter::once(slot),
            xact::current_command_id(true),
            Origin::Rewritten,
        )
        .map(|_| ())
    })?;
    transaction::drop_storage(rel)?;
    smgr::drop_at_commit(rel);
    Ok(())
}

/// Waits for whoever is changing where the tablespace lies, and keeps others from it, before a storage there is written to.
fn keep_place(key: &StorageKey) {
    let tablespace = pg_sys::Oid::from(key.tablespace);
    if !catalog::is_default(tablespace) {
        catalog::lock_as_user(tablespace);
    }
}

/// Copies the rows of `old` to `new` (VACUUM FULL): many small files become few.
pub fn copy_for_cluster(old: Relation<'_>, new: Relation<'_>) -> PgResult<CopyCounts> {
    transaction::note_rewritten(&StorageKey::of(new));
    let rows = copy_rows(old, |slot| {
        transaction::insert(
            new,
            std::iter::once(slot),
            xact::current_command_id(true),
            Origin::Rewritten,
        )
    })?;
    Ok(CopyCounts {
        num_tuples: rows as f64,
        tups_vacuumed: 0.0,
        tups_recently_dead: 0.0,
    })
}

fn copy_rows(
    from: Relation<'_>,
    mut insert: impl FnMut(&mut pg_lakebase_core::slot::Slot<'_>) -> PgResult<()>,
) -> PgResult<u64> {
    let view = TableView::resolve(from, None)?;
    let projection = Projection::new(&view, |_| true)?;
    let mut reader = RowReader::new(view, projection, None)?;
    let mut owned = OwnedSlot::virtual_for(from.tuple_desc());
    let mut slot = owned.slot();
    let mut rows = 0;
    while reader.next(&mut slot)? {
        interrupt::check();
        insert(&mut slot)?;
        rows += 1;
    }
    slot.clear();
    Ok(rows)
}
