//! The fields of columns that were added to storages.
//!
//! The metadata tell them too, once the transaction has committed that adds the column. What it does itself before goes by
//! these rows, which a rollback to a savepoint takes back, and so does who sees metadata from before.

use std::ffi::CStr;
use std::ops::ControlFlow;

use iceberg_lite::spec::Schema;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode};

use super::keyed_table::{KeyedTable, RowVersion, key_columns};
use crate::directory::{StorageKey, upgrade};
use crate::schema::{ColumnFields, FieldIds};

const TABLE: &CStr = c"column_field";
const INDEX: &CStr = c"column_field_storage";

/// Columns of `lakebase.column_field`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 6;

/// The open table of fields.
pub struct ColumnFieldCatalog(KeyedTable);

impl ColumnFieldCatalog {
    /// Opens the table for writing; `None` while the extension is being created or dropped, or if it is of a version that has
    /// none.
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// The fields of columns that were added to `key`, and by whom that is committed, or this transaction.
    pub fn find(key: &StorageKey) -> PgResult<ColumnFields> {
        let mut found = ColumnFields::default();
        if upgrade::is_running() {
            return Ok(found);
        }
        let Some(catalog) = KeyedTable::open(TABLE, INDEX, NATTS..=NATTS) else {
            return Ok(found);
        };
        catalog.each(Some(key), catalog.latest().snapshot(), |version| {
            found.extend(fields(&version)?);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Adds that of the column with this attribute number.
    pub fn insert(&self, key: &StorageKey, number: i16, fields: &ColumnFields) -> PgResult<()> {
        let [rel_number, tablespace, backend] = key_columns(key);
        let schema = Schema::new(0, fields.fields.clone());
        self.0.insert(&[
            rel_number,
            tablespace,
            backend,
            number.into_datum(),
            fields.ids.to_property()?.into_datum(),
            schema.to_json().to_string().into_datum(),
        ]);
        Ok(())
    }

    /// Removes those of `key`, which is dropped.
    pub fn delete(&self, key: &StorageKey) -> PgResult<()> {
        let mut tids = Vec::new();
        self.0
            .each(Some(key), self.0.latest().snapshot(), |version| {
                tids.push(version.tid());
                Ok(ControlFlow::Continue(()))
            })?;
        self.0.delete(tids);
        Ok(())
    }
}

fn fields(version: &RowVersion) -> PgResult<ColumnFields> {
    let invalid = |detail: String| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            "a row of table \"lakebase.column_field\" does not tell which field holds a column",
        )
        .with_detail(detail)
    };
    let (values, nulls) = version.columns::<NATTS>();
    // SAFETY: the columns are of type text.
    let text = |column: usize| unsafe {
        String::from_datum(values[column], nulls[column]).unwrap_or_default()
    };
    let ids = FieldIds::of_property(&text(4)).map_err(invalid)?;
    let schema = Schema::from_json_text("lakebase.column_field", "schema", text(5).as_bytes());
    let schema = schema.map_err(|error| invalid(error.to_string()))?;
    Ok(ColumnFields {
        ids,
        fields: schema.fields.fields,
    })
}
