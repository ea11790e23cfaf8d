//! Files in memory.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Range;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use crate::error::{Error, Result};
use crate::io::{FileIo, InputFile, OutputFile};
use crate::scan::{DeleteCache, FooterCache};

/// A finished file, which counts the reads and the bytes read.
#[derive(Default)]
pub(super) struct MemoryFile {
    pub(super) bytes: Vec<u8>,
    pub(super) reads: AtomicU64,
    pub(super) bytes_read: AtomicU64,
    /// What was told to be read soon, and perhaps later.
    pub(super) prepared: Mutex<Vec<Range<u64>>>,
    pub(super) prefetched: Mutex<Vec<Range<u64>>>,
    /// Reads of what nobody had told of.
    pub(super) unprepared: Mutex<Vec<Range<u64>>>,
}

impl MemoryFile {
    pub(super) fn new(bytes: Vec<u8>) -> Arc<Self> {
        Arc::new(Self {
            bytes,
            ..Self::default()
        })
    }

    /// Forgets what was read so far.
    pub(super) fn reset(&self) {
        self.reads.store(0, Ordering::Relaxed);
        self.bytes_read.store(0, Ordering::Relaxed);
        for ranges in [&self.prepared, &self.prefetched, &self.unprepared] {
            ranges.lock().unwrap().clear();
        }
    }
}

impl InputFile for MemoryFile {
    fn path(&self) -> &str {
        "memory"
    }

    fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.reads.fetch_add(1, Ordering::Relaxed);
        self.bytes_read
            .fetch_add(buf.len() as u64, Ordering::Relaxed);
        let end = offset + buf.len() as u64;
        let prepared = self.prepared.lock().unwrap();
        if !(prepared.iter()).any(|range| range.start <= offset && end <= range.end) {
            self.unprepared.lock().unwrap().push(offset..end);
        }
        let start = usize::try_from(offset).unwrap();
        match self.bytes.get(start..start + buf.len()) {
            Some(bytes) => buf.copy_from_slice(bytes),
            None => {
                let source = std::io::ErrorKind::UnexpectedEof.into();
                return Err(Error::io("read", "memory", source));
            }
        }
        Ok(())
    }

    fn prepare(&self, ranges: &[Range<u64>]) -> Result<()> {
        self.prepared.lock().unwrap().extend_from_slice(ranges);
        Ok(())
    }

    fn prefetch(&self, ranges: &[Range<u64>]) -> Result<()> {
        self.prefetched.lock().unwrap().extend_from_slice(ranges);
        Ok(())
    }
}

/// A file being written; its bytes can be taken once it is finished.
#[derive(Clone, Default)]
pub(super) struct MemoryOutput {
    bytes: Arc<Mutex<Vec<u8>>>,
}

impl MemoryOutput {
    pub(super) fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.bytes.lock().unwrap())
    }
}

impl OutputFile for MemoryOutput {
    fn path(&self) -> &str {
        "memory"
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.bytes.lock().unwrap().extend_from_slice(bytes);
        Ok(())
    }

    fn finish(self: Box<Self>) -> Result<u64> {
        Ok(self.bytes.lock().unwrap().len() as u64)
    }
}

/// Files in memory by path.
#[derive(Default)]
pub(super) struct MemoryIo(
    pub(super) RefCell<BTreeMap<String, Arc<MemoryFile>>>,
    pub(super) Option<Rc<FooterCache>>,
    pub(super) Option<Rc<DeleteCache>>,
);

impl FileIo for MemoryIo {
    fn open(&self, path: &str, _: Option<u64>) -> Result<Arc<dyn InputFile>> {
        match self.0.borrow().get(path) {
            Some(file) => Ok(Arc::new(Opened {
                path: path.to_owned(),
                file: Arc::clone(file),
            })),
            None => Err(Error::io("open", path, std::io::ErrorKind::NotFound.into())),
        }
    }

    fn create(&self, _: &str) -> Result<Box<dyn OutputFile>> {
        unreachable!("nothing is created")
    }

    fn delete(&self, _: &str) -> Result<()> {
        unreachable!("nothing is deleted")
    }

    fn footer_cache(&self) -> Option<Rc<FooterCache>> {
        self.1.clone()
    }

    fn delete_cache(&self) -> Option<Rc<DeleteCache>> {
        self.2.clone()
    }
}

/// A file with the path it was opened by.
struct Opened {
    path: String,
    file: Arc<MemoryFile>,
}

impl InputFile for Opened {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        self.file.len()
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.file.read_at(offset, buf)
    }
}
