//! The expressions of a finished plan.

use std::ffi::c_void;

use pgrx::pg_sys;
use pgrx::pg_sys::NodeTag;

use crate::guard::guard_infallible;

/// What is called with each node of an expression.
type Visit<'a> = &'a mut dyn FnMut(*mut pg_sys::Node);

/// Calls `visit` with every node of every expression that `plan` evaluates, outer ones first; it may change
/// them in place.
///
/// What run-time partition pruning evaluates is left out: volatile functions do not occur there.
///
/// # Safety
///
/// `plan` is a finished plan.
pub unsafe fn walk_plan_expressions(
    plan: *mut pg_sys::PlannedStmt,
    visit: &mut dyn FnMut(*mut pg_sys::Node),
) {
    // SAFETY: the caller's promise; plan nodes and lists are read as their node tags say. A subplan that
    // turned out not to be needed is null.
    unsafe {
        walk_plan((*plan).planTree, visit);
        for subplan in cells((*plan).subplans) {
            walk_plan(subplan, visit);
        }
    }
}

unsafe fn walk_plan(plan: *mut pg_sys::Plan, visit: Visit<'_>) {
    if plan.is_null() {
        return;
    }
    // SAFETY: as above. A plan may be as deep as the query was long.
    unsafe {
        pg_sys::check_stack_depth();
        walk_list((*plan).targetlist, visit);
        walk_list((*plan).qual, visit);
        walk_own(plan, visit);
        for child in children(plan) {
            walk_plan(child, visit);
        }
        walk_plan((*plan).lefttree, visit);
        walk_plan((*plan).righttree, visit);
    }
}

/// The inputs of a node that has more than two, or one elsewhere.
unsafe fn children(plan: *mut pg_sys::Plan) -> Vec<*mut pg_sys::Plan> {
    // SAFETY: the node is cast to the type that its tag names.
    unsafe {
        match (*plan).type_ {
            NodeTag::T_Append => cells((*plan.cast::<pg_sys::Append>()).appendplans).collect(),
            NodeTag::T_MergeAppend => {
                cells((*plan.cast::<pg_sys::MergeAppend>()).mergeplans).collect()
            }
            NodeTag::T_SubqueryScan => vec![(*plan.cast::<pg_sys::SubqueryScan>()).subplan],
            NodeTag::T_CustomScan => {
                cells((*plan.cast::<pg_sys::CustomScan>()).custom_plans).collect()
            }
            NodeTag::T_BitmapAnd => {
                cells((*plan.cast::<pg_sys::BitmapAnd>()).bitmapplans).collect()
            }
            NodeTag::T_BitmapOr => cells((*plan.cast::<pg_sys::BitmapOr>()).bitmapplans).collect(),
            _ => Vec::new(),
        }
    }
}

/// The expressions that only this kind of node has.
unsafe fn walk_own(plan: *mut pg_sys::Plan, visit: Visit<'_>) {
    // SAFETY: the node is cast to the type that its tag names.
    unsafe {
        let lists: &[*mut pg_sys::List] = match (*plan).type_ {
            NodeTag::T_Result => {
                return walk_node((*plan.cast::<pg_sys::Result>()).resconstantqual, visit);
            }
            NodeTag::T_Limit => {
                let limit = plan.cast::<pg_sys::Limit>();
                walk_node((*limit).limitOffset, visit);
                return walk_node((*limit).limitCount, visit);
            }
            NodeTag::T_WindowAgg => {
                let window = plan.cast::<pg_sys::WindowAgg>();
                walk_node((*window).startOffset, visit);
                walk_node((*window).endOffset, visit);
                &[(*window).runCondition]
            }
            NodeTag::T_SampleScan => {
                let sample = (*plan.cast::<pg_sys::SampleScan>()).tablesample;
                return walk_node(sample.cast(), visit);
            }
            NodeTag::T_TableFuncScan => {
                let function = (*plan.cast::<pg_sys::TableFuncScan>()).tablefunc;
                return walk_node(function.cast(), visit);
            }
            NodeTag::T_ModifyTable => {
                let modify = plan.cast::<pg_sys::ModifyTable>();
                walk_node((*modify).onConflictWhere, visit);
                &[
                    (*modify).withCheckOptionLists,
                    (*modify).returningLists,
                    (*modify).onConflictSet,
                    (*modify).mergeActionLists,
                    (*modify).mergeJoinConditions,
                ]
            }
            NodeTag::T_FunctionScan => &[(*plan.cast::<pg_sys::FunctionScan>()).functions],
            NodeTag::T_ValuesScan => &[(*plan.cast::<pg_sys::ValuesScan>()).values_lists],
            NodeTag::T_TidScan => &[(*plan.cast::<pg_sys::TidScan>()).tidquals],
            NodeTag::T_TidRangeScan => &[(*plan.cast::<pg_sys::TidRangeScan>()).tidrangequals],
            NodeTag::T_IndexScan => {
                let scan = plan.cast::<pg_sys::IndexScan>();
                &[
                    (*scan).indexqual,
                    (*scan).indexqualorig,
                    (*scan).indexorderby,
                    (*scan).indexorderbyorig,
                ]
            }
            NodeTag::T_IndexOnlyScan => {
                let scan = plan.cast::<pg_sys::IndexOnlyScan>();
                &[(*scan).indexqual, (*scan).recheckqual, (*scan).indexorderby]
            }
            NodeTag::T_BitmapIndexScan => {
                let scan = plan.cast::<pg_sys::BitmapIndexScan>();
                &[(*scan).indexqual, (*scan).indexqualorig]
            }
            NodeTag::T_BitmapHeapScan => &[(*plan.cast::<pg_sys::BitmapHeapScan>()).bitmapqualorig],
            NodeTag::T_ForeignScan => {
                let scan = plan.cast::<pg_sys::ForeignScan>();
                &[(*scan).fdw_exprs, (*scan).fdw_recheck_quals]
            }
            NodeTag::T_CustomScan => &[(*plan.cast::<pg_sys::CustomScan>()).custom_exprs],
            NodeTag::T_NestLoop => &[(*plan.cast::<pg_sys::Join>()).joinqual],
            NodeTag::T_MergeJoin => {
                let join = plan.cast::<pg_sys::MergeJoin>();
                &[(*join).join.joinqual, (*join).mergeclauses]
            }
            NodeTag::T_HashJoin => {
                let join = plan.cast::<pg_sys::HashJoin>();
                &[(*join).join.joinqual, (*join).hashclauses, (*join).hashkeys]
            }
            NodeTag::T_Hash => &[(*plan.cast::<pg_sys::Hash>()).hashkeys],
            NodeTag::T_Memoize => &[(*plan.cast::<pg_sys::Memoize>()).param_exprs],
            _ => &[],
        };
        for &list in lists {
            walk_list(list, visit);
        }
    }
}

unsafe fn walk_list(list: *mut pg_sys::List, visit: Visit<'_>) {
    // SAFETY: a list of expressions is a node.
    unsafe { walk_node(list.cast(), visit) }
}

unsafe fn walk_node(node: *mut pg_sys::Node, mut visit: Visit<'_>) {
    // SAFETY: the walker gets back what it is given here, while it is borrowed here.
    unsafe {
        walk(node, (&raw mut visit).cast());
    }
}

/// A walker as `expression_tree_walker` wants it; `context` is a [`Visit`].
unsafe extern "C-unwind" fn walk(node: *mut pg_sys::Node, context: *mut c_void) -> bool {
    guard_infallible(|| {
        if node.is_null() {
            return false;
        }
        // SAFETY: the context is what `walk_node` passes; nodes below are PostgreSQL's to find.
        unsafe {
            let visit = &mut *context.cast::<Visit<'_>>();
            if (*node).type_ != NodeTag::T_List {
                visit(node);
            }
            pg_sys::expression_tree_walker_impl(node, Some(walk), context)
        }
    })
}

/// The plans of a list.
unsafe fn cells(list: *mut pg_sys::List) -> impl Iterator<Item = *mut pg_sys::Plan> {
    // SAFETY: a list of plans, or NIL.
    unsafe {
        let count = if list.is_null() { 0 } else { (*list).length };
        (0..count).map(move |index| pg_sys::list_nth(list, index).cast())
    }
}
