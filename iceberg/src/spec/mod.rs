//! The Iceberg table specification's domain: types, schemas, partitioning, sort orders, snapshots
//! and table metadata, with their JSON and single-value forms.
//!
//! No file is touched here but metadata files. JSON members that the library does not know are kept
//! in every object's `extra` and written back.

pub mod json;
pub(crate) mod json_text;

mod primitive;
mod types;

mod datum;

mod schema;
mod schema_json;

mod transform;
mod transform_value;

mod partition;
mod row_lineage;
mod sort;

mod snapshot;
mod snapshot_json;

mod metadata_file;
mod metadata_json;
mod table_metadata;

mod memory_size;

pub use datum::Datum;
pub(crate) use metadata_file::ENCRYPTED_MAGIC;
pub use metadata_file::{MAX_METADATA_BYTES, METADATA_COMPRESSION};
pub use partition::{FIRST_PARTITION_FIELD_ID, PartitionField, PartitionSpec, PartitionSpecRef};
pub use primitive::{MAX_DECIMAL_PRECISION, PrimitiveType};
pub use row_lineage::{LAST_UPDATED_SEQUENCE_NUMBER, ROW_ID, with_row_lineage};
pub use schema::{Schema, SchemaRef};
pub use snapshot::{
    MAIN_BRANCH, Operation, Snapshot, SnapshotRef, SnapshotReference, SnapshotRetention,
    StoredSnapshot, Summary,
};
pub use sort::{NullOrder, SortDirection, SortField, SortOrder};
pub use table_metadata::{
    FormatVersion, MetadataLogEntry, SnapshotLogEntry, StatisticsFile, TableMetadata,
};
pub use transform::Transform;
pub use types::{ListType, MapType, NestedField, StructType, Type};
