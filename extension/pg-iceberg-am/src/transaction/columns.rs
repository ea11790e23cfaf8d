//! Columns that come and change within a transaction: which fields hold them, and how its rows follow.

use std::sync::Arc;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::xact;
use pgrx::PgSqlErrorCode;

use super::state::{with_storage, with_transaction};
use crate::catalog::{self, ColumnFieldCatalog};
use crate::directory::StorageKey;
use crate::files::{TableFiles, cache};
use crate::schema::{Column, ColumnFields, Fields, Fit, TableColumns, TableSchema, fit};

/// Gives `column`, which is being added to `rel`, a field.
pub fn note_added_column(rel: Relation<'_>, number: i16, column: &Column) -> PgResult<()> {
    let key = StorageKey::of(rel);
    let others = ColumnFieldCatalog::find(&key)?;
    let added = ColumnFields::of_added(column, &*fields_of(rel, &key, &others)?, &others)?;
    column_fields()?.insert(&key, number, &added)?;
    note_changed_columns(rel);
    Ok(())
}

/// Gives the field that holds a column of `rel` which gets another type, and that of its values, this type. Returns false if
/// it cannot have it.
pub fn widen_column(
    rel: Relation<'_>,
    number: i16,
    before: &Column,
    now: &Column,
) -> PgResult<bool> {
    // What a text form says, or a number that stands for something else, is for its own type to tell.
    let meaning = |column: &Column| column.column_type.type_without_counterpart();
    if meaning(before) != meaning(now) {
        return Ok(false);
    }
    let key = StorageKey::of(rel);
    let later = ColumnFieldCatalog::find(&key)?;
    let columns = TableColumns::of(rel)?;
    let fields = fields_of(rel, &key, &later)?.with(&later, &columns);
    let Some(field) = fields.field_of(now) else {
        return Ok(false);
    };
    match fit(now, field) {
        Fit::AsItIs => {}
        Fit::As(primitive) => {
            if let Some(field) = fields.retyped(now, primitive) {
                column_fields()?.insert(&key, number, &field)?;
            }
        }
        Fit::None => return Ok(false),
    }
    note_changed_columns(rel);
    Ok(true)
}

/// The fields of `key`, a storage of `rel`, that its metadata have, or that it was begun with. `later` have come since.
fn fields_of(rel: Relation<'_>, key: &StorageKey, later: &ColumnFields) -> PgResult<Arc<Fields>> {
    if let Some(fields) = with_storage(key, |storage, _| Arc::clone(&storage.fields)) {
        return Ok(fields);
    }
    let pointer = catalog::latest_pointer(rel, key)?;
    let location = pointer.and_then(|pointer| pointer.metadata_location);
    let fields = match location {
        Some(location) => {
            Fields::of_metadata(&*cache::metadata(&TableFiles::new(*key)?, &location)?)?
        }
        None => Fields::begin(&TableColumns::of(rel)?, later)?,
    };
    Ok(Arc::new(fields))
}

fn column_fields() -> PgResult<ColumnFieldCatalog> {
    ColumnFieldCatalog::open_for_update().ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot alter columns of Iceberg tables with an older version of extension \"pg_iceberg_am\"",
        )
        .with_hint("Execute ALTER EXTENSION pg_iceberg_am UPDATE in this database.")
    })
}

/// Has rows that come next written with the columns of `rel`, and pre-commit put them into its metadata, if they are others
/// then.
pub fn note_changed_columns(rel: Relation<'_>) {
    let key = StorageKey::of(rel);
    with_transaction(|state| {
        if state.changed_columns.insert(key, rel.oid()).is_none() {
            let level = state.levels.current(xact::current_subxact_id());
            level.changed_columns.push(key);
        }
        if let Some(storage) = state.storages.get_mut(&key) {
            storage.altered = Some(rel.oid());
        }
        state.marked = None;
    });
}

/// Has the rows of `rel` that come next, or are committed, written with the columns that it has now, if the transaction has
/// done anything to `key`. Rows that are there have the table locked.
pub(super) fn follow_columns(rel: Relation<'_>, key: &StorageKey) -> PgResult<()> {
    let Some(fields) = with_storage(key, |storage, _| Arc::clone(&storage.fields)) else {
        return Ok(());
    };
    let columns = Arc::new(TableColumns::of(rel)?);
    let schema = TableSchema::new(columns, &fields, || ColumnFieldCatalog::find(key))?;
    schema.check_writable()?;
    let followed = with_storage(key, |storage, marks| {
        if !storage.schema.writes_as(&schema) {
            storage.rows.set_schema(&schema, marks)?;
        }
        storage.schema = schema;
        Ok(())
    });
    followed.unwrap_or(Ok(()))
}
