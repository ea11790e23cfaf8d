//! What a transaction has done to a storage, and the files that it takes.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use iceberg_lite::commit::{self, SnapshotDelta, StagedSnapshot};
use iceberg_lite::manifest::DataFile;
use iceberg_lite::spec::PartitionSpec;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Persistence};
use pg_lakebase_core::serializable;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::pg_sys;

use super::super::pending::PendingRows;
use super::super::state::{StorageState, with_transaction};
use super::Catalogs;
use super::expire::Expiring;
use super::fold::Waiting;
use super::metadata::MetadataFiles;
use super::way::{Kind, Way};
use crate::catalog::options::TableOptions;
use crate::catalog::{Incarnation, LockedPointer, Origin, RowChange, unless_emptied};
use crate::directory::StorageKey;
use crate::error::to_pg_error;
use crate::files::TableFiles;
use crate::row_id::column;
use crate::schema::{TableColumns, TableSchema};

/// What a transaction has done to a storage.
pub(super) struct Change {
    pub(super) key: StorageKey,
    pub(super) io: TableFiles,
    pub(super) schema: TableSchema,
    /// See [`Self::options`].
    pub(super) options: OnceCell<TableOptions>,
    /// The columns that the metadata get, if they are others.
    pub(super) new_columns: Option<Arc<TableColumns>>,
    pub(super) created: bool,
    pub(super) emptied: bool,
    /// Whether it adds or changes rows of a table that others may have rows in.
    is_beside_others: bool,
    pub(super) expiring: Expiring,
    /// Whether that is all.
    pub(super) only_expires: bool,
    pub(super) origin: Origin,
    pub(super) persistence: Persistence,
    pub(super) relid: pg_sys::Oid,
    pub(super) kind: Kind,
    way: Way,
    /// Of the pointer row that an inline commit is put on top of.
    pub(super) incarnation: Incarnation,
    /// The snapshot's manifest, if there is anything to put into it.
    pub(super) staged: Option<StagedSnapshot>,
    /// One past the largest row id in `staged`.
    pub(super) next_row_id: u64,
}

impl Change {
    /// What the transaction has done to `key` so far.
    pub(super) fn of(key: StorageKey, storage: &StorageState, for_prepare: bool) -> Self {
        let expiring = match storage.expiring {
            // No publisher sees to it.
            Expiring::Nothing if key.is_temporary() => Expiring::WhenWorthwhile,
            expiring => expiring,
        };
        let only_rows = !storage.created
            && !storage.emptied
            && !storage.folds
            && storage.replacement.is_empty()
            && storage.expiring == Expiring::Nothing
            && storage.new_columns.is_none()
            && !key.is_temporary();
        Self {
            key,
            io: storage.io.clone(),
            schema: storage.schema.clone(),
            options: OnceCell::new(),
            new_columns: storage.new_columns.clone(),
            created: storage.created,
            emptied: storage.emptied,
            is_beside_others: !storage.created
                && !storage.emptied
                && !key.is_temporary()
                && (storage.rows.len() > 0 || storage.row_changes > 0),
            expiring,
            only_expires: storage.expiring != Expiring::Nothing && !storage.changes_content(),
            origin: storage.origin,
            persistence: storage.persistence,
            relid: storage.relid,
            kind: Kind {
                only_rows,
                changes_rows: storage.row_changes > 0,
                is_prepared: for_prepare,
                is_far: storage.io.place().is_object(),
            },
            way: Way::Metadata,
            incarnation: Incarnation::default(),
            staged: None,
            next_row_id: 0,
        }
    }

    /// Chooses the way, and does what can be done before anybody is waited for.
    pub(super) fn begin(&mut self, catalogs: &Catalogs) -> PgResult<()> {
        self.way = self.choose_way(catalogs)?;
        match self.way {
            Way::Metadata => {
                if self.kind.changes_rows {
                    self.take_own_changes(catalogs)?;
                }
                self.stage()
            }
            Way::MetadataWithWaiting => self.close_files(),
            Way::MetadataIfFree | Way::Inline => Ok(()),
        }
    }

    /// Takes the changes of rows, of a table that others have no rows in.
    fn take_own_changes(&self, catalogs: &Catalogs) -> PgResult<()> {
        let Some(catalog) = &catalogs.row_changes else {
            return Ok(());
        };
        // Those that others have left of an unlogged table before a crash are the publisher's to remove.
        let changes = catalog.find_own(&self.key)?;
        catalog.delete(&changes);
        self.with_storage(|storage| storage.folded_changes = changes)
    }

    fn choose_way(&mut self, catalogs: &Catalogs) -> PgResult<Way> {
        let interval = self.io.place().publish_interval();
        if self.kind.needs_metadata(interval) {
            return Ok(match self.is_beside_others {
                true => Way::MetadataWithWaiting,
                false => Way::Metadata,
            });
        }
        let latest = catalogs.pointers.latest();
        let pointer = catalogs.pointers.find(&self.key, latest.snapshot())?;
        let pointer = pointer
            .map(|pointer| unless_emptied(self.persistence, &self.key, pointer))
            .unwrap_or_default();
        self.incarnation = pointer.incarnation;
        let any_waits = || {
            let Catalogs {
                inline_commits,
                row_changes,
                ..
            } = catalogs;
            Ok(inline_commits.any(&self.key, &pointer, latest.snapshot())?
                || match row_changes {
                    Some(row_changes) => row_changes.any(&self.key, latest.snapshot())?,
                    None => false,
                })
        };
        let age = pointer.metadata_location.is_some().then(|| {
            let age = clock_timestamp() - pointer.published_at;
            Duration::from_micros(u64::try_from(age).unwrap_or(0))
        });
        self.kind.way(interval, age, any_waits)
    }

    /// Makes the change part of its table; returns the metadata file that it wrote, if it did.
    pub(super) fn commit(&mut self, catalogs: &Catalogs) -> PgResult<Option<MetadataFiles>> {
        // Whoever has read the table since the rows were inserted has not seen them.
        if !self.created
            && let Some(rel) = OpenRelation::try_open(self.relid, LockMode::None)
        {
            serializable::note_write(rel.relation());
        }
        match self.way {
            // Of a new table, or without rows that are added or changed.
            Way::Metadata => {
                let locked = (!self.created).then(|| catalogs.pointers.lock(&self.key));
                self.replace_metadata(catalogs, locked.transpose()?)
            }
            Way::MetadataWithWaiting => self.replace_metadata_with_waiting(catalogs),
            Way::MetadataIfFree => match catalogs.pointers.try_lock(&self.key)? {
                Some(locked) => self.replace_locked_with_waiting(catalogs, locked),
                None => self.leave_inline(catalogs),
            },
            Way::Inline => self.leave_inline(catalogs),
        }
    }

    /// Waits for whoever is replacing the metadata, and replaces them, with all that waits for the publisher.
    pub(super) fn replace_metadata_with_waiting(
        &mut self,
        catalogs: &Catalogs,
    ) -> PgResult<Option<MetadataFiles>> {
        let locked = catalogs.pointers.lock(&self.key)?;
        self.replace_locked_with_waiting(catalogs, locked)
    }

    /// As [`Self::replace_metadata_with_waiting`], with the pointer row locked.
    fn replace_locked_with_waiting(
        &mut self,
        catalogs: &Catalogs,
        locked: LockedPointer,
    ) -> PgResult<Option<MetadataFiles>> {
        let pointer = unless_emptied(self.persistence, &self.key, locked.pointer.clone());
        if pointer.metadata_location.is_some() {
            let waiting = Waiting::take(catalogs, self.persistence, &self.key, pointer)?;
            let folded = waiting.write(&self.schema, &self.io)?;
            self.with_storage(|storage| folded.hand_over(storage))?;
        } else if self.kind.changes_rows {
            // Of an unlogged table that recovery has emptied.
            self.take_own_changes(catalogs)?;
        }
        self.stage()?;
        self.replace_metadata(catalogs, Some(locked))
    }

    /// Runs `work` on what the transaction has done to the storage.
    fn with_storage<T>(&self, work: impl FnOnce(&mut StorageState) -> T) -> PgResult<T> {
        with_transaction(|state| state.storages.get_mut(&self.key).map(work)).ok_or_else(|| {
            PgError::internal(format!(
                "Iceberg storage {} vanished while it was committed",
                self.key.rel_number
            ))
        })
    }

    /// Runs `work` on the rows.
    pub(super) fn with_rows<T>(
        &self,
        work: impl FnOnce(&mut PendingRows) -> PgResult<T>,
    ) -> PgResult<T> {
        self.with_storage(|storage| work(&mut storage.rows))?
    }

    /// Closes the rows into data files.
    pub(super) fn close_files(&self) -> PgResult<()> {
        let files = self.with_rows(PendingRows::finish)?;
        self.add_files(files)
    }

    /// Has these files of the rows put into the metadata.
    pub(super) fn add_files(&self, files: Vec<Arc<DataFile>>) -> PgResult<()> {
        self.with_storage(|storage| storage.closed.extend(files))
    }

    /// Closes the rows into data files and writes the manifest of these, and of those that are folded.
    pub(super) fn stage(&mut self) -> PgResult<()> {
        self.close_files()?;
        let (files, replacement, changed) = self.with_storage(|storage| {
            (
                std::mem::take(&mut storage.closed),
                std::mem::take(&mut storage.replacement),
                std::mem::take(&mut storage.folded_changes),
            )
        })?;
        if !replacement.is_empty() {
            return self.stage_delta(&replacement);
        }
        let delta = SnapshotDelta {
            added_data_files: files,
            removes_everything: self.emptied,
            ..SnapshotDelta::default()
        };
        let rows = RowChange::rows(&changed);
        match rows.last() {
            Some(last) => {
                self.next_row_id = self.next_row_id.max(last.number() + 1);
                let options = self.options();
                let copied =
                    (changed.iter()).filter(|change| options.copies_on_write(change.is_update()));
                let delta = self.without_rows(delta, &rows, &RowChange::rows(copied))?;
                self.stage_delta(&delta)
            }
            None => self.stage_delta(&delta),
        }
    }

    fn stage_delta(&mut self, delta: &SnapshotDelta) -> PgResult<()> {
        if delta.is_empty() {
            return Ok(());
        }
        for file in &delta.added_data_files {
            let end = column::bounds(file)?.end.number();
            self.next_row_id = self.next_row_id.max(end);
        }
        let staged = commit::stage(
            delta,
            &self.schema.schema,
            &PartitionSpec::unpartitioned(),
            &self.io.place().location()?,
            self.options().format_version(),
            &self.io,
        );
        self.staged = Some(staged.map_err(to_pg_error)?);
        Ok(())
    }
}
