//! The columns of rewritten files: the table's, and those that only files have.

use crate::error::{Error, Result};
use crate::scan::FileMetadata;
use crate::spec::{NestedField, PrimitiveType, Schema, Type};

/// `schema` with the columns of the files that it lacks and whose ids are `carried`, in the order in which they are
/// found. `files` are footers with their paths.
pub(super) fn with_carried_columns(
    schema: &Schema,
    files: &[(&str, &FileMetadata)],
    carried: &dyn Fn(i32) -> bool,
) -> Result<Schema> {
    let is_wanted = |id: i32| schema.fields.field(id).is_none() && carried(id);
    let mut found: Vec<(NestedField, usize)> = Vec::new();
    for (path, footer) in files {
        for column in footer.columns(path, &is_wanted)? {
            match found.iter_mut().find(|(known, _)| known.id == column.id) {
                Some((known, count)) => {
                    known.field_type = common_type(path, &known.field_type, &column.field_type)?;
                    known.required &= column.required;
                    *count += 1;
                }
                None => found.push((column, 1)),
            }
        }
    }
    let mut columns = schema.columns().to_vec();
    for (mut column, count) in found {
        column.required &= count == files.len();
        while columns.iter().any(|known| known.name == column.name) {
            column.name.push('_');
        }
        columns.push(column);
    }
    Ok(Schema {
        identifier_field_ids: schema.identifier_field_ids.clone(),
        ..Schema::new(schema.schema_id, columns)
    })
}

/// The type that values of both can be read as (specification, section "Schema Evolution").
fn common_type(path: &str, one: &Type, other: &Type) -> Result<Type> {
    use PrimitiveType as P;
    if one == other {
        return Ok(one.clone());
    }
    let primitive = match (one.as_primitive(), other.as_primitive()) {
        (Some(P::Int | P::Long), Some(P::Int | P::Long)) => Some(P::Long),
        (Some(P::Float | P::Double), Some(P::Float | P::Double)) => Some(P::Double),
        (
            Some(&P::Decimal { precision, scale }),
            Some(&P::Decimal {
                precision: other,
                scale: same,
            }),
        ) if scale == same => Some(P::Decimal {
            precision: precision.max(other),
            scale,
        }),
        _ => None,
    };
    primitive.map(Type::Primitive).ok_or_else(|| {
        let reason = "a column that the table does not have is of another type than in other files";
        Error::invalid_data(path, reason)
    })
}
