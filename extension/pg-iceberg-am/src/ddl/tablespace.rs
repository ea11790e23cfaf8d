//! CREATE TABLESPACE, ALTER TABLESPACE, RENAME and DROP TABLESPACE of tablespaces in object stores.
//!
//! PostgreSQL validates the options of a tablespace by its own list. Ours are taken out of the statement, and those that
//! are stored out of `pg_tablespace.spcoptions`, while it does so, and are written back after.

use std::ffi::CStr;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks::{UtilityCall, UtilityContext};
use pg_lakebase_core::relation::name_text;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::table_options::{elements, take};
use crate::catalog::GarbageCatalog;
use crate::catalog::options::text_of;
use crate::directory;
use crate::storage_service::{changes, supervision};
use crate::stores::{self, Store};
use crate::tablespaces::catalog::{
    self, Stored, find, is_object_tablespace, lock_against_users, lock_for_change,
};
use crate::tablespaces::options::{PROBE, PROTOCOL, is_postgres_option, is_store_option};
use crate::tablespaces::{StoreOptions, holds_anything, is_credential};

/// What to do before a tablespace means another store.
const CHANGE_HINT: &str = "Move or drop what lies there first, or create another tablespace.";

/// Has CREATE TABLESPACE or ALTER TABLESPACE executed without options that PostgreSQL does not know, and after them and DROP
/// TABLESPACE the storage service started or stopped; other statements are left alone, and the answer is false.
pub fn proceed(call: &mut UtilityCall<'_>) -> PgResult<bool> {
    // SAFETY: the statement is PostgreSQL's own.
    unsafe {
        match (*call.statement()).type_ {
            pg_sys::NodeTag::T_CreateTableSpaceStmt => create(call)?,
            pg_sys::NodeTag::T_AlterTableSpaceOptionsStmt => alter(call)?,
            pg_sys::NodeTag::T_DropTableSpaceStmt => drop_tablespace(call)?,
            pg_sys::NodeTag::T_RenameStmt => return rename(call),
            _ => return Ok(false),
        }
    }
    Ok(true)
}

/// # Safety
///
/// The statement is CREATE TABLESPACE.
unsafe fn create(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the caller's promise; names and lists are the statement's own.
    unsafe {
        let statement = call.statement().cast::<pg_sys::CreateTableSpaceStmt>();
        let is_object = elements((*statement).options).any(|element| is_named(element, PROTOCOL));
        let takes = |element| is_ours(element, is_object);
        // What PostgreSQL refuses for other reasons is left to it.
        if !elements((*statement).options).any(takes) || !pg_sys::superuser() {
            call.proceed();
            return Ok(());
        }
        let is_top_level = call.context() == UtilityContext::TopLevel;
        pg_sys::PreventInTransactionBlock(is_top_level, c"CREATE TABLESPACE".as_ptr());
        let name = CStr::from_ptr((*statement).tablespacename).to_owned();
        let statement = call
            .statement_to_change()
            .cast::<pg_sys::CreateTableSpaceStmt>();
        let taken = take(&raw mut (*statement).options, takes);
        keep_secret(&taken);
        let options = StoreOptions::new(taken.into_iter().map(|element| text_of(element)))?;
        if options.is_some() {
            changes::note();
        }
        // Before directories are made, which an error would leave.
        if let (Some(options), None) = (&options, find(&name)) {
            check_postgres_options((*statement).options, false);
            be_ready(options, &name_text(&name))?;
        }
        call.proceed();
        pg_sys::CommandCounterIncrement();
        if let (Some(options), Some(tablespace)) = (options, find(&name)) {
            store(tablespace, Some(&options))?;
        }
        Ok(())
    }
}

/// # Safety
///
/// The statement is DROP TABLESPACE.
unsafe fn drop_tablespace(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the caller's promise; a terminated string.
    let tablespace = unsafe {
        let statement = call.statement().cast::<pg_sys::DropTableSpaceStmt>();
        find_owned(CStr::from_ptr((*statement).tablespacename))
    };
    let object = tablespace.filter(|&tablespace| is_object_tablespace(tablespace));
    let Some(tablespace) = object else {
        // PostgreSQL says what is wrong, if anything is.
        call.proceed();
        return Ok(());
    };
    let is_top_level = call.context() == UtilityContext::TopLevel;
    // SAFETY: raises, guarded.
    unsafe { pg_sys::PreventInTransactionBlock(is_top_level, c"DROP TABLESPACE".as_ptr()) };
    // Options that some other version has written keep nobody from dropping it.
    let store = Store::of(tablespace.to_u32()).ok().flatten();
    changes::note();
    // An error comes too late once directories are removed.
    let left = store.as_deref().map_or(Ok(0), forget_garbage)?;
    call.proceed();
    if let Some(store) = store {
        tell_of_garbage(&store, left);
        stores::forget(&store, None);
    }
    Ok(())
}

/// Has ALTER TABLESPACE ... RENAME TO executed: the storage service knows the store by another id after it. Other objects are
/// left alone, and the answer is false.
///
/// # Safety
///
/// The statement is ALTER ... RENAME TO.
unsafe fn rename(call: &mut UtilityCall<'_>) -> PgResult<bool> {
    // SAFETY: the caller's promise; a terminated string.
    let tablespace = unsafe {
        let statement = call.statement().cast::<pg_sys::RenameStmt>();
        if (*statement).renameType != pg_sys::ObjectType::OBJECT_TABLESPACE {
            return Ok(false);
        }
        find(CStr::from_ptr((*statement).subname))
    };
    let store = |tablespace: pg_sys::Oid| Store::of(tablespace.to_u32()).ok().flatten();
    let before = tablespace.and_then(store);
    call.proceed();
    // SAFETY: makes the new name visible.
    unsafe { pg_sys::CommandCounterIncrement() };
    if let Some(before) = before {
        stores::forget(&before, tablespace.and_then(store).as_deref());
    }
    Ok(true)
}

/// # Safety
///
/// The statement is ALTER TABLESPACE ... SET or RESET.
unsafe fn alter(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the caller's promise; names and lists are the statement's own.
    unsafe {
        let statement = call
            .statement()
            .cast::<pg_sys::AlterTableSpaceOptionsStmt>();
        let resets = (*statement).isReset;
        let name = CStr::from_ptr((*statement).tablespacename).to_owned();
        let Some(tablespace) = find_owned(&name) else {
            // PostgreSQL says what is wrong.
            call.proceed();
            return Ok(());
        };
        let names_protocol =
            elements((*statement).options).any(|element| is_named(element, PROTOCOL));
        let concerns = |is_object: bool| {
            is_object || elements((*statement).options).any(|element| is_ours(element, is_object))
        };
        if !concerns(names_protocol || is_object_tablespace(tablespace)) {
            call.proceed();
            return Ok(());
        }
        lock_for_change(tablespace);
        let stored = Stored::of(tablespace);
        let before = stored.store()?;
        let store_before = Store::of(tablespace.to_u32())?;
        let statement = call
            .statement_to_change()
            .cast::<pg_sys::AlterTableSpaceOptionsStmt>();
        let is_object = names_protocol || before.is_some();
        let taken = take(&raw mut (*statement).options, |element| {
            is_ours(element, is_object)
        });
        keep_secret(&taken);
        let names_probe = taken.iter().any(|&element| is_named(element, PROBE));
        let after = changed(&stored, &taken, resets)?;
        if before != after && !pg_sys::superuser() {
            return Err(PgError::new(
                PgSqlErrorCode::ERRCODE_INSUFFICIENT_PRIVILEGE,
                format!(
                    "permission denied to change the store of tablespace \"{}\"",
                    catalog::name(tablespace)
                ),
            )
            .with_detail(
                "Only superusers say where the server's credentials for object stores are sent.",
            ));
        }
        let is_same_place = is_same_place(before.as_ref(), after.as_ref());
        if !is_same_place {
            check_empty(tablespace, before.is_some())?;
        }
        changes::note();
        if let Some(options) = &after
            && (names_probe || before != after)
        {
            check_postgres_options((*statement).options, resets);
            be_ready(options, &catalog::name(tablespace))?;
        }
        if before.is_some() {
            catalog::store(tablespace, stored.postgres)?;
        }
        call.proceed();
        pg_sys::CommandCounterIncrement();
        store(tablespace, after.as_ref())?;
        if let (Some(store_before), true) = (store_before, before != after) {
            let successor = match &after {
                Some(options) if is_same_place => Some(Store::new(tablespace, options)?),
                _ => {
                    tell_of_garbage(&store_before, forget_garbage(&store_before)?);
                    None
                }
            };
            stores::forget(&store_before, successor.as_ref());
        }
        Ok(())
    }
}

/// The tablespace of this name, if the user owns it.
fn find_owned(name: &CStr) -> Option<pg_sys::Oid> {
    find(name).filter(|&tablespace| {
        // SAFETY: look-ups in the system caches.
        unsafe {
            pg_sys::object_ownercheck(
                pg_sys::TableSpaceRelationId,
                tablespace,
                pg_sys::GetUserId(),
            )
        }
    })
}

/// Has PostgreSQL say what is wrong with its own options, before anything is tried.
///
/// # Safety
///
/// The elements of the list are PostgreSQL's own.
unsafe fn check_postgres_options(options: *mut pg_sys::List, resets: bool) {
    // SAFETY: the caller's promise; raises, guarded.
    unsafe {
        let options = pg_sys::transformRelOptions(
            pg_sys::Datum::from(0),
            options,
            std::ptr::null(),
            std::ptr::null_mut(),
            false,
            resets,
        );
        pg_sys::tablespace_reloptions(options, true);
    }
}

/// Has the storage service run, and tries the store out unless the options say otherwise. pg_upgrade restores what was tried
/// before.
fn be_ready(options: &StoreOptions, tablespace: &str) -> PgResult<()> {
    if directory::upgrade::is_running() {
        return Ok(());
    }
    catalog::lock_for_making();
    match options.probes() {
        true => stores::probe(options, tablespace),
        false => {
            supervision::ensure_running();
            Ok(())
        }
    }
}

/// Keeps a statement with credentials out of the log, where an error would have it written
/// (`log_min_error_statement`). The next statement of the client sets the text anew.
///
/// # Safety
///
/// The elements are PostgreSQL's own.
unsafe fn keep_secret(elements: &[*mut pg_sys::DefElem]) {
    // SAFETY: the caller's promise; a variable of the backend's, which may be null.
    unsafe {
        let is_secret = |&element: &*mut pg_sys::DefElem| {
            let (name, value) = text_of(element);
            // As in `https://user:password@host`.
            is_credential(&name) || value.contains('@')
        };
        if elements.iter().any(is_secret) {
            pg_sys::debug_query_string = std::ptr::null();
        }
    }
}

/// The options that a statement makes of those that are stored.
///
/// # Safety
///
/// The elements are PostgreSQL's own.
unsafe fn changed(
    stored: &Stored,
    elements: &[*mut pg_sys::DefElem],
    resets: bool,
) -> PgResult<Option<StoreOptions>> {
    let mut named = Vec::new();
    for &element in elements {
        // SAFETY: the caller's promise.
        let (has_value, option) = unsafe { (!(*element).arg.is_null(), text_of(element)) };
        if resets && has_value {
            return Err(PgError::new(
                PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
                "RESET must not include values for parameters",
            ));
        }
        named.push(option);
    }
    let is_named = |name: &str| named.iter().any(|(other, _)| other == name);
    let mut all: Vec<_> = stored
        .ours
        .iter()
        .filter(|(name, _)| !is_named(name))
        .cloned()
        .collect();
    if !resets {
        all.extend(named);
    }
    StoreOptions::new(all)
}

fn is_same_place(before: Option<&StoreOptions>, after: Option<&StoreOptions>) -> bool {
    match (before, after) {
        (None, None) => true,
        (Some(before), Some(after)) => before.is_same_place(after),
        _ => false,
    }
}

/// Refuses to have a tablespace mean another store, or a store at all, while anything lies there.
fn check_empty(tablespace: pg_sys::Oid, is_object: bool) -> PgResult<()> {
    let name = catalog::name(tablespace);
    if matches!(
        tablespace,
        pg_sys::DEFAULTTABLESPACE_OID | pg_sys::GLOBALTABLESPACE_OID
    ) {
        return Err(PgError::feature_not_supported(format!(
            "tablespace \"{name}\" cannot be an object tablespace"
        ))
        .with_hint("Create one with CREATE TABLESPACE."));
    }
    lock_against_users(tablespace);
    if !holds_anything(tablespace) {
        return Ok(());
    }
    let what = match is_object {
        true => format!("cannot change where the tables of tablespace \"{name}\" lie"),
        false => format!("cannot make an object tablespace of \"{name}\""),
    };
    Err(PgError::new(PgSqlErrorCode::ERRCODE_OBJECT_IN_USE, what)
        .with_detail("Relations lie there, perhaps of other databases.")
        .with_hint(CHANGE_HINT))
}

/// Forgets objects of dropped tables that are still kept: no tablespace is to lead to them any more. Returns of how many tables of
/// this database they are.
fn forget_garbage(store: &Store) -> PgResult<usize> {
    match GarbageCatalog::open_for_update() {
        Some(catalog) => catalog.forget_objects(store.tablespace()),
        None => Ok(0),
    }
}

/// Tells where objects of so many tables are left.
fn tell_of_garbage(store: &Store, tables: usize) {
    if tables > 0 {
        let (root, what) = (store.root(), if tables == 1 { "table" } else { "tables" });
        PgError::new(
            PgSqlErrorCode::ERRCODE_WARNING,
            format!("objects of {tables} {what} of this database are left in \"{root}\""),
        )
        .with_detail("No table needs them. They were still kept, as pg_lakebase.object_retention says, and no tablespace leads to them any more.")
        .with_hint("Delete them by the means of the store, unless another server needs them.")
        .warn();
    }
}

/// Puts the options beside those of PostgreSQL's that the tablespace has.
fn store(tablespace: pg_sys::Oid, options: Option<&StoreOptions>) -> PgResult<()> {
    let Some(options) = options else {
        return Ok(());
    };
    let postgres = Stored::of(tablespace).postgres;
    catalog::store(tablespace, postgres.into_iter().chain(options.literals()))
}

/// Whether an option is not PostgreSQL's: of an object tablespace, whatever PostgreSQL does not know.
unsafe fn is_ours(element: *mut pg_sys::DefElem, is_object: bool) -> bool {
    // SAFETY: the caller's: an element of a list of options.
    let name = unsafe {
        if !(*element).defnamespace.is_null() {
            return false;
        }
        CStr::from_ptr((*element).defname).to_string_lossy()
    };
    match is_object {
        true => !is_postgres_option(&name),
        false => is_store_option(&name),
    }
}

unsafe fn is_named(element: *mut pg_sys::DefElem, name: &str) -> bool {
    // SAFETY: the caller's: an element of a list of options.
    unsafe {
        (*element).defnamespace.is_null()
            && CStr::from_ptr((*element).defname).to_bytes() == name.as_bytes()
    }
}
