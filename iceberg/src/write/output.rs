//! Where files are written to, and what is between the Parquet writer and the output file.

use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use crate::error::Result;
use crate::io::OutputFile;

/// Makes a new file: its path, and what to write it to.
pub type CreateOutput<'a> = &'a mut dyn FnMut() -> Result<(String, Box<dyn OutputFile>)>;

/// Bytes that the Parquet writer produced and the output file has not got yet.
///
/// The Parquet writer demands a `Send` sink, while an output file may belong to one thread: the
/// writer fills this buffer, and [`super::DataFileWriter`] empties it into the file after every
/// column chunk.
#[derive(Debug, Clone, Default)]
pub(super) struct PendingOutput(Arc<Mutex<Vec<u8>>>);

impl PendingOutput {
    /// Takes what is pending.
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl io::Write for PendingOutput {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
