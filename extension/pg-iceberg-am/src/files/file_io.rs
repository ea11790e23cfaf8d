//! iceberg-lite's files on PostgreSQL's virtual file descriptors.

use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::error::{Error, Result};
use iceberg_lite::io::{FileIo, InputFile, OutputFile};
use iceberg_lite::manifest::ManifestCache;
use iceberg_lite::scan::FooterCache;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::file::{self, ExternalFd, VfdFile};
use pg_lakebase_core::relation::Persistence;

use super::output::VfdOutput;
use super::written::Written;
use super::{cache, held};
use crate::directory::{StorageKey, TableDirectory, new_file_name, new_merged_file_name};

/// The files of one table's storage.
///
/// Files are written through PostgreSQL's VFD layer, on the backend's thread only. Files to read are
/// opened and accounted for by the backend and read with `pread`, so that any thread may read them.
/// Every path created is noted, so that an aborting transaction can remove it.
#[derive(Clone)]
pub struct VfdFileIo {
    written: Rc<Written>,
    new_name: fn() -> String,
}

impl VfdFileIo {
    /// File IO to read the files of the storage `key`.
    pub fn new(key: StorageKey) -> Self {
        Self {
            written: Rc::new(Written::new(key, None)),
            new_name: new_file_name,
        }
    }

    /// File IO to read and write the files of the storage `key` of a table of this persistence.
    pub fn to_write(key: StorageKey, persistence: Persistence) -> Self {
        Self {
            written: Rc::new(Written::new(key, Some(persistence))),
            new_name: new_file_name,
        }
    }

    /// As [`Self::to_write`], outside of transactions: the names of new files tell of none.
    pub fn to_merge(key: StorageKey, persistence: Persistence) -> Self {
        Self {
            new_name: new_merged_file_name,
            ..Self::to_write(key, persistence)
        }
    }

    /// The directory that all paths lie in.
    pub fn directory(&self) -> &TableDirectory {
        self.written.directory()
    }

    /// Makes every finished file durable ([`Written::sync`]).
    pub fn sync<'a>(&self, like: impl Fn(&str) -> Option<&'a str>) -> PgResult<()> {
        self.written.sync(like)
    }

    /// Removes every file created: what made them is rolled back.
    pub fn remove_created(&self) {
        self.written.remove_created();
    }

    /// The name, relative to the table's directory, of a file that metadata name by `path`, and its path below
    /// the data directory.
    fn locate(&self, operation: &'static str, path: &str) -> Result<(String, String)> {
        let directory = self.directory();
        let name = directory.name_of(path).ok_or_else(|| {
            let reason = format!("the file does not lie in the table's directory \"{directory}\"");
            io_error(operation, path)(std::io::Error::new(ErrorKind::InvalidInput, reason))
        })?;
        Ok((name.to_owned(), format!("{directory}/{name}")))
    }
}

fn io_error(operation: &'static str, path: &str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

impl FileIo for VfdFileIo {
    fn open(&self, path: &str) -> Result<Arc<dyn InputFile>> {
        let (_, local) = self.locate("open", path)?;
        let failed = io_error("open", &local);
        let fd = ExternalFd::open(&local).map_err(&failed)?;
        let len = fd.size().map_err(&failed)?;
        Ok(Arc::new(PreadFile {
            path: path.to_owned(),
            fd,
            len,
        }))
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        let (name, local) = self.locate("create", path)?;
        let file = VfdFile::create(&local).map_err(io_error("create", &local))?;
        let output = VfdOutput::new(path, name, file, Rc::clone(&self.written))?;
        Ok(Box::new(output))
    }

    fn delete(&self, path: &str) -> Result<()> {
        let (name, local) = self.locate("delete", path)?;
        file::remove_file(&local).map_err(io_error("delete", &local))?;
        self.written.note_deleted(&name);
        Ok(())
    }

    fn unique_name(&self) -> String {
        (self.new_name)()
    }

    fn buffer(&self) -> Vec<u8> {
        held::buffer()
    }

    fn manifest_cache(&self) -> Option<Rc<ManifestCache>> {
        Some(cache::manifests())
    }

    fn footer_cache(&self) -> Option<Rc<FooterCache>> {
        Some(cache::footers())
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
            .map_err(io_error("read", &self.path))
    }
}
