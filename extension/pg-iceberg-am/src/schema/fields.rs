//! The fields of a storage, as they were written down.

use std::sync::Arc;

use iceberg_lite::error::Error;
use iceberg_lite::spec::{NestedField, PrimitiveType, Schema, TableMetadata, Type};
use iceberg_lite::write::arrow_type;
use pg_lakebase_core::error::PgResult;

use super::field_ids::FieldIds;
use super::iceberg::{Builder, INITIAL_SCHEMA_ID, held, primitive_type};
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
    /// These with those that have come later, as far as they hold `columns`.
    pub fn with(&self, later: &ColumnFields, columns: &TableColumns) -> Self {
        let ids = self.ids.with(&later.ids);
        let mut fields = self.schema.fields.fields.clone();
        for column in &columns.columns {
            let Some(id) = ids.get(column.number()) else {
                continue;
            };
            let known = fields.iter_mut().find(|field| field.id == id.id);
            if known
                .as_ref()
                .is_some_and(|known| fit(column, known) == Fit::AsItIs)
            {
                continue;
            }
            let others = later.fields.iter().filter(|field| field.id == id.id);
            let other = others.rev().find(|field| fit(column, field) == Fit::AsItIs);
            match (known, other) {
                (Some(known), Some(other)) => known.field_type = other.field_type.clone(),
                (None, Some(other)) => fields.push(other.clone()),
                (_, None) => {}
            }
        }
        Self {
            ids: Arc::new(ids),
            schema: Arc::new(Schema::new(self.schema.schema_id, fields)),
            last_id: self.last_id.max(later.ids.highest()),
        }
    }

    /// The field that holds `column`.
    pub fn field_of(&self, column: &Column) -> Option<&NestedField> {
        let id = self.ids.get(column.number())?;
        self.schema.fields.field(id.id)
    }

    /// The field that holds `column`, with another type.
    pub fn retyped(&self, column: &Column, primitive: PrimitiveType) -> Option<ColumnFields> {
        let field = NestedField {
            field_type: primitive.into(),
            ..self.field_of(column)?.clone()
        };
        Some(ColumnFields {
            ids: self.ids.only(column.number()),
            fields: vec![field],
        })
    }
}

/// How a field holds a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Fit {
    /// As it is.
    AsItIs,
    /// With a wider type, files staying as they are.
    As(PrimitiveType),
    /// Not at all.
    None,
}

/// How `field` holds values of the type that `column` has.
pub fn fit(column: &Column, field: &NestedField) -> Fit {
    let Type::Primitive(known) = &field.field_type else {
        // Composite types change under their names, attribute by attribute.
        let is_primitive = column.column_type.children().is_empty();
        return if is_primitive { Fit::None } else { Fit::AsItIs };
    };
    let accepts = |arrow| column.column_type.accepts(&arrow);
    if arrow_type(&field.field_type).is_ok_and(accepts) {
        return Fit::AsItIs;
    }
    match primitive_type(&column.column_type.arrow_type(), &column.name) {
        Ok(wider) if known.may_become(&wider) => Fit::As(wider),
        _ => Fit::None,
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
