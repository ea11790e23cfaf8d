//! What the background workers are doing.

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::pg_sys;
use pgrx::prelude::*;

use super::privilege::may_look;
use crate::catalog::relation_of;
use crate::directory::StorageKey;
use crate::publisher::upkept::Upkept;
use crate::publisher::{self, merges, upkept};

#[pg_schema]
mod lakebase {
    use super::*;

    /// The merges of data files that are going on in this database, by storage: read `lakebase.progress` instead.
    #[pg_extern(volatile, parallel_safe)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn merges() -> TableIterator<
        'static,
        (
            name!(pid, i32),
            name!(relfilenumber, pg_sys::Oid),
            name!(tablespace, pg_sys::Oid),
            name!(started, Option<TimestampWithTimeZone>),
            name!(files_done, i64),
            name!(files_total, i64),
            name!(bytes_done, i64),
            name!(bytes_total, i64),
        ),
    > {
        let going_on = merges::in_this_database().into_iter().map(|merging| {
            let progress = merging.progress;
            let (relfilenumber, tablespace) = merging.storage;
            (
                merging.pid,
                relfilenumber.into(),
                tablespace.into(),
                timestamp(merging.since),
                progress.files.cast_signed(),
                progress.files_in_all.cast_signed(),
                progress.bytes.cast_signed(),
                progress.bytes_in_all.cast_signed(),
            )
        });
        TableIterator::new(going_on)
    }

    /// How it went when tables of this database were last kept in order, by storage: read `lakebase.upkeep` instead.
    #[pg_extern(volatile, parallel_safe)]
    #[expect(clippy::type_complexity, reason = "the columns of a SQL function")]
    fn upkept() -> TableIterator<
        'static,
        (
            name!(relfilenumber, pg_sys::Oid),
            name!(tablespace, pg_sys::Oid),
            name!(last_run, Option<TimestampWithTimeZone>),
            name!(last_error, Option<String>),
            name!(last_error_at, Option<TimestampWithTimeZone>),
            name!(next_try, Option<TimestampWithTimeZone>),
        ),
    > {
        let now = clock_timestamp();
        let is_shown = |table: &Upkept| {
            let (rel_number, tablespace) = table.storage;
            let relid = relation_of(&StorageKey::in_this_database(rel_number, tablespace));
            relid.is_some_and(may_look)
        };
        let known = upkept::in_this_database();
        let known = known.into_iter().filter(is_shown).map(move |table| {
            let (relfilenumber, tablespace) = table.storage;
            let next_try = table.next_try(now).map(|rest| {
                let rest = i64::try_from(rest.as_micros()).unwrap_or(i64::MAX);
                now.saturating_add(rest)
            });
            (
                relfilenumber.into(),
                tablespace.into(),
                table.last_run.and_then(timestamp),
                table.last_failure.map(|failure| failure.message.text()),
                table.last_failure.and_then(|failure| timestamp(failure.at)),
                next_try.and_then(timestamp),
            )
        });
        TableIterator::new(known)
    }

    /// When all tables will be looked at again: for `lakebase.upkeep`.
    #[pg_extern(volatile, parallel_safe)]
    fn next_look() -> Option<TimestampWithTimeZone> {
        publisher::next_look().and_then(timestamp)
    }
}

pub(super) fn timestamp(time: pg_sys::TimestampTz) -> Option<TimestampWithTimeZone> {
    TimestampWithTimeZone::try_from(time).ok()
}
