//! iceberg-lite's files: on PostgreSQL's virtual file descriptors, or in an object store.

use std::ffi::CStr;
use std::io::ErrorKind;
use std::rc::Rc;
use std::sync::Arc;

use iceberg_lite::error::{Error, Result};
use iceberg_lite::io::{FileIo, InputFile, OutputFile};
use iceberg_lite::manifest::ManifestCache;
use iceberg_lite::scan::{DeleteCache, FooterCache};
use pg_lakebase_core::error::{PgResult, catch};
use pg_lakebase_core::file::{self, ExternalFd, VfdFile};
use pg_lakebase_core::injection;
use pg_lakebase_core::relation::Persistence;

use super::object_file::ObjectFile;
use super::output::VfdOutput;
use super::place::Place;
use super::staged::{self, Staged, Which};
use super::written::Written;
use super::{cache, held};
use crate::directory::{StorageKey, new_file_name, new_merged_file_name};

/// The files of one table's storage.
///
/// Local files are written through PostgreSQL's VFD layer, on the backend's thread only. Files to read are
/// opened and accounted for by the backend and read with `pread`, so that any thread may read them.
/// Every path created is noted, so that an aborting transaction can remove it.
#[derive(Clone)]
pub struct TableFiles {
    place: Rc<Place>,
    written: WrittenFiles,
    new_name: fn() -> String,
}

#[derive(Clone)]
enum WrittenFiles {
    Local(Rc<Written>),
    Object(Rc<Staged>),
}

impl TableFiles {
    /// File IO to read the files of the storage `key`.
    pub fn new(key: StorageKey) -> PgResult<Self> {
        Ok(Self::at(Place::of(&key)?, key, None))
    }

    /// File IO to read and write the files of the storage `key` of a table of this persistence. It is one that this
    /// transaction makes, or has a file of this name.
    pub fn to_write(
        key: StorageKey,
        persistence: Persistence,
        name: Option<&str>,
    ) -> PgResult<Self> {
        let place = match name {
            Some(name) => Place::of_existing(&key, name)?,
            None => Place::of_new(&key)?,
        };
        Ok(Self::at(place, key, Some(persistence)))
    }

    /// As [`Self::to_write`], outside of transactions: the names of new files tell of none.
    pub fn to_merge(key: StorageKey, persistence: Persistence, name: &str) -> PgResult<Self> {
        Ok(Self {
            new_name: new_merged_file_name,
            ..Self::to_write(key, persistence, Some(name))?
        })
    }

    fn at(place: Place, key: StorageKey, persistence: Option<Persistence>) -> Self {
        let written = match &place {
            Place::Local(_) => WrittenFiles::Local(Rc::new(Written::new(key, persistence))),
            Place::Object(place) => WrittenFiles::Object(Rc::new(Staged::new(place.clone()))),
        };
        Self {
            place: Rc::new(place),
            written,
            new_name: new_file_name,
        }
    }

    /// Where they lie.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// Makes every finished file of a local storage durable, on disk or in the log ([`Written::sync`]).
    pub fn sync<'a>(&self, like: impl Fn(&str) -> Option<&'a str>) -> PgResult<()> {
        match &self.written {
            WrittenFiles::Local(written) => written.sync(like),
            WrittenFiles::Object(_) => Ok(()),
        }
    }

    /// Puts finished files of these storages, as far as they are not local, where other processes can open them and where they
    /// are durable.
    pub fn hand_over<'a>(all: impl IntoIterator<Item = &'a Self>, which: Which) -> PgResult<()> {
        injection::point(c"iceberg-handing-over");
        staged::hand_over(all.into_iter().filter_map(Self::staged), which)
    }

    /// Whether data files should be handed over before the commit: they take memory or disk here.
    pub fn has_many_staged(&self) -> bool {
        self.staged().is_some_and(Staged::has_many)
    }

    /// Bytes of memory that files take which have not been handed over.
    pub fn staged_bytes(&self) -> usize {
        self.staged().map_or(0, Staged::memory_bytes)
    }

    fn staged(&self) -> Option<&Staged> {
        match &self.written {
            WrittenFiles::Local(_) => None,
            WrittenFiles::Object(staged) => Some(staged),
        }
    }

    /// Removes every file created, as far as that can be done at once: what made them is rolled back.
    pub fn remove_created(&self) {
        match &self.written {
            WrittenFiles::Local(written) => written.remove_created(),
            WrittenFiles::Object(staged) => staged.forget_all(),
        }
    }

    /// The name of a file that metadata know by `path`.
    fn name_of<'a>(&self, operation: &'static str, path: &'a str) -> Result<&'a str> {
        self.place.name_of(path).ok_or_else(|| {
            let reason = format!("the file does not lie where the table does, {}", self.place);
            io_error(operation, path)(std::io::Error::new(ErrorKind::InvalidInput, reason))
        })
    }
}

pub(super) fn io_error(operation: &'static str, path: &str) -> impl Fn(std::io::Error) -> Error {
    move |source| Error::Io {
        operation,
        path: path.to_owned(),
        source,
    }
}

/// A point at which tests wait or fail; what it raises comes back as an error of the file's.
pub(super) fn injection_point(path: &str, name: &'static CStr) -> Result<()> {
    catch(|| injection::point(name))
        .map_err(|error| io_error("write", path)(std::io::Error::other(error.message)))
}

impl FileIo for TableFiles {
    fn open(&self, path: &str, length: Option<u64>) -> Result<Arc<dyn InputFile>> {
        let name = self.name_of("open", path)?;
        match &self.written {
            WrittenFiles::Object(staged) => match staged.open(path, name) {
                Some(opened) => opened.map_err(io_error("open", path)),
                None => Ok(ObjectFile::open(staged.store(), path, name, length)?),
            },
            WrittenFiles::Local(written) => {
                let local = format!("{}/{name}", written.directory());
                let failed = io_error("open", &local);
                let fd = ExternalFd::open(&local).map_err(&failed)?;
                let len = fd.size().map_err(&failed)?;
                Ok(Arc::new(PreadFile {
                    path: path.to_owned(),
                    fd,
                    len,
                }))
            }
        }
    }

    fn create(&self, path: &str) -> Result<Box<dyn OutputFile>> {
        let name = self.name_of("create", path)?;
        match &self.written {
            WrittenFiles::Object(staged) => staged.create(path, name),
            WrittenFiles::Local(written) => {
                let local = format!("{}/{name}", written.directory());
                let file = VfdFile::create(&local).map_err(io_error("create", &local))?;
                let output = VfdOutput::new(path, name.to_owned(), file, Rc::clone(written))?;
                Ok(Box::new(output))
            }
        }
    }

    fn delete(&self, path: &str) -> Result<()> {
        let name = self.name_of("delete", path)?;
        match &self.written {
            WrittenFiles::Object(staged) => staged.forget(name),
            WrittenFiles::Local(written) => {
                let local = format!("{}/{name}", written.directory());
                file::remove_file(&local).map_err(io_error("delete", &local))?;
                written.note_deleted(name);
            }
        }
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

    fn delete_cache(&self) -> Option<Rc<DeleteCache>> {
        Some(cache::deletes())
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
