//! SQL functions that look inside a table's storage.

use std::collections::HashSet;

use iceberg_lite::manifest::DataContentType;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::Regclass;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::privilege::{may_look, may_monitor};
use crate::catalog::{
    PointerCatalog, check_select, is_iceberg_relid, latest_pointer, open_to_read, storage_of,
};
use crate::directory::{StorageKey, TableDirectory};
use crate::files::{Place, TableFiles, cache};
use crate::scan::{SegmentSource, TableView, UNSEQUENCED};
use crate::stores;

fn or_raise<T>(result: PgResult<T>) -> T {
    result.unwrap_or_else(|error| error.raise())
}

#[pg_schema]
mod lakebase {
    use super::*;

    /// The absolute path of a table's directory; NULL for what is no Iceberg table. Asked by who may neither
    /// read the table nor monitor the server, an error.
    #[pg_extern(stable, parallel_safe, strict)]
    fn iceberg_location(relation: Regclass) -> Option<String> {
        location(relation.0).unwrap_or_else(|error| error.raise())
    }

    /// The path by which Iceberg metadata know the table's file of this name. NULL for what is no Iceberg table, and for who
    /// may neither read the table nor monitor the server.
    #[pg_extern(stable, parallel_safe, strict)]
    fn file_path(relation: Regclass, name: &str) -> Option<String> {
        path_of(relation.0, name).unwrap_or_else(|error| error.raise())
    }

    /// Whether a table's directory has a file of this name, relative to it: recovery removes those of
    /// unlogged tables, and leaves the rows that name them. NULL for who may neither read the table nor
    /// monitor the server.
    #[pg_extern(volatile, parallel_safe, strict)]
    fn has_file(relation: Regclass, name: &str) -> Option<bool> {
        has_file_of(relation.0, name)
    }

    /// The snapshots of a table, oldest first.
    #[pg_extern(stable, strict)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn iceberg_snapshots(
        relation: Regclass,
    ) -> TableIterator<
        'static,
        (
            name!(snapshot_id, i64),
            name!(parent_id, Option<i64>),
            name!(sequence_number, i64),
            name!(committed_at, TimestampWithTimeZone),
            name!(operation, String),
            name!(manifest_list, Option<String>),
            name!(summary, pgrx::JsonB),
        ),
    > {
        TableIterator::new(or_raise(snapshots(relation.0)))
    }

    /// The data files that a table consists of; those that no metadata file names yet have no sequence
    /// number.
    #[pg_extern(stable, strict)]
    fn iceberg_files(
        relation: Regclass,
    ) -> TableIterator<
        'static,
        (
            name!(file_path, String),
            name!(file_format, String),
            name!(record_count, i64),
            name!(file_size_in_bytes, i64),
            name!(sequence_number, Option<i64>),
        ),
    > {
        TableIterator::new(or_raise(files(relation.0)))
    }

    /// The delete files that apply to a table's data files.
    #[pg_extern(stable, strict)]
    fn iceberg_delete_files(
        relation: Regclass,
    ) -> TableIterator<
        'static,
        (
            name!(content, &'static str),
            name!(file_path, String),
            name!(file_format, String),
            name!(record_count, i64),
            name!(file_size_in_bytes, i64),
        ),
    > {
        TableIterator::new(or_raise(delete_files(relation.0)))
    }
}

fn location(relid: pg_sys::Oid) -> PgResult<Option<String>> {
    if !is_iceberg_relid(relid) {
        return Ok(None);
    }
    if !may_monitor() {
        check_select(relid)?;
    }
    match storage_of(relid) {
        Some(key) => location_of(&key),
        None => Ok(None),
    }
}

fn location_of(key: &StorageKey) -> PgResult<Option<String>> {
    let place = Place::of(key)?;
    if !place.is_object() {
        return place.location().map(Some);
    }
    // Where its next files go may be elsewhere, but that is known only to who writes.
    let pointer = match PointerCatalog::open_unless_locked() {
        Some(catalog) => catalog.find_latest(key)?,
        None => None,
    };
    let name = pointer.and_then(|pointer| pointer.metadata_location);
    Ok((name.as_deref().and_then(stores::directory_of)).map(|directory| place.path_of(directory)))
}

fn path_of(relid: pg_sys::Oid, name: &str) -> PgResult<Option<String>> {
    if !is_iceberg_relid(relid) || !may_look(relid) {
        return Ok(None);
    }
    storage_of(relid)
        .map(|key| Ok(Place::of(&key)?.path_of(name)))
        .transpose()
}

fn has_file_of(relid: pg_sys::Oid, name: &str) -> Option<bool> {
    if !is_iceberg_relid(relid) || !may_look(relid) {
        return None;
    }
    let key = storage_of(relid)?;
    let climbs = name.split('/').any(|part| part == "..");
    Some(!climbs && TableDirectory::of(&key).has_file(name))
}

type SnapshotRow = (
    i64,
    Option<i64>,
    i64,
    TimestampWithTimeZone,
    String,
    Option<String>,
    pgrx::JsonB,
);

fn snapshots(relid: pg_sys::Oid) -> PgResult<Vec<SnapshotRow>> {
    let rel = open_to_read(relid)?;
    let key = StorageKey::of(rel.relation());
    let io = TableFiles::new(key)?;
    let Some(location) =
        latest_pointer(rel.relation(), &key)?.and_then(|pointer| pointer.metadata_location)
    else {
        return Ok(Vec::new());
    };
    let metadata = cache::metadata(&io, &location)?;
    metadata
        .snapshots
        .iter()
        .map(|snapshot| {
            let summary = snapshot
                .summary
                .properties
                .iter()
                .map(|(key, value)| (key.to_string(), serde_json::Value::from(&**value)))
                .collect::<serde_json::Map<_, _>>();
            Ok((
                snapshot.snapshot_id,
                snapshot.parent_snapshot_id,
                snapshot.sequence_number,
                timestamp(snapshot.timestamp_ms)?,
                snapshot.summary.operation.name().to_owned(),
                snapshot.manifest_list.clone(),
                pgrx::JsonB(summary.into()),
            ))
        })
        .collect()
}

type FileRow = (String, String, i64, i64, Option<i64>);

fn files(relid: pg_sys::Oid) -> PgResult<Vec<FileRow>> {
    let rel = open_to_read(relid)?;
    let view = TableView::resolve(
        rel.relation(),
        pg_lakebase_core::snapshot::Snapshot::active(),
    )?;
    Ok(view
        .segments
        .iter()
        .filter_map(|segment| match &segment.source {
            SegmentSource::File(file) => Some((
                file.data_file.file_path.clone(),
                file.data_file.file_format.name().to_owned(),
                file.data_file.record_count,
                file.data_file.file_size_in_bytes,
                (file.data_sequence_number != UNSEQUENCED).then_some(file.data_sequence_number),
            )),
            SegmentSource::Batch(_) => None,
        })
        .collect())
}

type DeleteFileRow = (&'static str, String, String, i64, i64);

fn delete_files(relid: pg_sys::Oid) -> PgResult<Vec<DeleteFileRow>> {
    let rel = open_to_read(relid)?;
    let view = TableView::resolve(
        rel.relation(),
        pg_lakebase_core::snapshot::Snapshot::active(),
    )?;
    let mut known = HashSet::new();
    let mut rows = Vec::new();
    for segment in view.segments.iter() {
        let SegmentSource::File(file) = &segment.source else {
            continue;
        };
        for delete in &file.deletes {
            // Several deletion vectors may share a file.
            let place = (delete.file_path.clone(), delete.content_offset);
            if known.insert(place) {
                rows.push((
                    match delete.content {
                        DataContentType::EqualityDeletes => "equality_deletes",
                        DataContentType::Data | DataContentType::PositionDeletes => {
                            "position_deletes"
                        }
                    },
                    delete.file_path.clone(),
                    delete.file_format.name().to_owned(),
                    delete.record_count,
                    delete.file_size_in_bytes,
                ));
            }
        }
    }
    Ok(rows)
}

/// Milliseconds since the Unix epoch as PostgreSQL's microseconds since 2000.
pub fn timestamp(unix_ms: i64) -> PgResult<TimestampWithTimeZone> {
    const EPOCH_DIFFERENCE_US: i64 = 946_684_800_000_000;
    unix_ms
        .checked_mul(1000)
        .and_then(|us| us.checked_sub(EPOCH_DIFFERENCE_US))
        .and_then(|us| TimestampWithTimeZone::try_from(us).ok())
        .ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
                format!("timestamp {unix_ms} is out of range"),
            )
        })
}
