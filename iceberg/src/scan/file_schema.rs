//! The columns of a Parquet file, with field ids.

use std::ops::Range;

use arrow::datatypes::{DataType, Field, FieldRef, Fields};
use parquet::arrow::PARQUET_FIELD_ID_META_KEY;

use super::name_mapping::NameMapping;
use crate::spec::{Schema, Type};

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

/// The columns of a file.
#[derive(Debug)]
pub(super) struct FileSchema {
    /// The top-level columns.
    pub(super) fields: Vec<FileField>,
    /// Where their ids are from.
    pub(super) ids: IdSource,
}

/// Where the field ids of a file are from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdSource {
    /// The file has them.
    File,
    /// The file has none: the table's name mapping gives them to names.
    NameMapping,
    /// Neither has any: columns count from 1, as they do in a schema whose columns were never
    /// dropped nor reordered, which is how the reference implementation reads such files.
    Position,
}

impl FileSchema {
    /// The columns of a file, to be read by `schema` in a table with this name mapping.
    pub(super) fn new(fields: &Fields, mapping: Option<&NameMapping>, schema: &Schema) -> Self {
        let ids = match mapping {
            _ if fields.iter().any(has_ids) => IdSource::File,
            Some(_) => IdSource::NameMapping,
            None => IdSource::Position,
        };
        let mapping = mapping.filter(|_| ids == IdSource::NameMapping);
        let mut fields = struct_fields(fields, mapping, &mut 0);
        if ids == IdSource::Position {
            for (id, field) in (1..).zip(&mut fields) {
                field.id = Some(id);
                if let Some(column) = schema.fields.field(id) {
                    number_children(field, &column.field_type);
                }
            }
        }
        Self { fields, ids }
    }
}

/// The id that the file itself gives to a field.
pub(super) fn own_id(field: &Field) -> Option<i32> {
    let id = field.metadata().get(PARQUET_FIELD_ID_META_KEY)?;
    id.parse().ok()
}

fn has_ids(field: &FieldRef) -> bool {
    field.metadata().contains_key(PARQUET_FIELD_ID_META_KEY)
        || match field.data_type() {
            DataType::Struct(fields) => fields.iter().any(has_ids),
            DataType::List(field) | DataType::Map(field, _) => has_ids(field),
            _ => false,
        }
}

/// Gives the fields of structs at any depth the ids that stand at their places in `of`.
fn number_children(field: &mut FileField, of: &Type) {
    match (of, &mut field.children[..]) {
        (Type::Struct(of), children) if matches!(field.data_type, DataType::Struct(_)) => {
            for (child, of) in children.iter_mut().zip(&of.fields) {
                child.id = Some(of.id);
                number_children(child, &of.field_type);
            }
        }
        (Type::List(of), [element]) => number_children(element, &of.element),
        (Type::Map(of), [key, value]) => {
            number_children(key, &of.key);
            number_children(value, &of.value);
        }
        _ => {}
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
        None => own_id(field),
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
