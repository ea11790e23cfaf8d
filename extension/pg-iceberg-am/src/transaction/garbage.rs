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

use std::time::Duration;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::system_catalog::databases;
use pg_lakebase_core::{injection, xact};
use pgrx::pg_sys;

use super::state::{TransactionState, with_transaction};
use crate::catalog::{
    GarbageCatalog, InlineCommitCatalog, InlineContent, LockedGarbage, PointerCatalog, What,
    has_relation, persistence_of,
};
use crate::directory::{StorageKey, TableDirectory};
use crate::files::{self, ObjectPlace, Place, Removal};
use crate::stores::{self, StorageDirectory, Store, directory_of};

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
    let place = Place::of(key)?;
    if let Place::Object(place) = &place {
        // How long nothing is deleted counts from then.
        stores::claimed_identity(&place.store)?;
    }
    catalog.begin_to_count(key, place.keep_time(), FILES_BATCH)?;
    let rows = catalog.lock_files(key, FILES_BATCH)?;
    if rows.is_empty() {
        return Ok(0);
    }
    let removed = match place {
        Place::Local(directory) => remove_files(&pointers, key, &directory, &rows)?,
        Place::Object(place) => remove_objects(key, &place, &rows)?,
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
fn remove_objects(key: &StorageKey, place: &ObjectPlace, rows: &[LockedGarbage]) -> PgResult<bool> {
    let names: Vec<&str> = names(rows).collect();
    let mut directories = Vec::new();
    for row in rows {
        if let What::Objects(directory) = &row.garbage.what
            && let Some(storage) = StorageDirectory::storage_of(directory)
        {
            let is_needed = match StorageDirectory::database_of(directory) {
                Some(database) if database != key.database => databases().contains(&database),
                _ => is_named(key, storage)?,
            };
            if is_needed {
                // As in a data directory that another one was put over.
                pgrx::log!(
                    "a table or database has the objects in directory \"{directory}\", which were said to be garbage"
                );
            } else {
                directories.push(&**directory);
            }
        }
    }
    place.delete(&names, &directories)?;
    injection::point(c"iceberg-garbage-removed");
    Ok(true)
}

/// Makes objects of the storage `key` garbage that nothing leads to.
pub fn add_files(key: &StorageKey, keep_for: Duration, names: &[String]) {
    if let Some(catalog) = GarbageCatalog::open_for_update() {
        catalog.insert_files(key, xact::full_transaction_id(), keep_for, names);
        with_transaction(|state| state.calls_publisher = true);
    }
}

/// Makes the objects of the storage `key` below a directory garbage.
pub fn add_objects(key: &StorageKey, directory: &str) {
    if let Some(catalog) = GarbageCatalog::open_for_update() {
        catalog.insert_objects(key, xact::full_transaction_id(), directory);
        with_transaction(|state| state.calls_publisher = true);
    }
}

/// Makes what the transaction has handed over of storages garbage that it made and undid with a savepoint.
pub(super) fn add_undone() -> PgResult<()> {
    for (key, place) in with_transaction(|state| std::mem::take(&mut state.undone)) {
        let Some(directory) = &place.directory else {
            continue;
        };
        match Store::of(key.tablespace)? {
            Some(store) if store.is_same_place(&place.store) => {
                add_objects(&key, directory.name());
            }
            _ => delete_elsewhere(&place, directory)?,
        }
    }
    Ok(())
}

/// Deletes objects that nobody has ever seen, in a place that the tablespace has meant in this transaction alone, or has meant
/// before it: no row of garbage would lead there.
fn delete_elsewhere(place: &ObjectPlace, directory: &StorageDirectory) -> PgResult<()> {
    let names: [&str; 0] = [];
    match place.delete(&names, &[directory.name()]) {
        Ok(()) => {
            stores::forget(&place.store, None);
            Ok(())
        }
        Err(error) if error.is_cancellation() => Err(error),
        Err(mut error) => {
            let uri = place.store.uri_of(directory.name());
            error.message = format!(
                "objects that were rolled back are left in \"{uri}\": {}",
                error.message
            );
            error.warn();
            Ok(())
        }
    }
}

/// Whether a table of relation file number `key` leads to objects of the storage of that number that this transaction made, in
/// whatever transaction's eyes.
pub fn is_named(key: &StorageKey, (rel_number, maker): (u32, u64)) -> PgResult<bool> {
    let (Some(pointers), Some(inline_commits)) =
        (PointerCatalog::open(), InlineCommitCatalog::open())
    else {
        return Ok(true);
    };
    let is_here = |name: &str| {
        directory_of(name).and_then(StorageDirectory::storage_of) == Some((rel_number, maker))
    };
    if (pointers.metadata_of_seen_versions(key)?.iter()).any(|name| is_here(name)) {
        return Ok(true);
    }
    let place = Place::of(key)?;
    for inline in inline_commits.of_seen_versions(key)? {
        if let InlineContent::DataFile(file) = inline.content()?
            && place.name_of(&file.file_path).is_some_and(is_here)
        {
            return Ok(true);
        }
    }
    Ok(false)
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
