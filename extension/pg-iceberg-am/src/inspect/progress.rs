//! What the background workers are doing.

use pgrx::pg_sys;
use pgrx::prelude::*;

use crate::publisher::merges;

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
                TimestampWithTimeZone::try_from(merging.since).ok(),
                progress.files.cast_signed(),
                progress.files_in_all.cast_signed(),
                progress.bytes.cast_signed(),
                progress.bytes_in_all.cast_signed(),
            )
        });
        TableIterator::new(going_on)
    }
}
