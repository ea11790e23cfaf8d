//! Saying of former owners of objects that they are gone.

use std::ffi::CString;
use std::sync::Arc;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::wal;
use pgrx::datum::TimestampWithTimeZone;
use pgrx::prelude::*;

use super::orphans::check_superuser;
use crate::inspect::timestamp;
use crate::stores::{self, Store};
use crate::tablespaces::catalog::find;

#[pg_schema]
mod lakebase {
    use super::*;

    /// Takes over the objects in the store of a tablespace that were made under an identity, this cluster's before it was
    /// promoted, restored or copied: whoever calls this says that no other server uses them. An error if one did so lately,
    /// unless `force` is true. A NOTICE tells how many there are; with `dry_run` that is all. For superusers.
    #[pg_extern(volatile, parallel_unsafe, strict)]
    fn take_over(
        tablespace: &str,
        identity: &str,
        force: default!(bool, "false"),
        dry_run: default!(bool, "false"),
    ) {
        check_superuser("take over the objects of other servers")
            .and_then(|()| store_of(tablespace))
            .and_then(|store| {
                let (objects, bytes) = stores::take_over(&store, identity, force, dry_run)?;
                PgError::new(
                    PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
                    format!(
                        "there are {objects} objects of {bytes} bytes under identity \"{identity}\" in \"{}\"",
                        store.root()
                    ),
                )
                .with_detail("Those of them that no table of this server needs, or has needed of late, are deleted when pg_lakebase.object_retention has passed after the take-over.")
                .notice();
                Ok(())
            })
            .unwrap_or_else(|error| error.raise());
    }

    /// The identities under which this cluster, or those that it was copied from, have written to the store of a tablespace, and
    /// who else uses them, a row for each such server. For superusers.
    #[pg_extern(volatile, parallel_unsafe, strict)]
    #[expect(clippy::type_complexity, reason = "the columns of a function")]
    fn identities(
        tablespace: &str,
    ) -> TableIterator<
        'static,
        (
            name!(identity, String),
            name!(is_own, bool),
            name!(is_taken_over, bool),
            name!(used_by, Option<String>),
            name!(last_used, Option<TimestampWithTimeZone>),
        ),
    > {
        let rows = super::identities(tablespace).unwrap_or_else(|error| error.raise());
        TableIterator::new(rows)
    }
}

type Row = (
    String,
    bool,
    bool,
    Option<String>,
    Option<TimestampWithTimeZone>,
);

fn identities(tablespace: &str) -> PgResult<Vec<Row>> {
    check_superuser("look at the objects of other servers")?;
    let store = store_of(tablespace)?;
    let mut rows = Vec::new();
    for known in stores::known_identities(&store)? {
        let row = |user, time| {
            (
                known.identity.clone(),
                known.is_own,
                known.is_taken_over,
                user,
                time,
            )
        };
        if known.users.is_empty() {
            rows.push(row(None, None));
        }
        for (user, last) in &known.users {
            rows.push(row(Some(user.clone()), Some(timestamp(*last)?)));
        }
    }
    Ok(rows)
}

fn store_of(tablespace: &str) -> PgResult<Arc<Store>> {
    if wal::in_recovery() {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_READ_ONLY_SQL_TRANSACTION,
            "a server in recovery has no identity of its own in object stores",
        ));
    }
    let found = CString::new(tablespace).ok().and_then(|name| find(&name));
    let Some(number) = found else {
        return Err(PgError::new(
            PgSqlErrorCode::ERRCODE_UNDEFINED_OBJECT,
            format!("tablespace \"{tablespace}\" does not exist"),
        ));
    };
    Store::of(number.to_u32())?.ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_WRONG_OBJECT_TYPE,
            format!("tablespace \"{tablespace}\" is not in an object store"),
        )
    })
}
