//! Manifests and manifest lists: which files belong to a snapshot, and what is known of each.
//!
//! Avro files are read by field id whatever the names in them, and written in versions 2 and 3 of the
//! format. What a file promises about lengths and nesting is checked before it is believed.

mod data_file;

mod entry;
mod manifest_file;
mod memory_size;
mod partition_key;

mod avro_schema;

mod avro_container;
mod avro_value;

mod avro_encoder;

mod list_reader;
mod list_writer;

mod manifest_reader;
mod manifest_writer;
mod partition_summary;

mod data_file_record;

mod cache;
mod row_ids;

pub use cache::{ManifestCache, manifest_entries, snapshot_manifests};
pub use data_file::{DataContentType, DataFile, DataFileFormat, DeleteId};
pub use data_file_record::{decode_data_file, encode_data_file};
pub use entry::{ManifestEntry, ManifestStatus};
pub use list_reader::{parse_manifest_list, read_manifest_list, read_snapshot_manifests};
pub use list_writer::{ManifestListHeader, write_manifest_list};
pub use manifest_file::{FieldSummary, ManifestContent, ManifestFile, UNASSIGNED_SEQUENCE_NUMBER};
pub use manifest_reader::{parse_manifest, read_manifest};
pub use manifest_writer::ManifestWriter;
pub(crate) use partition_key::PartitionKey;
pub(crate) use row_ids::assign_row_ids;
