//! What the planner is told about Iceberg tables, and what it may not plan.

mod iceberg_scan;
mod parallel;
mod plan_parts;
mod predicate;
mod replica_identity;
mod sizes;
mod system_columns;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, PlannerCall, walk_plan_expressions};
use pgrx::pg_sys;

use self::system_columns::SystemColumns;

/// Registers the hooks; called once, from `_PG_init`.
pub fn register() -> PgResult<()> {
    hooks::register_planner(plan)?;
    iceberg_scan::register()?;
    replica_identity::register()?;
    parallel::register()
}

fn plan(call: &mut PlannerCall<'_>) -> PgResult<*mut pg_sys::PlannedStmt> {
    let plan = call.proceed();
    // SAFETY: the planner has just made it.
    unsafe {
        let mut system_columns = SystemColumns::of(plan);
        walk_plan_expressions(plan, &mut |node| {
            sizes::redirect(plan, node);
            system_columns.see(node);
        });
        system_columns.refuse()?;
    }
    Ok(plan)
}
