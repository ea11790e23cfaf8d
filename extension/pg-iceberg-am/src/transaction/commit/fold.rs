//! What the publisher has a transaction commit: the inline commits of others, and the rows that others have deleted or
//! superseded.
//!
//! Both are taken as one snapshot sees them, so that of every transaction all or nothing comes into the metadata.

use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::filter_record_batch;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::write::arrow_schema;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{Persistence, Relation};

use super::super::pending::PendingRows;
use super::super::state::{StorageState, existing_storage, with_transaction};
use super::Catalogs;
use super::expire::Expiring;
use crate::catalog::{Committed, InlineCommit, InlineContent, Pointer, RowChange};
use crate::directory::StorageKey;
use crate::error::{arrow_error, to_pg_error};
use crate::files::TableFiles;
use crate::row_id::{RowId, RowIds, ordered};
use crate::schema::{TableSchema, conform};

/// Has pre-commit fold the committed inline commits and changes of rows of `rel` into its metadata, and removes those
/// that do not count any more. Returns how many there are; none if somebody else is replacing the metadata.
pub fn fold(rel: Relation<'_>) -> PgResult<usize> {
    let key = StorageKey::of(rel);
    let catalogs = Catalogs::open()?;
    let Some(locked) = catalogs.pointers.try_lock(&key)? else {
        return Ok(0);
    };
    let waiting = Waiting::take(&catalogs, rel.persistence(), &key, locked.pointer)?;
    let count = waiting.count;
    if !waiting.is_empty() {
        let mut storage = existing_storage(rel, &key)?;
        storage.expiring = Expiring::WhenWorthwhile;
        waiting
            .write(&storage.schema, &storage.io)?
            .hand_over(&mut storage);
        with_transaction(|state| state.storages.insert(key, storage));
    }
    Ok(count)
}

/// What has been committed to a storage and is not in its metadata.
pub(super) struct Waiting {
    inline_commits: Vec<InlineCommit>,
    changes: Vec<RowChange>,
    /// How many rows of the catalog there were, those that do not count any more among them.
    count: usize,
}

impl Waiting {
    /// Takes it from the catalog, as far as this transaction sees it. The caller has the lock of the pointer row or of the
    /// table, so that nobody else does.
    pub(super) fn take(
        catalogs: &Catalogs,
        persistence: Persistence,
        key: &StorageKey,
        pointer: Pointer,
    ) -> PgResult<Self> {
        let latest = catalogs.inline_commits.latest();
        let found = catalogs.inline_commits.find(key, latest.snapshot())?;
        catalogs.inline_commits.delete(&found);
        let mut changes = Vec::new();
        if let Some(catalog) = &catalogs.row_changes {
            changes = catalog.find(key, latest.snapshot())?;
            catalog.delete(&changes);
        }
        let count = found.len() + changes.len();
        let Committed { inline_commits, .. } = Committed::of(persistence, key, pointer, found);
        Ok(Self {
            inline_commits,
            changes,
            count,
        })
    }

    fn is_empty(&self) -> bool {
        self.inline_commits.is_empty() && self.changes.is_empty()
    }

    /// Gives the inline rows, without those that were changed, data files.
    pub(super) fn write(self, schema: &TableSchema, io: &TableFiles) -> PgResult<Folded> {
        let arrow = arrow_schema(&schema.schema).map_err(to_pg_error)?;
        let changed = RowChange::rows(&self.changes);
        let mut files = Vec::new();
        let mut rows = Vec::new();
        for inline in &self.inline_commits {
            match inline.content()? {
                InlineContent::DataFile(file) => files.push(file),
                InlineContent::Rows(batch, ids) => {
                    let (batch, ids) = conform(&batch, &arrow, &schema.missing)
                        .and_then(|batch| without_rows(&batch, &ids, &changed))?;
                    if batch.num_rows() > 0 {
                        rows.push((batch, ids));
                    }
                }
            }
        }
        let mut pending = PendingRows::new(schema, io.clone())?;
        pending.fold(rows)?;
        files.extend(pending.finish()?);
        Ok(Folded {
            files,
            changes: self.changes,
        })
    }
}

/// What is put into the metadata.
pub(super) struct Folded {
    files: Vec<Arc<DataFile>>,
    changes: Vec<RowChange>,
}

impl Folded {
    /// Makes it part of what the transaction has done to the storage.
    pub(super) fn hand_over(self, storage: &mut StorageState) {
        storage.closed.extend(self.files);
        storage.folded_changes = self.changes;
        storage.folds = true;
    }
}

/// Those of the rows that are not among `changed`, which is in order.
fn without_rows(
    batch: &RecordBatch,
    ids: &RowIds,
    changed: &[RowId],
) -> PgResult<(RecordBatch, RowIds)> {
    let ids = ids.to_array();
    let kept = ordered::none_of(changed, ids.values());
    let error = arrow_error("leave out superseded rows");
    let left = ids.values().iter().zip(kept.values());
    let left = left.filter_map(|(&id, kept)| kept.then_some(id)).collect();
    let batch = filter_record_batch(batch, &kept).map_err(error)?;
    Ok((batch, RowIds::of(left)))
}
