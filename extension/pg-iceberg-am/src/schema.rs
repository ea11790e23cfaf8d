//! A table's columns, as PostgreSQL, Arrow and Iceberg each name them.

use arrow::datatypes::{DataType, TimeUnit};
use iceberg_lite::spec::{ListType, NestedField, PrimitiveType, Schema, StructType, Type};
use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::relation::TupleDesc;
use pgrx::PgSqlErrorCode;

use crate::error::to_pg_error;
use crate::guc;

/// Id of the schema that CREATE TABLE makes.
const INITIAL_SCHEMA_ID: i32 = 0;

/// One live column.
#[derive(Clone, Debug)]
pub struct Column {
    /// Position among the table's attributes, dropped ones counted; from 0.
    pub attribute: usize,
    /// The column's name, which is also the Iceberg field's.
    pub name: String,
    /// How its values are converted.
    pub column_type: ColumnType,
}

/// The columns of a table.
#[derive(Clone, Debug)]
pub struct TableColumns {
    /// All attributes, dropped ones counted.
    pub natts: usize,
    /// The live ones, in order.
    pub columns: Vec<Column>,
}

impl TableColumns {
    /// The columns of `tuple_desc`; a column whose type Iceberg cannot hold is an error.
    pub fn resolve(tuple_desc: TupleDesc<'_>) -> PgResult<Self> {
        let natts = tuple_desc.natts();
        let mut columns = Vec::with_capacity(natts);
        for (attribute, att) in tuple_desc.attributes().enumerate() {
            if att.is_dropped {
                continue;
            }
            let unconstrained = guc::unconstrained_numeric();
            let column_type =
                ColumnType::resolve(att.type_oid, att.typmod, &att.name, unconstrained)
                    .map_err(to_pg_error)?;
            columns.push(Column {
                attribute,
                name: att.name,
                column_type,
            });
        }
        Ok(Self { natts, columns })
    }

    /// The Iceberg schema of a new table with these columns.
    ///
    /// Field ids are given as the specification's examples do: the columns first, then the fields
    /// nested in them. Every field is optional: NOT NULL can come and go in PostgreSQL without a
    /// new schema, and is enforced there.
    pub fn iceberg_schema(&self) -> PgResult<Schema> {
        let mut next_id = self.columns.len() as i32;
        let mut fields = Vec::with_capacity(self.columns.len());
        for (index, column) in self.columns.iter().enumerate() {
            let field_type =
                iceberg_type(&column.column_type.arrow_type(), &column.name, &mut next_id)?;
            fields.push(NestedField::optional(
                index as i32 + 1,
                &column.name,
                field_type,
            ));
        }
        Ok(Schema::new(INITIAL_SCHEMA_ID, fields))
    }

    /// The field ids of `columns` in `schema`, found by name.
    pub fn field_ids(&self, schema: &Schema) -> PgResult<Vec<i32>> {
        self.columns
            .iter()
            .map(|column| match schema.fields.field_by_name(&column.name) {
                Some(field) => Ok(field.id),
                None => Err(PgError::new(
                    PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                    format!(
                        "the Iceberg schema has no field for column \"{}\"",
                        column.name
                    ),
                )),
            })
            .collect()
    }
}

/// The Iceberg type that holds what an Arrow type holds; nested fields take ids after `last_id`.
fn iceberg_type(arrow: &DataType, column: &str, last_id: &mut i32) -> PgResult<Type> {
    let mut next = || {
        *last_id += 1;
        *last_id
    };
    let primitive = match arrow {
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
        DataType::List(element) => {
            let element_id = next();
            let element = iceberg_type(element.data_type(), column, last_id)?;
            return Ok(Type::List(ListType::new(element_id, element, false)));
        }
        DataType::Struct(members) => {
            let ids: Vec<i32> = members.iter().map(|_| next()).collect();
            let mut fields = Vec::with_capacity(members.len());
            for (id, member) in ids.into_iter().zip(members.iter()) {
                let field_type = iceberg_type(member.data_type(), column, last_id)?;
                fields.push(NestedField::optional(id, member.name(), field_type));
            }
            return Ok(Type::Struct(StructType::new(fields)));
        }
        other => {
            return Err(PgError::feature_not_supported(format!(
                "column \"{column}\" cannot be stored in an Iceberg table: no type for {other}"
            )));
        }
    };
    Ok(Type::Primitive(primitive))
}
