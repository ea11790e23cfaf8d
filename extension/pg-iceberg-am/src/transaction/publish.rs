//! Pre-commit: what the transaction did becomes Iceberg commits.
//!
//! First, without holding anything that others wait for, every changed table's rows are closed into
//! data files. A table whose metadata file was replaced only a moment ago, or is being replaced, is not
//! waited for: the transaction commits its data files as appends, which count at once, and the publisher
//! (`publisher.rs`) puts them into the metadata, many transactions' together. All other changes go into
//! the metadata here. Table by table, in the order of their keys, the pointer row is locked, its latest
//! version read, the change put on top of whatever it says, the manifest list and the metadata file are
//! written, and the row replaced. The row lock is held to the end of the PostgreSQL commit, which follows
//! at once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use iceberg_lite::commit::{self, PreparedSnapshot, SnapshotDelta};
use iceberg_lite::io::FileIo;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::spec::{PartitionSpec, Schema, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Persistence, Relation};
use pg_lakebase_core::{injection, serializable};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::state::{StorageState, adopt, with_transaction};
use crate::catalog::{
    Append, AppendCatalog, LockedPointer, Origin, Pointer, PointerCatalog, Record, cache,
    unless_emptied,
};
use crate::error::to_pg_error;
use crate::storage::{StorageKey, VfdFileIo};
use crate::{guc, publisher};

/// How many data files a transaction may leave for the publisher.
const MAX_APPENDS: usize = 16;

/// Commits every storage that this transaction has changed and not dropped. `for_prepare` says that the
/// outcome may take long to be known, so that others' commits must not wait for it.
pub fn publish(for_prepare: bool) -> PgResult<()> {
    let changed = with_transaction(|state| {
        state.published = true;
        let dropped = &state.dropped;
        state
            .storages
            .iter_mut()
            .filter(|(key, storage)| !dropped.contains(key) && storage.is_changed())
            .map(|(key, storage)| Change::of(*key, storage))
            .collect::<PgResult<Vec<_>>>()
    })?;
    if changed.is_empty() {
        return Ok(());
    }
    let (Some(pointers), Some(appends)) = (
        PointerCatalog::open_for_update(),
        AppendCatalog::open_for_update(),
    ) else {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot commit changes of Iceberg tables: the extension pg_iceberg_am is gone",
        ));
    };
    let catalogs = Catalogs { pointers, appends };
    let mut publications = Vec::with_capacity(changed.len());
    let mut ios = Vec::with_capacity(changed.len());
    for change in changed {
        let records = change.records(&catalogs, for_prepare)?;
        match records {
            Some((records, Urgency::Later)) => {
                ios.push((change.io.clone(), None));
                append(&catalogs, &change, &records);
            }
            records => publications.push(Publication {
                prepared: change.prepare()?,
                records: records.map(|(records, _)| records),
                change,
            }),
        }
    }
    injection::point(c"iceberg-manifests-written");
    for publication in publications {
        let io = publication.change.io.clone();
        ios.push((io, publication.run(&catalogs)?));
    }
    for (io, metadata) in ios {
        io.sync(|name| {
            let metadata: &MetadataFiles = metadata.as_ref()?;
            let previous = metadata.previous.as_deref()?;
            (name == metadata.current).then_some(previous)
        })?;
    }
    injection::point(c"iceberg-synced");
    Ok(())
}

struct Catalogs {
    pointers: PointerCatalog,
    appends: AppendCatalog,
}

/// What a transaction has done to a storage.
struct Change {
    key: StorageKey,
    io: VfdFileIo,
    schema: Arc<Schema>,
    created: bool,
    emptied: bool,
    origin: Origin,
    persistence: Persistence,
    relid: pg_sys::Oid,
    /// Files of this transaction's rows.
    added: Vec<Arc<DataFile>>,
    /// Files of committed appends.
    adopted: Vec<Arc<DataFile>>,
}

/// When a storage's files come into its metadata, if they may come later.
#[derive(PartialEq, Eq)]
enum Urgency {
    /// With this commit, unless somebody else is replacing the metadata.
    Now,
    Later,
}

impl Change {
    /// Closes the rows into data files.
    fn of(key: StorageKey, storage: &mut StorageState) -> PgResult<Self> {
        Ok(Self {
            key,
            added: storage.rows.finish()?,
            adopted: std::mem::take(&mut storage.adopted),
            io: storage.io.clone(),
            schema: Arc::clone(&storage.schema),
            created: storage.created,
            emptied: storage.emptied,
            origin: storage.origin,
            persistence: storage.persistence,
            relid: storage.relid,
        })
    }

    /// The records to leave for the publisher, if that can be done; `None` if this transaction has to
    /// replace the metadata, and to wait for others who do.
    fn records(
        &self,
        catalogs: &Catalogs,
        for_prepare: bool,
    ) -> PgResult<Option<(Vec<Record>, Urgency)>> {
        let only_appends =
            !self.created && !self.emptied && !self.key.is_temporary() && self.adopted.is_empty();
        let interval = guc::publish_interval();
        let is_wanted = for_prepare || (!interval.is_zero() && self.added.len() <= MAX_APPENDS);
        if !only_appends || !is_wanted {
            return Ok(None);
        }
        let latest = catalogs.pointers.latest();
        let Some(pointer) = catalogs.pointers.find(&self.key, latest.snapshot())? else {
            return Ok(None);
        };
        let pointer = unless_emptied(self.persistence, &self.key, pointer);
        if pointer.metadata_location.is_none() {
            return Ok(None);
        }
        let records = self.added.iter().map(|file| Record::of(file));
        let Some(records) = records.collect::<PgResult<Option<Vec<_>>>>()? else {
            return Ok(None);
        };
        let is_recent = now().saturating_sub(pointer.published_at)
            < i64::try_from(interval.as_micros()).unwrap_or(i64::MAX);
        let later =
            for_prepare || is_recent || catalogs.appends.any(&self.key, latest.snapshot())?;
        if !publisher::ensure_running() && !for_prepare {
            return Ok(None);
        }
        let urgency = if later { Urgency::Later } else { Urgency::Now };
        Ok(Some((records, urgency)))
    }

    /// Writes the manifest of the files.
    fn prepare(&self) -> PgResult<Option<PreparedSnapshot>> {
        if self.added.is_empty() && self.adopted.is_empty() && !self.emptied {
            return Ok(None);
        }
        let delta = SnapshotDelta {
            added_data_files: [&*self.adopted, &*self.added].concat(),
            removes_everything: self.emptied,
            ..SnapshotDelta::default()
        };
        commit::prepare(
            &delta,
            &self.schema,
            &PartitionSpec::unpartitioned(),
            &self.io.directory().location(),
            &self.io,
        )
        .map(Some)
        .map_err(to_pg_error)
    }

    /// Whoever has read the table since the rows were inserted has not seen them.
    fn note_write(&self) {
        if !self.created
            && let Some(rel) = OpenRelation::try_open(self.relid, LockMode::None)
        {
            serializable::note_write(rel.relation());
        }
    }
}

/// Leaves a change for the publisher.
fn append(catalogs: &Catalogs, change: &Change, records: &[Record]) {
    change.note_write();
    for record in records {
        catalogs.appends.insert(&change.key, record);
    }
    with_transaction(|state| state.left_appends = true);
    injection::point(c"iceberg-appended");
}

/// A change that goes into the metadata with this commit.
struct Publication {
    change: Change,
    prepared: Option<PreparedSnapshot>,
    /// What to leave for the publisher instead if somebody else is replacing the metadata.
    records: Option<Vec<Record>>,
}

/// A new metadata file and the one before it, relative to the table's directory.
struct MetadataFiles {
    current: String,
    previous: Option<String>,
}

impl Publication {
    fn run(self, catalogs: &Catalogs) -> PgResult<Option<MetadataFiles>> {
        let Self {
            change,
            prepared,
            records,
        } = self;
        let key = &change.key;
        let locked = match &records {
            _ if change.created => None,
            None => Some(catalogs.pointers.lock(key)?),
            Some(records) => match catalogs.pointers.try_lock(key)? {
                Some(locked) => Some(locked),
                None => {
                    let manifests = prepared.iter().flat_map(PreparedSnapshot::files_written);
                    for manifest in manifests {
                        change.io.delete(manifest).map_err(to_pg_error)?;
                    }
                    append(catalogs, &change, records);
                    return Ok(None);
                }
            },
        };
        change.note_write();
        injection::point(c"iceberg-pointer-locked");
        replace_metadata(catalogs, &change, prepared.as_ref(), locked).map(Some)
    }
}

/// Writes the manifest list and the metadata file, and points the table to it.
fn replace_metadata(
    catalogs: &Catalogs,
    change: &Change,
    prepared: Option<&PreparedSnapshot>,
    locked: Option<LockedPointer>,
) -> PgResult<MetadataFiles> {
    let Change { key, io, .. } = change;
    let location = io.directory().location();
    let locked = locked.map(|LockedPointer { pointer, tid }| LockedPointer {
        pointer: unless_emptied(change.persistence, key, pointer),
        tid,
    });
    let previous = locked
        .as_ref()
        .and_then(|locked| locked.pointer.metadata_location.clone());
    let base = match &previous {
        Some(relative) => cache::metadata(io, relative)?,
        None => TableMetadata::new_table(
            (*change.schema).clone(),
            PartitionSpec::unpartitioned(),
            location.clone(),
            Default::default(),
            uuid::Uuid::new_v4(),
            now_ms(),
        )
        .into(),
    };
    let base_path = previous
        .as_deref()
        .map(|relative| format!("{location}/{relative}"));
    let published = commit::publish(&base, base_path.as_deref(), prepared, io, now_ms())
        .map_err(to_pg_error)?;
    let current = published
        .metadata_location
        .strip_prefix(&format!("{location}/"))
        .unwrap_or(&published.metadata_location)
        .to_owned();
    injection::point(c"iceberg-metadata-written");
    let mut pointer = pointer(&published.metadata, current.clone());
    match locked {
        Some(locked) => {
            if previous.is_none() && !key.is_temporary() {
                // A table that recovery has emptied: what was appended before is gone as well.
                let latest = catalogs.appends.latest();
                let gone = catalogs.appends.find(key, latest.snapshot())?;
                catalogs.appends.delete(&gone);
            }
            pointer.origin = locked.pointer.origin;
            catalogs.pointers.replace(key, &locked, &pointer);
        }
        None => {
            pointer.origin = change.origin;
            catalogs.pointers.insert(key, &pointer);
        }
    }
    injection::point(c"iceberg-pointer-replaced");
    cache::remember(io, &current, published.metadata.into());
    Ok(MetadataFiles { current, previous })
}

/// Has pre-commit put the committed appends to `rel` into its metadata. Returns how many there are; none
/// if somebody else is replacing the metadata.
pub fn adopt_appends(rel: Relation<'_>) -> PgResult<usize> {
    let key = StorageKey::of(rel);
    let (Some(pointers), Some(catalog)) = (
        PointerCatalog::open_for_update(),
        AppendCatalog::open_for_update(),
    ) else {
        return Ok(0);
    };
    if pointers.try_lock(&key)?.is_none() {
        return Ok(0);
    }
    // Only who has the lock deletes appends.
    let latest = catalog.latest();
    let appends = catalog.find(&key, latest.snapshot())?;
    if appends.is_empty() {
        return Ok(0);
    }
    let files = appends
        .iter()
        .map(Append::data_file)
        .collect::<PgResult<Vec<_>>>()?;
    adopt(rel, key, files)?;
    catalog.delete(&appends);
    Ok(appends.len())
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
        published_at: now(),
    }
}

/// Microseconds since 2000.
fn now() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}
