//! Tables as background workers know them.

use pg_lakebase_core::relation::{LockMode, OpenRelation};

use crate::catalog::relation_of;
use crate::directory::StorageKey;
use crate::publisher::Storage;

/// The key of a storage of this database.
pub fn key_of((rel_number, tablespace): Storage) -> StorageKey {
    StorageKey::in_this_database(rel_number, tablespace)
}

/// The table that has the storage; `None` if there is none any more, or if it is locked.
pub fn open_unless_locked(storage: Storage) -> Option<OpenRelation> {
    let key = key_of(storage);
    OpenRelation::open_unless_locked(relation_of(&key)?, LockMode::AccessShare)
        .filter(|rel| StorageKey::of(rel.relation()) == key)
}
