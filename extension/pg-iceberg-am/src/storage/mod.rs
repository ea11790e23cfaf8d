//! Where an Iceberg table lives on local disk, and how its files are read and written.
//!
//! A table's storage is named the way PostgreSQL names any storage: by tablespace, database,
//! relfilenumber and, for temporary tables, the owning backend ([`StorageKey`]). Its directory
//! ([`TableDirectory`]) lies inside the database's own directory, so that DROP DATABASE, base
//! backups and tablespace rules apply to it without further ado. [`VfdFileIo`] is the adapter that
//! gives iceberg-lite its files; nothing else in this crate opens a table's file.

mod directory;
pub mod durable;
mod file_name;
mod key;
pub mod startup;
pub mod sync_queue;
pub mod upgrade;
mod vfd_io;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::{injection, wal as core_wal};

use crate::wal;

pub use directory::{
    TableDirectory, database_directories, entries, holds_tables, tables_size_in_database,
    tables_size_in_tablespace,
};
pub use file_name::{new_file_name, transaction_of};
pub use key::StorageKey;
pub use vfd_io::VfdFileIo;

/// Makes the directory of the storage `key` anew; standbys do so too.
pub fn create_directory(key: &StorageKey) -> PgResult<()> {
    TableDirectory::of(key).create()?;
    if is_in_log(key) {
        wal::create_directory(key);
    }
    injection::point(c"iceberg-directory-created");
    Ok(())
}

/// Removes the directory of the storage `key` with all that is in it; standbys do so too.
///
/// Called when the transaction's outcome is decided: what cannot be removed is an orphan then.
pub fn remove_directory(key: &StorageKey) {
    if is_in_log(key) {
        wal::remove_directory(key);
    }
    let directory = TableDirectory::of(key);
    let _ = directory.remove_metadata();
    injection::point(c"iceberg-directory-half-removed");
    let _ = directory.remove();
    injection::point(c"iceberg-directory-removed");
}

/// Unlogged tables have their directories on standbys too, as they have their initialisation forks.
fn is_in_log(key: &StorageKey) -> bool {
    !key.is_temporary() && core_wal::is_needed()
}
