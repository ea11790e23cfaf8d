//! Pre-commit: what the transaction did becomes Iceberg commits.
//!
//! First, without holding anything that others wait for, every changed table's rows are closed into
//! data files and their manifests are written. Then, table by table in the order of their keys, the
//! pointer row is locked, its latest version read, the change put on top of whatever it says, the
//! manifest list and the metadata file are written, and the row replaced. The row lock is held to
//! the end of the PostgreSQL commit, which follows at once.

use std::time::{SystemTime, UNIX_EPOCH};

use iceberg_lite::commit::{self, PreparedSnapshot, SnapshotDelta};
use iceberg_lite::spec::{PartitionSpec, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::injection;
use pgrx::PgSqlErrorCode;

use super::state::{StorageState, with_transaction};
use crate::catalog::{LockedPointer, Pointer, PointerCatalog, cache, unless_emptied};
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
        let previous = self.previous.as_deref().and_then(|name| {
            let path = format!("{}/{name}", self.io.directory());
            // It is read for the log's sake alone: without it the new file is logged whole.
            Some((name, std::fs::read(path).ok()?))
        });
        self.io.sync(|name| {
            let (previous, text) = previous.as_ref()?;
            (name == self.metadata).then_some((*previous, &**text))
        })
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

fn publish_storage(
    catalog: &PointerCatalog,
    key: &StorageKey,
    prepared: Option<PreparedSnapshot>,
) -> PgResult<PublishedStorage> {
    let (io, schema, created, persistence) =
        with_transaction(|state| match state.storages.get(key) {
            Some(storage) => Ok((
                storage.io.clone(),
                storage.schema.clone(),
                storage.created,
                storage.persistence,
            )),
            None => Err(PgError::new(
                PgSqlErrorCode::ERRCODE_INTERNAL_ERROR,
                format!(
                    "Iceberg storage {} vanished while it was published",
                    key.rel_number
                ),
            )),
        })?;
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
    let pointer = pointer(&published.metadata, relative.clone());
    match locked {
        Some(locked) => catalog.replace(key, locked, &pointer)?,
        None => catalog.insert(key, &pointer)?,
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
    }
}

/// Milliseconds since the Unix epoch.
fn now_ms() -> i64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_millis() as i64)
}
