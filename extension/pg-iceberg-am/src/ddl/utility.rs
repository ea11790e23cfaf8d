//! Utility statements that Iceberg tables do not have are refused before they begin.
//!
//! What cannot be caught here (an index made by ATTACH PARTITION, say) fails in the access method's
//! own callbacks. Statements that commit half-way (CREATE INDEX CONCURRENTLY) must be caught here.

use std::ffi::{CStr, c_char};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::hooks;
use pgrx::pg_sys;

use crate::catalog::iceberg_descendant;
use crate::modify::{INDEX_HINT, cannot};
use crate::storage::TableDirectory;
use crate::{publisher, transaction};

/// What to do instead of changing a table's columns.
const COLUMNS_HINT: &str = "Create a table with the wanted columns by CREATE TABLE ... USING iceberg AS SELECT, drop the old one, and rename.";
/// What to do instead of CLUSTER.
const CLUSTER_HINT: &str =
    "Create a sorted copy with CREATE TABLE ... USING iceberg AS SELECT ... ORDER BY.";

pub fn register() -> PgResult<()> {
    hooks::register_process_utility(|call| {
        // SAFETY: the statement is PostgreSQL's own and is only read.
        unsafe { check(call.statement())? };
        // SAFETY: as above.
        match unsafe { two_phase(call.statement()) } {
            Some((TwoPhase::Prepare, name)) => {
                transaction::prepared::name_transaction(&name);
                call.proceed();
            }
            Some((TwoPhase::Finish { committed }, name)) => {
                call.proceed();
                transaction::prepared::finish(&name, committed);
                if committed {
                    publisher::ensure_running();
                }
            }
            None => {
                // SAFETY: as above.
                if let Some(database) = unsafe { database_to_drop(call.statement()) } {
                    publisher::dismiss(database);
                }
                call.proceed();
            }
        }
        Ok(())
    })
}

/// A step of two-phase commit.
enum TwoPhase {
    Prepare,
    Finish { committed: bool },
}

/// The step of two-phase commit that `statement` is, with the transaction's name.
///
/// # Safety
///
/// As [`check`].
unsafe fn two_phase(statement: *mut pg_sys::Node) -> Option<(TwoPhase, String)> {
    // SAFETY: the node is cast to the type that its tag names; these statements have a name.
    unsafe {
        if (*statement).type_ != pg_sys::NodeTag::T_TransactionStmt {
            return None;
        }
        let statement = statement.cast::<pg_sys::TransactionStmt>();
        let step = match (*statement).kind {
            pg_sys::TransactionStmtKind::TRANS_STMT_PREPARE => TwoPhase::Prepare,
            pg_sys::TransactionStmtKind::TRANS_STMT_COMMIT_PREPARED => {
                TwoPhase::Finish { committed: true }
            }
            pg_sys::TransactionStmtKind::TRANS_STMT_ROLLBACK_PREPARED => {
                TwoPhase::Finish { committed: false }
            }
            _ => return None,
        };
        let name = CStr::from_ptr((*statement).gid)
            .to_string_lossy()
            .into_owned();
        Some((step, name))
    }
}

/// The database that `statement` drops.
///
/// # Safety
///
/// As [`check`].
unsafe fn database_to_drop(statement: *mut pg_sys::Node) -> Option<pg_sys::Oid> {
    // SAFETY: the node is cast to the type that its tag names; a look-up by the name it has.
    unsafe {
        if (*statement).type_ != pg_sys::NodeTag::T_DropdbStmt {
            return None;
        }
        let name = (*statement.cast::<pg_sys::DropdbStmt>()).dbname;
        Some(pg_sys::get_database_oid(name, true)).filter(|oid| *oid != pg_sys::InvalidOid)
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
                refuse((*statement).relation, "create an index on", INDEX_HINT)
            }
            pg_sys::NodeTag::T_ClusterStmt => {
                let statement = statement.cast::<pg_sys::ClusterStmt>();
                refuse((*statement).relation, "cluster", CLUSTER_HINT)
            }
            pg_sys::NodeTag::T_RenameStmt => {
                let statement = statement.cast::<pg_sys::RenameStmt>();
                if (*statement).renameType == pg_sys::ObjectType::OBJECT_COLUMN {
                    refuse((*statement).relation, "rename a column of", COLUMNS_HINT)?;
                }
                Ok(())
            }
            pg_sys::NodeTag::T_CreatedbStmt => {
                let statement = statement.cast::<pg_sys::CreatedbStmt>();
                let template =
                    option((*statement).options, c"template").unwrap_or(c"template1".as_ptr());
                refuse_database(template, "copy")
            }
            pg_sys::NodeTag::T_AlterDatabaseStmt => {
                let statement = statement.cast::<pg_sys::AlterDatabaseStmt>();
                match option((*statement).options, c"tablespace") {
                    Some(_) => refuse_database((*statement).dbname, "move"),
                    None => Ok(()),
                }
            }
            pg_sys::NodeTag::T_AlterTableStmt => check_alter_table(statement.cast()),
            _ => Ok(()),
        }
    }
}

unsafe fn check_alter_table(statement: *mut pg_sys::AlterTableStmt) -> PgResult<()> {
    // SAFETY: a list of AlterTableCmd, each with a constraint where its subtype says so.
    unsafe {
        let commands = (*statement).cmds;
        let count = if commands.is_null() {
            0
        } else {
            (*commands).length
        };
        for index in 0..count {
            let command = pg_sys::list_nth(commands, index).cast::<pg_sys::AlterTableCmd>();
            let refusal = match (*command).subtype {
                pg_sys::AlterTableType::AT_AddColumn => Some(("add a column to", COLUMNS_HINT)),
                pg_sys::AlterTableType::AT_DropColumn => Some(("drop a column of", COLUMNS_HINT)),
                pg_sys::AlterTableType::AT_AlterColumnType => {
                    Some(("change the type of a column of", COLUMNS_HINT))
                }
                pg_sys::AlterTableType::AT_AddConstraint if needs_index((*command).def) => {
                    Some(("create an index on", INDEX_HINT))
                }
                pg_sys::AlterTableType::AT_AddIndexConstraint => {
                    Some(("create an index on", INDEX_HINT))
                }
                pg_sys::AlterTableType::AT_ClusterOn => Some(("cluster", CLUSTER_HINT)),
                _ => None,
            };
            if let Some((what, hint)) = refusal {
                refuse((*statement).relation, what, hint)?;
            }
        }
    }
    Ok(())
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

/// Refuses to do `what` if `name`, a partition of it or a table that inherits from it is Iceberg.
unsafe fn refuse(name: *mut pg_sys::RangeVar, what: &str, hint: &str) -> PgResult<()> {
    if name.is_null() {
        return Ok(());
    }
    // SAFETY: a look-up by a name of the statement's; a missing relation is PostgreSQL's to report.
    let relid = unsafe {
        pg_sys::RangeVarGetRelidExtended(
            name,
            pg_sys::NoLock as pg_sys::LOCKMODE,
            pg_sys::RVROption::RVR_MISSING_OK,
            None,
            std::ptr::null_mut(),
        )
    };
    if relid == pg_sys::InvalidOid {
        return Ok(());
    }
    match iceberg_descendant(relid) {
        Some(table) => Err(cannot(what, &table, hint)),
        None => Ok(()),
    }
}

/// Refuses to copy or move the files of a database with Iceberg tables: PostgreSQL would take its own
/// files along and leave theirs (`copydir` does not descend into directories).
fn refuse_database(name: *const c_char, what: &str) -> PgResult<()> {
    // SAFETY: a look-up by name; a missing database is PostgreSQL's to report.
    let database = unsafe { pg_sys::get_database_oid(name, true) };
    if database != pg_sys::InvalidOid && TableDirectory::exist_in(database.to_u32()) {
        return Err(PgError::feature_not_supported(format!(
            "cannot {what} a database with Iceberg tables"
        ))
        .with_hint("Create a database from template0 and copy with pg_dump and pg_restore."));
    }
    Ok(())
}

/// The value of a DDL option such as `template = name`, if it is given.
unsafe fn option(options: *mut pg_sys::List, wanted: &CStr) -> Option<*const c_char> {
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
