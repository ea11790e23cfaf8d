//! iceberg-lite's files on PostgreSQL's virtual file descriptors.

use std::cell::RefCell;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::error::{Error, Result};
use iceberg_lite::io::{FileIo, InputFile, OutputFile};
use iceberg_lite::manifest::ManifestCache;
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file::{self, ExternalFd, VfdFile};

use super::TableDirectory;
use crate::catalog::cache;

/// The files of one table's storage.
///
/// Files are written through PostgreSQL's VFD layer, on the backend's thread only. Files to read are
/// opened and accounted for by the backend and read with `pread`, so that any thread may read them.
/// Every path created is noted, so that an aborting transaction can remove it.
#[derive(Clone)]
pub struct VfdFileIo {
    directory: TableDirectory,
    durable: bool,
    created: Rc<RefCell<Vec<String>>>,
    unsynced: Rc<RefCell<Vec<VfdFile>>>,
}

impl VfdFileIo {
    /// File IO below `directory`; only if `durable` does [`Self::sync`] have anything to do.
    pub fn new(directory: TableDirectory, durable: bool) -> Self {
        Self {
            directory,
            durable,
            created: Rc::default(),
            unsynced: Rc::default(),
        }
    }

    /// The directory that all paths lie in.
    pub fn directory(&self) -> &TableDirectory {
        &self.directory
    }

    /// Makes every finished file durable, with its directory entry.
    ///
    /// Write-back of each file began when it was finished, so that one wait serves them all.
    pub fn sync(&self) -> PgResult<()> {
        let finished = self.unsynced.take();
        for file in &finished {
            file.sync()
                .map_err(|source| PgError::file_access("sync file", file.path(), &source))?;
        }
        if !finished.is_empty() {
            self.directory.sync()?;
        }
        Ok(())
    }

    /// Removes every file created: the transaction is rolled back.
    ///
    /// Failures are ignored: the file is an orphan then, which no metadata names.
    pub fn remove_created(&self) {
        self.unsynced.borrow_mut().clear();
        for path in self.created.borrow_mut().drain(..) {
            let _ = file::remove_file(&path);
        }
    }

    fn resolve(&self, operation: &'static str, path: &str) -> Result<String> {
        self.directory.resolve(path).ok_or_else(|| Error::Io {
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
        let local = self.resolve("open", path)?;
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
        let local = self.resolve("create", path)?;
        let file = VfdFile::create(&local).map_err(|source| Error::Io {
            operation: "create",
            path: local.clone(),
            source,
        })?;
        self.created.borrow_mut().push(local);
        Ok(Box::new(VfdOutput {
            path: path.to_owned(),
            file,
            len: 0,
            unsynced: self.durable.then(|| Rc::clone(&self.unsynced)),
        }))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let local = self.resolve("delete", path)?;
        file::remove_file(&local).map_err(|source| Error::Io {
            operation: "delete",
            path: local.clone(),
            source,
        })
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        Some(cache::manifests())
    }
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
    file: VfdFile,
    len: u64,
    /// Where the finished file waits for [`VfdFileIo::sync`]; none for a table that need not last.
    unsynced: Option<Rc<RefCell<Vec<VfdFile>>>>,
}

impl VfdOutput {
    fn failed(&self, operation: &'static str, source: std::io::Error) -> Error {
        Error::Io {
            operation,
            path: self.path.clone(),
            source,
        }
    }
}

impl OutputFile for VfdOutput {
    fn path(&self) -> &str {
        &self.path
    }

    fn write_all(&mut self, bytes: &[u8]) -> Result<()> {
        self.file
            .write_at(bytes, self.len)
            .map_err(|source| self.failed("write", source))?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// The file is durable only after [`VfdFileIo::sync`], which comes before any commit.
    fn finish(self: Box<Self>) -> Result<u64> {
        if let Some(unsynced) = self.unsynced {
            self.file.start_writeback(self.len);
            unsynced.borrow_mut().push(self.file);
        }
        Ok(self.len)
    }
}
