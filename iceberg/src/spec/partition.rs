//! Partition specs.

use std::sync::Arc;

use serde_json::Value;

use super::json::{JsonObject, ObjectReader, ObjectWriter};
use super::primitive::PrimitiveType;
use super::schema::Schema;
use super::transform::Transform;
use super::types::Type;
use crate::error::Result;

/// A partition spec, shared between the metadata that hold it.
pub type PartitionSpecRef = Arc<PartitionSpec>;

/// The id below which partition field ids are never given.
pub const FIRST_PARTITION_FIELD_ID: i32 = 1000;

/// How rows are put into partitions.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct PartitionSpec {
    /// The id by which manifests name the spec.
    pub spec_id: i32,
    /// The fields of the partition tuple, in order.
    pub fields: Vec<PartitionField>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// A field of the partition tuple.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PartitionField {
    /// The id of the source column; the first one where a v3 transform has several.
    pub source_id: i32,
    /// All source columns, where they were given as a list (v3).
    pub source_ids: Option<Vec<i32>>,
    /// The id of the field itself.
    pub field_id: i32,
    /// The name.
    pub name: String,
    /// The transform.
    pub transform: Transform,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

impl PartitionField {
    /// A field of the partition tuple.
    pub fn new(
        source_id: i32,
        field_id: i32,
        name: impl Into<String>,
        transform: Transform,
    ) -> Self {
        Self {
            source_id,
            source_ids: None,
            field_id,
            name: name.into(),
            transform,
            extra: JsonObject::new(),
        }
    }

    /// The type of the field's values. A source column that the schema no longer has gives the
    /// transform's own type, or `unknown`.
    pub fn value_type(&self, schema: &Schema) -> PrimitiveType {
        let source = match schema.type_of(self.source_id) {
            Some(Type::Primitive(primitive)) => primitive,
            _ => &PrimitiveType::Unknown,
        };
        self.transform.result_type(source)
    }
}

impl PartitionSpec {
    /// A spec of these fields.
    pub fn new(spec_id: i32, fields: Vec<PartitionField>) -> Self {
        Self {
            spec_id,
            fields,
            extra: JsonObject::new(),
        }
    }

    /// The spec, with id 0, of a table that is not partitioned.
    pub fn unpartitioned() -> Self {
        Self::default()
    }

    /// Whether all rows are in one partition.
    pub fn is_unpartitioned(&self) -> bool {
        self.fields
            .iter()
            .all(|field| field.transform == Transform::Void)
    }

    /// The types of the partition tuple.
    pub fn partition_types(&self, schema: &Schema) -> Vec<PrimitiveType> {
        self.fields
            .iter()
            .map(|field| field.value_type(schema))
            .collect()
    }

    /// The largest field id in use, [`FIRST_PARTITION_FIELD_ID`] - 1 if there is none.
    pub fn highest_field_id(&self) -> i32 {
        let ids = self.fields.iter().map(|field| field.field_id);
        ids.max().unwrap_or(FIRST_PARTITION_FIELD_ID - 1)
    }

    /// Reads the spec that stands at `place` of `file`.
    pub(crate) fn from_json(file: &str, place: String, value: Value) -> Result<Self> {
        let mut object = ObjectReader::new(file, place, value)?;
        let spec_id = object.required("spec-id")?;
        let fields = object.list("fields", read_field)?;
        let fields = fields.ok_or_else(|| object.error("fields", "is missing"))?;
        Ok(Self {
            spec_id,
            fields: number_fields(fields),
            extra: object.rest(),
        })
    }

    /// Reads the fields that v1 metadata and manifest headers give without their spec.
    pub(crate) fn fields_from_json(
        file: &str,
        place: &str,
        value: Value,
    ) -> Result<Vec<PartitionField>> {
        let wrapped = JsonObject::from_iter([(place.to_owned(), value)]);
        let mut object = ObjectReader::new(file, "", Value::Object(wrapped))?;
        Ok(number_fields(
            object.list(place, read_field)?.unwrap_or_default(),
        ))
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        ObjectWriter::new()
            .set("spec-id", self.spec_id)
            .set("fields", self.fields_to_json())
            .finish(&self.extra)
    }

    /// The JSON form of the fields alone, as manifest headers hold it.
    pub fn fields_to_json(&self) -> Value {
        Value::Array(self.fields.iter().map(field_to_json).collect())
    }
}

/// A field as read: v1 metadata may lack the id.
fn read_field(file: &str, place: String, value: Value) -> Result<(Option<i32>, PartitionField)> {
    let mut object = ObjectReader::new(file, place, value)?;
    let source_ids = object
        .optional("source-ids")?
        .filter(|ids: &Vec<i32>| !ids.is_empty());
    let source_id = match source_ids.as_ref().and_then(|ids| ids.first()) {
        Some(&first) => {
            // One of the two is enough, and the list says more.
            object.take("source-id");
            first
        }
        None => object.required("source-id")?,
    };
    let field_id = object.optional("field-id")?;
    let field = PartitionField {
        source_id,
        source_ids,
        field_id: field_id.unwrap_or_default(),
        name: object.required("name")?,
        transform: Transform::parse(&object.required::<String>("transform")?),
        extra: object.rest(),
    };
    Ok((field_id, field))
}

/// Gives ids, from 1000 on, to fields without: the rule for v1 tables.
fn number_fields(fields: Vec<(Option<i32>, PartitionField)>) -> Vec<PartitionField> {
    (FIRST_PARTITION_FIELD_ID..)
        .zip(fields)
        .map(|(assigned, (field_id, field))| PartitionField {
            field_id: field_id.unwrap_or(assigned),
            ..field
        })
        .collect()
}

fn field_to_json(field: &PartitionField) -> Value {
    let source_id = Some(field.source_id).filter(|_| field.source_ids.is_none());
    ObjectWriter::new()
        .set_some("source-id", source_id)
        .set_some("source-ids", field.source_ids.clone())
        .set("field-id", field.field_id)
        .set("name", field.name.as_str())
        .set("transform", field.transform.to_string())
        .finish(&field.extra)
}
