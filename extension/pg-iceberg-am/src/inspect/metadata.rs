//! SQL functions that look inside a table's storage.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pgrx::prelude::*;
use pgrx::{PgRelation, pg_sys};

use crate::catalog::{cache, is_iceberg, latest_pointer};
use crate::scan::{SegmentSource, TableView, UNSEQUENCED};
use crate::storage::{StorageKey, TableDirectory, VfdFileIo};

/// Opens an Iceberg table for reading, as the user who asks: SELECT is needed to look inside.
pub fn open(relid: pg_sys::Oid) -> PgResult<OpenRelation> {
    let rel = OpenRelation::open(relid, LockMode::AccessShare);
    if !is_iceberg(rel.relation()) {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("\"{}\" is not an Iceberg table", rel.relation().name()),
        ));
    }
    // SAFETY: a look-up in the system caches; the error is raised with the relation's name.
    unsafe {
        let result =
            pg_sys::pg_class_aclcheck(relid, pg_sys::GetUserId(), pg_sys::ACL_SELECT.into());
        if result != pg_sys::AclResult::ACLCHECK_OK {
            return Err(PgError::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!("permission denied for table {}", rel.relation().name()),
            ));
        }
    }
    Ok(rel)
}

fn or_raise<T>(result: PgResult<T>) -> T {
    result.unwrap_or_else(|error| error.raise())
}

#[pg_schema]
mod lakebase {
    use super::*;

    /// The absolute path of a table's directory; NULL for what is no Iceberg table.
    #[pg_extern(stable, parallel_safe, strict)]
    fn iceberg_location(relation: PgRelation) -> Option<String> {
        let rel = OpenRelation::try_open(relation.oid(), LockMode::AccessShare)?;
        is_iceberg(rel.relation())
            .then(|| TableDirectory::of(&StorageKey::of(rel.relation())).location())
    }

    /// The snapshots of a table, oldest first.
    #[pg_extern(stable, strict)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn iceberg_snapshots(
        relation: PgRelation,
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
        TableIterator::new(or_raise(snapshots(relation.oid())))
    }

    /// The data files that a table consists of; those that no metadata file names yet have no sequence
    /// number.
    #[pg_extern(stable, strict)]
    fn iceberg_files(
        relation: PgRelation,
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
        TableIterator::new(or_raise(files(relation.oid())))
    }
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
    let rel = open(relid)?;
    let key = StorageKey::of(rel.relation());
    let io = VfdFileIo::new(key);
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
    let rel = open(relid)?;
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

/// Milliseconds since the Unix epoch as PostgreSQL's microseconds since 2000.
fn timestamp(unix_ms: i64) -> PgResult<TimestampWithTimeZone> {
    const EPOCH_DIFFERENCE_US: i64 = 946_684_800_000_000;
    unix_ms
        .checked_mul(1000)
        .and_then(|us| us.checked_sub(EPOCH_DIFFERENCE_US))
        .and_then(|us| TimestampWithTimeZone::try_from(us).ok())
        .ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_DATETIME_FIELD_OVERFLOW,
                format!("snapshot timestamp {unix_ms} is out of range"),
            )
        })
}
