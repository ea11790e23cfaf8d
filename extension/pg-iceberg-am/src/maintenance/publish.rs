//! Metadata at once, for those who are about to hand it to another engine.

use std::time::Duration;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{Regclass, Relation};
use pg_lakebase_core::{interrupt, wal as core_wal};
use pgrx::prelude::*;

use crate::catalog::{InlineCommitCatalog, RowChangeCatalog, latest_pointer, open_to_read};
use crate::directory::StorageKey;
use crate::files::Place;
use crate::publisher;

/// How long to wait for the publisher, which has nothing to do but this unless the table is locked.
const PATIENCE: Duration = Duration::from_secs(20);

#[pg_schema]
mod lakebase {
    use super::*;

    /// Waits until everything committed to a table is in its metadata, and returns the metadata file.
    #[pg_extern(volatile, parallel_restricted, strict)]
    fn publish(relation: Regclass) -> Option<String> {
        open_to_read(relation.0)
            .and_then(|rel| super::publish(rel.relation()))
            .unwrap_or_else(|error| error.raise())
    }
}

/// Waits until everything committed to a table is in its metadata. Returns the metadata file.
pub fn publish(rel: Relation<'_>) -> PgResult<Option<String>> {
    let key = StorageKey::of(rel);
    let Some(inline_commits) = InlineCommitCatalog::open() else {
        return Ok(None);
    };
    let row_changes = RowChangeCatalog::open();
    let find = || -> PgResult<_> {
        let changes = (row_changes.as_ref())
            .map_or(Ok(Vec::new()), |changes| changes.find_of_others(&key))?;
        let latest = inline_commits.latest();
        Ok((inline_commits.find(&key, latest.snapshot())?, changes))
    };
    let (commits, changes) = find()?;
    if !commits.is_empty() || !changes.is_empty() {
        if core_wal::in_recovery() {
            return Err(PgError::new(
                PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
                "cannot write metadata of Iceberg tables during recovery",
            ));
        }
        let done = interrupt::poll_until(Some(PATIENCE), |tick| {
            if !publisher::hurry() {
                return Some(Err(no_publisher()));
            }
            std::thread::sleep(tick.min(Duration::from_millis(2)));
            let left = find().map(|(left, left_changes)| {
                left.iter().any(|inline| commits.contains(inline))
                    || left_changes.iter().any(|change| changes.contains(change))
            });
            match left {
                Ok(true) => None,
                left => Some(left.map(drop)),
            }
        });
        done.ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
                format!(
                    "could not write metadata of table \"{}\" in time",
                    rel.name()
                ),
            )
            .with_hint(
                "The table may be locked; or lakebase.upkeep, and the server's log, tell why.",
            )
        })??;
    }
    let pointer = latest_pointer(rel, &key)?;
    let location = pointer.and_then(|pointer| pointer.metadata_location);
    let place = Place::of(&key)?;
    Ok(location.map(|name| place.path_of(&name)))
}

/// That `max_worker_processes` are in use.
pub fn no_publisher() -> PgError {
    PgError::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_RESOURCES,
        "could not start a background worker to write metadata",
    )
    .with_hint("You might need to increase \"max_worker_processes\".")
}
