//! Opening data files to write.

use std::cell::RefCell;
use std::sync::{Arc, Weak};

use iceberg_lite::Result;
use iceberg_lite::compaction::RewriteOptions;
use iceberg_lite::io::{FileIo, OutputFile};
use iceberg_lite::spec::Schema;
use iceberg_lite::write::{Compression, DataFileWriter, Encoder, EncoderThreads, WriteOptions};
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::thread;

use crate::error::to_pg_error;
use crate::files::TableFiles;
use crate::guc;
use crate::row_id::column;

/// Data files of fewer bytes are not compressed: setting up a compressor for each column takes longer
/// than everything else, and the file takes a block of the file system all the same.
const COMPRESSED_FROM_BYTES: usize = 16 << 10;

thread_local! {
    /// The threads that all data files being written share; they end with the last of these.
    static THREADS: RefCell<Weak<EncoderThreads>> = const { RefCell::new(Weak::new()) };
}

/// The threads of the session, `count` if there are none yet.
fn encoder_threads(count: usize) -> Arc<EncoderThreads> {
    THREADS.with_borrow_mut(|known| {
        known.upgrade().unwrap_or_else(|| {
            let threads = Arc::new(EncoderThreads::new(count, |work| {
                thread::spawn_with_signals_blocked("iceberg encoder", work)
            }));
            *known = Arc::downgrade(&threads);
            threads
        })
    })
}

/// How data files of about so many bytes of values are written, by the calling thread.
pub fn write_options(expected_bytes: usize, level: i32) -> WriteOptions {
    WriteOptions {
        compression: if expected_bytes < COMPRESSED_FROM_BYTES {
            Compression::Uncompressed
        } else {
            Compression::Zstd { level }
        },
        delta_encoded: vec![column::FIELD_ID],
        ..WriteOptions::default()
    }
}

/// Creates a file for data or deletes below `location`, whose name has this ending.
pub fn create(
    io: &TableFiles,
    location: &str,
    ending: &str,
) -> Result<(String, Box<dyn OutputFile>)> {
    let path = format!("{location}/data/{}{ending}", io.unique_name());
    let output = io.create(&path)?;
    Ok((path, output))
}

/// How rows of data files are written into others, which are `outputs` if that is enough.
pub fn rewrite_options(outputs: usize, level: i32) -> RewriteOptions {
    RewriteOptions {
        // However small the files are: those that are rewritten may have been compressed.
        write: write_options(usize::MAX, level),
        outputs,
        ordered_by: Some(column::FIELD_ID),
        ..RewriteOptions::default()
    }
}

/// Begins a data file below `location`, to hold at least `expected_bytes` of values, and returns its
/// path with its writer.
///
/// A large file is encoded by worker threads, which run with all signals blocked and never call
/// PostgreSQL; bytes reach the file from the backend's thread alone.
pub fn open_data_file(
    schema: &Schema,
    io: &TableFiles,
    location: &str,
    expected_bytes: usize,
    level: i32,
) -> PgResult<(String, DataFileWriter)> {
    let (path, output) = create(io, location, ".parquet").map_err(to_pg_error)?;
    let encoder = match guc::encoder_threads() {
        0 => Encoder::Inline,
        count => Encoder::Threads(encoder_threads(count)),
    };
    let options = WriteOptions {
        encoder,
        ..write_options(expected_bytes, level)
    };
    let writer = DataFileWriter::new(schema, path.clone(), output, options).map_err(to_pg_error)?;
    Ok((path, writer))
}
