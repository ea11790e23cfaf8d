//! Schemas and types as JSON (specification, appendix C).

use std::collections::HashSet;

use serde_json::Value;

use super::json::{ObjectReader, ObjectWriter};
use super::json_text::json_value;
use super::schema::Schema;
use super::types::{ListType, MapType, NestedField, StructType, Type};
use crate::error::{Error, Result};

impl Schema {
    /// Reads the schema that stands at `place` of `file`.
    pub(crate) fn from_json(file: &str, place: &str, value: Value) -> Result<Self> {
        let mut object = ObjectReader::new(file, place, value)?;
        let schema_id = object.optional("schema-id")?.unwrap_or(0);
        let identifier_field_ids = object.optional("identifier-field-ids")?.unwrap_or_default();
        let fields = read_struct(object)?;
        let schema = Self {
            schema_id,
            fields,
            identifier_field_ids,
        };
        schema.check_ids(file, place)?;
        Ok(schema)
    }

    /// Reads a schema from its JSON text, which stands at `place` of `file`, such as a manifest's header.
    pub fn from_json_text(file: &str, place: &str, text: &[u8]) -> Result<Self> {
        let value = json_value(text).map_err(|e| Error::invalid_metadata(file, place, e))?;
        Self::from_json(file, place, value)
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        let identifiers = Some(&self.identifier_field_ids).filter(|ids| !ids.is_empty());
        ObjectWriter::new()
            .set("type", "struct")
            .set("schema-id", self.schema_id)
            .set_some("identifier-field-ids", identifiers.cloned())
            .set("fields", fields_to_json(&self.fields.fields))
            .finish(&self.fields.extra)
    }

    /// Field ids must be unique at all depths, names within a struct.
    fn check_ids(&self, file: &str, place: &str) -> Result<()> {
        let mut ids = HashSet::new();
        let mut duplicate = None;
        self.visit(&mut |id, names, _| {
            if !ids.insert(id) && duplicate.is_none() {
                duplicate = Some((id, names.join(".")));
            }
        });
        match duplicate {
            None => Ok(()),
            Some((id, name)) => {
                let reason = format!("field \"{name}\" has id {id}, which another field has too");
                Err(Error::invalid_metadata(file, place, reason))
            }
        }
    }
}

fn read_struct(mut object: ObjectReader<'_>) -> Result<StructType> {
    if let Some(kind) = object.optional::<String>("type")?
        && kind != "struct"
    {
        return Err(object.error("type", format!("is \"{kind}\", must be \"struct\"")));
    }
    let fields = object
        .list("fields", read_field)?
        .ok_or_else(|| object.error("fields", "is missing"))?;
    let mut names = HashSet::new();
    if let Some(twice) = fields
        .iter()
        .find(|field| !names.insert(field.name.as_str()))
    {
        return Err(object.error("fields", format!("two fields are named \"{}\"", twice.name)));
    }
    Ok(StructType {
        fields,
        extra: object.rest(),
    })
}

fn read_field(file: &str, place: String, value: Value) -> Result<NestedField> {
    let mut object = ObjectReader::new(file, place, value)?;
    Ok(NestedField {
        id: object.required("id")?,
        name: object.required("name")?,
        required: object.required("required")?,
        field_type: read_type(&mut object, "type")?,
        doc: object.optional("doc")?,
        initial_default: object.take("initial-default"),
        write_default: object.take("write-default"),
        extra: object.rest(),
    })
}

/// Reads the type that is the field `name` of an object.
fn read_type(parent: &mut ObjectReader<'_>, name: &str) -> Result<Type> {
    let value = parent
        .take(name)
        .ok_or_else(|| parent.error(name, "is missing"))?;
    if let Value::String(text) = &value {
        return match text.parse() {
            Ok(primitive) => Ok(Type::Primitive(primitive)),
            Err(reason) => Err(parent.error(name, reason)),
        };
    }
    let mut object = ObjectReader::new(parent.file(), parent.place_of(name), value)
        .map_err(|_| parent.error(name, "must be a type's name or an object"))?;
    let kind: String = object.required("type")?;
    match kind.as_str() {
        "struct" => read_struct(object).map(Type::Struct),
        "list" => Ok(Type::List(ListType {
            element_id: object.required("element-id")?,
            element_required: object.required("element-required")?,
            element: Box::new(read_type(&mut object, "element")?),
            extra: object.rest(),
        })),
        "map" => Ok(Type::Map(MapType {
            key_id: object.required("key-id")?,
            key: Box::new(read_type(&mut object, "key")?),
            value_id: object.required("value-id")?,
            value_required: object.required("value-required")?,
            value: Box::new(read_type(&mut object, "value")?),
            extra: object.rest(),
        })),
        _ => Err(object.error("type", format!("unknown nested type \"{kind}\""))),
    }
}

impl Type {
    /// The JSON form: a string for primitive types, an object for nested ones.
    pub fn to_json(&self) -> Value {
        match self {
            Self::Primitive(primitive) => Value::String(primitive.to_string()),
            Self::Struct(fields) => ObjectWriter::new()
                .set("type", "struct")
                .set("fields", fields_to_json(&fields.fields))
                .finish(&fields.extra),
            Self::List(list) => ObjectWriter::new()
                .set("type", "list")
                .set("element-id", list.element_id)
                .set("element-required", list.element_required)
                .set("element", list.element.to_json())
                .finish(&list.extra),
            Self::Map(map) => ObjectWriter::new()
                .set("type", "map")
                .set("key-id", map.key_id)
                .set("key", map.key.to_json())
                .set("value-id", map.value_id)
                .set("value-required", map.value_required)
                .set("value", map.value.to_json())
                .finish(&map.extra),
        }
    }
}

fn fields_to_json(fields: &[NestedField]) -> Vec<Value> {
    fields.iter().map(field_to_json).collect()
}

fn field_to_json(field: &NestedField) -> Value {
    ObjectWriter::new()
        .set("id", field.id)
        .set("name", field.name.as_str())
        .set("required", field.required)
        .set("type", field.field_type.to_json())
        .set_some("doc", field.doc.as_deref())
        .set_some("initial-default", field.initial_default.clone())
        .set_some("write-default", field.write_default.clone())
        .finish(&field.extra)
}
