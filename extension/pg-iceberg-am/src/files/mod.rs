//! A table's files: reading and writing them for iceberg-lite, in PostgreSQL's terms.
//!
//! [`TableFiles`] gives iceberg-lite its files; nothing else in this crate opens one to read or write it. They lie on
//! local disk or in an object store ([`Place`]). What a transaction writes is kept in a [`Written`](written::Written): what to
//! log and to make durable before the commit, and what to remove should it be rolled back; or in a
//! [`Staged`](staged::Staged): what to hand over before the commit. Directories of tables are made and removed here, for
//! standbys too; a table in an object store has an empty one.

pub mod cache;
pub mod data_file;
mod file_io;
mod held;
mod model;
mod object_file;
mod output;
mod place;
mod removal;
mod staged;
pub mod sync_queue;
mod written;

pub use file_io::TableFiles;
pub use object_file::close_kept as close_kept_objects;
pub use place::{FileEntry, ObjectPlace, Place};
pub use removal::Removal;
pub use staged::Which;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::{injection, wal as core_wal};

use crate::directory::{StorageKey, TableDirectory};
use crate::wal;

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
