//! The index on disk (redb): which file holds what, and which store a number stands for.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
};

use redb::{Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, TableDefinition};

use super::{
    error::CacheError,
    key::{ObjectKey, StoreBinding},
    recency::Use,
};
use crate::protocol::{ObjectPath, ObjectVersion};

/// Version of the tables below; another one is begun anew.
const LAYOUT: u64 = 3;

/// `layout` -> version.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Identity of a store -> number.
const STORES: TableDefinition<'_, &str, u64> = TableDefinition::new("stores");
/// Number of the store, path -> file, size, entity tag (empty for none, else `=` and the tag), bytes on disk, last use,
/// whether it was used again.
const OBJECTS: TableDefinition<'_, (u64, &str), ObjectRow<'_>> = TableDefinition::new("objects");

type ObjectRow<'a> = (u64, u64, &'a str, u64, u64, bool);

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    database: Database,
    path: PathBuf,
}

/// An object as the index has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) file: u64,
    pub(super) version: ObjectVersion,
    pub(super) use_: Use,
}

/// The numbers of stores, by identity.
pub(super) type Bindings = BTreeMap<String, StoreBinding>;

/// All that an index holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) stores: Bindings,
    pub(super) objects: Vec<(ObjectKey, Row)>,
}

/// Changes that are written together: each with what there is now, if anything.
#[derive(Debug, Default)]
pub(super) struct Changes {
    pub(super) stores: BTreeMap<String, Option<StoreBinding>>,
    pub(super) objects: BTreeMap<ObjectKey, Option<Row>>,
}

impl Changes {
    pub(super) fn is_empty(&self) -> bool {
        self.stores.is_empty() && self.objects.is_empty()
    }
}

impl Index {
    /// Opens the index, or begins one where there is none or none that can be read.
    pub(super) fn open(path: &Path) -> Result<(Self, Contents), CacheError> {
        match Self::try_open(path) {
            Err(OpenError::Unreadable(reason)) => {
                tracing::warn!(path = %path.display(), reason, "cache index is begun anew");
                fs::remove_file(path).map_err(|source| CacheError::File {
                    operation: "remove",
                    path: path.to_owned(),
                    source,
                })?;
                Self::try_open(path).map_err(|error| error.into_cache_error(path))
            }
            opened => opened.map_err(|error| error.into_cache_error(path)),
        }
    }

    fn try_open(path: &Path) -> Result<(Self, Contents), OpenError> {
        // redb asserts what it expects of its own files: with a damaged one, debug builds panic.
        let opened = catch_unwind(AssertUnwindSafe(|| {
            let mut database = Database::create(path).map_err(redb::Error::from)?;
            if !database.check_integrity().map_err(redb::Error::from)? {
                tracing::warn!(path = %path.display(), "cache index was repaired");
            }
            initialise(&database)?;
            let contents = load(&database)?;
            Ok((database, contents))
        }));
        match opened {
            Ok(Ok((database, contents))) => {
                let path = path.to_owned();
                Ok((Self { database, path }, contents))
            }
            Ok(Err(error)) => Err(error),
            Err(_) => Err(OpenError::Unreadable("reading it panicked".to_owned())),
        }
    }

    /// Writes changes, durably.
    pub(super) fn apply(&self, changes: &Changes) -> Result<(), CacheError> {
        let apply = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut stores = transaction.open_table(STORES)?;
                for (identity, binding) in &changes.stores {
                    match binding {
                        Some(binding) => {
                            stores.insert(&**identity, binding.number)?;
                        }
                        None => {
                            stores.remove(&**identity)?;
                        }
                    }
                }
                let mut objects = transaction.open_table(OBJECTS)?;
                for (key, row) in &changes.objects {
                    let row_key = (key.binding.number, key.path.as_str());
                    let Some(Row {
                        file,
                        version,
                        use_,
                    }) = row
                    else {
                        objects.remove(row_key)?;
                        continue;
                    };
                    let etag = version.etag.as_ref().map(|etag| format!("={etag}"));
                    let etag = etag.unwrap_or_default();
                    objects.insert(
                        row_key,
                        (
                            *file,
                            version.size,
                            &*etag,
                            use_.bytes,
                            use_.tick,
                            use_.again,
                        ),
                    )?;
                }
            }
            transaction.commit()?;
            Ok(())
        };
        apply().map_err(|source| CacheError::Index {
            operation: "write",
            path: self.path.clone(),
            source: Box::new(source),
        })
    }
}

enum OpenError {
    /// The file is not an index of this layout: begin anew.
    Unreadable(String),
    /// Somebody else has it open.
    Busy,
    /// The disk, permissions: nothing that beginning anew would cure.
    Failed(redb::Error),
}

impl OpenError {
    fn into_cache_error(self, path: &Path) -> CacheError {
        let path = path.to_owned();
        let source = match self {
            Self::Busy => return CacheError::Busy { path },
            Self::Failed(error) => error,
            Self::Unreadable(reason) => redb::Error::Corrupted(reason),
        };
        CacheError::Index {
            operation: "open",
            path,
            source: Box::new(source),
        }
    }
}

impl From<redb::Error> for OpenError {
    fn from(error: redb::Error) -> Self {
        match error {
            redb::Error::DatabaseAlreadyOpen => Self::Busy,
            redb::Error::Io(error)
                if !matches!(
                    error.kind(),
                    io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof
                ) =>
            {
                Self::Failed(error.into())
            }
            other => Self::Unreadable(other.to_string()),
        }
    }
}

fn load(database: &Database) -> Result<Contents, OpenError> {
    let unreadable = |what: &str| OpenError::Unreadable(what.to_owned());
    let read = |error: redb::StorageError| OpenError::from(redb::Error::from(error));
    let mut contents = Contents::default();
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let meta = transaction.open_table(META).map_err(redb::Error::from)?;
    let layout = meta.get("layout").map_err(read)?.map(|row| row.value());
    if layout != Some(LAYOUT) {
        return Err(unreadable("its layout has another version"));
    }
    let stores = transaction.open_table(STORES).map_err(redb::Error::from)?;
    let mut numbers = BTreeSet::new();
    for row in stores.iter().map_err(read)? {
        let (identity, number) = row.map_err(read)?;
        let binding = StoreBinding {
            number: number.value(),
        };
        numbers.insert(binding.number);
        contents.stores.insert(identity.value().to_owned(), binding);
    }
    let objects = transaction.open_table(OBJECTS).map_err(redb::Error::from)?;
    for row in objects.iter().map_err(read)? {
        let (key, row) = row.map_err(read)?;
        let (number, path) = key.value();
        // Written while its store was being closed.
        if !numbers.contains(&number) {
            continue;
        }
        let key = ObjectKey {
            binding: StoreBinding { number },
            path: ObjectPath::new(path).map_err(|_| unreadable("it has a bad path"))?,
        };
        let (file, size, etag, bytes, tick, again) = row.value();
        let version = ObjectVersion {
            etag: etag.strip_prefix('=').map(str::to_owned),
            size,
        };
        let use_ = Use { bytes, tick, again };
        let row = Row {
            file,
            version,
            use_,
        };
        contents.objects.push((key, row));
    }
    Ok(contents)
}

/// Makes the tables of an empty index.
fn initialise(database: &Database) -> Result<(), redb::Error> {
    let transaction = database.begin_write()?;
    {
        let mut meta = transaction.open_table(META)?;
        if meta.is_empty()? {
            meta.insert("layout", LAYOUT)?;
        }
        transaction.open_table(STORES)?;
    }
    // Of another layout, it has other types: `load` finds that out.
    if let Err(error) = transaction.open_table(OBJECTS) {
        return Err(error.into());
    }
    transaction.commit()?;
    Ok(())
}
