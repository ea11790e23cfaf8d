//! The traits through which every byte is read and written.

use std::ops::Range;
use std::rc::Rc;
use std::sync::Arc;

use super::names::unique_name;
use crate::error::{Error, Result};
use crate::manifest::ManifestCache;
use crate::scan::{DeleteCache, FooterCache};

/// Opens, creates and deletes files by the absolute path or URI that metadata stores.
///
/// Not `Send`: an implementation may belong to one thread. What it opens is shareable.
pub trait FileIo {
    /// Opens an existing file for positional reads. `length` is what metadata say of it, in bytes, where they do: it
    /// saves asking for it, where that costs something.
    fn open(&self, path: &str, length: Option<u64>) -> Result<Arc<dyn InputFile>>;

    /// Creates a file that must not exist yet, and whatever directories it needs.
    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>>;

    /// Deletes a file; a file that is not there is an error of kind `NotFound`.
    fn delete(&self, path: &str) -> Result<()>;

    /// What tells a new file from all others of its table, in at most 24 characters.
    fn unique_name(&self) -> String {
        unique_name()
    }

    /// An empty buffer for the content of a file, which may have been one before: large ones are costly
    /// to allocate.
    fn buffer(&self) -> Vec<u8> {
        Vec::new()
    }

    /// Where what was parsed of manifest lists and manifests is kept, if anywhere.
    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        None
    }

    /// Where footers of Parquet files are kept, if anywhere.
    fn footer_cache(&self) -> Option<Rc<FooterCache>> {
        None
    }

    /// Where what was read of deletes about a single data file is kept, if anywhere.
    fn delete_cache(&self) -> Option<Rc<DeleteCache>> {
        None
    }
}

/// An immutable file, open for reading from any thread.
pub trait InputFile: Send + Sync {
    /// The path it was opened by.
    fn path(&self) -> &str;

    /// Its length in bytes.
    fn len(&self) -> u64;

    /// Whether it has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from `offset`; fewer bytes than asked for is an error of kind `UnexpectedEof`.
    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()>;

    /// Tells which bytes will be read soon, so that what is far away is fetched in few requests, and returns without
    /// waiting for more than that takes. Ranges lie within the file; what was not told is read all the same.
    fn prepare(&self, ranges: &[Range<u64>]) -> Result<()> {
        let _ = ranges;
        Ok(())
    }

    /// Tells which bytes will perhaps be read later, so that they are fetched meanwhile, and waits for nothing.
    fn prefetch(&self, ranges: &[Range<u64>]) -> Result<()> {
        let _ = ranges;
        Ok(())
    }

    /// The whole file, which must be no longer than `limit` bytes.
    fn read_all(&self, limit: u64) -> Result<Vec<u8>> {
        let too_long = |detail: String| {
            let source = std::io::Error::new(std::io::ErrorKind::FileTooLarge, detail);
            Error::io("read", self.path(), source)
        };
        let len = self.len();
        if len > limit {
            return Err(too_long(format!("{len} bytes, the limit is {limit}")));
        }
        let len = usize::try_from(len).map_err(|e| too_long(e.to_string()))?;
        let mut bytes = vec![0; len];
        self.read_at(0, &mut bytes)?;
        Ok(bytes)
    }
}

/// A file that is being written, from its first byte to its last.
///
/// Dropping it without [`finish`](Self::finish) leaves an incomplete file behind, which the caller
/// deletes.
pub trait OutputFile {
    /// The path it was created by.
    fn path(&self) -> &str;

    /// Appends all of `bytes`.
    fn write_all(&mut self, bytes: &[u8]) -> Result<()>;

    /// Appends all of `bytes`, which the file may keep.
    fn write_owned(&mut self, bytes: Vec<u8>) -> Result<()> {
        self.write_all(&bytes)
    }

    /// Bytes that the file holds in memory.
    fn memory_bytes(&self) -> usize {
        0
    }

    /// Writes what it holds in memory.
    fn flush(&mut self) -> Result<()> {
        Ok(())
    }

    /// Makes the file durable and returns its length in bytes.
    fn finish(self: Box<Self>) -> Result<u64>;
}
