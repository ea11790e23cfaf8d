//! What a transaction has written for an object store: kept here until it is handed over, before the commit.
//!
//! Nobody else needs to hear of a transaction that is rolled back: what it had handed over already is found by the names
//! of the objects.

use std::cell::RefCell;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::error::Result;
use iceberg_lite::io::{InputFile, OutputFile};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file::{ExternalFdPermit, VfdFile};
use pg_lakebase_core::injection;
use pg_lakebase_storage::client::Put;

use super::file_io::io_error;
use super::place::ObjectPlace;
use crate::error::StoreError;
use crate::stores::{self, Store};

/// The most bytes of a file that is held in memory.
const MOST: usize = 4 << 20;
/// The most files that are handed over at once: their descriptors are open meanwhile.
const BATCH: usize = 64;

/// The files that a transaction has made and not handed over yet.
pub struct Staged {
    place: ObjectPlace,
    files: RefCell<Vec<StagedFile>>,
}

/// A file that is whole.
struct StagedFile {
    name: String,
    content: Content,
}

enum Content {
    Memory(Arc<Vec<u8>>),
    /// A temporary file, and its length.
    File(VfdFile, u64),
}

impl Staged {
    /// Nothing yet.
    pub fn new(place: ObjectPlace) -> Self {
        Self {
            place,
            files: RefCell::default(),
        }
    }

    /// The store that they are for.
    pub fn store(&self) -> &Arc<Store> {
        &self.place.store
    }

    /// A file that is whole and has not been handed over, for reading.
    pub fn open(&self, path: &str, name: &str) -> Option<io::Result<Arc<dyn InputFile>>> {
        let files = self.files.borrow();
        let file = files.iter().find(|file| file.name == name)?;
        Some(file.content.open().map(|bytes| {
            let path = path.to_owned();
            Arc::new(StagedInput { path, bytes }) as Arc<dyn InputFile>
        }))
    }

    /// Begins the file of this name, that metadata know by `path`.
    pub fn create(self: &Rc<Self>, path: &str, name: &str) -> Box<dyn OutputFile> {
        Box::new(StagedOutput {
            path: path.to_owned(),
            name: name.to_owned(),
            staged: Rc::clone(self),
            buffer: Vec::new(),
            file: None,
            done: 0,
        })
    }

    /// Forgets a file.
    pub fn forget(&self, name: &str) {
        self.files.borrow_mut().retain(|file| file.name != name);
    }

    /// Forgets all files.
    pub fn forget_all(&self) {
        self.files.take();
    }

    /// Hands all files over. They are in the store when this returns.
    pub fn hand_over(&self) -> PgResult<()> {
        injection::point(c"iceberg-handing-over");
        self.hand_over_if(|_| true)
            .map_err(StoreError::into_pg_error)
    }

    /// Hands data files over: they are the most, and nobody is kept waiting for them yet.
    pub fn hand_over_data(&self) -> PgResult<()> {
        self.hand_over_if(|file| file.name.contains("/data/"))
            .map_err(StoreError::into_pg_error)
    }

    fn hand_over_if(
        &self,
        is_meant: impl Fn(&StagedFile) -> bool,
    ) -> std::result::Result<(), StoreError> {
        let files: Vec<StagedFile> = (self.files.borrow_mut())
            .extract_if(.., |file| is_meant(file))
            .collect();
        for batch in files.chunks(BATCH) {
            self.put(batch)?;
        }
        Ok(())
    }

    fn put(&self, files: &[StagedFile]) -> std::result::Result<(), StoreError> {
        // Also where these files are to lie under one that the server has left meanwhile.
        stores::claimed_identity(&self.place.store).map_err(StoreError::Raised)?;
        let mut contents = Vec::with_capacity(files.len());
        for file in files {
            let opened = file.content.descriptor();
            let (descriptor, length) = opened.map_err(|source| unreadable(&file.name, &source))?;
            let object = self.place.store.object(&file.name);
            contents.push((object.map_err(StoreError::Raised)?, descriptor, length));
        }
        let mut puts = Vec::with_capacity(contents.len());
        for (object, descriptor, length) in &contents {
            let put = Put::new(object, descriptor, *length);
            puts.push(put.map_err(|source| unreadable(object.path.as_str(), &source))?);
        }
        stores::ask(&self.place.store, |client| client.put(&puts))?;
        Ok(())
    }
}

fn unreadable(name: &str, source: &io::Error) -> StoreError {
    StoreError::Raised(PgError::file_access("hand over file", name, source))
}

impl Content {
    /// A descriptor of the whole content, and its length.
    fn descriptor(&self) -> io::Result<(File, u64)> {
        match self {
            Self::File(file, length) => {
                let descriptor = file.raw_descriptor()?.try_clone_to_owned()?;
                Ok((descriptor.into(), *length))
            }
            Self::Memory(bytes) => Ok((stores::in_memory(bytes)?, bytes.len() as u64)),
        }
    }

    fn open(&self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Memory(bytes) => Bytes::Memory(Arc::clone(bytes)),
            Self::File(file, length) => {
                let permit = ExternalFdPermit::acquire()?;
                let file = File::from(file.raw_descriptor()?.try_clone_to_owned()?);
                Bytes::File(file, *length, permit)
            }
        })
    }
}

/// A file that has not been handed over, open for reading.
struct StagedInput {
    path: String,
    bytes: Bytes,
}

enum Bytes {
    Memory(Arc<Vec<u8>>),
    File(File, u64, ExternalFdPermit),
}

impl InputFile for StagedInput {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        match &self.bytes {
            Bytes::Memory(bytes) => bytes.len() as u64,
            Bytes::File(_, length, _) => *length,
        }
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        let read = match &self.bytes {
            Bytes::File(file, ..) => file.read_exact_at(buf, offset),
            Bytes::Memory(bytes) => usize::try_from(offset)
                .ok()
                .and_then(|start| bytes.get(start..start.checked_add(buf.len())?))
                .map(|found| buf.copy_from_slice(found))
                .ok_or_else(|| io::ErrorKind::UnexpectedEof.into()),
        };
        read.map_err(io_error("read", &self.path))
    }
}

/// A file that is being written.
struct StagedOutput {
    path: String,
    name: String,
    staged: Rc<Staged>,
    /// What follows the bytes in `file`.
    buffer: Vec<u8>,
    /// Made when there is too much for memory.
    file: Option<VfdFile>,
    done: u64,
}

impl StagedOutput {
    fn write_buffer(&mut self) -> Result<()> {
        let file = match self.file.take() {
            Some(file) => file,
            // Raises what PostgreSQL says of it.
            None => VfdFile::temporary(),
        };
        file.write_at(&self.buffer, self.done)
            .map_err(io_error("write", &self.path))?;
        self.file = Some(file);
        self.done += self.buffer.len() as u64;
        self.buffer.clear();
        Ok(())
    }
}

impl OutputFile for StagedOutput {
    fn path(&self) -> &str {
        &self.path
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.buffer.extend_from_slice(bytes);
        if self.buffer.len() > MOST {
            self.write_buffer()?;
        }
        Ok(())
    }

    fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    fn flush(&mut self) -> Result<()> {
        if !self.buffer.is_empty() {
            self.write_buffer()?;
        }
        self.buffer = Vec::new();
        Ok(())
    }

    fn finish(mut self: Box<Self>) -> Result<u64> {
        let length = self.done + self.buffer.len() as u64;
        if self.file.is_some() && !self.buffer.is_empty() {
            self.write_buffer()?;
        }
        let content = match self.file.take() {
            Some(file) => Content::File(file, length),
            None => Content::Memory(Arc::new(std::mem::take(&mut self.buffer))),
        };
        let is_large = matches!(content, Content::File(..));
        let name = std::mem::take(&mut self.name);
        let file = StagedFile { name, content };
        if is_large {
            // A temporary file goes as soon as it can.
            let put = self.staged.put(&[file]);
            put.map_err(|error| io_error("write", &self.path)(error.into()))?;
        } else {
            self.staged.files.borrow_mut().push(file);
        }
        Ok(length)
    }
}
