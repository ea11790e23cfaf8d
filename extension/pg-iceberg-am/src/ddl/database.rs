//! Databases that are copied, moved and dropped.
//!
//! PostgreSQL copies a database file by file and does not descend into directories (`copydir`), so a copy
//! would lack the tables' files; CREATE DATABASE with the strategy `wal_log` copies relations only.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char};
use std::sync::Arc;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks::UtilityCall;
use pg_lakebase_core::relation::name_text;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::utility::option;
use crate::directory::{TableDirectory, tablespace_directory};
use crate::publisher;
use crate::stores::Store;
use crate::tablespaces::catalog::object_tablespaces;

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

/// Has DROP DATABASE executed, and tells what it has left in object stores; other statements are left alone, and the answer is
/// false. The database's garbage is gone with it, and nobody is to wait for stores here.
pub fn proceed(call: &mut UtilityCall<'_>) -> PgResult<bool> {
    // SAFETY: the statement is PostgreSQL's own; its name is a terminated string.
    let (database, name) = unsafe {
        if (*call.statement()).type_ != pg_sys::NodeTag::T_DropdbStmt {
            return Ok(false);
        }
        let statement = call.statement().cast::<pg_sys::DropdbStmt>();
        (
            owned((*statement).dbname),
            name_text(CStr::from_ptr((*statement).dbname)),
        )
    };
    let left = database.map_or_else(Vec::new, places_of);
    call.proceed();
    for store in left {
        PgError::new(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("objects of database \"{name}\" are left in \"{}\"", store.root()),
        )
        .with_detail("A database of this server that has, or has had, Iceberg tables there finds them when it looks for orphans, once a day, and deletes them when pg_lakebase.object_retention has passed after that.")
        .with_hint("SELECT lakebase.remove_orphan_files(NULL, '0 days') in such a database finds them at once.")
        .notice();
    }
    Ok(true)
}

/// The extension is about to be dropped, with all Iceberg tables of the database and what is known of their objects: tells in which
/// stores those are left.
pub fn extension_dropped(extension: pg_sys::Oid) {
    // SAFETY: a look-up; the name is palloc'd, or null.
    let is_ours = unsafe {
        let name = pg_sys::get_extension_name(extension);
        !name.is_null() && CStr::from_ptr(name) == c"pg_iceberg_am"
    };
    if !is_ours {
        return;
    }
    // SAFETY: a variable of the backend.
    for store in places_of(unsafe { pg_sys::MyDatabaseId }) {
        PgError::new(
            PgSqlErrorCode::ERRCODE_SUCCESSFUL_COMPLETION,
            format!("objects of Iceberg tables of this database are left in \"{}\"", store.root()),
        )
        .with_detail("They are found, and deleted when pg_lakebase.object_retention has passed after that, if the extension is created here again, or the database is dropped.")
        .notice();
    }
}

/// The stores in which a database has tables, or has had some.
fn places_of(database: pg_sys::Oid) -> Vec<Arc<Store>> {
    (object_tablespaces().into_iter())
        .map(|tablespace| tablespace.to_u32())
        .filter(|&tablespace| {
            let directory = tablespace_directory(tablespace);
            directory.join(database.to_u32().to_string()).is_dir()
        })
        // Options that some other version has written keep nobody from dropping it.
        .filter_map(|tablespace| Store::of(tablespace).ok().flatten())
        .collect()
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
