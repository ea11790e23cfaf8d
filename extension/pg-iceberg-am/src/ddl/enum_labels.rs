//! Labels of enums that Iceberg tables hold values of.
//!
//! A value is kept as its label. A label more does no harm; a label of another name would leave values behind
//! that are none any more.

use std::ffi::CStr;

use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::pg_sys;

use super::type_users::type_users;
use crate::schema::Column;

/// Refuses to rename a label of an enum that a column of an Iceberg table has values of.
///
/// # Safety
///
/// `statement` is the ALTER TYPE that PostgreSQL is about to execute.
pub unsafe fn check_alter(statement: *const pg_sys::AlterEnumStmt) -> PgResult<()> {
    // SAFETY: the statement has the type's name, and the old label if it renames one. A type that is missing is
    // PostgreSQL's to report.
    let enum_type = unsafe {
        if (*statement).oldVal.is_null() {
            return Ok(());
        }
        let name = pg_sys::makeTypeNameFromNameList((*statement).typeName);
        pg_sys::LookupTypeNameOid(std::ptr::null_mut(), name, true)
    };
    // Before anything is locked or told: who does not own the type is turned away by PostgreSQL.
    // SAFETY: a look-up in the system caches.
    let is_owner = enum_type != pg_sys::InvalidOid
        && unsafe {
            pg_sys::object_ownercheck(pg_sys::TypeRelationId, enum_type, pg_sys::GetUserId())
        };
    if !is_owner {
        return Ok(());
    }
    // SAFETY: as `RenameEnumLabel` locks it, a moment earlier. Whoever makes a table with such a column holds a
    // lock that conflicts, so that its dependencies are seen below.
    unsafe {
        pg_sys::LockDatabaseObject(
            pg_sys::TypeRelationId,
            enum_type,
            0,
            pg_sys::ExclusiveLock as pg_sys::LOCKMODE,
        );
    }
    let Some(user) = type_users(enum_type).first().copied() else {
        return Ok(());
    };
    // SAFETY: a palloc'd string.
    let type_name = unsafe { CStr::from_ptr(pg_sys::format_type_be(enum_type)) };
    Err(PgError::feature_not_supported(format!(
        "cannot rename a value of type {} because column \"{}\" of an Iceberg table uses it",
        type_name.to_string_lossy(),
        user.column_name(),
    ))
    .with_detail("Iceberg tables hold the label of each value.")
    .with_hint("Add a value with ALTER TYPE ... ADD VALUE, or change the tables to heap with ALTER TABLE ... SET ACCESS METHOD heap, rename, and change them back."))
}

/// Keeps the labels in the columns of a table in the making what they are, to the end of the transaction, from
/// when on the table can be found.
pub fn hold(columns: &[Column]) {
    for column in columns {
        for enum_type in column.column_type.enums() {
            // SAFETY: taken in the order of the columns; it conflicts with what changes an enum, and not with
            // other tables being made.
            unsafe {
                pg_sys::LockDatabaseObject(
                    pg_sys::TypeRelationId,
                    enum_type,
                    0,
                    pg_sys::RowShareLock as pg_sys::LOCKMODE,
                );
            }
        }
    }
}
