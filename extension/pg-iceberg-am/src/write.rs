//! Opening data files to write.

use std::cell::Cell;

use iceberg_lite::io::FileIo;
use iceberg_lite::spec::Schema;
use iceberg_lite::write::{Compression, DataFileWriter, Encoder, WriteOptions};
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::thread;

use crate::error::to_pg_error;
use crate::guc;
use crate::row_id::column;
use crate::storage::VfdFileIo;

/// Data files of fewer bytes are not compressed: setting up a compressor for each column takes longer
/// than everything else, and the file takes a block of the file system all the same.
const COMPRESSED_FROM_BYTES: usize = 16 << 10;

thread_local! {
    /// Threads that the data files being written may have.
    static ENCODER_THREADS: Cell<usize> = const { Cell::new(0) };
}

/// Threads that a data file being written may have, of those of the session.
pub struct EncoderThreads(usize);

impl EncoderThreads {
    fn reserve() -> Self {
        let used = ENCODER_THREADS.get();
        let count = guc::encoder_threads().saturating_sub(used);
        ENCODER_THREADS.set(used + count);
        Self(count)
    }
}

impl Drop for EncoderThreads {
    fn drop(&mut self) {
        ENCODER_THREADS.set(ENCODER_THREADS.get() - self.0);
    }
}

/// Begins a data file below `location`, to hold at least `expected_bytes` of values, and returns its
/// path with its writer, and the threads that are its own as long as it is written.
///
/// A large file is encoded by worker threads, which run with all signals blocked and never call
/// PostgreSQL; bytes reach the file from the backend's thread alone.
pub fn open_data_file(
    schema: &Schema,
    io: &VfdFileIo,
    location: &str,
    expected_bytes: usize,
) -> PgResult<(String, DataFileWriter, EncoderThreads)> {
    let path = format!("{location}/data/{}.parquet", uuid::Uuid::now_v7().simple());
    let output = io.create(&path).map_err(to_pg_error)?;
    let threads = EncoderThreads::reserve();
    let encoder = match threads.0 {
        0 => Encoder::Inline,
        count => Encoder::Threads {
            count,
            spawn: |work| thread::spawn_with_signals_blocked("iceberg encoder", work),
        },
    };
    let options = WriteOptions {
        compression: if expected_bytes < COMPRESSED_FROM_BYTES {
            Compression::Uncompressed
        } else {
            Compression::Zstd {
                level: guc::compression_level(),
            }
        },
        encoder,
        delta_encoded: vec![column::FIELD_ID],
        ..WriteOptions::default()
    };
    let writer = DataFileWriter::new(schema, path.clone(), output, options).map_err(to_pg_error)?;
    Ok((path, writer, threads))
}
