//! Table scans: the file list is planned, data files are read as Arrow batches.

mod positions;
mod row_ranges;

mod file_metadata;
mod footer_cache;
mod input;
pub(crate) mod unwind;

mod column_plan;
mod convert;
mod default_value;
mod file_columns;
mod file_schema;
mod name_mapping;
mod partition_constants;

mod file_pruner;
mod filter;
mod literal_array;
pub(crate) mod parquet_value;
mod partition_projection;
mod pruning;
mod row_group_pruning;

mod data_file_reader;
mod file_read_ahead;
mod row_group_scan;

mod delete_cache;
mod deletes;
mod deletion_vector;
mod equality_columns;
mod plan;
mod position_deletes;

pub use data_file_reader::{DataFileReader, FileBatch, MissingValues, ReadOptions, RowGroupCounts};
pub use default_value::default_json;
pub use delete_cache::DeleteCache;
pub(crate) use deletion_vector::encode_deletion_vector;
pub use file_metadata::FileMetadata;
pub use file_pruner::FilePruner;
pub use file_read_ahead::FileReadAhead;
pub use footer_cache::FooterCache;
pub use name_mapping::NameMapping;
pub use partition_constants::PartitionConstants;
pub(crate) use plan::plan_named_files;
pub use plan::{ScanFile, plan_files, plan_matching_files};
pub(crate) use position_deletes::{
    DELETE_FILE_PATH, DELETE_POS, deleted_positions, only_file_of, position_delete_schema,
};
pub use positions::RowPositions;
pub use row_ranges::RowRanges;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests;
