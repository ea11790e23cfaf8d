//! A table's columns, as PostgreSQL, Arrow and Iceberg each have them.
//!
//! Attributes are mapped to Iceberg fields by their numbers and the fields' ids, never by name or position:
//! `field_ids.rs` is the map, `fields.rs` what was written down of it, `iceberg.rs` the schema that follows from it, under which files are read and
//! written, `by_field_id.rs` does for rows in memory what readers do for files.

mod by_field_id;
mod columns;
mod field_ids;
mod fields;
mod iceberg;
pub mod retyped;
mod type_property;

pub use by_field_id::conform;
pub use columns::{Column, TableColumns};
pub use field_ids::FieldIds;
pub use fields::{ColumnFields, Fields, Fit, fit};
pub use iceberg::{TableSchema, with_current_columns};

/// What to do about attributes that fields hold none of.
const NEW_TABLE_HINT: &str = "Create a table with the wanted columns by CREATE TABLE ... USING iceberg AS SELECT, drop the old one, and rename.";
