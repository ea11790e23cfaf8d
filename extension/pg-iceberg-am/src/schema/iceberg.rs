//! A table's columns as an Iceberg schema.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use arrow::datatypes::{DataType, TimeUnit};
use iceberg_lite::commit::{TableUpdate, apply};
use iceberg_lite::error::Error;
use iceberg_lite::spec::{
    ListType, NestedField, PrimitiveType, Schema, StructType, TableMetadata, Type,
};
use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::PgSqlErrorCode;

use super::field_ids::{FieldId, FieldIds, PROPERTY};
use super::{Column, TableColumns, type_property};
use crate::error::to_pg_error;

/// Id of the schema that CREATE TABLE makes.
const INITIAL_SCHEMA_ID: i32 = 0;

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
    /// Dotted name of an attribute that no field of the table holds: it was added behind our back.
    unheld: Option<String>,
}

impl TableSchema {
    /// That of a table without metadata.
    pub fn of_new_table(columns: Arc<TableColumns>) -> PgResult<Self> {
        let field_ids = Arc::new(FieldIds::of_new_table(&columns));
        Self::new(columns, field_ids, None, 0)
    }

    /// Columns as the fields of `metadata` hold them.
    pub fn of_metadata(columns: Arc<TableColumns>, metadata: &TableMetadata) -> PgResult<Self> {
        let field_ids = FieldIds::of_metadata(metadata)?;
        let current = current_schema(metadata)?;
        let found = Self::new(columns, field_ids, Some(&current), metadata.last_column_id)?;
        Ok(if found.schema.fields == current.fields {
            Self {
                schema: current,
                ..found
            }
        } else {
            found
        })
    }

    /// The same fields, for columns that have other names now or are fewer.
    pub fn with_columns(&self, columns: Arc<TableColumns>) -> PgResult<Self> {
        Self::new(columns, Arc::clone(&self.field_ids), Some(&self.schema), 0)
    }

    /// `known` is a schema with the fields, whose types count.
    pub fn new(
        columns: Arc<TableColumns>,
        mut field_ids: Arc<FieldIds>,
        known: Option<&Schema>,
        last_id: i32,
    ) -> PgResult<Self> {
        let unheld = if field_ids.are_complete(&columns) {
            None
        } else {
            Arc::make_mut(&mut field_ids).add_missing(&columns, last_id)
        };
        let builder = Builder {
            known: known.map_or_else(HashMap::new, fields_by_id),
        };
        let fields = columns
            .columns
            .iter()
            .map(|column| {
                let Column {
                    name, column_type, ..
                } = column;
                let id = held(field_ids.get(column.number()), name)?;
                builder.field(name, column_type, id)
            })
            .collect::<PgResult<_>>()?;
        let schema_id = known.map_or(INITIAL_SCHEMA_ID, |known| known.schema_id);
        Ok(Self {
            schema: Arc::new(Schema::new(schema_id, fields)),
            columns,
            field_ids,
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

    /// Properties of a new table with this schema.
    pub fn properties(&self) -> PgResult<BTreeMap<String, String>> {
        let mut properties = type_property::of_new_table(&self.columns, &self.schema);
        properties.insert(PROPERTY.to_owned(), self.field_ids.to_property()?);
        Ok(properties)
    }
}

/// `metadata` with `columns` as the current schema, in which fields have other names or are missing.
pub fn with_current_columns(
    metadata: &Arc<TableMetadata>,
    columns: &Arc<TableColumns>,
) -> PgResult<Arc<TableMetadata>> {
    let schema = TableSchema::of_metadata(Arc::clone(columns), metadata)?;
    schema.check_writable()?;
    let mut schema = (*schema.schema).clone();
    if schema.fields == current_schema(metadata)?.fields {
        return Ok(Arc::clone(metadata));
    }
    let ids = metadata.schemas.iter().map(|schema| schema.schema_id);
    schema.schema_id = ids.max().map_or(INITIAL_SCHEMA_ID, |last| last + 1);
    let new_id = schema.schema_id;
    let updates = vec![
        TableUpdate::AddSchema(schema),
        TableUpdate::SetCurrentSchema(new_id),
    ];
    apply(metadata, None, &[], updates, metadata.last_updated_ms)
        .map(Arc::new)
        .map_err(to_pg_error)
}

/// The schema that new rows of the table are written with.
fn current_schema(metadata: &TableMetadata) -> PgResult<Arc<Schema>> {
    metadata.current_schema().cloned().ok_or_else(|| {
        to_pg_error(Error::invalid_metadata(
            &*metadata.location,
            "current-schema-id",
            "there is no schema of that id",
        ))
    })
}

fn held<'a>(id: Option<&'a FieldId>, name: &str) -> PgResult<&'a FieldId> {
    id.ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
            format!("no field of the Iceberg table holds \"{name}\""),
        )
    })
}

/// All fields of a schema that are columns or members of structs, by id.
fn fields_by_id(schema: &Schema) -> HashMap<i32, &NestedField> {
    fn add_type<'a>(field_type: &'a Type, fields: &mut HashMap<i32, &'a NestedField>) {
        match field_type {
            Type::Primitive(_) => {}
            Type::Struct(members) => add(members, fields),
            Type::List(list) => add_type(&list.element, fields),
            Type::Map(map) => {
                add_type(&map.key, fields);
                add_type(&map.value, fields);
            }
        }
    }
    fn add<'a>(members: &'a StructType, fields: &mut HashMap<i32, &'a NestedField>) {
        for field in &members.fields {
            fields.insert(field.id, field);
            add_type(&field.field_type, fields);
        }
    }
    let mut fields = HashMap::new();
    add(&schema.fields, &mut fields);
    fields
}

struct Builder<'a> {
    known: HashMap<i32, &'a NestedField>,
}

impl Builder<'_> {
    /// Every field is optional: NOT NULL can come and go in PostgreSQL without a new schema, and is
    /// enforced there.
    fn field(&self, name: &str, column_type: &ColumnType, id: &FieldId) -> PgResult<NestedField> {
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
fn primitive_type(arrow: &DataType, name: &str) -> PgResult<PrimitiveType> {
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
