//! What happens when catalog objects come and go.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, ObjectAccess};
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pgrx::pg_sys;

use super::database;
use crate::catalog::is_iceberg_relid;
use crate::transaction;

pub fn register() -> PgResult<()> {
    hooks::register_object_access(|event| match event.access {
        ObjectAccess::Drop { .. }
            if event.class_id == pg_sys::RelationRelationId && event.sub_id == 0 =>
        {
            relation_dropped(event.object_id)
        }
        ObjectAccess::PostCreate { .. } if event.class_id == pg_sys::DatabaseRelationId => {
            database::created()
        }
        _ => Ok(()),
    })
}

/// A relation is about to be dropped: its storage goes with the transaction.
///
/// Every way to drop a table comes here (`deleteOneObject`): DROP TABLE, SCHEMA, OWNED, EXTENSION,
/// the transient tables of rewrites, ON COMMIT DROP, and temporary tables at the end of their session.
fn relation_dropped(relid: pg_sys::Oid) -> PgResult<()> {
    if is_iceberg_relid(relid) {
        // Whoever drops the relation holds AccessExclusiveLock on it.
        let rel = OpenRelation::open(relid, LockMode::None);
        transaction::drop_storage(rel.relation())?;
    }
    Ok(())
}
