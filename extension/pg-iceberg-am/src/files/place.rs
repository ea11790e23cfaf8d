//! Where the files of a storage lie: on local disk, or in an object store.
//!
//! A file has a *name* here, which catalogs keep, and a *path*, by which Iceberg metadata know it. On local disk the name is
//! relative to the storage's directory, so that tables may be moved; in a store it is the object's.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::wal as core_wal;
use pg_lakebase_storage::protocol::Listed;
use pgrx::PgSqlErrorCode;

use crate::directory::{StorageKey, TableDirectory};
use crate::guc;
use crate::stores::{self, StorageDirectory, Store, identity_of};

/// Where the files of a storage lie.
#[derive(Clone, Debug)]
pub enum Place {
    /// In a directory of the server's.
    Local(TableDirectory),
    /// In an object store.
    Object(ObjectPlace),
}

/// Where in a store the objects of a storage lie.
#[derive(Clone, Debug)]
pub struct ObjectPlace {
    /// The store.
    pub store: Arc<Store>,
    /// Where new objects go; `None` if there are to be none.
    pub directory: Option<StorageDirectory>,
}

/// What is known of a file without opening it.
#[derive(Clone, Debug)]
pub struct FileEntry {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub length: u64,
    /// When it was last written, if that can be told.
    pub modified: Option<SystemTime>,
}

impl Place {
    /// The place of the storage `key`, to look at what is there.
    pub fn of(key: &StorageKey) -> PgResult<Self> {
        Self::with_directory(key, || Ok(None))
    }

    /// That of the storage `key`, which this transaction is making.
    pub fn of_new(key: &StorageKey) -> PgResult<Self> {
        Self::with_directory(key, || StorageDirectory::new(key).map(Some))
    }

    /// That of the storage `key`, one of whose files has this name.
    pub fn of_existing(key: &StorageKey, name: &str) -> PgResult<Self> {
        Self::with_directory(key, || StorageDirectory::of_object(name))
    }

    fn with_directory(
        key: &StorageKey,
        directory: impl FnOnce() -> PgResult<Option<StorageDirectory>>,
    ) -> PgResult<Self> {
        let store = match key.is_temporary() {
            true => None,
            false => Store::of(key.tablespace)?,
        };
        Ok(match store {
            None => Self::Local(TableDirectory::of(key)),
            Some(store) => Self::Object(ObjectPlace {
                store,
                directory: directory()?,
            }),
        })
    }

    /// Whether that is an object store.
    pub fn is_object(&self) -> bool {
        matches!(self, Self::Object(_))
    }

    /// Refuses to go on if the tablespace means another store by now than the one that was written to. Locks keep others from
    /// that, unless `pg_tablespace` is changed by hand.
    pub fn check_unchanged(&self) -> PgResult<()> {
        let Self::Object(ObjectPlace { store, .. }) = self else {
            return Ok(());
        };
        let now = Store::of(store.tablespace())?;
        if now.is_some_and(|now| now.is_same_place(store)) {
            return Ok(());
        }
        Err(PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            format!("rows were written to a place that is not the tablespace's any more, {self}"),
        ))
    }

    /// What the paths of new files begin with, without a slash at its end.
    pub fn location(&self) -> PgResult<String> {
        match self {
            Self::Local(directory) => Ok(directory.location()),
            Self::Object(ObjectPlace { store, directory }) => directory
                .as_ref()
                .map(|directory| store.uri_of(directory.name()))
                .ok_or_else(|| PgError::internal("nothing is written to this storage")),
        }
    }

    /// The path of the file of this name.
    pub fn path_of(&self, name: &str) -> String {
        match self {
            Self::Local(directory) => format!("{}/{name}", directory.location()),
            Self::Object(ObjectPlace { store, .. }) => store.uri_of(name),
        }
    }

    /// The name of the file that metadata know by `path`; `None` if it lies elsewhere.
    pub fn name_of<'a>(&self, path: &'a str) -> Option<&'a str> {
        match self {
            Self::Local(directory) => directory.name_of(path),
            Self::Object(ObjectPlace { store, .. }) => store.name_of(path),
        }
    }

    /// How long it takes from one metadata file of a table to the next.
    pub fn publish_interval(&self) -> Duration {
        match self {
            Self::Local(_) => guc::publish_interval(),
            Self::Object(_) => guc::publish_interval().max(guc::object_publish_interval()),
        }
    }

    /// How long files are kept that the metadata do not lead to any more.
    pub fn keep_time(&self) -> Duration {
        match self {
            Self::Local(_) => guc::file_keep_time(),
            Self::Object(_) => guc::file_keep_time().max(guc::object_retention()),
        }
    }

    /// The files that are there, data and metadata; in a store, those that the server may delete.
    pub fn files(&self) -> PgResult<Vec<FileEntry>> {
        match self {
            Self::Local(directory) => Ok(directory
                .files()
                .map(|(name, file)| FileEntry {
                    name,
                    length: file.len(),
                    modified: file.modified().ok(),
                })
                .collect()),
            Self::Object(ObjectPlace { store, directory }) => {
                let Some(directory) = directory else {
                    return Ok(Vec::new());
                };
                let identities = stores::deletable_identities(store)?;
                let directories = identities.iter().map(|identity| directory.under(identity));
                objects_below(store, directories)
            }
        }
    }
}

fn objects_below(
    store: &Store,
    directories: impl Iterator<Item = String>,
) -> PgResult<Vec<FileEntry>> {
    let mut files = Vec::new();
    for directory in directories {
        let found = stores::list(store, &directory)?;
        files.extend(found.iter().map(entry));
    }
    Ok(files)
}

fn entry(object: &Listed) -> FileEntry {
    FileEntry {
        name: object.meta.path.as_str().to_owned(),
        length: object.meta.version.size,
        modified: modified(object.last_modified_ms),
    }
}

fn modified(unix_ms: i64) -> Option<SystemTime> {
    let age = Duration::from_millis(u64::try_from(unix_ms).ok()?);
    SystemTime::UNIX_EPOCH.checked_add(age)
}

impl ObjectPlace {
    /// The objects of all storages of a database that the server may delete.
    pub fn files_of_database(&self, database: u32) -> PgResult<Vec<FileEntry>> {
        let identities = stores::deletable_identities(&self.store)?;
        let tablespace = self.store.tablespace();
        let directories = identities
            .iter()
            .map(|identity| format!("{identity}/{tablespace}/{database}"));
        objects_below(&self.store, directories)
    }

    /// Calls `each` with the objects of all storages of the tablespace, of whichever database, that the server may delete.
    pub fn each_file_of_tablespace(&self, mut each: impl FnMut(FileEntry)) -> PgResult<()> {
        let tablespace = self.store.tablespace();
        for identity in stores::deletable_identities(&self.store)? {
            stores::list_pages(&self.store, &format!("{identity}/{tablespace}"), |page| {
                page.iter().map(entry).for_each(&mut each);
            })?;
        }
        Ok(())
    }

    /// Deletes the objects of these names, and all below these directories, under whatever identity, in a transaction that must
    /// not be undone from here on; but for those that others may have as well.
    pub fn delete(&self, names: &[impl AsRef<str>], directories: &[&str]) -> PgResult<()> {
        // Whatever has made them superfluous must not be undone any more.
        core_wal::flush();
        let claimed = stores::identities_claimed(&self.store)?;
        let below = directories.iter().flat_map(|name| {
            // A storage has objects under several identities if the cluster was given another one.
            (claimed.iter()).filter_map(|identity| stores::under(name, identity))
        });
        let below = objects_below(&self.store, below)?;
        // Listing may have taken its time.
        let identities = stores::deletable_identities(&self.store)?;
        let is_own = |name: &&str| {
            identity_of(name).is_some_and(|identity| identities.iter().any(|own| own == identity))
        };
        let named = names.iter().map(AsRef::as_ref);
        let names = named.chain(below.iter().map(|file| &*file.name));
        stores::delete(&self.store, names.filter(is_own))
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Local(directory) => write!(f, "in directory \"{directory}\""),
            Self::Object(place) => write!(f, "in store \"{}\"", place.store.spec().id),
        }
    }
}
