//! What stands in for PostgreSQL's size functions; `planner/sizes.rs` puts it there.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{LockMode, OpenRelation, Relation};
use pgrx::prelude::*;
use pgrx::{direct_function_call, pg_sys};

use crate::catalog::{is_iceberg, latest_extent};
use crate::storage::{StorageKey, TableDirectory};

#[pg_schema]
mod lakebase {
    use super::*;

    /// `pg_relation_size(regclass)`: the data files of the current snapshot.
    #[pg_extern(sql = r#"
CREATE FUNCTION lakebase.relation_size(regclass) RETURNS bigint STRICT VOLATILE
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
    fn relation_size(relation: pg_sys::Oid) -> Option<i64> {
        relation_fork_size(relation, "main")
    }

    /// `pg_relation_size(regclass, text)`; an Iceberg table has nothing in the other forks.
    #[pg_extern(sql = r#"
CREATE FUNCTION lakebase.relation_size(regclass, text) RETURNS bigint STRICT VOLATILE
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
    fn relation_fork_size(relation: pg_sys::Oid, fork: &str) -> Option<i64> {
        iceberg(relation, |rel| match fork {
            "main" => {
                let bytes = latest_extent(rel, &StorageKey::of(rel))?.bytes;
                Ok(bytes.try_into().unwrap_or(i64::MAX))
            }
            _ => Ok(0),
        })
        .or_else(|| {
            builtin(
                pg_sys::pg_relation_size,
                &[relation.into_datum(), fork.into_datum()],
            )
        })
    }

    /// `pg_table_size(regclass)`: every file of the table.
    #[pg_extern(sql = r#"
CREATE FUNCTION lakebase.table_size(regclass) RETURNS bigint STRICT VOLATILE
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
    fn table_size(relation: pg_sys::Oid) -> Option<i64> {
        iceberg(relation, files_size)
            .or_else(|| builtin(pg_sys::pg_table_size, &[relation.into_datum()]))
    }

    /// `pg_total_relation_size(regclass)`: every file of the table, which has no indexes.
    #[pg_extern(sql = r#"
CREATE FUNCTION lakebase.total_relation_size(regclass) RETURNS bigint STRICT VOLATILE
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
    fn total_relation_size(relation: pg_sys::Oid) -> Option<i64> {
        iceberg(relation, files_size)
            .or_else(|| builtin(pg_sys::pg_total_relation_size, &[relation.into_datum()]))
    }
}

type Builtin = unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

/// What PostgreSQL's own function says, NULL for a relation that is gone.
fn builtin(function: Builtin, arguments: &[Option<pg_sys::Datum>]) -> Option<i64> {
    // SAFETY: the functions take an oid, and a text where two arguments are given.
    unsafe { direct_function_call::<i64>(function, arguments) }
}

/// `measure` of `relation` if it is an Iceberg table.
fn iceberg(
    relation: pg_sys::Oid,
    measure: impl FnOnce(Relation<'_>) -> PgResult<i64>,
) -> Option<i64> {
    let rel = OpenRelation::try_open(relation, LockMode::AccessShare)?;
    is_iceberg(rel.relation())
        .then(|| measure(rel.relation()).unwrap_or_else(|error| error.raise()))
}

fn files_size(rel: Relation<'_>) -> PgResult<i64> {
    let size = TableDirectory::of(&StorageKey::of(rel)).size();
    Ok(i64::try_from(size).unwrap_or(i64::MAX))
}
