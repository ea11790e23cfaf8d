//! What a transaction has written for an object store: kept here until it is handed over, before the commit.
//!
//! Nobody else needs to hear of a transaction that is rolled back: what it had handed over already is found by the names
//! of the objects.

use std::cell::{Cell, RefCell};
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::error::Result;
use iceberg_lite::io::{InputFile, OutputFile};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file::{ExternalFdPermit, VfdFile};
use pg_lakebase_storage::client::Put;

use super::file_io::{injection_point, io_error};
use super::object_file;
use super::place::ObjectPlace;
use crate::error::StoreError;
use crate::stores::{self, Store};

/// The most bytes of a file that is held in memory.
const MOST: usize = 4 << 20;
/// The most files that are handed over at once: their descriptors are open meanwhile.
const BATCH: usize = 64;
/// With so many bytes of data files, they are handed over before the commit.
const MANY_BYTES: u64 = 64 << 20;

/// The files that a transaction has made for one storage and not handed over yet.
pub struct Staged {
    place: ObjectPlace,
    files: RefCell<Vec<Rc<StagedFile>>>,
    /// Of the files.
    sizes: Cell<Sizes>,
}

#[derive(Clone, Copy, Default)]
struct Sizes {
    /// How many data files there are.
    data_files: usize,
    /// Bytes of those.
    data: u64,
    /// Bytes of all files that are in memory.
    in_memory: usize,
}

/// A file that is whole.
struct StagedFile {
    name: String,
    length: u64,
    content: Content,
}

enum Content {
    Memory(Arc<Vec<u8>>),
    /// A temporary file.
    File(VfdFile),
}

impl Staged {
    /// Nothing yet.
    pub fn new(place: ObjectPlace) -> Self {
        Self {
            place,
            files: RefCell::default(),
            sizes: Cell::default(),
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
            let length = file.length;
            Arc::new(StagedInput {
                path,
                length,
                bytes,
            }) as Arc<dyn InputFile>
        }))
    }

    /// Begins the file of this name, that metadata know by `path`.
    pub fn create(self: &Rc<Self>, path: &str, name: &str) -> Result<Box<dyn OutputFile>> {
        injection_point(path, c"iceberg-file-created")?;
        Ok(Box::new(StagedOutput {
            path: path.to_owned(),
            name: name.to_owned(),
            staged: Rc::clone(self),
            buffer: Vec::new(),
            file: None,
            done: 0,
        }))
    }

    /// Forgets a file.
    pub fn forget(&self, name: &str) {
        self.retain(|file| file.name != name);
    }

    /// Forgets all files.
    pub fn forget_all(&self) {
        self.retain(|_| false);
    }

    /// Bytes of memory that the files take.
    pub fn memory_bytes(&self) -> usize {
        self.sizes.get().in_memory
    }

    /// Whether there are so many data files, or so large ones, that they should not stay here until the commit.
    pub fn has_many(&self) -> bool {
        let sizes = self.sizes.get();
        sizes.data_files >= BATCH || sizes.data >= MANY_BYTES
    }

    fn push(&self, file: StagedFile) {
        self.files.borrow_mut().push(Rc::new(file));
        self.measure();
    }

    fn retain(&self, is_kept: impl Fn(&Rc<StagedFile>) -> bool) {
        self.files.borrow_mut().retain(is_kept);
        self.measure();
    }

    fn measure(&self) {
        let mut sizes = Sizes::default();
        for file in self.files.borrow().iter() {
            if file.is_data() {
                sizes.data_files += 1;
                sizes.data += file.length;
            }
            if let Content::Memory(bytes) = &file.content {
                sizes.in_memory += bytes.capacity();
            }
        }
        self.sizes.set(sizes);
    }
}

/// Hands files over, those of several storages together: they are in the store when this returns. What has not arrived
/// when it fails stays staged.
pub fn hand_over<'a>(all: impl Iterator<Item = &'a Staged>, which: Which) -> PgResult<()> {
    let mut left: Vec<(&Staged, Rc<StagedFile>)> = Vec::new();
    for staged in all {
        let files = staged.files.borrow();
        let meant = (files.iter()).filter(|file| which == Which::All || file.is_data());
        left.extend(meant.map(|file| (staged, Rc::clone(file))));
    }
    while let Some((first, _)) = left.first() {
        let store = first.store();
        let (mut these, others): (Vec<_>, Vec<_>) =
            (left.into_iter()).partition(|(staged, _)| staged.store().spec() == store.spec());
        let count = put_some(store, &these).map_err(StoreError::into_pg_error)?;
        for (staged, file) in these.drain(..count) {
            staged.retain(|kept| !Rc::ptr_eq(kept, &file));
        }
        these.extend(others);
        left = these;
    }
    Ok(())
}

/// Which files are handed over.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// Data files, which are the most: nobody waits for them yet.
    Data,
    All,
}

/// Puts the first of these files into the store, as many as may be open at once. Returns how many.
fn put_some(
    store: &Arc<Store>,
    files: &[(&Staged, Rc<StagedFile>)],
) -> std::result::Result<usize, StoreError> {
    // Also where these files are to lie under one that the server has left meanwhile.
    stores::claimed_identity(store).map_err(StoreError::Raised)?;
    let mut contents = Vec::new();
    for (_, file) in files.iter().take(BATCH) {
        let opened =
            object_file::permit().and_then(|permit| Ok((file.content.descriptor()?, permit)));
        let (descriptor, permit) = match opened {
            Ok(opened) => opened,
            // There are no more descriptors.
            Err(_) if !contents.is_empty() => break,
            Err(source) => return Err(unreadable(&file.name, &source)),
        };
        let object = store.object(&file.name).map_err(StoreError::Raised)?;
        contents.push((object, descriptor, file.length, permit));
    }
    let mut puts = Vec::with_capacity(contents.len());
    for (object, descriptor, length, _permit) in &contents {
        let put = Put::new(object, descriptor, *length);
        puts.push(put.map_err(|source| unreadable(object.path.as_str(), &source))?);
    }
    stores::ask(store, |client| client.put(&puts))?;
    Ok(puts.len())
}

fn unreadable(name: &str, source: &io::Error) -> StoreError {
    StoreError::Raised(PgError::file_access("hand over file", name, source))
}

impl StagedFile {
    fn is_data(&self) -> bool {
        self.name.contains("/data/")
    }
}

impl Content {
    /// A descriptor of the whole content.
    fn descriptor(&self) -> io::Result<File> {
        match self {
            Self::File(file) => Ok(file.raw_descriptor()?.try_clone_to_owned()?.into()),
            Self::Memory(bytes) => stores::in_memory(bytes),
        }
    }

    fn open(&self) -> io::Result<Bytes> {
        Ok(match self {
            Self::Memory(bytes) => Bytes::Memory(Arc::clone(bytes)),
            Self::File(_) => {
                let permit = object_file::permit()?;
                Bytes::File(self.descriptor()?, permit)
            }
        })
    }
}

/// A file that has not been handed over, open for reading.
struct StagedInput {
    path: String,
    length: u64,
    bytes: Bytes,
}

enum Bytes {
    Memory(Arc<Vec<u8>>),
    File(File, ExternalFdPermit),
}

impl InputFile for StagedInput {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        self.length
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
        injection_point(&self.path, c"iceberg-file-finished")?;
        let content = match self.file.take() {
            Some(file) => Content::File(file),
            None => Content::Memory(Arc::new(std::mem::take(&mut self.buffer))),
        };
        self.staged.push(StagedFile {
            name: std::mem::take(&mut self.name),
            length,
            content,
        });
        Ok(length)
    }
}
