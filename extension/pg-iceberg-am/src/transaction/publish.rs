//! Pre-commit: what the transaction did becomes Iceberg commits.
//!
//! First, without holding anything that others wait for, every changed table's rows are closed into
//! data files and their manifests are written. Then, table by table in the order of their keys, the
//! pointer row is locked, its latest version read, the change put on top of whatever it says, the
//! manifest list and the metadata file are written, and the row replaced. The row lock is held to
//! the end of the PostgreSQL commit, which follows at once.

use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use iceberg_lite::commit::{self, PreparedSnapshot, SnapshotDelta};
use iceberg_lite::spec::{PartitionSpec, Schema, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Persistence};
use pg_lakebase_core::{injection, serializable};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::state::{StorageState, with_transaction};
use crate::catalog::{LockedPointer, Origin, Pointer, PointerCatalog, cache, unless_emptied};
use crate::error::to_pg_error;
use crate::storage::{StorageKey, VfdFileIo};

/// Publishes every storage that this transaction has changed and not dropped.
pub fn publish() -> PgResult<()> {
    let changed = with_transaction(|state| {
        state.published = true;
        let dropped = &state.dropped;
        state
            .storages
            .iter_mut()
            .filter(|(key, storage)| !dropped.contains(key) && storage.is_changed())
            .map(|(key, storage)| Ok((*key, prepare(storage)?)))
            .collect::<PgResult<Vec<_>>>()
    })?;
    if changed.is_empty() {
        return Ok(());
    }
    let catalog = PointerCatalog::open_for_update().ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot commit changes of Iceberg tables: the extension pg_iceberg_am is gone",
        )
    })?;
    injection::point(c"iceberg-manifests-written");
    let mut written = Vec::with_capacity(changed.len());
    for (key, prepared) in changed {
        written.push(publish_storage(&catalog, &key, prepared)?);
    }
    for published in written {
        published.sync()?;
    }
    injection::point(c"iceberg-synced");
    Ok(())
}

/// A storage whose new pointer is in its row.
struct PublishedStorage {
    io: VfdFileIo,
    /// The new metadata file and the one before it, relative to the table's directory.
    metadata: String,
    previous: Option<String>,
}

impl PublishedStorage {
    /// Makes what was written durable.
    fn sync(&self) -> PgResult<()> {
        self.io
            .sync(|name| self.previous.as_deref().filter(|_| name == self.metadata))
    }
}

/// Closes the rows into data files and writes their manifest.
fn prepare(storage: &mut StorageState) -> PgResult<Option<PreparedSnapshot>> {
    let added = storage.rows.finish()?;
    if added.is_empty() && !storage.emptied {
        return Ok(None);
    }
    let delta = SnapshotDelta {
        added_data_files: added,
        removes_everything: storage.emptied,
        ..SnapshotDelta::default()
    };
    let location = storage.io.directory().location();
    commit::prepare(
        &delta,
        &storage.schema,
        &PartitionSpec::unpartitioned(),
        &location,
        &storage.io,
    )
    .map(Some)
    .map_err(to_pg_error)
}

/// What publishing needs to know of a storage.
struct Storage {
    io: VfdFileIo,
    schema: Arc<Schema>,
    created: bool,
    origin: Origin,
    persistence: Persistence,
    relid: pg_sys::Oid,
}

impl Storage {
    fn of(state: &StorageState) -> Self {
        Self {
            io: state.io.clone(),
            schema: Arc::clone(&state.schema),
            created: state.created,
            origin: state.origin,
            persistence: state.persistence,
            relid: state.relid,
        }
    }
}

fn publish_storage(
    catalog: &PointerCatalog,
    key: &StorageKey,
    prepared: Option<PreparedSnapshot>,
) -> PgResult<PublishedStorage> {
    let Storage {
        io,
        schema,
        created,
        origin,
        persistence,
        relid,
    } = with_transaction(|state| state.storages.get(key).map(Storage::of)).ok_or_else(|| {
        PgError::internal(format!(
            "Iceberg storage {} vanished while it was published",
            key.rel_number
        ))
    })?;
    // Whoever has read the table since the rows were inserted has not seen them.
    if !created && let Some(rel) = OpenRelation::try_open(relid, LockMode::None) {
        serializable::note_write(rel.relation());
    }
    let location = io.directory().location();
    let locked: Option<LockedPointer> = if created {
        None
    } else {
        let LockedPointer { pointer, tid } = catalog.lock(key)?;
        let pointer = unless_emptied(persistence, key, pointer);
        Some(LockedPointer { pointer, tid })
    };
    injection::point(c"iceberg-pointer-locked");
    let base_location = locked
        .as_ref()
        .and_then(|locked| locked.pointer.metadata_location.clone());
    let base = match &base_location {
        Some(relative) => cache::metadata(&io, relative)?,
        None => TableMetadata::new_table(
            (*schema).clone(),
            PartitionSpec::unpartitioned(),
            location.clone(),
            Default::default(),
            uuid::Uuid::new_v4(),
            now_ms(),
        )
        .into(),
    };
    let base_path = base_location
        .as_deref()
        .map(|relative| format!("{location}/{relative}"));
    let published = commit::publish(
        &base,
        base_path.as_deref(),
        prepared.as_ref(),
        &io,
        now_ms(),
    )
    .map_err(to_pg_error)?;
    let relative = published
        .metadata_location
        .strip_prefix(&format!("{location}/"))
        .unwrap_or(&published.metadata_location)
        .to_owned();
    injection::point(c"iceberg-metadata-written");
    let mut pointer = pointer(&published.metadata, relative.clone());
    match locked {
        Some(locked) => {
            pointer.origin = locked.pointer.origin;
            catalog.replace(key, locked, &pointer)?;
        }
        None => {
            pointer.origin = origin;
            catalog.insert(key, &pointer)?;
        }
    }
    injection::point(c"iceberg-pointer-replaced");
    cache::remember(&io, &relative, published.metadata.into());
    Ok(PublishedStorage {
        io,
        metadata: relative,
        previous: base_location,
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
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}
