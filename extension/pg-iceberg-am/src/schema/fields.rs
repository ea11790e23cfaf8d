//! The fields of a storage, as they were written down.

use std::sync::Arc;

use iceberg_lite::error::Error;
use iceberg_lite::spec::{NestedField, PrimitiveType, Schema, TableMetadata, Type};
use pg_lakebase_core::error::PgResult;

use super::field_ids::FieldIds;
use super::iceberg::{Builder, INITIAL_SCHEMA_ID, held};
use super::{Column, TableColumns};
use crate::error::to_pg_error;

/// The fields that a storage's metadata have; without metadata, those that the transaction gave it which fills it.
#[derive(Clone, Debug)]
pub struct Fields {
    /// Which field holds which attribute. Columns may have come since, see [`ColumnFields`].
    pub ids: Arc<FieldIds>,
    /// The current schema.
    pub schema: Arc<Schema>,
    /// The highest id that was given.
    pub last_id: i32,
}

impl Fields {
    /// Those of a storage without metadata that gets these columns.
    pub fn begin(columns: &TableColumns, later: &ColumnFields) -> PgResult<Self> {
        let is_later = |column: &&Column| later.ids.get(column.number()).is_some();
        let first = columns.columns.iter().filter(|column| !is_later(column));
        let first = TableColumns {
            natts: columns.natts,
            columns: first.cloned().collect(),
        };
        let mut ids = FieldIds::default();
        ids.add_missing(&first, later.ids.highest());
        let builder = Builder::default();
        let fields = first.columns.iter().map(|column| {
            let id = held(ids.get(column.number()), &column.name)?;
            builder.field(&column.name, &column.column_type, id)
        });
        let fields = fields.collect::<PgResult<_>>()?;
        Ok(Self {
            last_id: ids.highest().max(later.ids.highest()),
            ids: Arc::new(ids),
            schema: Arc::new(Schema::new(INITIAL_SCHEMA_ID, fields)),
        })
    }

    /// Those that metadata have.
    pub fn of_metadata(metadata: &TableMetadata) -> PgResult<Self> {
        let schema = metadata.current_schema().cloned().ok_or_else(|| {
            to_pg_error(Error::invalid_metadata(
                &*metadata.location,
                "current-schema-id",
                "there is no schema of that id",
            ))
        })?;
        Ok(Self {
            ids: FieldIds::of_metadata(metadata)?,
            schema,
            last_id: metadata.last_column_id,
        })
    }
}

impl Fields {
    /// These with those that have come later.
    pub fn with(&self, later: &ColumnFields) -> Self {
        let mut fields = self.schema.fields.fields.clone();
        for field in &later.fields {
            match fields.iter_mut().find(|known| known.id == field.id) {
                Some(known) if is_widened(known, field) => {
                    known.field_type = field.field_type.clone();
                }
                Some(_) => {}
                None => fields.push(field.clone()),
            }
        }
        Self {
            ids: Arc::new(self.ids.with(&later.ids)),
            schema: Arc::new(Schema::new(self.schema.schema_id, fields)),
            last_id: self.last_id.max(later.ids.highest()),
        }
    }

    /// The field that holds `column`, with another type.
    pub fn retyped(&self, column: &Column, primitive: PrimitiveType) -> Option<ColumnFields> {
        let ids = self.ids.only(column.number());
        let field = self.schema.fields.field(ids.get(column.number())?.id)?;
        let field = NestedField {
            field_type: primitive.into(),
            ..field.clone()
        };
        Some(ColumnFields {
            ids,
            fields: vec![field],
        })
    }
}

/// Whether `later` is `before` with a wider type.
fn is_widened(before: &NestedField, later: &NestedField) -> bool {
    match (&before.field_type, &later.field_type) {
        (Type::Primitive(before), Type::Primitive(later)) => {
            before != later && before.may_become(later)
        }
        _ => false,
    }
}

/// The fields of columns that were added to a storage after it had been made, or that have got a wider type: which they are,
/// and of what types, is decided once, by the statement that does it (`lakebase.column_field`). Metadata that are older do not
/// tell it.
#[derive(Clone, Debug, Default)]
pub struct ColumnFields {
    /// Which field holds which of the columns. Dropped ones may be among them.
    pub ids: FieldIds,
    /// The fields, under the names that the columns had then.
    pub fields: Vec<NestedField>,
}

impl ColumnFields {
    /// That of `column`, above all ids that `fields` and `others` have.
    pub fn of_added(column: &Column, fields: &Fields, others: &Self) -> PgResult<Self> {
        let last_id = fields.last_id.max(fields.ids.highest());
        let last_id = last_id.max(others.ids.highest());
        let mut ids = FieldIds::default();
        let columns = TableColumns {
            natts: column.number(),
            columns: vec![column.clone()],
        };
        ids.add_missing(&columns, last_id);
        let id = held(ids.get(column.number()), &column.name)?;
        let field = Builder::default().field(&column.name, &column.column_type, id)?;
        Ok(Self {
            ids,
            fields: vec![field],
        })
    }

    /// Adds others.
    pub fn extend(&mut self, others: Self) {
        self.ids = self.ids.with(&others.ids);
        self.fields.extend(others.fields);
    }
}
