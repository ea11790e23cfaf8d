//! UPDATE and DELETE of tables that a publication covers.
//!
//! PostgreSQL refuses both of a table without a replica identity that a publication publishes them of
//! (`CheckCmdReplicaIdentity`). Of Iceberg tables, which can have none, nothing is published, so there is nothing
//! that a subscriber would need it for.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks;
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pgrx::pg_sys;

use super::plan_parts::{cells, int_cells};
use crate::catalog::is_iceberg_relid;

pub fn register() -> PgResult<()> {
    hooks::register_executor_start(executor_start)
}

fn executor_start(query: *mut pg_sys::QueryDesc) -> PgResult<()> {
    // SAFETY: a query that is about to be started; its plan's lists hold what their names say, and range table indexes
    // count from 1.
    unsafe {
        let plan = (*query).plannedstmt;
        if !matches!(
            (*plan).commandType,
            pg_sys::CmdType::CMD_UPDATE | pg_sys::CmdType::CMD_DELETE | pg_sys::CmdType::CMD_MERGE
        ) && !(*plan).hasModifyingCTE
        {
            return Ok(());
        }
        let entries: Vec<_> = cells::<pg_sys::RangeTblEntry>((*plan).rtable).collect();
        for target in int_cells((*plan).resultRelations) {
            let entry = usize::try_from(target - 1)
                .ok()
                .and_then(|at| entries.get(at));
            if let Some(relid) = entry.map(|&entry| (*entry).relid)
                && is_iceberg_relid(relid)
                && let Some(rel) = OpenRelation::try_open(relid, LockMode::None)
            {
                publish_nothing(rel.relation().as_ptr());
            }
        }
    }
    Ok(())
}

/// Has the relation's cache entry say that none of its changes are published.
///
/// # Safety
///
/// The relation is open.
unsafe fn publish_nothing(rel: pg_sys::Relation) {
    // SAFETY: the caller's promise. The entry owns what is allocated for it (`RelationDestroyRelation`).
    unsafe {
        if (*rel).rd_pubdesc.is_null() {
            let bytes = size_of::<pg_sys::PublicationDesc>();
            let place = pg_sys::MemoryContextAllocZero(pg_sys::CacheMemoryContext, bytes);
            (*rel).rd_pubdesc = place.cast();
        }
        *(*rel).rd_pubdesc = pg_sys::PublicationDesc {
            rf_valid_for_update: true,
            rf_valid_for_delete: true,
            cols_valid_for_update: true,
            cols_valid_for_delete: true,
            ..Default::default()
        };
    }
}
