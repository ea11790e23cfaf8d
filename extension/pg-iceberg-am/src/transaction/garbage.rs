//! Removing what committed transactions have dropped, or made superfluous.
//!
//! The backend that has committed removes the directories at once, in its commit callback, where no table can be
//! written any more; the rows of `lakebase.garbage` are cleared away afterwards. Where it could not (a crash, COMMIT
//! PREPARED, promotion), whoever comes first removes the directories as well: the session that says COMMIT
//! PREPARED, or the publisher.
//!
//! A directory never goes that belongs to a table: PostgreSQL gives a relation file number to another one only
//! when the main fork is gone, which is after the commit callback; and whoever makes a storage forgets rows of the
//! same name first, waiting for those who have locked them to remove the directory.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::injection;
use pgrx::pg_sys;

use super::state::{TransactionState, with_transaction};
use crate::catalog::{
    GarbageCatalog, LockedGarbage, PointerCatalog, What, has_relation, persistence_of,
};
use crate::directory::{StorageKey, TableDirectory};
use crate::files::{self, ObjectPlace, Place, Removal};

/// Rows of storages cleared away in one transaction.
const BATCH: usize = 1000;
/// Rows of a storage's files: each has about a hundred, and the table's metadata are locked meanwhile.
pub const FILES_BATCH: usize = 16;

impl TransactionState {
    /// The storages of permanent and unlogged tables that the transaction has dropped.
    fn dropped_for_all(&self) -> impl Iterator<Item = &StorageKey> {
        self.dropped.iter().filter(|key| !key.is_temporary())
    }

    /// Whether the transaction leaves rows of garbage to be cleared away.
    pub(super) fn leaves_garbage(&self) -> bool {
        self.dropped_for_all().next().is_some()
    }
}

/// Removes the storages that the transaction `xid` has dropped, or all, and clears their rows away. Returns how many.
pub fn sweep(xid: Option<u64>) -> PgResult<usize> {
    let Some(catalog) = GarbageCatalog::open_for_update() else {
        return Ok(0);
    };
    let locked = catalog.lock_storages(xid, BATCH)?;
    let mut cleared = 0;
    for row in &locked {
        let key = &row.garbage.key;
        let directory = TableDirectory::of(key);
        if directory.exists() && !has_relation(key) {
            files::remove_directory(key);
        }
        if directory.exists() {
            // It is tried again. That a relation has it may be what was known before the drop.
            continue;
        }
        catalog.delete(row);
        cleared += 1;
    }
    Ok(cleared)
}

/// Removes some of a storage's files and objects that nobody needs any more, and clears their rows away. Returns how many
/// rows: fewer than [`FILES_BATCH`] if no more can be removed now.
pub fn sweep_files(key: &StorageKey) -> PgResult<usize> {
    let Some((catalog, pointers)) =
        GarbageCatalog::open_for_update().zip(PointerCatalog::open_for_update())
    else {
        return Ok(0);
    };
    let rows = catalog.lock_files(key, FILES_BATCH)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let removed = match Place::of(key)? {
        Place::Local(directory) => remove_files(&pointers, key, &directory, &rows)?,
        Place::Object(place) => remove_objects(&place, &rows)?,
    };
    if !removed {
        return Ok(0);
    }
    rows.iter().for_each(|row| catalog.delete(row));
    Ok(rows.len())
}

/// The names of files in rows.
fn names(rows: &[LockedGarbage]) -> impl Iterator<Item = &str> {
    rows.iter()
        .flat_map(|row| match &row.garbage.what {
            What::Files(names) => &**names,
            _ => &[],
        })
        .map(String::as_str)
}

/// Removes the files that rows name. Returns whether it has: not if somebody is replacing the table's metadata.
fn remove_files(
    pointers: &PointerCatalog,
    key: &StorageKey,
    directory: &TableDirectory,
    rows: &[LockedGarbage],
) -> PgResult<bool> {
    // The files of a storage that is dropped go with it.
    let Some(persistence) = persistence_of(key).filter(|_| directory.exists()) else {
        return Ok(true);
    };
    if pointers.find_latest(key)?.is_none() {
        return Ok(true);
    }
    let Some(locked) = pointers.try_lock(key)? else {
        return Ok(false);
    };
    let names: Vec<&str> = names(rows).collect();
    let metadata = locked.pointer.metadata_location.as_deref();
    let newest = rows.iter().map(|row| row.garbage.xid).max();
    Removal {
        key,
        persistence,
        current_metadata: metadata.filter(|name| directory.has_file(name)),
        horizon: newest.map(|xid| pg_sys::TransactionId::from(xid as u32)),
    }
    .remove(&names)?;
    injection::point(c"iceberg-garbage-removed");
    Ok(true)
}

/// Deletes the objects that rows name. What others may have as well is left alone: it is an orphan when the server has taken it
/// over.
fn remove_objects(place: &ObjectPlace, rows: &[LockedGarbage]) -> PgResult<bool> {
    let names: Vec<&str> = names(rows).collect();
    let directories = rows.iter().filter_map(|row| match &row.garbage.what {
        What::Objects(directory) => Some(&**directory),
        _ => None,
    });
    place.delete(&names, &directories.collect::<Vec<_>>())?;
    injection::point(c"iceberg-garbage-removed");
    Ok(true)
}

/// Refuses to prepare a transaction whose garbage nobody would know of.
pub(super) fn check_can_prepare() -> PgResult<()> {
    if with_transaction(|state| state.leaves_garbage())
        && GarbageCatalog::open_for_update().is_none()
    {
        return Err(PgError::feature_not_supported(
            "cannot PREPARE a transaction that has dropped the extension pg_iceberg_am with Iceberg tables",
        )
        .with_hint("Drop the tables in a transaction of their own."));
    }
    Ok(())
}
