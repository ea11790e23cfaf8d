//! Tables as background workers know them.

use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pgrx::pg_sys;

use crate::catalog::relation_of;
use crate::directory::StorageKey;
use crate::publisher::Storage;

/// The key of a storage of this database.
pub fn key_of((rel_number, tablespace): Storage) -> StorageKey {
    StorageKey {
        tablespace,
        // SAFETY: the database that the process is connected to.
        database: unsafe { pg_sys::MyDatabaseId }.to_u32(),
        rel_number,
        backend: pg_sys::INVALID_PROC_NUMBER,
    }
}

/// The table that has the storage; `None` if there is none any more, or if it is locked.
pub fn open_unless_locked(storage: Storage) -> Option<OpenRelation> {
    let key = key_of(storage);
    OpenRelation::open_unless_locked(relation_of(&key)?, LockMode::AccessShare)
        .filter(|rel| StorageKey::of(rel.relation()) == key)
}
