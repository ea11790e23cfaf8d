//! What happens when catalog objects come and go.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::hooks::{self, ObjectAccess};
use pg_lakebase_core::relation::{LockMode, OpenRelation, RelationKind};
use pgrx::pg_sys;

use super::{attribute_names, attributes, database, placement};
use crate::catalog::options;
use crate::catalog::{is_iceberg, is_iceberg_relid};
use crate::transaction;

pub fn register() -> PgResult<()> {
    hooks::register_object_access(|event| {
        let object = event.object_id;
        match (event.class_id, event.access, i16::try_from(event.sub_id)) {
            (pg_sys::RelationRelationId, ObjectAccess::Drop { .. }, Ok(0)) => {
                relation_dropped(object)
            }
            (pg_sys::RelationRelationId, ObjectAccess::Drop { .. }, Ok(1..)) => {
                attributes::dropped(object)
            }
            (pg_sys::RelationRelationId, ObjectAccess::PostCreate { .. }, Ok(0)) => {
                relation_created(object)
            }
            (pg_sys::RelationRelationId, ObjectAccess::PostCreate { .. }, Ok(number @ 1..)) => {
                attributes::added(object, number)
            }
            (pg_sys::RelationRelationId, ObjectAccess::PostAlter { .. }, Ok(0)) => {
                placement::check(object)
            }
            (pg_sys::RelationRelationId, ObjectAccess::PostAlter { .. }, Ok(number @ 1..)) => {
                attributes::altered(object, number)
            }
            (pg_sys::DatabaseRelationId, ObjectAccess::PostCreate { .. }, _) => database::created(),
            (pg_sys::ExtensionRelationId, ObjectAccess::Drop { .. }, _) => {
                database::extension_dropped(object);
                Ok(())
            }
            _ => Ok(()),
        }
    })
}

/// A relation has been made: unless it is to replace an Iceberg table, its columns are new to Iceberg.
fn relation_created(relid: pg_sys::Oid) -> PgResult<()> {
    placement::check(relid)?;
    // Whoever makes a relation holds AccessExclusiveLock on it.
    let rel = OpenRelation::open(relid, LockMode::None);
    let rel = rel.relation();
    let has_storage = matches!(
        rel.kind(),
        RelationKind::Table | RelationKind::MaterializedView
    );
    let is_table = has_storage || rel.kind() == RelationKind::PartitionedTable;
    if is_table {
        options::note_created(rel)?;
    }
    if has_storage && is_iceberg(rel) && !rel.rewrite_of().is_some_and(is_iceberg_relid) {
        attribute_names::check_table(rel)?;
        attributes::hold(rel)?;
    }
    Ok(())
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
