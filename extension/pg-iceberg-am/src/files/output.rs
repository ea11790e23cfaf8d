//! A file being written.
//!
//! Small files, which are most, are held in memory until they are whole, and are logged together when
//! the transaction is about to commit; their fsync can wait ([`super::sync_queue`]). A file that grows large is
//! logged in chunks as it is written, and synced before the commit.

use std::rc::Rc;

use iceberg_lite::error::Result;
use iceberg_lite::io::OutputFile;
use pg_lakebase_core::file::VfdFile;

use super::file_io::{injection_point, io_error};
use super::written::Written;

/// The most bytes of a file that is held in memory, and of a chunk of a larger one.
const CHUNK: usize = 4 << 20;

/// A file being written through the VFD layer.
pub struct VfdOutput {
    path: String,
    name: String,
    file: VfdFile,
    written: Rc<Written>,
    /// Bytes written to the file, and logged.
    done: u64,
    /// What follows them.
    buffer: Vec<u8>,
}

impl VfdOutput {
    /// The file `name` of a table, that metadata name by `path`: empty, and just created.
    pub fn new(path: &str, name: String, file: VfdFile, written: Rc<Written>) -> Result<Self> {
        written.note_created(name.clone());
        injection_point(path, c"iceberg-file-created")?;
        Ok(Self {
            path: path.to_owned(),
            name,
            file,
            written,
            done: 0,
            buffer: Vec::new(),
        })
    }

    /// Writes what is in the buffer.
    fn write_buffer(&self) -> Result<()> {
        self.file
            .write_at(&self.buffer, self.done)
            .map_err(io_error("write", &self.path))
    }

    /// Writes and logs what is in the buffer: the file is a large one.
    fn write_chunk(&mut self) -> Result<()> {
        self.write_buffer()?;
        self.written.log_chunk(&self.name, self.done, &self.buffer);
        self.done += self.buffer.len() as u64;
        if self.written.is_durable() {
            self.file.start_writeback(self.done);
        }
        self.buffer.clear();
        Ok(())
    }
}

impl OutputFile for VfdOutput {
    fn path(&self) -> &str {
        &self.path
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        let mut rest = bytes;
        while self.buffer.len() + rest.len() > CHUNK {
            let (fits, after) = rest.split_at(CHUNK - self.buffer.len());
            self.buffer.extend_from_slice(fits);
            self.write_chunk()?;
            rest = after;
        }
        self.buffer.extend_from_slice(rest);
        Ok(())
    }

    fn write_owned(&mut self, bytes: Vec<u8>) -> Result<()> {
        if self.buffer.is_empty() && bytes.len() <= CHUNK {
            self.buffer = bytes;
            return Ok(());
        }
        self.write_all(&bytes)
    }

    fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.write_chunk()?;
        }
        self.buffer = Vec::new();
        Ok(())
    }

    /// The file is durable only after [`Written::sync`], which comes before any commit.
    fn finish(self: Box<Self>) -> Result<u64> {
        self.write_buffer()?;
        injection_point(&self.path, c"iceberg-file-finished")?;
        let length = self.done + self.buffer.len() as u64;
        let Self {
            name,
            file,
            written,
            done,
            buffer,
            ..
        } = *self;
        written.finish(name, file, done, buffer);
        Ok(length)
    }
}
