//! The table property that names the PostgreSQL types of columns that Iceberg has no type for.

use std::collections::BTreeMap;

use iceberg_lite::spec::{Schema, Type};
use pg_arrow_conv::types::ColumnType;

use super::TableColumns;

/// Property whose value is a JSON object: PostgreSQL types by field id, as they were named when the
/// table's files were begun. For whoever reads the metadata; PostgreSQL goes by its own catalog.
const PROPERTY: &str = "pg-lakebase.types";

/// The properties of a new table with these columns.
pub fn of_new_table(columns: &TableColumns, schema: &Schema) -> BTreeMap<String, String> {
    let mut types = BTreeMap::new();
    for column in &columns.columns {
        if let Some(field) = schema.fields.field_by_name(&column.name) {
            note(field.id, &field.field_type, &column.column_type, &mut types);
        }
    }
    if types.is_empty() {
        return BTreeMap::new();
    }
    let types: serde_json::Map<_, _> = types
        .into_iter()
        .map(|(id, name)| (id.to_string(), name.into()))
        .collect();
    let value = serde_json::Value::Object(types).to_string();
    BTreeMap::from([(PROPERTY.to_owned(), value)])
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
