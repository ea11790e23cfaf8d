//! ALTER COLUMN ... TYPE to a wider type, for which a heap table is written anew and an Iceberg table is not.
//!
//! PostgreSQL writes a table anew unless the new value is the old one relabelled (`ATColumnChangeRequiresRewrite`). Where fields
//! of all tables concerned may be promoted, it is told that they are: files are then read as of the new type.

use std::ffi::CStr;

use pg_lakebase_core::hooks::UtilityCall;
use pgrx::pg_sys;

use super::utility::{commands, relation};
use crate::bindings::{OWNS_RELATION, find_all_inheritors};
use crate::catalog::is_iceberg_relid;
use crate::schema::retyped;

/// Types that Iceberg promotes, with what they become.
const PROMOTIONS: [(pg_sys::Oid, pg_sys::Oid); 4] = [
    (pg_sys::INT2OID, pg_sys::INT4OID),
    (pg_sys::INT2OID, pg_sys::INT8OID),
    (pg_sys::INT4OID, pg_sys::INT8OID),
    (pg_sys::FLOAT4OID, pg_sys::FLOAT8OID),
];

/// Tells PostgreSQL so if the statement does nothing but promote columns: where rows are written anew for anything else, all
/// of their values have to be computed.
pub fn prepare(call: &mut UtilityCall<'_>) {
    // SAFETY: PostgreSQL's own statement; nodes are cast to the types that their tags name.
    unsafe {
        if (*call.statement()).type_ != pg_sys::NodeTag::T_AlterTableStmt {
            return;
        }
        let statement = call.statement().cast::<pg_sys::AlterTableStmt>();
        let is_candidate = |command: *mut pg_sys::AlterTableCmd| {
            (*command).subtype == pg_sys::AlterTableType::AT_AlterColumnType && {
                let definition = (*command).def.cast::<pg_sys::ColumnDef>();
                (*definition).raw_default.is_null()
                    && (*definition).cooked_default.is_null()
                    && (*definition).collClause.is_null()
            }
        };
        // Of a column that the statement around this one has retyped, as an event trigger's, values are not what they are read as.
        if !retyped::is_empty() {
            return;
        }
        let is_table = (*statement).objtype == pg_sys::ObjectType::OBJECT_TABLE;
        if !is_table || !commands(statement).all(is_candidate) {
            return;
        }
        let Some(relid) = relation((*statement).relation) else {
            return;
        };
        let are_promotions =
            |relid| commands(statement).all(|command| promoted(relid, command).is_some());
        let may_recurse = (*(*statement).relation).inh;
        // Before anything is locked, and afterwards: it may be another table, or of other types, by then.
        if !are_promotions(relid) || !is_all_iceberg(relid, pg_sys::NoLock, may_recurse) {
            return;
        }
        let lock = pg_sys::AlterTableGetLockLevel((*statement).cmds);
        let relid = pg_sys::RangeVarGetRelidExtended(
            (*statement).relation,
            lock,
            pg_sys::RVROption::RVR_MISSING_OK,
            OWNS_RELATION,
            std::ptr::null_mut(),
        );
        if relid == pg_sys::InvalidOid
            || !is_all_iceberg(relid, lock as u32, may_recurse)
            || !are_promotions(relid)
        {
            return;
        }
        let statement = call.statement_to_change().cast::<pg_sys::AlterTableStmt>();
        for command in commands(statement) {
            if let Some(promoted) = promoted(relid, command) {
                let definition = (*command).def.cast::<pg_sys::ColumnDef>();
                (*definition).cooked_default = promoted.relabelled();
            }
        }
    }
}

/// Whether `relid` and the tables that are altered with it are Iceberg tables, or have no rows of their own.
fn is_all_iceberg(relid: pg_sys::Oid, lock: u32, may_recurse: bool) -> bool {
    let has_no_rows = |member| {
        // SAFETY: a look-up in the system cache.
        let kind = unsafe { pg_sys::get_rel_relkind(member) } as u8;
        kind == pg_sys::RELKIND_PARTITIONED_TABLE
    };
    let is_fit = |member| is_iceberg_relid(member) || has_no_rows(member);
    if !may_recurse {
        return is_fit(relid);
    }
    let family = find_all_inheritors(relid, lock as pg_sys::LOCKMODE);
    // SAFETY: a list of oids, `relid` among them.
    unsafe { (0..(*family).length).all(|index| is_fit(pg_sys::list_nth_oid(family, index))) }
}

/// A column that is promoted.
struct Promoted {
    attribute: pg_sys::FormData_pg_attribute,
    target: pg_sys::Oid,
}

/// The column of `relid` that `command` promotes.
///
/// # Safety
///
/// `command` is an ALTER COLUMN ... TYPE.
unsafe fn promoted(relid: pg_sys::Oid, command: *mut pg_sys::AlterTableCmd) -> Option<Promoted> {
    // SAFETY: the caller's promise; look-ups in the system caches, whose tuple is read before it is released.
    unsafe {
        let definition = (*command).def.cast::<pg_sys::ColumnDef>();
        let no_modifier = std::ptr::null_mut();
        let target_type = pg_sys::LookupTypeName(
            std::ptr::null_mut(),
            (*definition).typeName,
            no_modifier,
            true,
        );
        if target_type.is_null() {
            return None;
        }
        let target = pg_sys::typeTypeId(target_type);
        pg_sys::ReleaseSysCache(target_type);
        let name = CStr::from_ptr((*command).name);
        let tuple = pg_sys::SearchSysCacheAttName(relid, name.as_ptr());
        if tuple.is_null() {
            return None;
        }
        let attribute = *pg_sys::GETSTRUCT(tuple).cast::<pg_sys::FormData_pg_attribute>();
        pg_sys::ReleaseSysCache(tuple);
        let is_plain = attribute.attgenerated == 0 && !attribute.atthasmissing;
        let is_promotion = PROMOTIONS.contains(&(attribute.atttypid, target));
        (is_plain && is_promotion && attribute.attnum > 0).then_some(Promoted { attribute, target })
    }
}

impl Promoted {
    /// The column, taken for one of the new type.
    fn relabelled(&self) -> *mut pg_sys::Node {
        let column = &self.attribute;
        // SAFETY: new nodes in the current context, which the statement is executed in.
        unsafe {
            let var = pg_sys::makeVar(
                1,
                column.attnum,
                column.atttypid,
                column.atttypmod,
                column.attcollation,
                0,
            );
            pg_sys::makeRelabelType(
                var.cast(),
                self.target,
                -1,
                pg_sys::InvalidOid,
                pg_sys::CoercionForm::COERCE_IMPLICIT_CAST,
            )
            .cast()
        }
    }
}
