//! Statements that Iceberg tables do not have are refused when they are planned, so that not a
//! single row is touched, however many the statement would have found.

use pg_lakebase_core::error::PgResult;
use pgrx::pg_sys;

use crate::catalog::{iceberg_descendant, is_iceberg_relid};
use crate::unsupported::{CONFLICT_HINT, LOCK_HINT, REWRITE_HINT, cannot};

/// Refuses a query that would change Iceberg tables in ways whose errors of PostgreSQL's own, raised
/// while planning, would mislead, or that plan to nothing.
///
/// # Safety
///
/// `query` is a query about to be planned.
pub unsafe fn check_query(query: *mut pg_sys::Query) -> PgResult<()> {
    // SAFETY: the caller's promise; the result relation is a range table index, or 0.
    unsafe {
        let (what, hint) = match (*query).commandType {
            pg_sys::CmdType::CMD_MERGE => ("merge into", REWRITE_HINT),
            _ if !(*query).onConflict.is_null() => ("use ON CONFLICT with", CONFLICT_HINT),
            _ => return Ok(()),
        };
        let target = (*query).resultRelation;
        if target > 0 {
            let entry =
                pg_sys::list_nth((*query).rtable, target - 1).cast::<pg_sys::RangeTblEntry>();
            if let Some(table) = iceberg_descendant((*entry).relid) {
                return Err(cannot(what, &table, hint));
            }
        }
    }
    Ok(())
}

/// Refuses a plan that would change or lock rows of an Iceberg table.
///
/// # Safety
///
/// `plan` is a plan that `standard_planner` has just made.
pub unsafe fn check_plan(plan: *mut pg_sys::PlannedStmt, key_share_allowed: bool) -> PgResult<()> {
    // SAFETY: the caller's promise; plan trees and lists are read as their node tags say.
    unsafe {
        let rtable = (*plan).rtable;
        check_modify((*plan).planTree, rtable)?;
        for subplan in cells::<pg_sys::Plan>((*plan).subplans) {
            // A data-modifying WITH query has its ModifyTable on top of a subplan.
            check_modify(subplan, rtable)?;
        }
        for mark in cells::<pg_sys::PlanRowMark>((*plan).rowMarks) {
            let locks = (*mark).markType <= pg_sys::RowMarkType::ROW_MARK_KEYSHARE;
            let allowed =
                key_share_allowed && (*mark).markType == pg_sys::RowMarkType::ROW_MARK_KEYSHARE;
            if locks
                && !allowed
                && !(*mark).isParent
                && let Some(table) = iceberg_table((*mark).rti, rtable)
            {
                return Err(cannot("lock rows of", &table, LOCK_HINT));
            }
        }
    }
    Ok(())
}

unsafe fn check_modify(plan: *mut pg_sys::Plan, rtable: *mut pg_sys::List) -> PgResult<()> {
    // SAFETY: as for `check`; the node is cast only when its tag says so.
    unsafe {
        if plan.is_null() || (*plan).type_ != pg_sys::NodeTag::T_ModifyTable {
            return Ok(());
        }
        let modify = plan.cast::<pg_sys::ModifyTable>();
        let refusal: Option<(&str, &str)> = match (*modify).operation {
            pg_sys::CmdType::CMD_UPDATE => Some(("update rows of", REWRITE_HINT)),
            pg_sys::CmdType::CMD_DELETE => Some(("delete rows of", REWRITE_HINT)),
            pg_sys::CmdType::CMD_MERGE => Some(("merge into", REWRITE_HINT)),
            _ if (*modify).onConflictAction != pg_sys::OnConflictAction::ONCONFLICT_NONE => {
                Some(("use ON CONFLICT with", CONFLICT_HINT))
            }
            _ => None,
        };
        let Some((what, hint)) = refusal else {
            return Ok(());
        };
        let targets = (*modify).resultRelations;
        for index in 0..list_length(targets) {
            let rti = pg_sys::list_nth_int(targets, index);
            if let Some(table) = iceberg_table(rti.unsigned_abs(), rtable) {
                return Err(cannot(what, &table, hint));
            }
        }
    }
    Ok(())
}

/// The name of range table entry `rti` if it is an Iceberg table.
unsafe fn iceberg_table(rti: pg_sys::Index, rtable: *mut pg_sys::List) -> Option<String> {
    // SAFETY: range table indexes in a plan are valid, from 1.
    unsafe {
        let entry = pg_sys::list_nth(rtable, rti as i32 - 1).cast::<pg_sys::RangeTblEntry>();
        let relid = (*entry).relid;
        if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION || !is_iceberg_relid(relid) {
            return None;
        }
        let name = pg_sys::get_rel_name(relid);
        (!name.is_null())
            .then(|| pg_lakebase_core::relation::name_text(std::ffi::CStr::from_ptr(name)))
    }
}

unsafe fn list_length(list: *mut pg_sys::List) -> i32 {
    // SAFETY: NIL is the null pointer; anything else is a list.
    unsafe { if list.is_null() { 0 } else { (*list).length } }
}

unsafe fn cells<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: the caller passes a list of pointers to T, or NIL.
    unsafe { (0..list_length(list)).map(move |index| pg_sys::list_nth(list, index).cast::<T>()) }
}
