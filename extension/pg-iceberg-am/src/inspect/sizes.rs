//! What stands in for PostgreSQL's size functions; `planner/sizes.rs` puts it there.
//!
//! Whoever may not execute the original may not execute its stand-in either. Locks are those that the
//! originals take: `AccessShareLock` while the relation is looked at.

use std::ffi::{CStr, CString};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::{LockMode, OpenRelation, Regclass, Relation};
use pgrx::prelude::*;
use pgrx::{direct_function_call, pg_sys};

use crate::catalog::{is_iceberg, is_iceberg_relid, latest_extent};
use crate::directory::{self, StorageKey};
use crate::files::Place;

#[pg_schema]
mod lakebase {
    use super::*;

    /// `pg_relation_size(regclass, text)`: the data files of the current snapshot; an Iceberg table has
    /// nothing in the other forks.
    #[pg_extern(volatile, parallel_safe, strict)]
    fn relation_size(relation: Regclass, fork: &str) -> Option<i64> {
        check_execute(pg_sys::F_PG_RELATION_SIZE_REGCLASS_TEXT.into());
        let arguments = [relation.0.into_datum(), fork.into_datum()];
        size_of(
            relation.0,
            |rel| {
                if is_main_fork(fork)? {
                    Ok(latest_extent(rel, &StorageKey::of(rel))?.bytes)
                } else {
                    Ok(0)
                }
            },
            || builtin(pg_sys::pg_relation_size, &arguments),
        )
    }

    /// `pg_table_size(regclass)`: every file of the table; in an object store, the data files of the current snapshot.
    #[pg_extern(volatile, parallel_safe, strict)]
    fn table_size(relation: Regclass) -> Option<i64> {
        check_execute(pg_sys::F_PG_TABLE_SIZE.into());
        files_size(relation.0, pg_sys::pg_table_size)
    }

    /// `pg_total_relation_size(regclass)`: every file of the table, which has no indexes.
    #[pg_extern(volatile, parallel_safe, strict)]
    fn total_relation_size(relation: Regclass) -> Option<i64> {
        check_execute(pg_sys::F_PG_TOTAL_RELATION_SIZE.into());
        files_size(relation.0, pg_sys::pg_total_relation_size)
    }

    /// `pg_database_size(oid)`: with what is in the directories of Iceberg tables.
    #[pg_extern(volatile, parallel_safe, strict)]
    fn database_size(database: pg_sys::Oid) -> Option<i64> {
        check_execute(pg_sys::F_PG_DATABASE_SIZE_OID);
        // It checks what the user may see.
        let size = builtin(pg_sys::pg_database_size_oid, &[database.into_datum()])?;
        Some(size.saturating_add(bytes(directory::tables_size_in_database(database.to_u32()))))
    }

    /// `pg_database_size(name)`, as above. A name is passed as a terminated string is.
    #[pg_extern(sql = r#"
CREATE FUNCTION lakebase.database_size(name) RETURNS bigint STRICT VOLATILE PARALLEL SAFE
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
    fn database_size_by_name(database: &CStr) -> Option<i64> {
        check_execute(pg_sys::F_PG_DATABASE_SIZE_NAME.into());
        let size = builtin(
            pg_sys::pg_database_size_name,
            &[Some(database.as_ptr().into())],
        )?;
        // SAFETY: a look-up by a terminated string; a database that went in between has no tables.
        let oid = unsafe { pg_sys::get_database_oid(database.as_ptr(), true) };
        Some(size.saturating_add(bytes(directory::tables_size_in_database(oid.to_u32()))))
    }

    /// `pg_tablespace_size(oid)`: with what is in the directories of Iceberg tables.
    #[pg_extern(volatile, parallel_safe, strict)]
    fn tablespace_size(tablespace: pg_sys::Oid) -> Option<i64> {
        check_execute(pg_sys::F_PG_TABLESPACE_SIZE_OID);
        let size = builtin(pg_sys::pg_tablespace_size_oid, &[tablespace.into_datum()])?;
        Some(
            size.saturating_add(bytes(directory::tables_size_in_tablespace(
                tablespace.to_u32(),
            ))),
        )
    }

    /// `pg_tablespace_size(name)`, as above.
    #[pg_extern(sql = r#"
CREATE FUNCTION lakebase.tablespace_size(name) RETURNS bigint STRICT VOLATILE PARALLEL SAFE
    LANGUAGE c AS 'MODULE_PATHNAME', '@FUNCTION_NAME@';
"#)]
    fn tablespace_size_by_name(tablespace: &CStr) -> Option<i64> {
        check_execute(pg_sys::F_PG_TABLESPACE_SIZE_NAME.into());
        let size = builtin(
            pg_sys::pg_tablespace_size_name,
            &[Some(tablespace.as_ptr().into())],
        )?;
        // SAFETY: as for databases.
        let oid = unsafe { pg_sys::get_tablespace_oid(tablespace.as_ptr(), true) };
        Some(size.saturating_add(bytes(directory::tables_size_in_tablespace(oid.to_u32()))))
    }
}

/// Raises PostgreSQL's error unless the user may execute `function`, for which another one stands in.
fn check_execute(function: pg_sys::Oid) {
    // SAFETY: look-ups in the system caches; raises, or returns.
    unsafe {
        let result = pg_sys::object_aclcheck(
            pg_sys::ProcedureRelationId,
            function,
            pg_sys::GetUserId(),
            pg_sys::ACL_EXECUTE.into(),
        );
        if result != pg_sys::AclResult::ACLCHECK_OK {
            pg_sys::aclcheck_error(
                result,
                pg_sys::ObjectType::OBJECT_FUNCTION,
                pg_sys::get_func_name(function),
            );
        }
    }
}

type Builtin = unsafe fn(pg_sys::FunctionCallInfo) -> pg_sys::Datum;

/// What PostgreSQL's own function says, NULL for what is gone.
fn builtin(function: Builtin, arguments: &[Option<pg_sys::Datum>]) -> Option<i64> {
    // SAFETY: the functions are given arguments of the types that they take.
    unsafe { direct_function_call::<i64>(function, arguments) }
}

/// Bytes of all files of `relation` if it is an Iceberg table; else what `original` says.
fn files_size(relation: pg_sys::Oid, original: Builtin) -> Option<i64> {
    size_of(
        relation,
        |rel| {
            let key = StorageKey::of(rel);
            match Place::of(&key)? {
                Place::Local(directory) => Ok(directory.size()),
                // Nobody is asked for what else there is.
                Place::Object(_) => Ok(latest_extent(rel, &key)?.bytes),
            }
        },
        || builtin(original, &[relation.into_datum()]),
    )
}

/// `measure` of an Iceberg table, which is locked meanwhile; `original` of anything else, and of what is gone.
fn size_of(
    relation: pg_sys::Oid,
    measure: impl FnOnce(Relation<'_>) -> PgResult<u64>,
    original: impl FnOnce() -> Option<i64>,
) -> Option<i64> {
    if is_iceberg_relid(relation)
        && let Some(rel) = OpenRelation::try_open(relation, LockMode::AccessShare)
    {
        let is_still = is_iceberg(rel.relation());
        let size = is_still.then(|| measure(rel.relation()).unwrap_or_else(|error| error.raise()));
        rel.close_and_unlock(LockMode::AccessShare);
        if let Some(size) = size {
            return Some(bytes(size));
        }
    }
    original()
}

fn bytes(size: u64) -> i64 {
    size.try_into().unwrap_or(i64::MAX)
}

/// Whether a fork's name means the main one; raises PostgreSQL's error if it means none.
fn is_main_fork(name: &str) -> PgResult<bool> {
    let name =
        CString::new(name).map_err(|_| PgError::internal("a fork's name has a zero byte"))?;
    // SAFETY: a terminated string; raises, or returns.
    let fork = unsafe { pg_sys::forkname_to_number(name.as_ptr()) };
    Ok(fork == pg_sys::ForkNumber::MAIN_FORKNUM)
}
