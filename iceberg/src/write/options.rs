//! How data files are written.

use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;

use super::encoder_threads::EncoderThreads;

/// Compression of Parquet pages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// None.
    Uncompressed,
    /// Snappy.
    Snappy,
    /// LZ4 without frames (`LZ4_RAW`).
    Lz4,
    /// Gzip.
    Gzip,
    /// Zstandard.
    Zstd {
        /// 1 to 22.
        level: i32,
    },
}

/// Starts a thread that runs the given closure.
///
/// The caller decides how: a PostgreSQL backend blocks signals around the start, so that none is
/// ever delivered to the new thread.
pub type Spawn = fn(Box<dyn FnOnce() + Send>) -> io::Result<JoinHandle<()>>;

/// Where columns are encoded and compressed.
#[derive(Debug, Clone)]
pub enum Encoder {
    /// On the calling thread.
    Inline,
    /// On threads that other files may share, once the file has more than [`WriteOptions::inline_rows`] rows.
    /// The calling thread helps when they lag behind.
    Threads(Arc<EncoderThreads>),
}

/// How a data file is written.
#[derive(Debug, Clone)]
pub struct WriteOptions {
    /// Compression of pages.
    pub compression: Compression,
    /// Where columns are encoded.
    pub encoder: Encoder,
    /// Rows that are encoded by the calling thread before worker threads are started.
    pub inline_rows: u64,
    /// The most rows in a row group.
    pub row_group_rows: usize,
    /// A row group ends once its rows took this many bytes in memory, before encoding.
    pub row_group_bytes: usize,
    /// Beyond these row groups a file counts as full. Parquet numbers them with 16 bits, and every one makes the
    /// footer longer.
    pub file_row_groups: usize,
    /// The most rows in a page: what fetching a single row has to decode.
    pub page_rows: usize,
    /// A page ends once its values take this many bytes, before compression.
    pub page_bytes: usize,
    /// Batches that wait for worker threads take no more memory than this.
    pub queue_bytes: usize,
    /// Field ids of top-level integer columns whose values are written as the differences from one to the next:
    /// numbers that ascend take next to no space.
    pub delta_encoded: Vec<i32>,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self {
            compression: Compression::Zstd { level: 3 },
            encoder: Encoder::Inline,
            inline_rows: 64 * 1024,
            row_group_rows: 1024 * 1024,
            row_group_bytes: 128 * 1024 * 1024,
            file_row_groups: 1000,
            page_rows: 8_192,
            page_bytes: 1024 * 1024,
            queue_bytes: 16 * 1024 * 1024,
            delta_encoded: Vec::new(),
        }
    }
}
