//! COMMIT PREPARED and ROLLBACK PREPARED, by whichever session.
//!
//! PREPARE TRANSACTION commits as COMMIT does: pointer rows, inline commits and garbage are rows of the prepared
//! transaction, and count once it is committed. What a rolled-back one has made is found by the names of its
//! files, which carry its transaction id.

use std::collections::BTreeSet;
use std::ffi::CStr;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::{file, spi, wal as core_wal, xact};
use pgrx::datum::DatumWithOid;
use pgrx::{PgBuiltInOids, pg_sys};

use super::garbage;
use crate::catalog::{GarbageCatalog, InlineCommitCatalog, PointerCatalog, has_relation};
use crate::directory::{StorageKey, TableDirectory, transaction_of};
use crate::files::{self, Place};
use crate::stores::StorageDirectory;
use crate::{publisher, wal};

/// A prepared transaction that is about to be committed or rolled back.
pub struct Finishing {
    /// Its id, with the epoch.
    xid: u64,
    /// The storages that it has written files into.
    storages: BTreeSet<StorageKey>,
}

impl Finishing {
    /// The prepared transaction of this name, which is in the server's encoding. `None` if there is none in this
    /// database, or no extension, or if the extension's tables are locked: perhaps by that very transaction, which has
    /// dropped them. Then the publisher removes what is left, or who looks for orphans.
    pub fn find(name: &CStr) -> PgResult<Option<Self>> {
        let (Some(pointers), Some(inline_commits), Some(garbage)) = (
            PointerCatalog::open_unless_locked(),
            InlineCommitCatalog::open_unless_locked(),
            GarbageCatalog::open_unless_locked(),
        ) else {
            return Ok(None);
        };
        let Some(short) = xid_of(name)? else {
            return Ok(None);
        };
        let xid = xact::with_epoch(short);
        let mut storages = BTreeSet::new();
        storages.extend(pointers.written_by(short)?);
        storages.extend(inline_commits.written_by(short)?);
        storages.extend(garbage.of_transaction(xid)?);
        Ok(Some(Self { xid, storages }))
    }

    /// What follows COMMIT PREPARED. It is done: a failure is a warning, and the rest is the publisher's.
    pub fn committed(&self) {
        warn_of(xact::in_subtransaction(|| garbage::sweep(Some(self.xid))));
        publisher::ensure_running();
    }

    /// What follows ROLLBACK PREPARED. What cannot be removed is an orphan.
    pub fn rolled_back(&self) {
        warn_of(xact::in_subtransaction(|| {
            for key in &self.storages {
                match Place::of(key)? {
                    Place::Local(_) => remove_files_of(key, self.xid),
                    Place::Object(_) => remove_objects_of(key, self.xid)?,
                }
            }
            Ok(())
        }));
    }
}

fn warn_of<T>(result: PgResult<T>) {
    if let Err(error) = result {
        error.warn();
    }
}

/// The id of a prepared transaction of this database.
fn xid_of(name: &CStr) -> PgResult<Option<pg_sys::TransactionId>> {
    const QUERY: &str = "SELECT transaction::pg_catalog.text FROM pg_catalog.pg_prepared_xacts \
         WHERE gid = $1 AND database = pg_catalog.current_database()";
    // SAFETY: the name becomes a text as it is, in the server's encoding; the snapshot is popped below, or by
    // the end of the transaction after an error.
    let arguments = unsafe {
        // The transaction's own snapshot may have to wait for the prepared transaction (DEFERRABLE).
        pg_sys::PushActiveSnapshot(pg_sys::GetCatalogSnapshot(pg_sys::InvalidOid));
        let text = pg_sys::cstring_to_text(name.as_ptr());
        [DatumWithOid::new(
            pg_sys::Datum::from(text),
            PgBuiltInOids::TEXTOID.value(),
        )]
    };
    let xid = spi::connect(|client| {
        let found = client.select(QUERY, Some(1), &arguments)?;
        // As text: pgrx reads no transaction id above 2^31 from a tuple.
        let xid = found.into_iter().next().map(|row| row.get::<String>(1));
        let xid = xid.transpose()?.flatten();
        Ok(xid
            .and_then(|xid| xid.parse().ok())
            .map(pg_sys::TransactionId::from_inner))
    });
    // SAFETY: pushed above.
    unsafe { pg_sys::PopActiveSnapshot() };
    xid
}

/// Removes a storage in an object store that a transaction made which has been rolled back. What it wrote into another one is
/// found by the search for orphans.
fn remove_objects_of(key: &StorageKey, xid: u64) -> PgResult<()> {
    if has_relation(key) {
        return Ok(());
    }
    files::remove_directory(key);
    garbage::add_objects(key, StorageDirectory::made_by(key, xid)?.name());
    Ok(())
}

/// Removes what a transaction that has been rolled back wrote into a storage; the storage as well, if it made that.
///
/// One that it made has a metadata file of its own at least, by which the directory is known to be its own.
fn remove_files_of(key: &StorageKey, xid: u64) {
    let directory = TableDirectory::of(key);
    let names: Vec<String> = directory
        .files()
        .map(|(name, _)| name)
        .filter(|name| transaction_of(name) == Some(xid))
        .collect();
    if names.is_empty() {
        return;
    }
    if !has_relation(key) {
        files::remove_directory(key);
        return;
    }
    if core_wal::is_needed() {
        wal::remove_files(key, None, names.iter().map(String::as_str));
    }
    for name in &names {
        let _ = file::remove_file(&format!("{directory}/{name}"));
    }
}
