//! Putting merged files in the place of those they were made from.

use iceberg_lite::compaction::Compaction;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;

use super::super::state::{existing_storage, with_transaction};
use super::Catalogs;
use super::expire::Expiring;
use crate::catalog::unless_emptied;
use crate::directory::StorageKey;
use crate::error::to_pg_error;
use crate::files::{TableFiles, cache};

/// What becomes of merged files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Replaced {
    /// They take their places with the commit.
    Yes,
    /// Nothing yet: somebody else is replacing the metadata.
    Busy,
    /// Nothing ever: files that they were made from are gone, or rows have been deleted.
    Lost,
}

/// Has pre-commit put the files of `compaction` in place. All of its groups are dropped if one has lost the race:
/// what is left is planned anew.
pub fn replace(rel: Relation<'_>, compaction: &Compaction) -> PgResult<Replaced> {
    let key = StorageKey::of(rel);
    let Some(locked) = Catalogs::open()?.pointers.try_lock(&key)? else {
        return Ok(Replaced::Busy);
    };
    let pointer = unless_emptied(rel.persistence(), &key, locked.pointer);
    let Some(location) = pointer.metadata_location else {
        return Ok(Replaced::Lost);
    };
    let io = TableFiles::new(key)?;
    let base = cache::metadata(&io, &location)?;
    let lost = compaction.clone().take_lost(&base, &io);
    if !lost.map_err(to_pg_error)?.is_empty() {
        return Ok(Replaced::Lost);
    }
    let mut storage = existing_storage(rel, &key)?;
    storage.replacement = compaction.delta();
    storage.expiring = Expiring::WhenWorthwhile;
    with_transaction(|state| state.storages.insert(key, storage));
    Ok(Replaced::Yes)
}
