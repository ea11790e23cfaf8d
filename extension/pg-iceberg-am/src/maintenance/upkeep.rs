//! What sessions ask of the publisher: merging files and expiring snapshots, now.

use std::time::{Duration, Instant};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Regclass, Relation};
use pg_lakebase_core::shmem::Message;
use pg_lakebase_core::{interrupt, wal as core_wal};
use pgrx::datum::Interval;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::publish::{no_publisher, publish};
use crate::catalog::{check_iceberg, check_maintain};
use crate::directory::StorageKey;
use crate::publisher;
use crate::publisher::orders::{Asked, Outcome, Summary, Task};

/// How long to wait until a publisher begins: all may be busy in other databases.
pub const PATIENCE: Duration = Duration::from_secs(60);
/// How often to make sure that there will be one.
const REMINDER: Duration = Duration::from_secs(1);

#[pg_schema]
mod lakebase {
    use super::*;

    /// Merges small data files of a table, all that can be, and waits for it. The table is read and written meanwhile.
    #[pg_extern(volatile, parallel_restricted, strict)]
    fn compact(
        relation: Regclass,
    ) -> TableIterator<
        'static,
        (
            name!(merged_files, i64),
            name!(merged_bytes, i64),
            name!(new_files, i64),
            name!(new_bytes, i64),
        ),
    > {
        let done = super::compact(relation.0).unwrap_or_else(|error| error.raise());
        TableIterator::once((
            done.merged_files.cast_signed(),
            done.merged_bytes.cast_signed(),
            done.new_files.cast_signed(),
            done.new_bytes.cast_signed(),
        ))
    }

    /// Drops snapshots from a table's history: those older than `older_than`, or, if that is NULL, those that are not
    /// kept by the settings. Returns how many; files that only they have are removed once nobody needs them.
    #[pg_extern(volatile, parallel_restricted)]
    fn expire_snapshots(
        relation: Option<Regclass>,
        older_than: default!(Option<Interval>, "NULL"),
    ) -> Option<i64> {
        let expired = super::expire_snapshots(relation?.0, older_than.as_ref());
        Some(expired.unwrap_or_else(|error| error.raise()))
    }
}

fn compact(relid: pg_sys::Oid) -> PgResult<Summary> {
    let rel = open_to_maintain(relid)?;
    publish(rel.relation())?;
    carry_out(rel.relation(), Task::Compact { everything: true })
}

fn expire_snapshots(relid: pg_sys::Oid, older_than: Option<&Interval>) -> PgResult<i64> {
    let age = older_than.map(|age| i64::try_from(age.as_micros() / 1000).unwrap_or(i64::MAX));
    if age.is_some_and(i64::is_negative) {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_INVALID_PARAMETER_VALUE,
            "age of snapshots must not be negative",
        ));
    }
    let rel = open_to_maintain(relid)?;
    let done = carry_out(rel.relation(), Task::Expire(age))?;
    Ok(done.snapshots.cast_signed())
}

fn open_to_maintain(relid: pg_sys::Oid) -> PgResult<OpenRelation> {
    check_maintain(relid)?;
    let rel = OpenRelation::open(relid, LockMode::AccessShare);
    check_iceberg(rel.relation())?;
    let name = rel.relation().name();
    if StorageKey::of(rel.relation()).is_temporary() {
        return Err(PgError::feature_not_supported(format!(
            "temporary table \"{name}\" cannot be reached by the background worker"
        ))
        .with_hint("VACUUM FULL merges its files and drops its history."));
    }
    if rel.relation().is_locked_by_me(LockMode::AccessExclusive) {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_IN_USE,
            format!(
                "table \"{name}\" cannot be reached by the background worker because this transaction has locked it"
            ),
        ));
    }
    Ok(rel)
}

fn carry_out(rel: Relation<'_>, task: Task) -> PgResult<Summary> {
    if core_wal::in_recovery() {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "cannot write metadata of Iceberg tables during recovery",
        ));
    }
    match ask(rel, task, PATIENCE)? {
        Outcome::Done(summary) => Ok(summary),
        Outcome::Locked => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            format!("table \"{}\" or its metadata are locked", rel.name()),
        )),
        Outcome::Failed(message) => Err(failed(rel, task, &message)),
    }
}

/// What a publisher could not do, and why.
pub fn failed(rel: Relation<'_>, task: Task, reason: &Message) -> PgError {
    let name = rel.name();
    let text = match task {
        Task::Expire(_) => format!("could not expire snapshots of table \"{name}\""),
        Task::Compact { .. } => format!("could not merge data files of table \"{name}\""),
    };
    PgError::new(PgSqlErrorCode::ERRCODE_OPERATOR_INTERVENTION, text).with_detail(reason.text())
}

/// That no publisher has come to the database in time.
fn busy_publishers() -> PgError {
    PgError::new(
        PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
        "no background worker for Iceberg tables came to this database in time",
    )
    .with_hint("You might need to increase \"pg_iceberg_am.max_workers\".")
}

/// Has the publisher carry out a task, and waits for it: as long as it takes once one has begun, and for `patience` until
/// one begins.
pub fn ask(rel: Relation<'_>, task: Task, patience: Duration) -> PgResult<Outcome> {
    let key = StorageKey::of(rel);
    let asked = Asked::place((key.rel_number, key.tablespace), task).ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_CONFIGURATION_LIMIT_EXCEEDED,
            "too many sessions wait for the publishers of Iceberg tables",
        )
    })?;
    let mut waits_since = Instant::now();
    let mut reminded: Option<Instant> = None;
    let outcome = interrupt::poll_until(None, |tick| {
        if let Some(outcome) = asked.outcome() {
            return Some(Ok(outcome));
        }
        if reminded.is_none_or(|reminded| reminded.elapsed() >= REMINDER) {
            if !publisher::call() {
                return Some(Err(no_publisher()));
            }
            reminded = Some(Instant::now());
        }
        // A publisher may leave the rest to another one.
        if asked.is_taken() {
            waits_since = Instant::now();
        } else if waits_since.elapsed() > patience {
            return Some(Err(busy_publishers()));
        }
        std::thread::sleep(tick.min(Duration::from_millis(5)));
        None
    });
    outcome.unwrap_or_else(|| Err(PgError::internal("waiting for a publisher ended early")))
}
