//! Parallel query and Iceberg tables.
//!
//! No partial paths are offered: a worker that comes to an Iceberg table reads it whole. It reads what is
//! committed, and what its leader's transaction has changed and has written down for it.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, ExecutorRunCall, RelationInfo};

use crate::catalog::is_iceberg_relid;
use crate::transaction::{self, shared::SharedChanges};

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
    // SAFETY: the query's own plan and snapshot.
    let (parallel, curcid) = unsafe {
        let query = call.query_desc;
        (
            (*(*query).plannedstmt).parallelModeNeeded,
            (*(*query).snapshot).curcid,
        )
    };
    let shared = (parallel && transaction::has_changes())
        .then(|| SharedChanges::of_transaction(curcid))
        .transpose()?;
    call.proceed();
    drop(shared);
    Ok(())
}
