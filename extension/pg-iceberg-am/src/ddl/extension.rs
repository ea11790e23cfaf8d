//! DROP EXTENSION beside background workers.

use std::ffi::CStr;

use pgrx::pg_sys;

use super::dependents::dependents;
use crate::catalog::access_method;

/// The extension.
const NAME: &CStr = c"pg_iceberg_am";

/// Before DROP EXTENSION is executed: locks the extension's tables and the Iceberg tables, all or none at a time.
///
/// PostgreSQL locks one after the other, in an order of its own, and holds what it has while it waits: a background worker
/// that has one of them and wants another would be in its way, and it in the worker's.
///
/// # Safety
///
/// The statement is PostgreSQL's own.
pub unsafe fn before_drop(statement: *const pg_sys::DropStmt) {
    // SAFETY: the caller's promise: of an extension, a list of strings; locks of the transaction's own.
    unsafe {
        if (*statement).removeType != pg_sys::ObjectType::OBJECT_EXTENSION || !names(statement) {
            return;
        }
        let extension = pg_sys::get_extension_oid(NAME.as_ptr(), true);
        let class = pg_sys::ExtensionRelationId;
        // Who does not own it is turned away by PostgreSQL.
        if extension == pg_sys::InvalidOid
            || !pg_sys::object_ownercheck(class, extension, pg_sys::GetUserId())
        {
            return;
        }
        let lock = pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE;
        loop {
            let tables = tables(class, extension);
            let locked = tables
                .iter()
                .take_while(|table| pg_sys::ConditionalLockRelationOid(**table, lock));
            let locked = locked.count();
            let Some(&blocked) = tables.get(locked) else {
                return;
            };
            for table in &tables[..locked] {
                pg_sys::UnlockRelationOid(*table, lock);
            }
            pg_sys::LockRelationOid(blocked, lock);
            pg_sys::UnlockRelationOid(blocked, lock);
        }
    }
}

/// Whether the extension is among those that are dropped.
unsafe fn names(statement: *const pg_sys::DropStmt) -> bool {
    // SAFETY: the caller's promise.
    unsafe {
        let objects = (*statement).objects;
        let count = if objects.is_null() {
            0
        } else {
            (*objects).length
        };
        (0..count).any(|index| {
            let name = pg_sys::list_nth(objects, index).cast::<pg_sys::String>();
            CStr::from_ptr((*name).sval) == NAME
        })
    }
}

/// The extension's tables, and those of its access method.
fn tables(class: pg_sys::Oid, extension: pg_sys::Oid) -> Vec<pg_sys::Oid> {
    let mut all = dependents(class, extension);
    all.extend(dependents(pg_sys::AccessMethodRelationId, access_method()));
    let relations = all
        .into_iter()
        .filter(|found| found.class == pg_sys::RelationRelationId);
    relations
        .map(|found| found.object)
        .filter(|relid| {
            // SAFETY: a look-up in the system cache.
            let kind = unsafe { pg_sys::get_rel_relkind(*relid) } as u8;
            matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW)
        })
        .collect()
}
