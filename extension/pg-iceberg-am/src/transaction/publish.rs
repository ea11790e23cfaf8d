//! Pre-commit: what the transaction did becomes part of its tables.
//!
//! There are two ways. A table whose metadata file was replaced only a moment ago, or is being replaced, is
//! not waited for: the transaction commits its rows, or data files, as appends (`catalog/append.rs`), which
//! count at once, and the publisher (`publisher/`) puts them into the metadata, many transactions'
//! together.
//!
//! All other changes go into the metadata here. First, without holding anything that others wait for, the
//! rows are closed into data files and their manifests are written. Then, table by table in the order of
//! their keys, the pointer row is locked, its latest version read, the change put on top of whatever it
//! says, the manifest list and the metadata file are written, and the row replaced. The row lock is held to
//! the end of the PostgreSQL commit, which follows at once.

use std::borrow::Cow;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use iceberg_lite::commit::{self, SnapshotDelta, StagedSnapshot};
use iceberg_lite::manifest::DataFile;
use iceberg_lite::spec::{PartitionSpec, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Persistence, Relation};
use pg_lakebase_core::xact::clock_timestamp;
use pg_lakebase_core::{injection, serializable};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::pending::PendingRows;
use super::state::{StorageState, adopt, existing_storage, with_transaction};
use crate::catalog::{
    AppendCatalog, Committed, Incarnation, LockedPointer, Origin, Pointer, PointerCatalog, Record,
    cache, latest_pointer, unless_emptied,
};
use crate::error::to_pg_error;
use crate::row_id::column;
use crate::schema::{TableColumns, TableSchema, with_current_columns};
use crate::storage::{StorageKey, VfdFileIo};
use crate::{guc, publisher};

/// The most bytes of values that are committed as rows.
const MAX_INLINE_BYTES: usize = 4 << 10;
/// The most data files that a transaction leaves for the publisher.
const MAX_FILES: usize = 16;

/// Commits every storage that this transaction has changed and not dropped. `for_prepare` says that the
/// outcome may take long to be known, so that others' commits must not wait for it.
pub fn publish(for_prepare: bool) -> PgResult<()> {
    resolve_changed_columns()?;
    let mut changes: Vec<Change> = with_transaction(|state| {
        state.published = true;
        let dropped = &state.dropped;
        state
            .storages
            .iter()
            .filter(|(key, storage)| !dropped.contains(key) && storage.is_changed())
            .map(|(key, storage)| Change::of(*key, storage, for_prepare))
            .collect::<PgResult<_>>()
    })?;
    if changes.is_empty() {
        return Ok(());
    }
    let catalogs = Catalogs::open()?;
    for change in &mut changes {
        change.way = change.choose_way(&catalogs)?;
        if change.way == Way::Publish {
            change.prepare()?;
        }
    }
    injection::point(c"iceberg-manifests-written");
    let mut metadata = Vec::with_capacity(changes.len());
    for change in &mut changes {
        metadata.push(change.commit(&catalogs)?);
    }
    for (change, metadata) in changes.iter().zip(&metadata) {
        change.io.sync(|name| {
            let MetadataFiles { current, previous } = metadata.as_ref()?;
            previous.as_deref().filter(|_| name == current)
        })?;
    }
    injection::point(c"iceberg-synced");
    Ok(())
}

/// Finds the storages that have other columns now than their metadata say. What was noted may have been done
/// back, or been done to a storage that is replaced since.
fn resolve_changed_columns() -> PgResult<()> {
    let noted = with_transaction(|state| std::mem::take(&mut state.changed_columns));
    for (key, relid) in noted {
        // Locked since its columns were changed.
        let Some(rel) = OpenRelation::try_open(relid, LockMode::None) else {
            continue;
        };
        let rel = rel.relation();
        if StorageKey::of(rel) != key || with_transaction(|state| state.dropped.contains(&key)) {
            continue;
        }
        let columns = Arc::new(TableColumns::resolve(rel.tuple_desc())?);
        let pointer = latest_pointer(rel, &key)?;
        if let Some(location) = pointer.and_then(|pointer| pointer.metadata_location) {
            let metadata = cache::metadata(&VfdFileIo::new(key), &location)?;
            if Arc::ptr_eq(&metadata, &with_current_columns(&metadata, &columns)?) {
                continue;
            }
            if !with_transaction(|state| state.storages.contains_key(&key)) {
                let storage = existing_storage(rel, &key)?;
                with_transaction(|state| state.storages.insert(key, storage));
            }
        }
        with_transaction(|state| {
            if let Some(storage) = state.storages.get_mut(&key) {
                storage.new_columns = Some(columns);
            }
        });
    }
    Ok(())
}

struct Catalogs {
    pointers: PointerCatalog,
    appends: AppendCatalog,
}

impl Catalogs {
    fn open() -> PgResult<Self> {
        PointerCatalog::open_for_update()
            .zip(AppendCatalog::open_for_update())
            .map(|(pointers, appends)| Self { pointers, appends })
            .ok_or_else(|| {
                PgError::new(
                    PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
                    "cannot commit changes of Iceberg tables: the extension pg_iceberg_am is gone",
                )
            })
    }
}

/// How a change becomes part of its table.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Way {
    /// Through the metadata, after waiting for whoever is replacing them.
    Publish,
    /// Through the metadata, unless somebody else is replacing them.
    PublishIfFree,
    /// As an append.
    Append,
}

/// What a transaction has done to a storage.
struct Change {
    key: StorageKey,
    io: VfdFileIo,
    schema: TableSchema,
    new_columns: Option<Arc<TableColumns>>,
    created: bool,
    emptied: bool,
    adopts: bool,
    origin: Origin,
    persistence: Persistence,
    relid: pg_sys::Oid,
    for_prepare: bool,
    way: Way,
    /// Of the pointer row that an append is put on top of.
    incarnation: Incarnation,
    prepared: Option<StagedSnapshot>,
    /// One past the largest row id in `prepared`.
    next_row_id: u64,
}

/// A new metadata file and the one before it, relative to the table's directory.
struct MetadataFiles {
    current: String,
    previous: Option<String>,
}

impl Change {
    fn of(key: StorageKey, storage: &StorageState, for_prepare: bool) -> PgResult<Self> {
        Ok(Self {
            key,
            io: storage.io.clone(),
            schema: match &storage.new_columns {
                Some(columns) => storage.schema.with_columns(Arc::clone(columns))?,
                None => storage.schema.clone(),
            },
            new_columns: storage.new_columns.clone(),
            created: storage.created,
            emptied: storage.emptied,
            adopts: storage.adopts,
            origin: storage.origin,
            persistence: storage.persistence,
            relid: storage.relid,
            for_prepare,
            way: Way::Publish,
            incarnation: Incarnation::default(),
            prepared: None,
            next_row_id: 0,
        })
    }

    fn choose_way(&mut self, catalogs: &Catalogs) -> PgResult<Way> {
        let interval = guc::publish_interval();
        let only_appends = !self.created
            && !self.emptied
            && !self.adopts
            && self.new_columns.is_none()
            && !self.key.is_temporary();
        if !only_appends || (interval.is_zero() && !self.for_prepare) {
            return Ok(Way::Publish);
        }
        let latest = catalogs.pointers.latest();
        let pointer = catalogs.pointers.find(&self.key, latest.snapshot())?;
        let pointer = pointer.map(|pointer| unless_emptied(self.persistence, &self.key, pointer));
        let Some(pointer) = pointer.filter(|pointer| pointer.metadata_location.is_some()) else {
            return Ok(Way::Publish);
        };
        self.incarnation = pointer.incarnation;
        let age = u64::try_from(clock_timestamp() - pointer.published_at).unwrap_or(0);
        let is_busy = u128::from(age) < interval.as_micros()
            || catalogs
                .appends
                .any(&self.key, &pointer, latest.snapshot())?;
        Ok(if is_busy || self.for_prepare {
            Way::Append
        } else {
            Way::PublishIfFree
        })
    }

    /// Closes the rows into data files.
    fn finish(&self) -> PgResult<Vec<Arc<DataFile>>> {
        self.with_rows(PendingRows::finish)
    }

    fn with_rows<T>(&self, work: impl FnOnce(&mut PendingRows) -> PgResult<T>) -> PgResult<T> {
        with_transaction(|state| {
            state
                .storages
                .get_mut(&self.key)
                .map(|storage| work(&mut storage.rows))
        })
        .unwrap_or_else(|| {
            Err(PgError::internal(format!(
                "Iceberg storage {} vanished while it was published",
                self.key.rel_number
            )))
        })
    }

    /// Closes the rows into data files and writes their manifest.
    fn prepare(&mut self) -> PgResult<()> {
        let mut files = with_transaction(|state| {
            let storage = state.storages.get_mut(&self.key);
            storage.map_or_else(Vec::new, |storage| std::mem::take(&mut storage.adopted))
        });
        files.extend(self.finish()?);
        self.write_manifest(files)
    }

    fn write_manifest(&mut self, added_data_files: Vec<Arc<DataFile>>) -> PgResult<()> {
        if added_data_files.is_empty() && !self.emptied {
            return Ok(());
        }
        for file in &added_data_files {
            let end = column::bounds(file)?.end.number();
            self.next_row_id = self.next_row_id.max(end);
        }
        let delta = SnapshotDelta {
            added_data_files,
            removes_everything: self.emptied,
            ..SnapshotDelta::default()
        };
        let prepared = commit::stage(
            &delta,
            &self.schema.schema,
            &PartitionSpec::unpartitioned(),
            &self.io.directory().location(),
            &self.io,
        );
        self.prepared = Some(prepared.map_err(to_pg_error)?);
        Ok(())
    }

    fn commit(&mut self, catalogs: &Catalogs) -> PgResult<Option<MetadataFiles>> {
        // Whoever has read the table since the rows were inserted has not seen them.
        if !self.created
            && let Some(rel) = OpenRelation::try_open(self.relid, LockMode::None)
        {
            serializable::note_write(rel.relation());
        }
        match self.way {
            Way::Publish => self.wait_and_publish(catalogs).map(Some),
            Way::PublishIfFree => match catalogs.pointers.try_lock(&self.key)? {
                Some(locked) => {
                    self.prepare()?;
                    self.replace_metadata(catalogs, Some(locked)).map(Some)
                }
                None => self.append(catalogs),
            },
            Way::Append => self.append(catalogs),
        }
    }

    /// Leaves the change for the publisher, if there is one and not too much of it.
    fn append(&mut self, catalogs: &Catalogs) -> PgResult<Option<MetadataFiles>> {
        if !publisher::ensure_running() && !self.for_prepare {
            self.prepare()?;
            return self.wait_and_publish(catalogs).map(Some);
        }
        let rows = self.with_rows(|rows| rows.small_batch(MAX_INLINE_BYTES))?;
        let record = rows
            .map(|(rows, ids)| Record::of_rows(&rows, &ids))
            .transpose()?;
        if let Some(record) = record.flatten() {
            self.insert(catalogs, &[record]);
            return Ok(None);
        }
        let files = self.finish()?;
        let records = files.iter().map(|file| Record::of_file(file));
        match records.collect::<PgResult<Option<Vec<_>>>>()? {
            Some(records) if self.for_prepare || records.len() <= MAX_FILES => {
                self.insert(catalogs, &records);
                Ok(None)
            }
            _ => {
                self.write_manifest(files)?;
                self.wait_and_publish(catalogs).map(Some)
            }
        }
    }

    fn insert(&self, catalogs: &Catalogs, records: &[Record]) {
        for record in records {
            catalogs.appends.insert(&self.key, self.incarnation, record);
        }
        with_transaction(|state| state.left_appends = true);
        injection::point(c"iceberg-appended");
    }

    fn wait_and_publish(&self, catalogs: &Catalogs) -> PgResult<MetadataFiles> {
        let locked = (!self.created).then(|| catalogs.pointers.lock(&self.key));
        self.replace_metadata(catalogs, locked.transpose()?)
    }

    /// Writes the manifest list and the metadata file, and points the table to it.
    fn replace_metadata(
        &self,
        catalogs: &Catalogs,
        locked: Option<LockedPointer>,
    ) -> PgResult<MetadataFiles> {
        injection::point(c"iceberg-pointer-locked");
        let Self { key, io, .. } = self;
        let location = io.directory().location();
        let locked = locked.map(|LockedPointer { pointer, tid }| LockedPointer {
            pointer: unless_emptied(self.persistence, key, pointer),
            tid,
        });
        let previous = locked
            .as_ref()
            .and_then(|locked| locked.pointer.metadata_location.clone());
        let base = match &previous {
            Some(relative) => {
                let base = located_at(&location, cache::metadata(io, relative)?);
                match &self.new_columns {
                    Some(columns) => with_current_columns(&base, columns)?,
                    None => base,
                }
            }
            None => TableMetadata::new_table(
                (*self.schema.schema).clone(),
                PartitionSpec::unpartitioned(),
                location.clone(),
                self.schema.properties()?,
                uuid::Uuid::new_v4(),
                now_ms(),
            )
            .into(),
        };
        let base_path = previous
            .as_deref()
            .map(|relative| format!("{location}/{relative}"));
        let prepared = self
            .prepared
            .as_ref()
            .map(|staged| match &self.new_columns {
                Some(_) => Cow::Owned(staged.clone().with_schema_id(base.current_schema_id)),
                None => Cow::Borrowed(staged),
            });
        let prepared = prepared.as_deref();
        let published = commit::complete(&base, base_path.as_deref(), prepared, io, now_ms())
            .map_err(to_pg_error)?;
        let current = published
            .metadata_location
            .strip_prefix(&format!("{location}/"))
            .map(str::to_owned)
            .ok_or_else(|| {
                PgError::internal(format!(
                    "new metadata file \"{}\" lies elsewhere than the table",
                    published.metadata_location
                ))
            })?;
        injection::point(c"iceberg-metadata-written");
        let mut pointer = pointer(&published.metadata, current.clone());
        pointer.incarnation = match &locked {
            Some(locked) if previous.is_some() => locked.pointer.incarnation,
            _ => Incarnation::new(),
        };
        pointer.next_row_id = self.next_row_id;
        match locked {
            Some(locked) => {
                if previous.is_none() && !key.is_temporary() {
                    // A table that recovery has emptied: what was appended before is gone as well.
                    let latest = catalogs.appends.latest();
                    let gone = catalogs.appends.find(key, latest.snapshot())?;
                    catalogs.appends.delete(&gone);
                }
                pointer.origin = locked.pointer.origin;
                pointer.next_row_id = pointer.next_row_id.max(locked.pointer.next_row_id);
                catalogs.pointers.replace(key, &locked, &pointer);
            }
            None => {
                pointer.origin = self.origin;
                catalogs.pointers.insert(key, &pointer);
            }
        }
        injection::point(c"iceberg-pointer-replaced");
        cache::remember(io, &current, published.metadata.into());
        Ok(MetadataFiles { current, previous })
    }
}

/// Has pre-commit put the committed appends to `rel` into its metadata, and removes those that do not count
/// any more. Returns how many there are; none if somebody else is replacing the metadata.
pub fn adopt_appends(rel: Relation<'_>) -> PgResult<usize> {
    let key = StorageKey::of(rel);
    let Catalogs {
        pointers,
        appends: catalog,
    } = Catalogs::open()?;
    let Some(locked) = pointers.try_lock(&key)? else {
        return Ok(0);
    };
    // Only who has the lock deletes appends.
    let latest = catalog.latest();
    let found = catalog.find(&key, latest.snapshot())?;
    catalog.delete(&found);
    let count = found.len();
    let Committed { appends, .. } = Committed::of(rel.persistence(), &key, locked.pointer, found);
    if !appends.is_empty() {
        adopt(rel, key, &appends)?;
    }
    Ok(count)
}

/// The metadata of a table that is at `location`, wherever it was when they were written: a cluster may have
/// been moved, restored elsewhere, or upgraded. What is written next lies where the table is now.
fn located_at(location: &str, metadata: Arc<TableMetadata>) -> Arc<TableMetadata> {
    if metadata.location == location {
        return metadata;
    }
    Arc::new(TableMetadata {
        location: location.to_owned(),
        ..TableMetadata::clone(&metadata)
    })
}

/// What the pointer row says of `metadata`.
fn pointer(metadata: &TableMetadata, metadata_location: String) -> Pointer {
    let snapshot = metadata.current_snapshot();
    let total = |name: &str| {
        snapshot
            .and_then(|snapshot| snapshot.summary.count(name))
            .unwrap_or(0)
    };
    Pointer {
        snapshot_id: snapshot.map(|snapshot| snapshot.snapshot_id),
        row_count: total("total-records"),
        file_count: total("total-data-files"),
        total_bytes: total("total-files-size"),
        metadata_location: Some(metadata_location),
        origin: Origin::New,
        published_at: clock_timestamp(),
        incarnation: Incarnation::default(),
        next_row_id: 0,
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}
