//! Nested types: structs, lists and maps, whose every field has an id.

use super::json::JsonObject;
use super::primitive::PrimitiveType;

/// The type of a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Type {
    /// A primitive type.
    Primitive(PrimitiveType),
    /// A struct.
    Struct(StructType),
    /// A list.
    List(ListType),
    /// A map.
    Map(MapType),
}

impl Type {
    /// The primitive type, unless this is a nested one.
    pub fn as_primitive(&self) -> Option<&PrimitiveType> {
        match self {
            Self::Primitive(primitive) => Some(primitive),
            _ => None,
        }
    }

    /// Whether it has fields of its own.
    pub fn is_nested(&self) -> bool {
        !matches!(self, Self::Primitive(_))
    }
}

impl From<PrimitiveType> for Type {
    fn from(primitive: PrimitiveType) -> Self {
        Self::Primitive(primitive)
    }
}

/// A tuple of named fields.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct StructType {
    /// The fields, in order.
    pub fields: Vec<NestedField>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

impl StructType {
    /// A struct of these fields.
    pub fn new(fields: Vec<NestedField>) -> Self {
        Self {
            fields,
            extra: JsonObject::new(),
        }
    }

    /// The direct field with this id.
    pub fn field(&self, id: i32) -> Option<&NestedField> {
        self.fields.iter().find(|field| field.id == id)
    }

    /// The direct field with this name.
    pub fn field_by_name(&self, name: &str) -> Option<&NestedField> {
        self.fields.iter().find(|field| field.name == name)
    }
}

/// A field of a struct.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NestedField {
    /// The id, unique in the table for ever.
    pub id: i32,
    /// The name.
    pub name: String,
    /// Whether null is forbidden.
    pub required: bool,
    /// The type.
    pub field_type: Type,
    /// A comment.
    pub doc: Option<String>,
    /// The value, in the specification's JSON form, of rows written before the field was added (v3).
    pub initial_default: Option<serde_json::Value>,
    /// The value, in the specification's JSON form, of rows whose writer gives none (v3).
    pub write_default: Option<serde_json::Value>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

impl NestedField {
    /// A field.
    pub fn new(
        id: i32,
        name: impl Into<String>,
        field_type: impl Into<Type>,
        required: bool,
    ) -> Self {
        Self {
            id,
            name: name.into(),
            required,
            field_type: field_type.into(),
            doc: None,
            initial_default: None,
            write_default: None,
            extra: JsonObject::new(),
        }
    }

    /// A field that forbids null.
    pub fn required(id: i32, name: impl Into<String>, field_type: impl Into<Type>) -> Self {
        Self::new(id, name, field_type, true)
    }

    /// A field that allows null.
    pub fn optional(id: i32, name: impl Into<String>, field_type: impl Into<Type>) -> Self {
        Self::new(id, name, field_type, false)
    }
}

/// A list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListType {
    /// The id of the element field.
    pub element_id: i32,
    /// Whether null elements are forbidden.
    pub element_required: bool,
    /// The type of the elements.
    pub element: Box<Type>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

impl ListType {
    /// A list.
    pub fn new(element_id: i32, element: impl Into<Type>, element_required: bool) -> Self {
        Self {
            element_id,
            element_required,
            element: Box::new(element.into()),
            extra: JsonObject::new(),
        }
    }
}

impl From<ListType> for Type {
    fn from(list: ListType) -> Self {
        Self::List(list)
    }
}

/// A map; keys are never null.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MapType {
    /// The id of the key field.
    pub key_id: i32,
    /// The type of the keys.
    pub key: Box<Type>,
    /// The id of the value field.
    pub value_id: i32,
    /// Whether null values are forbidden.
    pub value_required: bool,
    /// The type of the values.
    pub value: Box<Type>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

impl MapType {
    /// A map.
    pub fn new(
        key_id: i32,
        key: impl Into<Type>,
        value_id: i32,
        value: impl Into<Type>,
        value_required: bool,
    ) -> Self {
        Self {
            key_id,
            key: Box::new(key.into()),
            value_id,
            value_required,
            value: Box::new(value.into()),
            extra: JsonObject::new(),
        }
    }
}

impl From<MapType> for Type {
    fn from(map: MapType) -> Self {
        Self::Map(map)
    }
}

impl From<StructType> for Type {
    fn from(fields: StructType) -> Self {
        Self::Struct(fields)
    }
}
