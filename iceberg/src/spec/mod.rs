//! The Iceberg table specification's domain: types, schemas, partitioning, sort orders, snapshots
//! and table metadata, with their JSON and single-value forms.
//!
//! No files are touched here, except that [`TableMetadata`] can be read from and written to one.

pub mod json;

mod datum;
mod primitive;
mod schema;
mod types;

pub use datum::Datum;
pub use primitive::{MAX_DECIMAL_PRECISION, PrimitiveType};
pub use schema::{Schema, SchemaRef};
pub use types::{ListType, MapType, NestedField, StructType, Type};
