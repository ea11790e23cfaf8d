//! Parallel query and Iceberg tables.
//!
//! Workers read what is committed. No partial paths are offered, and a transaction that has changed
//! an Iceberg table runs its queries in the leader alone: a worker would not see the changes.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, ExecutorRunCall, RelationInfo};

use crate::catalog::is_iceberg_relid;
use crate::transaction;

pub fn register() -> PgResult<()> {
    hooks::register_get_relation_info(relation_info)?;
    hooks::register_executor_run(executor_run)
}

fn relation_info(info: &RelationInfo<'_>) -> PgResult<()> {
    if is_iceberg_relid(info.relation_oid) {
        // SAFETY: the planner's node, being filled in; zero workers means no partial paths
        // (`compute_parallel_worker`).
        unsafe { (*info.rel).rel_parallel_workers = 0 };
    }
    Ok(())
}

fn executor_run(call: &mut ExecutorRunCall<'_>) -> PgResult<()> {
    if transaction::has_changes() {
        // SAFETY: the query's own plan, which is read (`ExecutePlan`) only after this. Without
        // parallel mode Gather nodes run their plan in the leader. A cached plan may be shared with
        // later executions, so the flag is put back.
        unsafe {
            let plan = (*call.query_desc).plannedstmt;
            let needed = std::mem::replace(&mut (*plan).parallelModeNeeded, false);
            let restore = Restore(plan, needed);
            call.proceed();
            drop(restore);
        }
    } else {
        call.proceed();
    }
    Ok(())
}

/// Puts `parallelModeNeeded` back, also when the execution raises.
struct Restore(*mut pgrx::pg_sys::PlannedStmt, bool);

impl Drop for Restore {
    fn drop(&mut self) {
        // SAFETY: the plan outlives its execution.
        unsafe { (*self.0).parallelModeNeeded = self.1 };
    }
}
