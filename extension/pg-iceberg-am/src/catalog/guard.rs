//! The triggers that keep everybody else's changes out of the extension's own tables.
//!
//! A publication of all tables publishes these too, and what they say is of the publisher's files: what a
//! subscription brings, in the initial copy or later, is thrown away. The extension itself writes by
//! `CatalogTupleInsert` and its siblings, which no trigger sees.

use pg_lakebase_core::error::PgError;
use pgrx::heap_tuple::PgHeapTuple;
use pgrx::pg_sys;
use pgrx::prelude::*;

#[pg_schema]
mod lakebase {
    use super::*;

    /// Fires for each row that is inserted, updated or deleted, and for TRUNCATE, of which a subscription
    /// brings none because the publisher has this trigger as well.
    #[pg_trigger]
    fn keep_changes_out<'a>(
        trigger: &'a PgTrigger<'a>,
    ) -> Result<Option<PgHeapTuple<'a, AllocatedByPostgres>>, std::convert::Infallible> {
        if trigger.event().fired_for_row() && is_replicating() {
            return Ok(None);
        }
        refusal(trigger.relation().ok().map(|rel| rel.name().to_owned())).raise()
    }
}

/// Whether what is being done comes from another server, as every replication tool tells.
fn is_replicating() -> bool {
    // SAFETY: a setting of the session.
    unsafe { pg_sys::SessionReplicationRole == pg_sys::SESSION_REPLICATION_ROLE_REPLICA as i32 }
}

fn refusal(table: Option<String>) -> PgError {
    let table = table.unwrap_or_default();
    PgError::new(
        PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
        format!("cannot change table \"{table}\" by hand"),
    )
    .with_detail("The Iceberg tables of this database depend on it.")
    .with_hint("Change the Iceberg tables themselves.")
}
