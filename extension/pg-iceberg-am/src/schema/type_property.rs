//! The table property that names the PostgreSQL types of columns that Iceberg has no type for.

use std::collections::BTreeMap;

use iceberg_lite::spec::{Schema, Type};
use pg_arrow_conv::types::ColumnType;
use pg_lakebase_core::error::{PgError, PgResult};
use serde_json::Value;

use super::TableColumns;

/// Property whose value is a JSON object: PostgreSQL types by field id, as they were named when the
/// table's files were begun. For whoever reads the metadata; PostgreSQL goes by its own catalog.
pub const PROPERTY: &str = "pg-lakebase.types";

/// The property of a table with these columns, if any is to be named, beside those that the property names already.
pub fn with(
    known: Option<&str>,
    columns: &TableColumns,
    schema: &Schema,
) -> PgResult<BTreeMap<String, String>> {
    let mut types = BTreeMap::new();
    for column in &columns.columns {
        if let Some(field) = schema.fields.field_by_name(&column.name) {
            note(field.id, &field.field_type, &column.column_type, &mut types);
        }
    }
    let known: Option<serde_json::Map<String, Value>> = (known.map(serde_json::from_str))
        .transpose()
        .map_err(|error| PgError::internal(format!("property \"{PROPERTY}\": {error}")))?;
    let mut all = known.unwrap_or_default();
    all.extend(
        types
            .into_iter()
            .map(|(id, name)| (id.to_string(), name.into())),
    );
    if all.is_empty() {
        return Ok(BTreeMap::new());
    }
    let value = Value::Object(all).to_string();
    Ok(BTreeMap::from([(PROPERTY.to_owned(), value)]))
}

/// Notes the types of a field and of the fields nested in it.
fn note(id: i32, field_type: &Type, column: &ColumnType, types: &mut BTreeMap<i32, String>) {
    if let Some(name) = column.type_without_counterpart() {
        types.insert(id, name);
    }
    let children = column.children();
    match (field_type, children.as_slice()) {
        (Type::List(list), [element]) => note(list.element_id, &list.element, element, types),
        (Type::Struct(fields), children) => {
            for child in children {
                if let Some(field) = fields.field_by_name(child.name()) {
                    note(field.id, &field.field_type, child, types);
                }
            }
        }
        _ => {}
    }
}
