//! The identity of a table's storage.

use pg_lakebase_core::relation::{RelFileLocator, Relation};
use pgrx::pg_sys;

/// Names one table's storage within the cluster: PostgreSQL's `RelFileLocatorBackend`.
///
/// It changes whenever PostgreSQL gives the table a new relfilenumber (TRUNCATE, a rewrite), and is
/// the key of the pointer row. The derived order is the order in which pointer rows are locked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StorageKey {
    /// Tablespace; never zero, also for the database's default tablespace.
    pub tablespace: u32,
    /// Database that owns the table.
    pub database: u32,
    /// `pg_class.relfilenode`.
    pub rel_number: u32,
    /// The backend that owns a temporary table; -1 (`INVALID_PROC_NUMBER`) for all others.
    pub backend: i32,
}

impl StorageKey {
    /// The storage that `rel` has now.
    pub fn of(rel: Relation<'_>) -> Self {
        Self::with_locator(rel, rel.locator())
    }

    /// The storage at `locator` that `rel` is about to have.
    pub fn with_locator(rel: Relation<'_>, locator: RelFileLocator) -> Self {
        Self {
            tablespace: locator.spc_oid.to_u32(),
            database: locator.db_oid.to_u32(),
            rel_number: locator.rel_number.to_u32(),
            // SAFETY: the relation is open; the field is set when the entry is built.
            backend: unsafe { (*rel.as_ptr()).rd_backend },
        }
    }

    /// That of a permanent or unlogged table of this database.
    pub fn in_this_database(rel_number: u32, tablespace: u32) -> Self {
        Self {
            tablespace,
            // SAFETY: the database that the process is connected to.
            database: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            rel_number,
            backend: pg_sys::INVALID_PROC_NUMBER,
        }
    }

    /// Where its relation's files are.
    pub fn locator(&self) -> RelFileLocator {
        RelFileLocator {
            spc_oid: self.tablespace.into(),
            db_oid: self.database.into(),
            rel_number: self.rel_number.into(),
        }
    }

    /// The tablespace as `pg_class` has it: 0 for the database's default one.
    pub fn tablespace_in_catalog(&self) -> pg_sys::Oid {
        // SAFETY: a setting of the session's database.
        let default = unsafe { pg_sys::MyDatabaseTableSpace };
        if default.to_u32() == self.tablespace {
            pg_sys::InvalidOid
        } else {
            self.tablespace.into()
        }
    }

    /// Whether the storage belongs to a temporary table.
    pub fn is_temporary(&self) -> bool {
        self.backend != pg_sys::INVALID_PROC_NUMBER
    }
}
