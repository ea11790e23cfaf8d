//! What the publisher has a transaction commit: the inline commits of others.

use iceberg_lite::write::arrow_schema;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;

use super::super::state::{existing_storage, with_transaction};
use super::Catalogs;
use super::expire::Expiring;
use crate::catalog::{Committed, InlineCommit, InlineContent};
use crate::directory::StorageKey;
use crate::error::to_pg_error;
use crate::schema::conform;

/// Has pre-commit fold the committed inline commits of `rel` into its metadata, and removes those that do not count
/// any more. Returns how many there are; none if somebody else is replacing the metadata.
pub fn fold(rel: Relation<'_>) -> PgResult<usize> {
    let key = StorageKey::of(rel);
    let catalogs = Catalogs::open()?;
    let Some(locked) = catalogs.pointers.try_lock(&key)? else {
        return Ok(0);
    };
    // Only who has the lock deletes inline commits.
    let latest = catalogs.inline_commits.latest();
    let found = catalogs.inline_commits.find(&key, latest.snapshot())?;
    catalogs.inline_commits.delete(&found);
    let count = found.len();
    let Committed { inline_commits, .. } =
        Committed::of(rel.persistence(), &key, locked.pointer, found);
    if !inline_commits.is_empty() {
        take_over(rel, key, &inline_commits)?;
    }
    Ok(count)
}

/// Makes the content of inline commits that of this transaction.
fn take_over(rel: Relation<'_>, key: StorageKey, inline_commits: &[InlineCommit]) -> PgResult<()> {
    let mut storage = existing_storage(rel, &key)?;
    let schema = arrow_schema(&storage.schema.schema).map_err(to_pg_error)?;
    let mut rows = Vec::new();
    for inline in inline_commits {
        match inline.content()? {
            InlineContent::DataFile(file) => storage.folded.push(file),
            InlineContent::Rows(batch, ids) => rows.push((conform(&batch, &schema)?, ids)),
        }
    }
    storage.rows.fold(rows)?;
    storage.folds = true;
    storage.expiring = Expiring::WhenWorthwhile;
    with_transaction(|state| state.storages.insert(key, storage));
    Ok(())
}
