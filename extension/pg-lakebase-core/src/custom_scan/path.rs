//! Paths: offers to the planner.

use pgrx::pg_sys;

use super::state::Methods;
use super::{CustomScanProvider, PrivateValue};
use crate::error::PgResult;
use crate::hooks::RelPathlist;

/// What a path offers.
#[derive(Debug, Clone, Default)]
pub struct PathSpec {
    /// The rows that come out, after the relation's filters; of one worker, for a partial path.
    pub rows: f64,
    /// Cost before the first row.
    pub startup_cost: f64,
    /// Cost of all rows.
    pub total_cost: f64,
    /// Whether the scan may run in a parallel worker. Taken back if the relation's filters may not.
    pub parallel_safe: bool,
    /// The number of workers that share the rows of a partial path; 0 for a complete path.
    pub parallel_workers: i32,
    /// What the plan shall know.
    pub private: Vec<PrivateValue>,
}

/// Makes a path for a base relation, in the planner's memory.
pub fn create_path<P: CustomScanProvider>(
    call: &RelPathlist<'_>,
    spec: &PathSpec,
) -> PgResult<*mut pg_sys::CustomPath> {
    let private = PrivateValue::to_list(&spec.private)?;
    // SAFETY: planner structures are valid during the hook; the new node is zeroed memory of its
    // type. Lateral references make the path depend on other relations, as for PostgreSQL's own.
    unsafe {
        let rel = call.rel;
        let path = pg_sys::newNode(
            size_of::<pg_sys::CustomPath>(),
            pg_sys::NodeTag::T_CustomPath,
        )
        .cast::<pg_sys::CustomPath>();
        let base = &mut (*path).path;
        base.pathtype = pg_sys::NodeTag::T_CustomScan;
        base.parent = rel;
        base.pathtarget = (*rel).reltarget;
        base.param_info = pg_sys::get_baserel_parampathinfo(call.root, rel, (*rel).lateral_relids);
        base.parallel_aware = spec.parallel_workers > 0;
        base.parallel_safe = spec.parallel_safe && (*rel).consider_parallel;
        base.parallel_workers = spec.parallel_workers;
        base.rows = spec.rows.max(1.0).round();
        base.startup_cost = spec.startup_cost;
        base.total_cost = spec.total_cost.max(spec.startup_cost);
        (*path).flags = pg_sys::CUSTOMPATH_SUPPORT_PROJECTION;
        if P::BACKWARD {
            (*path).flags |= pg_sys::CUSTOMPATH_SUPPORT_BACKWARD_SCAN;
        }
        (*path).custom_private = private;
        (*path).methods = Methods::<P>::PATH;
        Ok(path)
    }
}

/// Offers a path to the planner: a partial one if it has workers, a complete one if not. An offer
/// that is worse than others is freed.
pub fn offer_path<P: CustomScanProvider>(call: &RelPathlist<'_>, spec: &PathSpec) -> PgResult<()> {
    let path = create_path::<P>(call, spec)?;
    // SAFETY: the path belongs to the relation.
    unsafe {
        if spec.parallel_workers > 0 {
            if (*path).path.parallel_safe && P::PARALLEL_AWARE {
                pg_sys::add_partial_path(call.rel, path.cast());
            }
        } else {
            pg_sys::add_path(call.rel, path.cast());
        }
    }
    Ok(())
}
