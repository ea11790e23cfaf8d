//! The columns of a Parquet file, with field ids.

use std::ops::Range;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::name_mapping::NameMapping;

/// A field of the file at any level. The fields of a list are its element, those of a map its key
/// and value.
#[derive(Debug)]
pub(super) struct FileField {
    /// The field id; `None` if neither the file nor the name mapping gives one.
    pub(super) id: Option<i32>,
    pub(super) name: String,
    pub(super) data_type: DataType,
    /// The Parquet leaf columns under the field.
    pub(super) leaves: Range<usize>,
    pub(super) children: Vec<FileField>,
}

/// The top-level columns of a file, with ids of its own or, if it has none at all, those that
/// `mapping` gives to names. `None` if there is neither.
pub(super) fn file_fields(
    fields: &Fields,
    mapping: Option<&NameMapping>,
) -> Option<Vec<FileField>> {
    let mapping = if fields.iter().any(has_ids) {
        None
    } else if fields.is_empty() {
        mapping
    } else {
        Some(mapping?)
    };
    Some(struct_fields(fields, mapping, &mut 0))
}

fn has_ids(field: &FieldRef) -> bool {
    field.metadata().contains_key(PARQUET_FIELD_ID_META_KEY)
        || match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(has_ids),
            DataType::List(field) | DataType::Map(field, _) => has_ids(field),
            _ => false,
        }
}

fn struct_fields(
    fields: &Fields,
    mapping: Option<&NameMapping>,
    next_leaf: &mut usize,
) -> Vec<FileField> {
    fields
        .iter()
        .map(|field| file_field(field, field.name(), mapping, next_leaf))
        .collect()
}

/// `role` is the name by which a mapping knows the field.
fn file_field(
    field: &Field,
    role: &str,
    mapping: Option<&NameMapping>,
    next_leaf: &mut usize,
) -> FileField {
    let mapped = mapping.and_then(|mapping| mapping.get(role));
    let id = match mapped {
        Some((id, _)) => id,
        None => field
            .metadata()
            .get(PARQUET_FIELD_ID_META_KEY)
            .and_then(|id| id.parse().ok()),
    };
    let inner = mapped.map(|(_, inner)| inner);
    let first_leaf = *next_leaf;
    let children = match field.data_type() {
        DataType::Struct(fields) => struct_fields(fields, inner, next_leaf),
        DataType::List(element) => vec![file_field(element, "element", inner, next_leaf)],
        DataType::Map(entries, _) => match entries.data_type() {
            DataType::Struct(fields) => fields
                .iter()
                .zip(["key", "value"])
                .map(|(field, role)| file_field(field, role, inner, next_leaf))
                .collect(),
            _ => Vec::new(),
        },
        _ => {
            *next_leaf += 1;
            Vec::new()
        }
    };
    FileField {
        id,
        name: field.name().clone(),
        data_type: field.data_type().clone(),
        leaves: first_leaf..*next_leaf,
        children,
    }
}
