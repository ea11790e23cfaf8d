//! How the storage service is, and what it has done.

use pg_lakebase_core::xact::clock_timestamp;
use pg_lakebase_storage::protocol::{Status, StoreOperation, StoreStatus};
use pgrx::prelude::*;

use super::progress::timestamp;
use crate::error::with_causes;
use crate::storage_service::place;
use crate::storage_service::settings::{self, Provider};
use crate::storage_service::supervision::{self, Stage};
use crate::stores::{self, Store, Told};
use crate::tablespaces::catalog;

#[pg_schema]
mod lakebase {
    use super::*;

    /// How the storage service is: read `lakebase.storage_service` instead.
    #[pg_extern(volatile, parallel_restricted)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn storage_service_status() -> TableIterator<
        'static,
        (
            name!(status, &'static str),
            name!(socket, Option<String>),
            name!(pid, Option<i32>),
            name!(version, Option<String>),
            name!(started, Option<TimestampWithTimeZone>),
            name!(restarts, i64),
            name!(last_error, Option<String>),
            name!(last_error_at, Option<TimestampWithTimeZone>),
        ),
    > {
        let board = supervision::read();
        let provider = settings::provider();
        let told = stores::status().unwrap_or_else(|error| error.raise());
        let status = match (&provider, board.stage) {
            (Provider::Other(_), _) if matches!(told, Told::Error(_)) => "unreachable",
            (Provider::Other(_), _) => "external",
            (Provider::Nobody, Stage::Stopped) => "off",
            (_, Stage::Stopped) => "stopped",
            (_, Stage::Asked(_) | Stage::Starting) => "starting",
            (_, Stage::Running) => "running",
            (_, Stage::Failed) => "failed",
        };
        let now = clock_timestamp();
        let mut last_error = board
            .last_failure
            .map(|failure| (failure.message.text(), failure.at));
        let mut started = board.started.filter(|_| board.pid != 0);
        let mut version = None;
        match told {
            Told::Nothing => {}
            Told::Error(error) => last_error = Some((with_causes(&error), now)),
            Told::Status(told) => {
                started = started.or(Some(now.saturating_sub(in_microseconds(&told))));
                version = Some(told.version);
            }
        }
        let socket = match provider {
            Provider::Other(socket) => Some(socket),
            Provider::Nobody => None,
            Provider::Server | Provider::ServerIfNeeded => Some(place::absolute(place::socket())),
        };
        let (last_error, last_error_at) = last_error.unzip();
        TableIterator::once((
            status,
            socket.map(|path| path.to_string_lossy().into_owned()),
            (board.pid != 0).then_some(board.pid),
            version,
            started.and_then(timestamp),
            (board.starts - 1).max(0),
            last_error,
            last_error_at.and_then(timestamp),
        ))
    }

    /// What has been asked of the stores of object tablespaces, by operation: read `lakebase.stores` and
    /// `lakebase.store_operations` instead. Nothing but names where the service does not answer.
    #[pg_extern(volatile, parallel_restricted)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn store_statistics() -> TableIterator<
        'static,
        (
            name!(tablespace, String),
            name!(store, Option<String>),
            name!(cache_hits, Option<i64>),
            name!(cache_misses, Option<i64>),
            name!(cached_files, Option<i64>),
            name!(cached_bytes, Option<i64>),
            name!(operation, &'static str),
            name!(requests, Option<i64>),
            name!(errors, Option<i64>),
            name!(bytes, Option<i64>),
            name!(total_time, Option<f64>),
        ),
    > {
        let status = known_status();
        let rows = (catalog::object_tablespaces().into_iter()).flat_map(|tablespace| {
            let store = store_of(status.as_ref(), tablespace);
            let tablespace = catalog::name(tablespace);
            StoreOperation::ALL
                .into_iter()
                .enumerate()
                .map(move |(index, operation)| {
                    let counts = store.as_ref().map(|store| store.operations[index]);
                    let of_store = |count: fn(&StoreStatus) -> u64| {
                        store.as_ref().map(|store| bigint(count(store)))
                    };
                    (
                        tablespace.clone(),
                        store.as_ref().map(|store| store.identity.clone()),
                        of_store(|store| store.hits),
                        of_store(|store| store.misses),
                        of_store(|store| store.cached_files),
                        of_store(|store| store.cached_bytes),
                        operation.as_str(),
                        counts.map(|counts| bigint(counts.requests)),
                        counts.map(|counts| bigint(counts.errors)),
                        counts.map(|counts| bigint(counts.bytes)),
                        counts.map(|counts| counts.microseconds as f64 / 1000.0),
                    )
                })
        });
        TableIterator::new(rows.collect::<Vec<_>>())
    }

    /// What the cache of the storage service has: read `lakebase.cache` instead. No row where the service does not answer.
    #[pg_extern(volatile, parallel_restricted)]
    fn cache_statistics() -> TableIterator<
        'static,
        (
            name!(capacity, i64),
            name!(bytes, i64),
            name!(files, i64),
            name!(evictions, i64),
        ),
    > {
        TableIterator::new(known_status().map(|status| {
            let cache = status.cache;
            (
                bigint(cache.capacity),
                bigint(cache.bytes),
                bigint(cache.files),
                bigint(cache.evictions),
            )
        }))
    }
}

fn known_status() -> Option<Status> {
    match stores::status() {
        Ok(Told::Status(status)) => Some(status),
        Ok(Told::Nothing | Told::Error(_)) => None,
        Err(error) => error.raise(),
    }
}

/// What the service tells of a tablespace's store: nothing until somebody needs it.
fn store_of(status: Option<&Status>, tablespace: pg_sys::Oid) -> Option<StoreStatus> {
    let status = status?;
    // Options that some other version has written are no store's.
    let store = Store::of(tablespace.to_u32()).ok().flatten()?;
    let is_known = |known: &&StoreStatus| known.store == store.spec().id;
    status.stores.iter().find(is_known).cloned()
}

fn bigint(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

fn in_microseconds(status: &Status) -> i64 {
    bigint(status.uptime_milliseconds).saturating_mul(1000)
}
