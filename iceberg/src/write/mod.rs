//! Data files are written here: Arrow batches become Parquet with field ids and statistics.
//!
//! [`DataFileWriter`] takes batches and gives back the [`DataFile`](crate::manifest::DataFile) for
//! the manifest; [`write_position_deletes`] writes which rows of such a file are deleted. When to
//! start a new file is the caller's decision; committing is [`crate::commit`]'s. Encoding may run on
//! worker threads; output is written by the calling thread alone.

pub(crate) mod arrow_schema;
mod parquet_schema;

mod encoder;
mod encoder_threads;
mod options;
mod output;

mod bounds;
mod conform;
mod metrics;
mod nan_counts;

mod data_file_writer;
mod deletion_vector;
mod position_deletes;

pub use arrow_schema::{FIELD_ID_KEY, arrow_schema, arrow_type};
pub use data_file_writer::DataFileWriter;
pub use deletion_vector::write_deletion_vector;
pub use encoder_threads::EncoderThreads;
pub use options::{Compression, Encoder, Spawn, WriteOptions};
pub use output::CreateOutput;
pub use position_deletes::write_position_deletes;
