//! The resource manager `pg_iceberg`.

use std::ffi::CStr;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::wal::{self, Lsn, RecordKind, ResourceManager};

use super::record::{
    CREATE_DIRECTORY, NOTE_IDENTITY, REMOVE_DIRECTORY, REMOVE_FILES, SYNC_FILES, WRITE_FILES,
    WRITE_FILES_UNSYNCED,
};
use super::{describe, redo};
use crate::directory;

pub struct IcebergResourceManager;

/// Registers the resource manager; called once, from `_PG_init`.
pub fn register() {
    wal::register::<IcebergResourceManager>();
}

impl ResourceManager for IcebergResourceManager {
    /// Chosen among those that no extension is known to use; it is in the log of every cluster with
    /// Iceberg tables, so it stays.
    const ID: u8 = 189;
    const NAME: &'static CStr = c"pg_iceberg";

    fn redo(kind: RecordKind, content: &[u8], end: Lsn) -> PgResult<()> {
        redo::redo(kind, content, end)
    }

    fn describe(kind: RecordKind, content: &[u8]) -> String {
        describe::describe(kind, content)
    }

    fn identify(kind: RecordKind) -> Option<&'static CStr> {
        match kind {
            CREATE_DIRECTORY => Some(c"CREATE_DIRECTORY"),
            WRITE_FILES => Some(c"WRITE_FILES"),
            REMOVE_DIRECTORY => Some(c"REMOVE_DIRECTORY"),
            REMOVE_FILES => Some(c"REMOVE_FILES"),
            WRITE_FILES_UNSYNCED => Some(c"WRITE_FILES_UNSYNCED"),
            SYNC_FILES => Some(c"SYNC_FILES"),
            NOTE_IDENTITY => Some(c"NOTE_IDENTITY"),
            _ => None,
        }
    }

    fn cleanup() -> PgResult<()> {
        redo::sync_unsynced()?;
        directory::startup::empty_unlogged();
        Ok(())
    }
}
