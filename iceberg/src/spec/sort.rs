//! Sort orders.

use std::fmt;

use serde_json::Value;

use super::json::{JsonObject, ObjectReader, ObjectWriter};
use super::transform::Transform;
use crate::error::Result;

/// The order that rows follow within a data file.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SortOrder {
    /// The id; 0 is reserved for the order without fields.
    pub order_id: i32,
    /// The fields, most significant first.
    pub fields: Vec<SortField>,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// A field of a sort order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SortField {
    /// The id of the source column; the first one where a v3 transform has several.
    pub source_id: i32,
    /// All source columns, where they were given as a list (v3).
    pub source_ids: Option<Vec<i32>>,
    /// The transform.
    pub transform: Transform,
    /// Ascending or descending.
    pub direction: SortDirection,
    /// Where nulls come.
    pub null_order: NullOrder,
    /// JSON members that this library does not know.
    pub extra: JsonObject,
}

/// The direction of a sort field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SortDirection {
    /// `asc`
    Ascending,
    /// `desc`
    Descending,
}

impl fmt::Display for SortDirection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ascending => "asc",
            Self::Descending => "desc",
        })
    }
}

/// Where nulls come in a sort order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NullOrder {
    /// `nulls-first`
    First,
    /// `nulls-last`
    Last,
}

impl fmt::Display for NullOrder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::First => "nulls-first",
            Self::Last => "nulls-last",
        })
    }
}

impl SortOrder {
    /// The order without fields.
    pub fn unsorted() -> Self {
        Self::default()
    }

    /// Reads the sort order that stands at `place` of `file`.
    pub(crate) fn from_json(file: &str, place: String, value: Value) -> Result<Self> {
        let mut object = ObjectReader::new(file, place, value)?;
        let order_id = object.required("order-id")?;
        let fields = object.list("fields", read_field)?;
        let fields = fields.ok_or_else(|| object.error("fields", "is missing"))?;
        Ok(Self {
            order_id,
            fields,
            extra: object.rest(),
        })
    }

    /// The JSON form.
    pub fn to_json(&self) -> Value {
        ObjectWriter::new()
            .set("order-id", self.order_id)
            .set(
                "fields",
                self.fields.iter().map(field_to_json).collect::<Vec<_>>(),
            )
            .finish(&self.extra)
    }
}

fn read_field(file: &str, place: String, value: Value) -> Result<SortField> {
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
    let transform = Transform::parse(&object.required::<String>("transform")?);
    let direction = match object
        .required::<String>("direction")?
        .to_ascii_lowercase()
        .as_str()
    {
        "asc" => SortDirection::Ascending,
        "desc" => SortDirection::Descending,
        _ => return Err(object.error("direction", "must be \"asc\" or \"desc\"")),
    };
    let null_order = match object
        .required::<String>("null-order")?
        .to_ascii_lowercase()
        .as_str()
    {
        "nulls-first" => NullOrder::First,
        "nulls-last" => NullOrder::Last,
        _ => return Err(object.error("null-order", "must be \"nulls-first\" or \"nulls-last\"")),
    };
    Ok(SortField {
        source_id,
        source_ids,
        transform,
        direction,
        null_order,
        extra: object.rest(),
    })
}

fn field_to_json(field: &SortField) -> Value {
    let source_id = Some(field.source_id).filter(|_| field.source_ids.is_none());
    ObjectWriter::new()
        .set("transform", field.transform.to_string())
        .set_some("source-id", source_id)
        .set_some("source-ids", field.source_ids.clone())
        .set("direction", field.direction.to_string())
        .set("null-order", field.null_order.to_string())
        .finish(&field.extra)
}
