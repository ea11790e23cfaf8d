//! A table's columns as an Iceberg schema.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::array::ArrayRef;
use arrow::datatypes::{DataType, TimeUnit};
use iceberg_lite::commit::{TableUpdate, apply};
use iceberg_lite::scan::{MissingValues, default_json};
use iceberg_lite::spec::{
    ListType, NestedField, PrimitiveType, Schema, StructType, TableMetadata, Type,
};
use iceberg_lite::write::arrow_schema;
use pg_arrow_conv::to_arrow::RowAppender;
use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::field_ids::{FieldId, FieldIds, PROPERTY};
use super::fields::{ColumnFields, Fields, Fit, fit};
use super::{Column, TableColumns, type_property};
use crate::error::to_pg_error;

/// Id of the schema that CREATE TABLE makes.
pub(super) const INITIAL_SCHEMA_ID: i32 = 0;

/// A table's columns and the fields that hold them.
#[derive(Clone, Debug)]
pub struct TableSchema {
    /// The columns.
    pub columns: Arc<TableColumns>,
    /// Which field holds which attribute.
    pub field_ids: Arc<FieldIds>,
    /// The fields of the live columns, in their order, and below them those of the live attributes, all
    /// under the names that they have in PostgreSQL now.
    pub schema: Arc<Schema>,
    /// What rows have in columns that were added after they were written, where that is not NULL.
    pub missing: MissingValues,
    /// Dotted name of an attribute that no field of the table holds: it was added behind our back.
    unheld: Option<String>,
}

impl TableSchema {
    /// Columns as `fields` hold them; `later` gives those that were added or retyped since, and is asked if any is missing or
    /// of another type.
    pub fn new(
        columns: Arc<TableColumns>,
        fields: &Fields,
        later: impl FnOnce() -> PgResult<ColumnFields>,
    ) -> PgResult<Self> {
        // The fields are in the order of the columns, unless these have changed since: to look for them would take long where
        // there are many.
        let known = fields.schema.columns();
        let are_held = fields.ids.are_complete(&columns)
            && columns.columns.len() == known.len()
            && columns.columns.iter().zip(known).all(|(column, field)| {
                let id = fields.ids.get(column.number());
                id.is_some_and(|id| id.id == field.id) && fit(column, field) == Fit::AsItIs
            });
        if are_held {
            Self::with(columns, fields, &ColumnFields::default())
        } else {
            Self::with(columns, fields, &later()?)
        }
    }

    /// As [`Self::new`], with what was added.
    pub fn with(
        columns: Arc<TableColumns>,
        fields: &Fields,
        later: &ColumnFields,
    ) -> PgResult<Self> {
        let known = match later.fields.is_empty() {
            true => fields,
            false => &fields.with(later, &columns),
        };
        let mut field_ids = Arc::clone(&known.ids);
        let mut unheld = None;
        if !field_ids.are_complete(&columns) {
            let last_id = known.last_id;
            unheld = Arc::make_mut(&mut field_ids).add_missing(&columns, last_id);
        }
        let builder = Builder::new(&known.schema);
        let mut missing = BTreeMap::new();
        let mut schema = Vec::with_capacity(columns.columns.len());
        for column in &columns.columns {
            let id = held(field_ids.get(column.number()), &column.name)?;
            let mut field = builder.field(&column.name, &column.column_type, id)?;
            if let Some(value) = column.missing {
                let value = missing_array(column, &field, value.into())?;
                if fields.schema.fields.field(field.id).is_none() {
                    field.initial_default = default_json(&field, &value);
                    field.write_default = field.initial_default.clone();
                }
                missing.insert(field.id, value);
            }
            schema.push(field);
        }
        let known = &fields.schema;
        let schema = match known.fields.fields == schema {
            true => Arc::clone(known),
            false => Arc::new(Schema::new(known.schema_id, schema)),
        };
        Ok(Self {
            columns,
            field_ids,
            schema,
            missing: Arc::new(missing),
            unheld,
        })
    }

    /// Refuses to write rows that have an attribute which no field holds.
    pub fn check_writable(&self) -> PgResult<()> {
        match &self.unheld {
            None => Ok(()),
            Some(name) => Err(PgError::feature_not_supported(format!(
                "cannot store \"{name}\", which was added after the Iceberg table was made"
            ))
            .with_hint(super::NEW_TABLE_HINT)),
        }
    }

    /// Whether rows are written with the same fields, whatever their names are.
    pub fn writes_as(&self, other: &Self) -> bool {
        let fields = |table: &Self| {
            let fields = table.schema.columns().iter();
            let fields = fields.map(|field| (field.id, field.field_type.clone()));
            let columns = table.columns.columns.iter();
            columns
                .map(|column| (column.attribute, column.column_type.clone()))
                .zip(fields)
                .collect::<Vec<_>>()
        };
        fields(self) == fields(other)
    }

    /// Properties of a new table with this schema.
    pub fn properties(&self) -> PgResult<BTreeMap<String, String>> {
        self.properties_beside(&BTreeMap::new())
    }

    fn properties_beside(
        &self,
        properties: &BTreeMap<String, String>,
    ) -> PgResult<BTreeMap<String, String>> {
        let types = properties.get(type_property::PROPERTY);
        let types = types.map(String::as_str);
        let mut properties = type_property::with(types, &self.columns, &self.schema)?;
        properties.insert(PROPERTY.to_owned(), self.field_ids.to_property()?);
        Ok(properties)
    }
}

/// The value that rows have which were written before `column` was added, as `field` holds it.
fn missing_array(column: &Column, field: &NestedField, value: pg_sys::Datum) -> PgResult<ArrayRef> {
    let schema = Schema::new(INITIAL_SCHEMA_ID, vec![field.clone()]);
    let schema = arrow_schema(&schema).map_err(to_pg_error)?;
    let source = (0, column.column_type.clone());
    let mut appender = RowAppender::with_schema(&[source], schema).map_err(to_pg_error)?;
    // SAFETY: a value of the column's type.
    unsafe { appender.append(&[value], &[false]) }.map_err(to_pg_error)?;
    let rows = appender.finish().map_err(to_pg_error)?;
    Ok(Arc::clone(rows.column(0)))
}

/// `metadata` with `columns` as the current schema, in which fields have other names, are missing, or have come `later`.
pub fn with_current_columns(
    metadata: &Arc<TableMetadata>,
    columns: &Arc<TableColumns>,
    later: &ColumnFields,
) -> PgResult<Arc<TableMetadata>> {
    let fields = Fields::of_metadata(metadata)?;
    let table = TableSchema::with(Arc::clone(columns), &fields, later)?;
    table.check_writable()?;
    let mut updates = Vec::new();
    if table.schema.fields != fields.schema.fields {
        let ids = metadata.schemas.iter().map(|schema| schema.schema_id);
        let schema_id = ids.max().map_or(INITIAL_SCHEMA_ID, |last| last + 1);
        let fields = table.schema.fields.fields.clone();
        updates.push(TableUpdate::AddSchema(Schema::new(schema_id, fields)));
        updates.push(TableUpdate::SetCurrentSchema(schema_id));
    }
    if table.field_ids != fields.ids {
        // Also of columns that are gone again: rows may have been written with them.
        let properties = table.properties_beside(&metadata.properties)?;
        updates.push(TableUpdate::SetProperties(properties));
    }
    if updates.is_empty() {
        return Ok(Arc::clone(metadata));
    }
    let mut metadata =
        apply(metadata, None, &[], updates, metadata.last_updated_ms).map_err(to_pg_error)?;
    metadata.last_column_id = metadata.last_column_id.max(table.field_ids.highest());
    Ok(Arc::new(metadata))
}

pub(super) fn held<'a>(id: Option<&'a FieldId>, name: &str) -> PgResult<&'a FieldId> {
    id.ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("no field of the Iceberg table holds \"{name}\""),
        )
    })
}

/// Makes fields of columns, as far as they are known already.
#[derive(Default)]
pub(super) struct Builder<'a> {
    /// All that are columns or members of structs, by id.
    known: HashMap<i32, &'a NestedField>,
}

impl<'a> Builder<'a> {
    /// Columns that `schema` has are of the types that it says.
    fn new(schema: &'a Schema) -> Self {
        let mut builder = Self::default();
        builder.add(&schema.fields.fields);
        builder
    }

    fn add(&mut self, fields: &'a [NestedField]) {
        for field in fields {
            self.known.insert(field.id, field);
            self.add_type(&field.field_type);
        }
    }

    fn add_type(&mut self, field_type: &'a Type) {
        match field_type {
            Type::Primitive(_) => {}
            Type::Struct(members) => self.add(&members.fields),
            Type::List(list) => self.add_type(&list.element),
            Type::Map(map) => {
                self.add_type(&map.key);
                self.add_type(&map.value);
            }
        }
    }
}

impl Builder<'_> {
    /// Every field is optional: NOT NULL can come and go in PostgreSQL without a new schema, and is
    /// enforced there.
    pub(super) fn field(
        &self,
        name: &str,
        column_type: &ColumnType,
        id: &FieldId,
    ) -> PgResult<NestedField> {
        let known = self.known.get(&id.id).copied();
        let known_type = known.map(|field| &field.field_type);
        let field_type = self.field_type(column_type, id, known_type, name)?;
        Ok(match known {
            Some(known) => NestedField {
                name: name.to_owned(),
                field_type,
                ..known.clone()
            },
            None => NestedField::optional(id.id, name, field_type),
        })
    }

    fn field_type(
        &self,
        column_type: &ColumnType,
        id: &FieldId,
        known: Option<&Type>,
        name: &str,
    ) -> PgResult<Type> {
        if let Some(element) = column_type.element() {
            let element_id = held(id.element.as_deref(), name)?;
            let (known, required) = match known {
                Some(Type::List(list)) => (Some(&*list.element), list.element_required),
                _ => (None, false),
            };
            let element = self.field_type(element, element_id, known, name)?;
            return Ok(ListType::new(element_id.id, element, required).into());
        }
        if let Some(attributes) = column_type.attributes() {
            let fields = attributes.map(|(position, attribute)| {
                let id = held(id.attributes.get(&(position + 1)), attribute.name())?;
                self.field(attribute.name(), attribute, id)
            });
            return Ok(StructType::new(fields.collect::<PgResult<_>>()?).into());
        }
        match known {
            Some(Type::Primitive(known)) => Ok(known.clone().into()),
            _ => primitive_type(&column_type.arrow_type(), name).map(Type::Primitive),
        }
    }
}

/// The Iceberg type that holds what an Arrow type holds.
pub(super) fn primitive_type(arrow: &DataType, name: &str) -> PgResult<PrimitiveType> {
    Ok(match arrow {
        DataType::Boolean => PrimitiveType::Boolean,
        DataType::Int32 => PrimitiveType::Int,
        DataType::Int64 => PrimitiveType::Long,
        DataType::Float32 => PrimitiveType::Float,
        DataType::Float64 => PrimitiveType::Double,
        DataType::Decimal128(precision, scale) => PrimitiveType::Decimal {
            precision: u32::from(*precision),
            scale: (*scale).max(0) as u32,
        },
        DataType::Date32 => PrimitiveType::Date,
        DataType::Time64(TimeUnit::Microsecond) => PrimitiveType::Time,
        DataType::Timestamp(TimeUnit::Microsecond, None) => PrimitiveType::Timestamp,
        DataType::Timestamp(TimeUnit::Microsecond, Some(_)) => PrimitiveType::Timestamptz,
        DataType::Utf8 => PrimitiveType::String,
        DataType::Binary => PrimitiveType::Binary,
        DataType::FixedSizeBinary(16) => PrimitiveType::Uuid,
        other => {
            return Err(PgError::feature_not_supported(format!(
                "column \"{name}\" cannot be stored in an Iceberg table: no type for {other}"
            )));
        }
    })
}
