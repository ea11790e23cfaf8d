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
    let key_share_allowed = is_foreign_key_check(call.query_string());
    let plan = call.proceed();
    // SAFETY: the planner has just made it.
    unsafe {
        refuse::check_plan(plan, key_share_allowed)?;
        sizes::redirect(plan);
    }
    Ok(plan)
}

/// Whether a query is the one that a foreign key's trigger on the referenced table runs to see
/// whether a row is still referred to (`RI_FKey_noaction_upd` and its siblings). Only its text tells.
fn is_foreign_key_check(query: &str) -> bool {
    query.starts_with("SELECT 1 FROM ONLY ") && query.ends_with(" FOR KEY SHARE OF x")
}
