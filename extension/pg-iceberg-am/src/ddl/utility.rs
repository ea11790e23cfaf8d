//! Utility statements that Iceberg tables do not have are refused before they begin.
//!
//! What happens to columns is judged where it happens (`attributes.rs`), whatever statement asks for it.
//! What cannot be caught here (an index made by ATTACH PARTITION, say) fails in the access method's
//! own callbacks. Statements that commit half-way (CREATE INDEX CONCURRENTLY) must be caught here.

use std::ffi::{CStr, CString, c_char};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks;
use pg_lakebase_core::relation::name_text;
use pgrx::pg_sys;

use super::{
    attributes, database, enum_labels, extension, placement, promotion, publication, table_options,
    tablespace,
};
use crate::catalog::{iceberg_descendant, is_iceberg_relid};
use crate::directory::upgrade;
use crate::transaction::two_phase::Finishing;
use crate::unsupported::{INDEX_HINT, PARTITION_INDEX_HINT, cannot};

/// What to do instead of CLUSTER.
const CLUSTER_HINT: &str =
    "Create a sorted copy with CREATE TABLE ... USING iceberg AS SELECT ... ORDER BY.";

/// What to do instead of REFRESH MATERIALIZED VIEW CONCURRENTLY.
const REFRESH_HINT: &str =
    "It would need a unique index. Use REFRESH MATERIALIZED VIEW without CONCURRENTLY.";

pub fn register() -> PgResult<()> {
    hooks::register_process_utility(|call| {
        // SAFETY: the statement is PostgreSQL's own and is only read.
        unsafe { check(call.statement())? };
        // SAFETY: as above.
        match unsafe { two_phase(call.statement()) } {
            Some((outcome, name)) => {
                let finishing = Finishing::find(&name)?;
                call.proceed();
                match (finishing, outcome) {
                    (None, _) => {}
                    (Some(finishing), Outcome::Commit) => finishing.committed(),
                    (Some(finishing), Outcome::Rollback) => finishing.rolled_back(),
                }
            }
            None => {
                // SAFETY: as above; the statement is there until the call ends.
                let watched = unsafe { publication::watch(call.statement()) };
                let altering = attributes::Altering::begin();
                promotion::prepare(call);
                if !tablespace::proceed(call)? && !database::proceed(call)? {
                    table_options::proceed(call)?;
                }
                if let Some(watched) = watched {
                    // SAFETY: as above.
                    unsafe { publication::check(&watched)? };
                }
                altering.finish()?;
            }
        }
        Ok(())
    })
}

/// What becomes of a prepared transaction.
enum Outcome {
    Commit,
    Rollback,
}

/// What `statement` makes of a prepared transaction, with the transaction's name.
///
/// # Safety
///
/// As [`check`].
unsafe fn two_phase(statement: *mut pg_sys::Node) -> Option<(Outcome, CString)> {
    // SAFETY: the node is cast to the type that its tag names; these statements have a name.
    unsafe {
        if (*statement).type_ != pg_sys::NodeTag::T_TransactionStmt {
            return None;
        }
        let statement = statement.cast::<pg_sys::TransactionStmt>();
        let outcome = match (*statement).kind {
            pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED => Outcome::Commit,
            pg_sys::TransactionStmtKind::TRANS_STMT_ROLLBACK_PREPARED => Outcome::Rollback,
            _ => return None,
        };
        Some((outcome, CStr::from_ptr((*statement).gid).to_owned()))
    }
}

/// Refuses `statement` if it is one that an Iceberg table it names does not have.
///
/// # Safety
///
/// `statement` is the utility statement that PostgreSQL is about to execute.
unsafe fn check(statement: *mut pg_sys::Node) -> PgResult<()> {
    // SAFETY: the node is cast to the type that its tag names.
    unsafe {
        match (*statement).type_ {
            pg_sys::NodeTag::T_IndexStmt => {
                let statement = statement.cast::<pg_sys::IndexStmt>();
                refuse_index((*statement).relation)
            }
            pg_sys::NodeTag::T_ClusterStmt => {
                let statement = statement.cast::<pg_sys::ClusterStmt>();
                refuse((*statement).relation, "cluster", CLUSTER_HINT)
            }
            pg_sys::NodeTag::T_RefreshMatViewStmt => {
                let statement = statement.cast::<pg_sys::RefreshMatViewStmt>();
                check_refresh(statement)
            }
            pg_sys::NodeTag::T_CreatedbStmt => {
                let statement = statement.cast::<pg_sys::CreatedbStmt>();
                placement::check_database((*statement).dbname, (*statement).options)?;
                database::note_template(statement)
            }
            pg_sys::NodeTag::T_AlterDatabaseStmt => {
                let statement = statement.cast::<pg_sys::AlterDatabaseStmt>();
                placement::check_database((*statement).dbname, (*statement).options)?;
                database::check_alter(statement)
            }
            pg_sys::NodeTag::T_AlterTableMoveAllStmt => placement::check_move_all(statement.cast()),
            pg_sys::NodeTag::T_ReindexStmt => placement::check_reindex(statement.cast()),
            pg_sys::NodeTag::T_DropdbStmt => {
                database::before_drop(statement.cast());
                Ok(())
            }
            pg_sys::NodeTag::T_AlterTableStmt => check_alter_table(statement.cast()),
            pg_sys::NodeTag::T_DropStmt => {
                extension::before_drop(statement.cast());
                Ok(())
            }
            pg_sys::NodeTag::T_AlterEnumStmt => enum_labels::check_alter(statement.cast()),
            _ => Ok(()),
        }
    }
}

unsafe fn check_alter_table(statement: *mut pg_sys::AlterTableStmt) -> PgResult<()> {
    // SAFETY: a list of AlterTableCmd, each with a constraint where its subtype says so.
    unsafe {
        placement::check_alter_table(statement)?;
        for command in commands(statement) {
            if (*command).subtype == pg_sys::AlterTableType::AT_SetAccessMethod
                && let Some(relid) = relation((*statement).relation)
            {
                publication::check_set_access_method(relid, (*command).name)?;
            }
            match (*command).subtype {
                pg_sys::AlterTableType::AT_AddConstraint if needs_index((*command).def) => {
                    refuse_index((*statement).relation)?;
                }
                pg_sys::AlterTableType::AT_AddIndexConstraint => {
                    refuse_index((*statement).relation)?;
                }
                pg_sys::AlterTableType::AT_ClusterOn => {
                    refuse((*statement).relation, "cluster", CLUSTER_HINT)?;
                }
                _ => {}
            }
        }
    }
    Ok(())
}

/// The subcommands of ALTER TABLE.
///
/// # Safety
///
/// The statement is PostgreSQL's own.
pub(super) unsafe fn commands(
    statement: *mut pg_sys::AlterTableStmt,
) -> impl Iterator<Item = *mut pg_sys::AlterTableCmd> {
    // SAFETY: the caller's promise; a list of AlterTableCmd.
    unsafe {
        let commands = (*statement).cmds;
        let count = if commands.is_null() {
            0
        } else {
            (*commands).length
        };
        (0..count).map(move |index| pg_sys::list_nth(commands, index).cast())
    }
}

unsafe fn needs_index(definition: *mut pg_sys::Node) -> bool {
    // SAFETY: the definition of AT_AddConstraint is a Constraint.
    unsafe {
        !definition.is_null()
            && (*definition).type_ == pg_sys::NodeTag::T_Constraint
            && matches!(
                (*definition.cast::<pg_sys::Constraint>()).contype,
                pg_sys::ConstrType::CONSTR_PRIMARY
                    | pg_sys::ConstrType::CONSTR_UNIQUE
                    | pg_sys::ConstrType::CONSTR_EXCLUSION
            )
    }
}

/// Refuses to do `what` if `name`, a partition of it or a table that inherits from it is Iceberg. pg_upgrade
/// makes tables what they were: it drops columns that had been dropped before the table became Iceberg.
unsafe fn refuse(name: *const pg_sys::RangeVar, what: &str, hint: &str) -> PgResult<()> {
    if upgrade::is_running() {
        return Ok(());
    }
    // SAFETY: the caller's.
    let Some(relid) = (unsafe { relation(name) }) else {
        return Ok(());
    };
    match iceberg_descendant(relid) {
        Some(table) => Err(cannot(what, &table, hint)),
        None => Ok(()),
    }
}

/// Refuses an index on `name` if it is Iceberg, or a partition is that gets the index as well: all do, other than ON
/// ONLY the partitioned table. Tables that inherit do not.
unsafe fn refuse_index(name: *const pg_sys::RangeVar) -> PgResult<()> {
    const WHAT: &str = "create an index on";
    if upgrade::is_running() {
        return Ok(());
    }
    // SAFETY: the caller's; a look-up in the system cache.
    let (relid, kind, only) = unsafe {
        let Some(relid) = relation(name) else {
            return Ok(());
        };
        let kind = pg_sys::get_rel_relkind(relid) as u8;
        (relid, kind, !(*name).inh)
    };
    let hint = match kind {
        pg_sys::RELKIND_PARTITIONED_TABLE if only => return Ok(()),
        pg_sys::RELKIND_PARTITIONED_TABLE => PARTITION_INDEX_HINT,
        _ if is_iceberg_relid(relid) => INDEX_HINT,
        _ => return Ok(()),
    };
    match iceberg_descendant(relid) {
        Some(table) => Err(cannot(WHAT, &table, hint)),
        None => Ok(()),
    }
}

unsafe fn check_refresh(statement: *mut pg_sys::RefreshMatViewStmt) -> PgResult<()> {
    // SAFETY: the caller's: PostgreSQL's own statement, with a name.
    unsafe {
        let name = (*statement).relation;
        if (*statement).concurrent && relation(name).is_some_and(is_iceberg_relid) {
            let name = name_text(CStr::from_ptr((*name).relname));
            return Err(PgError::feature_not_supported(format!(
                "cannot concurrently refresh Iceberg materialized view \"{name}\""
            ))
            .with_hint(REFRESH_HINT));
        }
    }
    Ok(())
}

/// The relation of this name; `None` without a name, and for one that PostgreSQL is to report as missing.
///
/// # Safety
///
/// `name` is a name of the statement's, or null.
pub(super) unsafe fn relation(name: *const pg_sys::RangeVar) -> Option<pg_sys::Oid> {
    if name.is_null() {
        return None;
    }
    // SAFETY: the caller's promise; a look-up without a lock.
    let relid = unsafe {
        pg_sys::RangeVarGetRelidExtended(
            name,
            pg_sys::NoLock as pg_sys::LOCKMODE,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    };
    (relid != pg_sys::InvalidOid).then_some(relid)
}

/// The value of a DDL option such as `template = name`, if it is given.
pub(super) unsafe fn option(options: *mut pg_sys::List, wanted: &CStr) -> Option<*const c_char> {
    // SAFETY: a list of DefElem with terminated names, or NIL.
    unsafe {
        let count = if options.is_null() {
            0
        } else {
            (*options).length
        };
        (0..count)
            .map(|index| pg_sys::list_nth(options, index).cast::<pg_sys::DefElem>())
            .find(|&element| {
                CStr::from_ptr((*element).defname) == wanted && !(*element).arg.is_null()
            })
            .map(|element| pg_sys::defGetString(element).cast_const())
    }
}
