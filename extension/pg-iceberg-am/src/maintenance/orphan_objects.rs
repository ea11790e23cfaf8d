//! Objects of tables that are no more: left by transactions that were cut off by a crash before they had made the table.
//!
//! What a committed transaction has dropped is in `lakebase.garbage`, and not an orphan. Objects under other identities
//! are left alone: whoever made them may be there.

use std::collections::BTreeMap;
use std::time::SystemTime;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::{interrupt, xact};
use pgrx::pg_sys;

use crate::catalog::{GarbageCatalog, has_relation};
use crate::directory::{StorageKey, transaction_of};
use crate::files::{FileEntry, Place};
use crate::stores::{StorageDirectory, directory_of};
use crate::tablespaces::catalog::object_tablespaces;
use crate::transaction::garbage;

/// Finds the objects below directories that no table of this database has, whose transactions are over, and which were
/// last written before a time; makes them garbage, unless it is a `dry_run`. `found` gets the URI of each.
pub fn remove(
    before: SystemTime,
    dry_run: bool,
    mut found: impl FnMut(String, u64),
) -> PgResult<()> {
    for tablespace in object_tablespaces() {
        let key = StorageKey::in_this_database(0, tablespace.to_u32());
        let Place::Object(place) = Place::of(&key)? else {
            continue;
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
        for (directory, files) in directories {
            interrupt::check();
            let are_left = files.iter().all(|file| {
                file.modified.is_some_and(|time| time <= before)
                    && transaction_of(&file.name).is_none_or(xact::is_over)
            });
            if !are_left || !is_nobodys(&directory, tablespace)? {
                continue;
            }
            for file in &files {
                found(place.store.uri_of(&file.name), file.length);
            }
            if !dry_run && let Some((rel_number, _)) = StorageDirectory::storage_of(&directory) {
                let key = StorageKey::in_this_database(rel_number, tablespace.to_u32());
                garbage::add_objects(&key, &directory);
            }
        }
    }
    Ok(())
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
    let Some(garbage) = GarbageCatalog::open() else {
        return Ok(false);
    };
    // In this order: what is dropped meanwhile is in the garbage then.
    let has_relation = has_relation(&key);
    let objects = garbage.objects_of(&key)?;
    // Under whatever identity: a storage may have objects under several.
    if (objects.iter()).any(|known| StorageDirectory::storage_of(known) == Some(storage)) {
        return Ok(false);
    }
    // Whoever still sees one that is dropped has kept its objects in the garbage.
    Ok(!has_relation || !garbage::is_named(&key, storage)?)
}
