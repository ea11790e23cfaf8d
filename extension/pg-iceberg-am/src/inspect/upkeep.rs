//! What there is to keep in order.

use iceberg_lite::compaction::CompactionRules;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{LockMode, OpenRelation, Regclass, Relation};
use pg_lakebase_core::snapshot::Snapshot;
use pgrx::prelude::*;

use super::metadata::timestamp;
use super::privilege::may_look;
use crate::catalog::options::TableOptions;
use crate::catalog::{is_iceberg, latest_pointer};
use crate::directory::StorageKey;
use crate::files::{TableFiles, cache};
use crate::guc;
use crate::scan::{SegmentSource, TableView};

#[pg_schema]
mod lakebase {
    use super::*;

    /// A table's data files that are small, and the time of its oldest snapshot: read `lakebase.upkeep` instead. NULLs for
    /// a table that somebody has locked in ACCESS EXCLUSIVE mode, since who looks after all tables is to wait for none.
    #[pg_extern(stable, strict)]
    fn upkeep_of(
        relation: Regclass,
    ) -> TableIterator<
        'static,
        (
            name!(small_files, Option<i64>),
            name!(oldest_snapshot, Option<TimestampWithTimeZone>),
        ),
    > {
        TableIterator::once(super::upkeep_of(relation).unwrap_or_else(|error| error.raise()))
    }
}

fn upkeep_of(relation: Regclass) -> PgResult<(Option<i64>, Option<TimestampWithTimeZone>)> {
    if !may_look(relation.0) {
        return Ok((None, None));
    }
    let Some(open) = OpenRelation::open_unless_locked(relation.0, LockMode::AccessShare) else {
        return Ok((None, None));
    };
    let found = look(open.relation());
    open.close_and_unlock(LockMode::AccessShare);
    found
}

fn look(rel: Relation<'_>) -> PgResult<(Option<i64>, Option<TimestampWithTimeZone>)> {
    if !is_iceberg(rel) {
        return Ok((None, None));
    }
    Ok((Some(small_files(rel)?), oldest_snapshot(rel)?))
}

/// How many files that the statement reads are not large enough to stay.
fn small_files(rel: Relation<'_>) -> PgResult<i64> {
    let target = TableOptions::of(rel.oid()).target_file_size();
    let rules = CompactionRules::new(target.unwrap_or_else(guc::target_file_size));
    let view = TableView::resolve(rel, Snapshot::active())?;
    let sizes = view
        .segments
        .iter()
        .filter_map(|segment| match &segment.source {
            SegmentSource::File(file) => u64::try_from(file.data_file.file_size_in_bytes).ok(),
            SegmentSource::Batch(_) => None,
        });
    let count = sizes.filter(|&bytes| !rules.is_large(bytes)).count();
    Ok(i64::try_from(count).unwrap_or(i64::MAX))
}

/// When the oldest snapshot in the latest metadata was made.
fn oldest_snapshot(rel: Relation<'_>) -> PgResult<Option<TimestampWithTimeZone>> {
    let key = StorageKey::of(rel);
    let Some(location) = latest_pointer(rel, &key)?.and_then(|pointer| pointer.metadata_location)
    else {
        return Ok(None);
    };
    let metadata = cache::metadata(&TableFiles::new(key)?, &location)?;
    let times = metadata
        .snapshots
        .iter()
        .map(|snapshot| snapshot.timestamp_ms);
    times.min().map(timestamp).transpose()
}
