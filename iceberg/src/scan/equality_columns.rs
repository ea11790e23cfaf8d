//! What an equality delete file compares (specification, section "Equality Delete Files"): columns, or fields of
//! structs.

use crate::error::{Error, Result};
use crate::manifest::DataFile;
use crate::spec::{NestedField, Schema, StructType, TableMetadata, Type};

/// The columns by which `delete` compares rows, in the order of its ids; of structs, only the fields compared.
pub(super) fn equality_schema(delete: &DataFile, metadata: &TableMetadata) -> Result<Schema> {
    let ids = delete.equality_ids.as_deref().unwrap_or_default();
    if ids.is_empty() {
        return Err(Error::invalid_metadata(
            &*delete.file_path,
            "equality_ids",
            "an equality delete file names no columns",
        ));
    }
    // They may be gone from the current schema.
    let current = metadata.current_schema().into_iter();
    let schemas = || current.clone().chain(metadata.schemas.iter().rev());
    let mut columns = Vec::new();
    for id in ids {
        let path = schemas().find_map(|schema| path_to(&schema.fields, *id));
        let path = path.ok_or_else(|| {
            Error::unsupported(format!(
                "equality delete file \"{}\" over field {id}, which is neither a column nor a field of a struct",
                delete.file_path
            ))
        })?;
        add(&mut columns, &path);
    }
    Ok(Schema::new(0, columns))
}

/// The field with this id, after the structs that it is in.
fn path_to(of: &StructType, id: i32) -> Option<Vec<&NestedField>> {
    of.fields.iter().find_map(|field| {
        if field.id == id {
            return Some(vec![field]);
        }
        let Type::Struct(inner) = &field.field_type else {
            return None;
        };
        let path = path_to(inner, id)?;
        Some([field].into_iter().chain(path).collect())
    })
}

/// Adds the last field of `path` to `fields`, and those of the structs around it that are not there.
fn add(fields: &mut Vec<NestedField>, path: &[&NestedField]) {
    let Some((first, rest)) = path.split_first() else {
        return;
    };
    let known = fields.iter_mut().position(|field| field.id == first.id);
    let position = known.unwrap_or_else(|| {
        let field_type = match rest.is_empty() {
            true => first.field_type.clone(),
            false => StructType::default().into(),
        };
        fields.push(NestedField {
            required: false,
            field_type,
            ..(*first).clone()
        });
        fields.len() - 1
    });
    if let Some(Type::Struct(inner)) = fields.get_mut(position).map(|f| &mut f.field_type) {
        add(&mut inner.fields, rest);
    }
}
