//! iceberg-lite's files on PostgreSQL's virtual file descriptors.
//!
//! Small files, which are most, are held in memory until they are whole, and are logged together when
//! the transaction is about to commit; their fsync can wait ([`super::sync_queue`]). A file that grows large is
//! logged in chunks as it is written, and synced before the commit.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::error::{Error, Result};
use iceberg_lite::io::{FileIo, InputFile, OutputFile};
use iceberg_lite::manifest::ManifestCache;
use iceberg_lite::scan::FooterCache;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file::{self, ExternalFd, VfdFile};
use pg_lakebase_core::injection;
use pg_lakebase_core::relation::Persistence;
use pg_lakebase_core::wal as core_wal;

use super::sync_queue::Handover;
use super::{StorageKey, TableDirectory, new_file_name};
use crate::catalog::cache;
use crate::wal::{self, FileContent};

/// The most bytes of a file that is held in memory, and of a chunk of a larger one.
const CHUNK: usize = 4 << 20;
/// The most bytes of whole files, of all tables, that are held in memory until the commit.
const HELD: usize = 16 << 20;

/// The files of one table's storage.
///
/// Files are written through PostgreSQL's VFD layer, on the backend's thread only. Files to read are
/// opened and accounted for by the backend and read with `pread`, so that any thread may read them.
/// Every path created is noted, so that an aborting transaction can remove it.
#[derive(Clone)]
pub struct VfdFileIo {
    key: StorageKey,
    directory: TableDirectory,
    written: Rc<Written>,
}

/// What a transaction has written into a storage.
struct Written {
    /// Whether the storage has to survive a crash.
    durable: bool,
    /// Whether it also goes into the write-ahead log.
    logged: bool,
    /// Names of the files created, relative to the table's directory.
    created: RefCell<Vec<String>>,
    /// Whether the log knows of any of them.
    in_log: Cell<bool>,
    finished: RefCell<Vec<Finished>>,
}

/// A whole file that is not durable yet.
struct Finished {
    name: String,
    file: VfdFile,
    /// What is not in the log yet: the file from this offset on.
    unlogged: Option<(u64, Held)>,
}

impl Finished {
    /// What is not in the log yet; a file of which nothing is may be told as the difference from `model`.
    fn unlogged_content<'a>(&'a self, model: Option<&'a Model>) -> Option<FileContent<'a>> {
        let (offset, bytes) = self.unlogged.as_ref()?;
        let model = model.filter(|_| *offset == 0);
        Some(FileContent {
            name: &self.name,
            offset: *offset,
            bytes: &bytes.0,
            like: model.map(|model| (&*model.name, &*model.bytes)),
        })
    }
}

/// Content of a file that is held in memory.
struct Held(Vec<u8>);

impl Held {
    fn new(bytes: Vec<u8>) -> Self {
        HELD_BYTES.set(HELD_BYTES.get() + bytes.capacity());
        Self(bytes)
    }

    fn take(mut self) -> Vec<u8> {
        HELD_BYTES.set(HELD_BYTES.get() - self.0.capacity());
        std::mem::take(&mut self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        HELD_BYTES.set(HELD_BYTES.get() - self.0.capacity());
    }
}

thread_local! {
    /// Bytes that [`Held`] values take.
    static HELD_BYTES: Cell<usize> = const { Cell::new(0) };
    /// The buffer of a model that has had its day.
    static SPARE_BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
    static LAST_MODEL: RefCell<Option<(TableDirectory, Model)>> = const { RefCell::new(None) };
}

/// A file that is in the log, to log another one as the difference from it.
struct Model {
    name: String,
    bytes: Vec<u8>,
}

impl Model {
    /// The file `name` of a table. It is read for the log's sake alone: if that is not possible, the
    /// other file is logged whole.
    fn find(directory: &TableDirectory, name: &str) -> Option<Self> {
        let last = LAST_MODEL.take();
        if let Some((last_directory, last)) = last
            && last_directory == *directory
            && last.name == name
        {
            return Some(last);
        }
        let bytes = std::fs::read(format!("{directory}/{name}")).ok()?;
        Some(Self {
            name: name.to_owned(),
            bytes,
        })
    }

    /// Keeps a file just logged: the next one is likely to be like it.
    fn keep(directory: &TableDirectory, name: String, bytes: Vec<u8>) {
        LAST_MODEL.set(Some((directory.clone(), Self { name, bytes })));
    }
}

impl VfdFileIo {
    /// File IO to read the files of the storage `key`.
    pub fn new(key: StorageKey) -> Self {
        Self::with_durability(key, false, false)
    }

    /// File IO to read and write the files of the storage `key` of a table of this persistence.
    pub fn to_write(key: StorageKey, persistence: Persistence) -> Self {
        let durable = persistence == Persistence::Permanent;
        Self::with_durability(key, durable, durable && core_wal::is_needed())
    }

    fn with_durability(key: StorageKey, durable: bool, logged: bool) -> Self {
        Self {
            key,
            directory: TableDirectory::of(&key),
            written: Rc::new(Written {
                durable,
                logged,
                created: RefCell::default(),
                in_log: Cell::new(false),
                finished: RefCell::default(),
            }),
        }
    }

    /// The directory that all paths lie in.
    pub fn directory(&self) -> &TableDirectory {
        &self.directory
    }

    /// Makes every finished file durable: by the log, where there is one, or on disk.
    ///
    /// `like` names, of a file, another one that it repeats for the most part.
    pub fn sync<'a>(&self, like: impl Fn(&str) -> Option<&'a str>) -> PgResult<()> {
        let finished = self.written.finished.take();
        if finished.is_empty() {
            return Ok(());
        }
        if !self.written.logged {
            return self.sync_now(&finished);
        }
        let models: Vec<Option<Model>> = finished
            .iter()
            .map(|file| Model::find(&self.directory, like(&file.name)?))
            .collect();
        let handover = Handover::begin();
        let unlogged: Vec<FileContent<'_>> = finished
            .iter()
            .zip(&models)
            .filter_map(|(file, model)| file.unlogged_content(model.as_ref()))
            .collect();
        self.written.in_log.set(true);
        let all_small = finished
            .iter()
            .all(|file| matches!(file.unlogged, Some((0, _))));
        if all_small {
            wal::write_files_unsynced(&self.key, &unlogged, handover.delay());
        } else {
            wal::write_files(&self.key, &unlogged);
        }
        injection::point(c"iceberg-files-logged");
        let paths: Vec<&str> = finished.iter().map(|file| file.file.path()).collect();
        if !(all_small && handover.leave_to_syncer(&paths)) {
            self.sync_now(&finished)?;
            if all_small {
                wal::sync_files();
            }
        }
        drop(handover);
        for (file, model) in finished.into_iter().zip(models) {
            if let (Some(mut model), Some((0, bytes))) = (model, file.unlogged) {
                model.bytes.clear();
                SPARE_BUFFER.set(model.bytes);
                Model::keep(&self.directory, file.name, bytes.take());
            }
        }
        Ok(())
    }

    /// Logs the files in memory when they have become many.
    fn log_when_many(&self) {
        if HELD_BYTES.get() <= HELD {
            return;
        }
        let mut finished = self.written.finished.borrow_mut();
        let unlogged: Vec<FileContent<'_>> = finished
            .iter()
            .filter_map(|file| file.unlogged_content(None))
            .collect();
        self.written.in_log.set(true);
        wal::write_files(&self.key, &unlogged);
        for file in finished.iter_mut() {
            file.unlogged = None;
        }
    }

    /// Write-back of all files begins before the first is waited for.
    fn sync_now(&self, finished: &[Finished]) -> PgResult<()> {
        for Finished { file, .. } in finished {
            file.start_writeback(file.size().unwrap_or(0));
        }
        for Finished { file, .. } in finished {
            file.sync()
                .map_err(|source| PgError::file_access("sync file", file.path(), &source))?;
        }
        self.directory.sync()
    }

    /// Removes every file created: the transaction is rolled back.
    ///
    /// Failures are ignored: the file is an orphan then, which no metadata names.
    pub fn remove_created(&self) {
        self.written.finished.borrow_mut().clear();
        let created = self.written.created.take();
        for name in &created {
            let _ = file::remove_file(&self.local(name));
        }
        if self.written.in_log.get() && !created.is_empty() {
            wal::remove_files(&self.key, created.iter().map(String::as_str));
        }
    }

    /// The path, below the data directory, of a file of the table's directory.
    fn local(&self, name: &str) -> String {
        format!("{}/{name}", self.directory)
    }

    /// The name, relative to the table's directory, of a file that metadata name by `path`.
    fn name(&self, operation: &'static str, path: &str) -> Result<String> {
        self.directory
            .name_of(path)
            .map(str::to_owned)
            .ok_or_else(|| Error::Io {
                operation,
                path: path.to_owned(),
                source: std::io::Error::new(
                    std::io::ErrorKind::InvalidInput,
                    format!(
                        "the file does not lie in the table's directory \"{}\"",
                        self.directory
                    ),
                ),
            })
    }
}

impl FileIo for VfdFileIo {
    fn open(&self, path: &str) -> Result<Arc<dyn InputFile>> {
        let local = self.local(&self.name("open", path)?);
        let failed = |source| Error::Io {
            operation: "open",
            path: local.clone(),
            source,
        };
        let fd = ExternalFd::open(&local).map_err(failed)?;
        let len = fd.size().map_err(failed)?;
        Ok(Arc::new(PreadFile {
            path: path.to_owned(),
            fd,
            len,
        }))
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        let name = self.name("create", path)?;
        let local = self.local(&name);
        let file = VfdFile::create(&local).map_err(|source| Error::Io {
            operation: "create",
            path: local,
            source,
        })?;
        self.written.created.borrow_mut().push(name.clone());
        injection_point(path, c"iceberg-file-created")?;
        Ok(Box::new(VfdOutput {
            path: path.to_owned(),
            name,
            file,
            io: self.clone(),
            done: 0,
            buffer: Vec::new(),
        }))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let name = self.name("delete", path)?;
        let local = self.local(&name);
        file::remove_file(&local).map_err(|source| Error::Io {
            operation: "delete",
            path: local,
            source,
        })?;
        self.written
            .created
            .borrow_mut()
            .retain(|created| *created != name);
        self.written
            .finished
            .borrow_mut()
            .retain(|file| file.name != name);
        if self.written.in_log.get() {
            wal::remove_files(&self.key, [&*name].into_iter());
        }
        Ok(())
    }

    fn unique_name(&self) -> String {
        new_file_name()
    }

    fn buffer(&self) -> Vec<u8> {
        SPARE_BUFFER.take()
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        Some(cache::manifests())
    }

    fn footer_cache(&self) -> Option<Rc<FooterCache>> {
        Some(cache::footers())
    }
}

/// A point at which tests wait or fail; what it raises comes back as an error of the file's.
fn injection_point(path: &str, name: &'static std::ffi::CStr) -> Result<()> {
    pg_lakebase_core::error::catch(|| injection::point(name)).map_err(|error| Error::Io {
        operation: "write",
        path: path.to_owned(),
        source: std::io::Error::other(error.message),
    })
}

/// An open file, read by position.
struct PreadFile {
    path: String,
    fd: ExternalFd,
    len: u64,
}

impl InputFile for PreadFile {
    fn path(&self) -> &str {
        &self.path
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> Result<()> {
        self.fd
            .read_exact_at(buf, offset)
            .map_err(|source| Error::Io {
                operation: "read",
                path: self.path.clone(),
                source,
            })
    }
}

/// A file being written through the VFD layer.
struct VfdOutput {
    path: String,
    name: String,
    file: VfdFile,
    io: VfdFileIo,
    /// Bytes written to the file, and logged.
    done: u64,
    /// What follows them.
    buffer: Vec<u8>,
}

impl VfdOutput {
    /// Writes what is in the buffer.
    fn write_buffer(&self) -> Result<()> {
        self.file
            .write_at(&self.buffer, self.done)
            .map_err(|source| Error::Io {
                operation: "write",
                path: self.path.clone(),
                source,
            })
    }

    /// Writes and logs what is in the buffer: the file is a large one.
    fn write_chunk(&mut self) -> Result<()> {
        self.write_buffer()?;
        if self.io.written.logged {
            self.io.written.in_log.set(true);
            let chunk = FileContent {
                name: &self.name,
                offset: self.done,
                bytes: &self.buffer,
                like: None,
            };
            wal::write_files(&self.io.key, &[chunk]);
        }
        self.done += self.buffer.len() as u64;
        if self.io.written.durable {
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

    /// The file is durable only after [`VfdFileIo::sync`], which comes before any commit.
    fn finish(self: Box<Self>) -> Result<u64> {
        self.write_buffer()?;
        injection_point(&self.path, c"iceberg-file-finished")?;
        let length = self.done + self.buffer.len() as u64;
        let written = Rc::clone(&self.io.written);
        if written.durable {
            let Self {
                name,
                file,
                io,
                done,
                buffer,
                ..
            } = *self;
            let unlogged = written.logged.then(|| (done, Held::new(buffer)));
            written.finished.borrow_mut().push(Finished {
                name,
                file,
                unlogged,
            });
            io.log_when_many();
        }
        Ok(length)
    }
}
