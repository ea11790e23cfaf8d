//! Removing files on local disk that nothing leads to any more.

use std::fs;
use std::io;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use pg_lakebase_core::relation::Persistence;
use pg_lakebase_core::wal as core_wal;
use pgrx::pg_sys;

use crate::directory::{StorageKey, TableDirectory};
use crate::wal::{self, FileContent};

/// How names of metadata files end.
const METADATA_FILE: &str = ".metadata.json";

/// Files of one storage to be removed.
pub struct Removal<'a> {
    /// The storage.
    pub key: &'a StorageKey,
    /// That of its table.
    pub persistence: Persistence,
    /// The table's metadata file, which stays; its pointer row is locked.
    pub current_metadata: Option<&'a str>,
    /// The transaction that made the files superfluous, if anybody has ever needed them: queries on standbys that do
    /// not see what it did may need them still.
    pub horizon: Option<pg_sys::TransactionId>,
}

impl Removal<'_> {
    /// Removes, in a transaction that has locked the pointer row, the files of these names, relative to the table's
    /// directory; one that is gone already is no error.
    pub fn remove(&self, names: &[&str]) -> PgResult<()> {
        if names.is_empty() {
            return Ok(());
        }
        let directory = TableDirectory::of(self.key);
        if self.persistence == Persistence::Permanent && core_wal::is_needed() {
            if names.iter().any(|name| name.ends_with(METADATA_FILE)) {
                self.log_current_metadata(&directory)?;
            }
            wal::remove_files(self.key, self.horizon, names.iter().copied());
        }
        // Whatever has made them superfluous must not be undone any more.
        core_wal::flush();
        for name in names {
            let path = format!("{directory}/{name}");
            file::remove_file(&path)
                .map_err(|source| PgError::file_access("remove file", &path, &source))?;
        }
        Ok(())
    }

    /// Logs the current metadata file whole, and makes it durable.
    ///
    /// The log knows metadata files as differences from their predecessors, which may be removed now: what
    /// recovery has to make after this record does not need them any more.
    fn log_current_metadata(&self, directory: &TableDirectory) -> PgResult<()> {
        let Some(name) = self.current_metadata else {
            return Ok(());
        };
        let path = format!("{directory}/{name}");
        let failed = |source: io::Error| PgError::file_access("read file", &path, &source);
        let bytes = fs::read(&path).map_err(failed)?;
        wal::write_files(
            self.key,
            &[FileContent {
                name,
                offset: 0,
                bytes: &bytes,
                like: None,
            }],
        );
        file::fsync_file(&path).map_err(failed)?;
        directory.sync()
    }
}
