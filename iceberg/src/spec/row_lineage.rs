//! The columns of row lineage (specification, section "Row Lineage"), which data files have for rows that were in
//! another file before.

use super::primitive::PrimitiveType;
use super::schema::Schema;
use super::types::{NestedField, Type};

/// The id of `_row_id`: a row's identity, which it keeps in whatever file it is, and may keep when it is updated.
pub const ROW_ID: i32 = 2_147_483_540;
/// The id of `_last_updated_sequence_number`: the sequence number of the snapshot that inserted or last updated it.
pub const LAST_UPDATED_SEQUENCE_NUMBER: i32 = 2_147_483_539;

/// `schema` with the columns of row lineage as its last ones. Both are null for rows that inherit their values from the
/// entry of their file.
pub fn with_row_lineage(schema: &Schema) -> Schema {
    let mut columns = schema.columns().to_vec();
    for (id, name) in [
        (ROW_ID, "_row_id"),
        (
            LAST_UPDATED_SEQUENCE_NUMBER,
            "_last_updated_sequence_number",
        ),
    ] {
        let mut name = name.to_owned();
        while columns.iter().any(|column| column.name == name) {
            name.push('_');
        }
        let long = Type::Primitive(PrimitiveType::Long);
        columns.push(NestedField::optional(id, &name, long));
    }
    Schema {
        identifier_field_ids: schema.identifier_field_ids.clone(),
        ..Schema::new(schema.schema_id, columns)
    }
}
