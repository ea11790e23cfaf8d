//! How the Parquet reader gets at the bytes of a file.

use std::collections::BTreeMap;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use parquet::errors::ParquetError;
use parquet::file::reader::{ChunkReader, Length};

use crate::error::Error;
use crate::io::InputFile;

/// The most bytes read ahead of what is asked for, in each column chunk.
const MAX_READ_AHEAD: usize = 1024 * 1024;
/// What is read ahead when sequential reading is first noticed.
const MIN_READ_AHEAD: usize = 64 * 1024;
/// What is fetched to find a page header in.
const HEADER_BYTES: usize = 4096;

/// An input file as the Parquet reader wants it; cheap to clone.
///
/// Of each column, what is wanted is read ahead in growing steps while it is read in sequence: fewer and larger reads. A reader
/// that skips gets the pages it wants; nothing is read beyond what the file was prepared for.
#[derive(Clone)]
pub(super) struct ParquetInput(Arc<Inner>);

struct Inner {
    file: Arc<dyn InputFile>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// What is wanted of each column, by the offset at which it ends.
    chunks: BTreeMap<u64, Chunk>,
    /// The first error of the input file: the Parquet reader keeps only its message.
    failure: Option<Error>,
}

struct Chunk {
    start: u64,
    /// Bytes in memory, and where they start.
    window: Bytes,
    window_start: u64,
    read_ahead: usize,
}

impl ParquetInput {
    /// Reads `file`, ahead only within one of `ranges`, none of which touches another column's.
    pub(super) fn new(file: Arc<dyn InputFile>, ranges: &[Range<u64>]) -> Self {
        let chunk = |range: &Range<u64>| {
            let chunk = Chunk {
                start: range.start,
                window: Bytes::new(),
                window_start: range.start,
                read_ahead: 0,
            };
            (range.end, chunk)
        };
        let chunks = ranges.iter().map(chunk).collect();
        let state = State {
            chunks,
            failure: None,
        };
        Self(Arc::new(Inner {
            file,
            state: Mutex::new(state),
        }))
    }

    /// The error for what the Parquet reader says: the input file's own, if that failed.
    pub(super) fn error(&self, parquet: ParquetError) -> Error {
        let failure = self.lock().failure.take();
        failure.unwrap_or_else(|| Error::parquet(self.0.file.path(), parquet))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes of what is wanted begin at `start`; none if it is not wanted.
    fn wanted_from(&self, start: u64) -> Option<u64> {
        let state = self.lock();
        let (end, chunk) = state.chunks.range(start + 1..).next()?;
        (chunk.start <= start).then(|| end - start)
    }

    fn fetch(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        let end = start.saturating_add(length as u64);
        if end > self.0.file.len() {
            return Err(ParquetError::EOF(format!(
                "bytes {start} to {end} were expected, the file has {}",
                self.0.file.len()
            )));
        }
        let mut state = self.lock();
        let outcome = match state.chunks.range_mut(start + 1..).next() {
            Some((chunk_end, chunk)) if chunk.start <= start && end <= *chunk_end => {
                chunk.fetch(&*self.0.file, start..end, *chunk_end)
            }
            _ => read(&*self.0.file, start, length),
        };
        outcome.map_err(|error| {
            let message = error.to_string();
            state.failure.get_or_insert(error);
            ParquetError::General(message)
        })
    }
}

impl Chunk {
    fn fetch(
        &mut self,
        file: &dyn InputFile,
        wanted: Range<u64>,
        chunk_end: u64,
    ) -> Result<Bytes, Error> {
        let window_end = self.window_start + self.window.len() as u64;
        let length = offset_within(wanted.start, wanted.end);
        if self.window_start <= wanted.start && wanted.end <= window_end {
            let from = offset_within(self.window_start, wanted.start);
            return Ok(self.window.slice(from..from + length));
        }
        let sequential = (self.window_start..=window_end).contains(&wanted.start);
        self.read_ahead = match (sequential && !self.window.is_empty(), self.read_ahead) {
            (false, _) => 0,
            (true, 0) => MIN_READ_AHEAD,
            (true, ahead) => (ahead * 2).min(MAX_READ_AHEAD),
        };
        let available = offset_within(wanted.start, chunk_end);
        self.window = read(
            file,
            wanted.start,
            length.max(self.read_ahead).min(available),
        )?;
        self.window_start = wanted.start;
        Ok(self.window.slice(..length))
    }
}

fn offset_within(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

fn read(file: &dyn InputFile, start: u64, length: usize) -> Result<Bytes, Error> {
    let mut bytes = vec![0; length];
    file.read_at(start, &mut bytes)?;
    Ok(bytes.into())
}

impl Length for ParquetInput {
    fn len(&self) -> u64 {
        self.0.file.len()
    }
}

impl ChunkReader for ParquetInput {
    type T = PageHeaderRead;

    fn get_read(&self, start: u64) -> Result<PageHeaderRead, ParquetError> {
        Ok(PageHeaderRead {
            input: self.clone(),
            position: start,
            bytes: Bytes::new(),
        })
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes, ParquetError> {
        self.fetch(start, length)
    }
}

/// Reads from an offset on, in small steps: the Parquet reader looks for page headers with it.
pub(super) struct PageHeaderRead {
    input: ParquetInput,
    position: u64,
    bytes: Bytes,
}

impl io::Read for PageHeaderRead {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.bytes.is_empty() {
            let left = self.input.wanted_from(self.position);
            let left = left.unwrap_or(self.input.len().saturating_sub(self.position));
            let left = usize::try_from(left).unwrap_or(usize::MAX);
            let length = left.min(HEADER_BYTES.max(buffer.len()));
            self.bytes = self
                .input
                .fetch(self.position, length)
                .map_err(io::Error::other)?;
            self.position += length as u64;
        }
        let length = self.bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&self.bytes.split_to(length));
        Ok(length)
    }
}
