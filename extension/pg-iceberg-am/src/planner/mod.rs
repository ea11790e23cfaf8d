//! What the planner is told about Iceberg tables, and what it may not plan.

mod iceberg_scan;
mod parallel;
mod predicate;
mod refuse;
mod sizes;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, PlannerCall};
use pgrx::pg_sys;

/// Registers the hooks; called once, from `_PG_init`.
pub fn register() -> PgResult<()> {
    hooks::register_planner(plan)?;
    iceberg_scan::register()?;
    parallel::register()
}

fn plan(call: &mut PlannerCall<'_>) -> PgResult<*mut pg_sys::PlannedStmt> {
    // SAFETY: the query is PostgreSQL's, for the planner to scribble on.
    unsafe { refuse::check_query(call.query())? };
    let plan = call.proceed();
    // SAFETY: the planner has just made it.
    unsafe {
        refuse::check_plan(plan)?;
        sizes::redirect(plan);
    }
    Ok(plan)
}
