//! Databases that are copied, moved and dropped.
//!
//! PostgreSQL copies a database file by file and does not descend into directories (`copydir`), so a copy
//! would lack the tables' files; CREATE DATABASE with the strategy `wal_log` copies relations only.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};

use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::pg_sys;

use super::utility::option;
use crate::directory::TableDirectory;
use crate::publisher;

thread_local! {
    /// The template of the CREATE DATABASE that is being executed, or was last.
    static TEMPLATE: RefCell<CString> = RefCell::default();
}

/// Before CREATE DATABASE is executed: what is to be checked when it comes to [`created`].
///
/// # Safety
///
/// The statement is PostgreSQL's own.
pub unsafe fn note_template(statement: *mut pg_sys::CreatedbStmt) -> PgResult<()> {
    // SAFETY: the caller's promise; a terminated string.
    let template = unsafe {
        CStr::from_ptr(option((*statement).options, c"template").unwrap_or(c"template1".as_ptr()))
    };
    TEMPLATE.set(template.to_owned());
    Ok(())
}

/// A database was made and nothing has been copied yet (`createdb`). PostgreSQL has checked rights by now, has
/// made sure that nobody is connected to the template, and keeps others from connecting.
pub fn created() -> PgResult<()> {
    TEMPLATE.with_borrow(|template| refuse(template.as_ptr(), "copy"))
}

/// Before ALTER DATABASE is executed: refuses to move a database that has Iceberg tables.
///
/// # Safety
///
/// As [`note_template`].
pub unsafe fn check_alter(statement: *mut pg_sys::AlterDatabaseStmt) -> PgResult<()> {
    // SAFETY: the caller's promise; the lock is the one that `movedb` takes in this transaction, and only the
    // owner gets as far as that.
    unsafe {
        let name = (*statement).dbname;
        if option((*statement).options, c"tablespace").is_none() {
            return Ok(());
        }
        let Some(database) = owned(name) else {
            return Ok(());
        };
        pg_sys::LockSharedObject(
            pg_sys::DatabaseRelationId,
            database,
            0,
            pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE,
        );
        refuse(name, "move")
    }
}

/// Before DROP DATABASE is executed: has the database's publisher leave, if PostgreSQL is not about to refuse
/// right away.
///
/// # Safety
///
/// As [`note_template`].
pub unsafe fn before_drop(statement: *mut pg_sys::DropdbStmt) {
    // SAFETY: the caller's promise.
    unsafe {
        if let Some(database) = owned((*statement).dbname)
            && database != pg_sys::MyDatabaseId
            && !pg_sys::IsTransactionBlock()
        {
            publisher::dismiss(database);
        }
    }
}

/// The database of this name, if there is one and the user owns it; otherwise PostgreSQL reports.
unsafe fn owned(name: *const c_char) -> Option<pg_sys::Oid> {
    // SAFETY: look-ups by a terminated string.
    unsafe {
        let database = pg_sys::get_database_oid(name, true);
        let owned = database != pg_sys::InvalidOid
            && pg_sys::object_ownercheck(pg_sys::DatabaseRelationId, database, pg_sys::GetUserId());
        owned.then_some(database)
    }
}

fn refuse(name: *const c_char, what: &str) -> PgResult<()> {
    // SAFETY: a look-up by a terminated string; a missing database is PostgreSQL's to report.
    let database = unsafe { pg_sys::get_database_oid(name, true) };
    if database != pg_sys::InvalidOid && TableDirectory::exist_in(database.to_u32()) {
        return Err(PgError::feature_not_supported(format!(
            "cannot {what} a database with Iceberg tables"
        ))
        .with_hint("Create a database from template0 and copy with pg_dump and pg_restore."));
    }
    Ok(())
}
