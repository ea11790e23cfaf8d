//! Options of Iceberg tables in CREATE TABLE and ALTER TABLE.
//!
//! PostgreSQL validates the options of a table by what heap tables have. Ours are taken out of the statement, and
//! those that are stored out of `pg_class.reloptions`, while it does so, and are written back after.

use std::ffi::CStr;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks::UtilityCall;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::utility::{commands, relation};
use crate::bindings::OWNS_RELATION;
use crate::catalog::is_iceberg_relid;
use crate::catalog::options::{
    Creation, TableOptions, is_iceberg_option, store, stored, text_of, unrecognized,
};
use crate::transaction;

/// Options of PostgreSQL's beside whose change a table is read and written.
const SHARED_OPTIONS: [&CStr; 4] = [
    c"autovacuum_multixact_freeze_min_age",
    c"autovacuum_freeze_min_age",
    c"autovacuum_vacuum_cost_limit",
    c"log_autovacuum_min_duration",
];

/// Has the statement executed without options that PostgreSQL does not know.
pub fn proceed(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the statement is PostgreSQL's own.
    unsafe {
        if made_by(call.statement()).is_some() {
            return create(call);
        }
        if (*call.statement()).type_ == pg_sys::NodeTag::T_AlterTableStmt {
            return alter(call);
        }
    }
    call.proceed();
    Ok(())
}

/// The name of the table that a statement makes, and where its options are.
///
/// # Safety
///
/// The statement is PostgreSQL's own.
unsafe fn made_by(
    statement: *mut pg_sys::Node,
) -> Option<(*mut pg_sys::RangeVar, *mut *mut pg_sys::List)> {
    // SAFETY: nodes are cast to the types that their tags name. EXPLAIN has an analysed query.
    unsafe {
        match (*statement).type_ {
            pg_sys::NodeTag::T_CreateStmt => {
                let create = statement.cast::<pg_sys::CreateStmt>();
                Some(((*create).relation, &raw mut (*create).options))
            }
            pg_sys::NodeTag::T_CreateTableAsStmt => {
                let into = (*statement.cast::<pg_sys::CreateTableAsStmt>()).into;
                Some(((*into).rel, &raw mut (*into).options))
            }
            pg_sys::NodeTag::T_ExplainStmt => {
                let query = (*statement.cast::<pg_sys::ExplainStmt>()).query;
                if query.is_null() || (*query).type_ != pg_sys::NodeTag::T_Query {
                    return None;
                }
                let utility = (*query.cast::<pg_sys::Query>()).utilityStmt;
                let is_create =
                    !utility.is_null() && (*utility).type_ == pg_sys::NodeTag::T_CreateTableAsStmt;
                if is_create { made_by(utility) } else { None }
            }
            _ => None,
        }
    }
}

/// # Safety
///
/// The statement makes a table.
unsafe fn create(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the caller's promise; the list is taken apart in a tree that may be changed.
    unsafe {
        let Some((name, options)) = made_by(call.statement()) else {
            call.proceed();
            return Ok(());
        };
        let name = CStr::from_ptr((*name).relname).to_owned();
        let mut ours = TableOptions::default();
        if elements(*options).any(|element| is_ours(element))
            && let Some((_, options)) = made_by(call.statement_to_change())
        {
            for element in take_ours(options) {
                let (name, value) = text_of(element);
                ours.set(&name, &value)?;
            }
        }
        let creation = Creation::begin(&name, ours);
        call.proceed();
        if let Some((relid, options)) = creation.made()
            && !options.is_empty()
        {
            pg_sys::CommandCounterIncrement();
            put(relid, &options)?;
        }
        Ok(())
    }
}

/// Stores the options, and no others of ours, beside those of PostgreSQL's that the relation has.
fn put(relid: pg_sys::Oid, options: &TableOptions) -> PgResult<()> {
    let mut all = stored(relid);
    all.retain(|(name, _)| !is_iceberg_option(name));
    let theirs = all.iter().map(|(name, value)| (name, value));
    store(relid, theirs.chain(options.all()))
}

/// # Safety
///
/// The statement is ALTER TABLE, or the like for another kind of relation.
unsafe fn alter(call: &mut UtilityCall<'_>) -> PgResult<()> {
    // SAFETY: the caller's promise; names and lists are the statement's own.
    unsafe {
        let statement = call.statement().cast::<pg_sys::AlterTableStmt>();
        let mut asks = false;
        let mut concerns = false;
        for command in commands(statement) {
            match (*command).subtype {
                pg_sys::AlterTableType::AT_SetRelOptions
                | pg_sys::AlterTableType::AT_ResetRelOptions => {
                    concerns = true;
                    asks |= elements((*command).def.cast()).any(|element| is_ours(element));
                }
                pg_sys::AlterTableType::AT_SetAccessMethod => concerns = true,
                _ => {}
            }
        }
        let has_ours = || {
            relation((*statement).relation)
                .is_some_and(|relid| asks || !TableOptions::of(relid).is_empty())
        };
        if !concerns || !has_ours() {
            call.proceed();
            return Ok(());
        }
        // As AlterTableLookupRelation does, with the same lock and for the owner alone.
        let relid = pg_sys::RangeVarGetRelidExtended(
            (*statement).relation,
            pg_sys::AlterTableGetLockLevel((*statement).cmds),
            pg_sys::RVROption::RVR_MISSING_OK,
            OWNS_RELATION,
            std::ptr::null_mut(),
        );
        let kind = pg_sys::get_rel_relkind(relid) as u8;
        if !matches!(kind, pg_sys::RELKIND_RELATION | pg_sys::RELKIND_MATVIEW) {
            // PostgreSQL says what is wrong.
            call.proceed();
            return Ok(());
        }
        let mut options = TableOptions::of(relid);
        if !options.is_empty() {
            put(relid, &TableOptions::default())?;
        }
        let mut set = None;
        let statement = call.statement_to_change().cast::<pg_sys::AlterTableStmt>();
        for command in commands(statement) {
            let resets = match (*command).subtype {
                pg_sys::AlterTableType::AT_SetRelOptions => false,
                pg_sys::AlterTableType::AT_ResetRelOptions => true,
                _ => continue,
            };
            for element in take_ours((&raw mut (*command).def).cast()) {
                if resets && !(*element).arg.is_null() {
                    return Err(PgError::new(
                        PgSqlErrorCode::ERRCODE_SYNTAX_ERROR,
                        "RESET must not include values for parameters",
                    ));
                }
                let (name, value) = text_of(element);
                if resets {
                    options.reset(&name)?;
                } else {
                    options.set(&name, &value)?;
                    set.get_or_insert(name);
                }
            }
        }
        keep_lock_level(statement, relid);
        call.proceed();
        pg_sys::CommandCounterIncrement();
        if !is_iceberg_relid(relid) {
            // A heap table has no use for them, and its dump could not be restored with them.
            return set.map_or(Ok(()), |name| Err(unrecognized(&name)));
        }
        if !options.is_empty() {
            put(relid, &options)?;
        }
        transaction::note_changed_options();
        Ok(())
    }
}

/// PostgreSQL locks out everybody where a list of options is empty (`AlterTableGetRelOptionsLockLevel`): those that have
/// become so are to reset an option that neither the relation has nor the statement names.
///
/// # Safety
///
/// The statement is ALTER TABLE, in a tree that may be changed.
unsafe fn keep_lock_level(statement: *mut pg_sys::AlterTableStmt, relid: pg_sys::Oid) {
    // SAFETY: the caller's promise; the name is static.
    unsafe {
        let is_of_options = |command: &*mut pg_sys::AlterTableCmd| {
            matches!(
                (**command).subtype,
                pg_sys::AlterTableType::AT_SetRelOptions
                    | pg_sys::AlterTableType::AT_ResetRelOptions
            )
        };
        let lists: Vec<_> = commands(statement).filter(is_of_options).collect();
        let mut named: Vec<String> = stored(relid).into_iter().map(|(name, _)| name).collect();
        for command in &lists {
            let names = elements((**command).def.cast());
            named.extend(names.map(|element| text_of(element).0));
        }
        let is_free = |name: &&&CStr| {
            !named
                .iter()
                .any(|other| other.as_bytes() == name.to_bytes())
        };
        let Some(free) = SHARED_OPTIONS.iter().find(is_free) else {
            return;
        };
        for command in lists {
            if elements((*command).def.cast()).next().is_none() {
                let name = pg_sys::pstrdup(free.as_ptr());
                let element = pg_sys::makeDefElem(name, std::ptr::null_mut(), -1);
                (*command).subtype = pg_sys::AlterTableType::AT_ResetRelOptions;
                (*command).def = pg_sys::lappend(std::ptr::null_mut(), element.cast()).cast();
            }
        }
    }
}

/// The options in a list.
///
/// # Safety
///
/// A list of DefElem, or NIL.
pub(super) unsafe fn elements(
    list: *mut pg_sys::List,
) -> impl Iterator<Item = *mut pg_sys::DefElem> {
    // SAFETY: the caller's promise.
    unsafe {
        let count = if list.is_null() { 0 } else { (*list).length };
        (0..count).map(move |index| pg_sys::list_nth(list, index).cast())
    }
}

unsafe fn is_ours(element: *mut pg_sys::DefElem) -> bool {
    // SAFETY: the caller's: an element of a list of options.
    unsafe {
        (*element).defnamespace.is_null()
            && is_iceberg_option(&CStr::from_ptr((*element).defname).to_string_lossy())
    }
}

/// Takes our options out of a list.
unsafe fn take_ours(list: *mut *mut pg_sys::List) -> Vec<*mut pg_sys::DefElem> {
    // SAFETY: the caller's: a list of DefElem in a tree that may be changed, or NIL.
    unsafe { take(list, |element| is_ours(element)) }
}

/// Takes options out of a list.
///
/// # Safety
///
/// A list of DefElem in a tree that may be changed, or NIL.
pub(super) unsafe fn take(
    list: *mut *mut pg_sys::List,
    is_taken: impl Fn(*mut pg_sys::DefElem) -> bool,
) -> Vec<*mut pg_sys::DefElem> {
    // SAFETY: the caller's promise.
    unsafe {
        let all: Vec<_> = elements(*list).collect();
        let mut rest = std::ptr::null_mut();
        let mut taken = Vec::new();
        for element in all {
            if is_taken(element) {
                taken.push(element);
            } else {
                rest = pg_sys::lappend(rest, element.cast());
            }
        }
        *list = rest;
        taken
    }
}
