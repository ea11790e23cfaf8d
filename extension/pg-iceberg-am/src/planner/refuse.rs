//! Statements that Iceberg tables do not have are refused when they are planned, so that not a
//! single row is touched, however many the statement would have found.
//!
//! A plan whose targets are Iceberg tables and others, partitions mostly, may come to rows of the others alone: which
//! partitions it comes to may be known only when it runs. The access method's callbacks refuse the rows then.

use std::collections::BTreeMap;

use pg_lakebase_core::error::PgResult;
use pgrx::pg_sys;

use crate::catalog::{iceberg_descendant, is_iceberg_relid};
use crate::unsupported::{CONFLICT_HINT, LOCK_HINT, REWRITE_HINT, cannot, is_foreign_key_query};

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

/// Refuses a plan that could change or lock rows of Iceberg tables only.
///
/// Foreign keys are let through: they are there for rows that are referred to, and may find none.
///
/// # Safety
///
/// `plan` is a plan that `standard_planner` has just made.
pub unsafe fn check_plan(plan: *mut pg_sys::PlannedStmt) -> PgResult<()> {
    if is_foreign_key_query() {
        return Ok(());
    }
    // SAFETY: the caller's promise; plan trees and lists are read as their node tags say.
    unsafe {
        let rtable = (*plan).rtable;
        check_modify((*plan).planTree, rtable)?;
        for subplan in cells::<pg_sys::Plan>((*plan).subplans) {
            // A data-modifying WITH query has its ModifyTable on top of a subplan.
            check_modify(subplan, rtable)?;
        }
        check_row_marks((*plan).rowMarks, rtable)
    }
}

unsafe fn check_modify(plan: *mut pg_sys::Plan, rtable: *mut pg_sys::List) -> PgResult<()> {
    // SAFETY: as for `check_plan`; the node is cast only when its tag says so.
    unsafe {
        if plan.is_null() || (*plan).type_ != pg_sys::NodeTag::T_ModifyTable {
            return Ok(());
        }
        let modify = plan.cast::<pg_sys::ModifyTable>();
        let targets = (*modify).resultRelations;
        let mut targets = (0..list_length(targets))
            .map(|index| pg_sys::list_nth_int(targets, index).unsigned_abs());
        let (what, hint) = match (*modify).operation {
            pg_sys::CmdType::CMD_UPDATE => ("update rows of", REWRITE_HINT),
            pg_sys::CmdType::CMD_DELETE => ("delete rows of", REWRITE_HINT),
            // In WITH; elsewhere `check_query` has refused them.
            pg_sys::CmdType::CMD_MERGE => {
                let table = targets.find_map(|target| iceberg_table(target, rtable));
                return table.map_or(Ok(()), |table| {
                    Err(cannot("merge into", &table, REWRITE_HINT))
                });
            }
            _ if (*modify).onConflictAction != pg_sys::OnConflictAction::ONCONFLICT_NONE => {
                ("use ON CONFLICT with", CONFLICT_HINT)
            }
            _ => return Ok(()),
        };
        refuse_all(targets, rtable, what, hint)
    }
}

/// The row marks of one table are those of its partitions and children; its own stands for them.
unsafe fn check_row_marks(marks: *mut pg_sys::List, rtable: *mut pg_sys::List) -> PgResult<()> {
    // SAFETY: as for `check_plan`.
    unsafe {
        let mut targets = BTreeMap::<pg_sys::Index, Vec<pg_sys::Index>>::new();
        for mark in cells::<pg_sys::PlanRowMark>(marks) {
            let locks = (*mark).markType <= pg_sys::RowMarkType::ROW_MARK_KEYSHARE;
            if locks && !(*mark).isParent {
                targets.entry((*mark).prti).or_default().push((*mark).rti);
            }
        }
        for members in targets.into_values() {
            refuse_all(members.into_iter(), rtable, "lock rows of", LOCK_HINT)?;
        }
    }
    Ok(())
}

/// Refuses to do `what` if all targets are Iceberg tables.
unsafe fn refuse_all(
    targets: impl Iterator<Item = pg_sys::Index>,
    rtable: *mut pg_sys::List,
    what: &str,
    hint: &str,
) -> PgResult<()> {
    let mut first = None;
    for target in targets {
        // SAFETY: the caller's.
        match unsafe { iceberg_table(target, rtable) } {
            Some(table) => first = first.or(Some(table)),
            None => return Ok(()),
        }
    }
    first.map_or(Ok(()), |table| Err(cannot(what, &table, hint)))
}

/// The name of range table entry `rti` of a plan if it is an Iceberg table.
///
/// # Safety
///
/// `rtable` is the plan's range table.
pub(super) unsafe fn iceberg_table(
    rti: pg_sys::Index,
    rtable: *mut pg_sys::List,
) -> Option<String> {
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

/// The elements of a list.
///
/// # Safety
///
/// `list` is NIL, or a list of pointers to `T`.
pub(super) unsafe fn cells<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: the caller passes a list of pointers to T, or NIL.
    unsafe { (0..list_length(list)).map(move |index| pg_sys::list_nth(list, index).cast::<T>()) }
}
