//! Objects of tables that are no more: left by transactions that were cut off by a crash before they had made the table, and by
//! databases that were dropped with their tables, and with the garbage that these had left.
//!
//! What a committed transaction has dropped is in `lakebase.garbage`, and not an orphan. Objects under other identities
//! are left alone: whoever made them may be there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::system_catalog::databases;
use pg_lakebase_core::{interrupt, xact};
use pgrx::pg_sys;

use crate::catalog::{GarbageCatalog, has_relation};
use crate::directory::{StorageKey, transaction_of};
use crate::files::{FileEntry, Place};
use crate::stores::{StorageDirectory, directory_of};
use crate::tablespaces::catalog::{name, object_tablespaces};
use crate::transaction::garbage;

/// Finds the objects below directories that no table of this database has, whose transactions are over, and which were
/// last written before a time; makes them garbage, unless it is a `dry_run`. `found` gets the URI of each.
///
/// A store that fails, or does not answer, is left out with a warning.
pub fn remove(before: SystemTime, dry_run: bool, found: impl FnMut(String, u64)) -> PgResult<()> {
    in_each_store(|tablespace| remove_of(tablespace, before, dry_run), found)
}

/// Finds the objects of databases that are no more, as [`remove`] does; no transaction of theirs goes on. Any database may do
/// so for the server, and has them in its own garbage then.
pub fn remove_of_dropped_databases(
    before: SystemTime,
    dry_run: bool,
    found: impl FnMut(String, u64),
) -> PgResult<()> {
    in_each_store(
        |tablespace| remove_of_dropped_databases_of(tablespace, before, dry_run),
        found,
    )
}

fn in_each_store(
    search: impl Fn(pg_sys::Oid) -> PgResult<Vec<(String, u64)>>,
    mut found: impl FnMut(String, u64),
) -> PgResult<()> {
    for tablespace in object_tablespaces() {
        match xact::in_subtransaction(|| search(tablespace)) {
            Ok(objects) => (objects.into_iter()).for_each(|(uri, bytes)| found(uri, bytes)),
            Err(error) if error.is_cancellation() => return Err(error),
            Err(mut error) => {
                error.message = format!(
                    "could not look for orphans in tablespace \"{}\": {}",
                    name(tablespace),
                    error.message
                );
                error.warn();
            }
        }
    }
    Ok(())
}

/// Finds what has no table in the store of one tablespace. Returns the objects, each with its bytes.
fn remove_of(
    tablespace: pg_sys::Oid,
    before: SystemTime,
    dry_run: bool,
) -> PgResult<Vec<(String, u64)>> {
    let key = StorageKey::in_this_database(0, tablespace.to_u32());
    let Place::Object(place) = Place::of(&key)? else {
        return Ok(Vec::new());
    };
    let mut directories: BTreeMap<String, Vec<FileEntry>> = BTreeMap::new();
    for file in place.files_of_database(key.database)? {
        if let Some(directory) = directory_of(&file.name) {
            directories
                .entry(directory.to_owned())
                .or_default()
                .push(file);
        }
    }
    let mut found = Vec::new();
    for (directory, files) in directories {
        interrupt::check();
        let are_left = files.iter().all(|file| {
            file.modified.is_some_and(|time| time <= before)
                && transaction_of(&file.name).is_none_or(xact::is_over)
        });
        if !are_left || !is_nobodys(&directory, tablespace)? {
            continue;
        }
        found.extend((files.iter()).map(|file| (place.store.uri_of(&file.name), file.length)));
        if !dry_run && let Some((rel_number, _)) = StorageDirectory::storage_of(&directory) {
            let key = StorageKey::in_this_database(rel_number, tablespace.to_u32());
            garbage::add_objects(&key, &directory);
        }
    }
    Ok(found)
}

/// Finds what databases have left there that are no more. Returns the same.
fn remove_of_dropped_databases_of(
    tablespace: pg_sys::Oid,
    before: SystemTime,
    dry_run: bool,
) -> PgResult<Vec<(String, u64)>> {
    let key = StorageKey::in_this_database(0, tablespace.to_u32());
    let Place::Object(place) = Place::of(&key)? else {
        return Ok(Vec::new());
    };
    // Most objects are of those that are there.
    let known = databases();
    let mut directories: BTreeMap<String, Vec<FileEntry>> = BTreeMap::new();
    place.each_file_of_tablespace(|file| {
        let directory = directory_of(&file.name).map(str::to_owned);
        if let Some((directory, database)) = directory.and_then(|directory| {
            let database = StorageDirectory::database_of(&directory)?;
            Some((directory, database))
        }) && !known.contains(&database)
        {
            directories.entry(directory).or_default().push(file);
        }
    })?;
    let mut found = Vec::new();
    // One that was made meanwhile is there now, whatever is listed of it.
    let known = databases();
    for (directory, files) in directories {
        interrupt::check();
        let is_old = |file: &FileEntry| file.modified.is_some_and(|time| time <= before);
        let (Some(database), Some((rel_number, _))) = (
            StorageDirectory::database_of(&directory),
            StorageDirectory::storage_of(&directory),
        ) else {
            continue;
        };
        let key = StorageKey::in_this_database(rel_number, tablespace.to_u32());
        if known.contains(&database) || !files.iter().all(is_old) || is_garbage(&key, &directory)? {
            continue;
        }
        found.extend((files.iter()).map(|file| (place.store.uri_of(&file.name), file.length)));
        if !dry_run {
            garbage::add_objects(&key, &directory);
        }
    }
    Ok(found)
}

/// Whether a directory is in this database's garbage, under whatever identity: a storage may have objects under several.
fn is_garbage(key: &StorageKey, directory: &str) -> PgResult<bool> {
    let Some(garbage) = GarbageCatalog::open() else {
        return Ok(true);
    };
    let objects = garbage.objects_of(key)?;
    let storage = StorageDirectory::storage_of(directory);
    Ok((objects.iter()).any(|known| StorageDirectory::storage_of(known) == storage))
}

/// Whether no table has this directory, in whatever transaction's eyes, and no garbage is in it.
fn is_nobodys(directory: &str, tablespace: pg_sys::Oid) -> PgResult<bool> {
    let Some(storage @ (rel_number, maker)) = StorageDirectory::storage_of(directory) else {
        return Ok(false);
    };
    if !xact::is_over(maker) {
        return Ok(false);
    }
    let key = StorageKey::in_this_database(rel_number, tablespace.to_u32());
    // In this order: what is dropped meanwhile is in the garbage then.
    let has_relation = has_relation(&key);
    if is_garbage(&key, directory)? {
        return Ok(false);
    }
    // Whoever still sees one that is dropped has kept its objects in the garbage.
    Ok(!has_relation || !garbage::is_named(&key, storage)?)
}
