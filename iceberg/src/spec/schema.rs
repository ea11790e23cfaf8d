//! A table's schema.

use std::sync::Arc;

use super::json::JsonObject;
use super::types::{NestedField, StructType, Type};

/// A schema, shared between the metadata that hold it.
pub type SchemaRef = Arc<Schema>;

/// A version of a table's columns.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Schema {
    /// The id by which snapshots name the schema.
    pub schema_id: i32,
    /// The columns.
    pub fields: StructType,
    /// Ids of the fields that identify a row, if any.
    pub identifier_field_ids: Vec<i32>,
}

impl Schema {
    /// A schema of these columns without identifier fields.
    pub fn new(schema_id: i32, fields: Vec<NestedField>) -> Self {
        Self {
            schema_id,
            fields: StructType::new(fields),
            identifier_field_ids: Vec::new(),
        }
    }

    /// The columns.
    pub fn columns(&self) -> &[NestedField] {
        &self.fields.fields
    }

    /// The type of the field with this id at any depth, list elements, map keys and map values
    /// included.
    pub fn type_of(&self, id: i32) -> Option<&Type> {
        let mut found = None;
        self.visit(&mut |field_id, _, field_type| {
            if field_id == id && found.is_none() {
                found = Some(field_type);
            }
        });
        found
    }

    /// The dotted name of the field with this id at any depth, such as `a.element.b`.
    pub fn name_of(&self, id: i32) -> Option<String> {
        let mut found = None;
        self.visit(&mut |field_id, names, _| {
            if field_id == id && found.is_none() {
                found = Some(names.join("."));
            }
        });
        found
    }

    /// The largest field id in use; 0 for a schema without fields.
    pub fn highest_field_id(&self) -> i32 {
        let mut highest = 0;
        self.visit(&mut |id, _, _| highest = highest.max(id));
        highest
    }

    /// Calls `visitor` with id, path of names and type of every field at every depth, parents
    /// first.
    pub fn visit<'a>(&'a self, visitor: &mut dyn FnMut(i32, &[&'a str], &'a Type)) {
        visit_struct(&self.fields, &mut Vec::new(), visitor);
    }

    /// JSON members of the schema object that this library does not know.
    pub fn extra(&self) -> &JsonObject {
        &self.fields.extra
    }
}

type Visitor<'a, 'v> = &'v mut dyn FnMut(i32, &[&'a str], &'a Type);

fn visit_struct<'a>(fields: &'a StructType, names: &mut Vec<&'a str>, visitor: Visitor<'a, '_>) {
    for field in &fields.fields {
        visit_field(field.id, &field.name, &field.field_type, names, visitor);
    }
}

fn visit_field<'a>(
    id: i32,
    name: &'a str,
    field_type: &'a Type,
    names: &mut Vec<&'a str>,
    visitor: Visitor<'a, '_>,
) {
    names.push(name);
    visitor(id, names, field_type);
    match field_type {
        Type::Primitive(_) => {}
        Type::Struct(fields) => visit_struct(fields, names, visitor),
        Type::List(list) => visit_field(list.element_id, "element", &list.element, names, visitor),
        Type::Map(map) => {
            visit_field(map.key_id, "key", &map.key, names, visitor);
            visit_field(map.value_id, "value", &map.value, names, visitor);
        }
    }
    names.pop();
}
