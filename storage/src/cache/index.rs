//! The index on disk (redb): which file holds what, and which store a number stands for.

use std::{
    collections::BTreeMap,
    fs, io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use redb::{
    Database, ReadableDatabase, ReadableTable, ReadableTableMetadata, StorageError, TableDefinition,
};

use super::{
    error::CacheError,
    key::{EntryKey, Part, StoreBinding},
    recency::Entry,
};
use crate::protocol::{ObjectPath, ObjectVersion, StoreId};

/// Version of the tables below; another one is begun anew.
const LAYOUT: u64 = 1;

/// `layout` -> version, `next_binding` -> the next number of a store.
const META: TableDefinition<'_, &str, u64> = TableDefinition::new("meta");
/// Store id -> number, identity.
const STORES: TableDefinition<'_, &str, (u64, &str)> = TableDefinition::new("stores");
/// Number of the store, path, entity tag (empty for none, else `=` and the tag), size, part ->
/// file, length, last use.
const ENTRIES: TableDefinition<'_, EntryRowKey<'_>, EntryRow> = TableDefinition::new("entries");

type EntryRowKey<'a> = (u64, &'a str, &'a str, u64, u64);
type EntryRow = (u64, u64, u64);

/// The open index.
#[derive(Debug)]
pub(super) struct Index {
    database: Database,
    path: PathBuf,
}

/// All that an index holds.
#[derive(Debug, Default)]
pub(super) struct Contents {
    pub(super) stores: BTreeMap<StoreId, (StoreBinding, String)>,
    pub(super) entries: Vec<(EntryKey, Entry)>,
}

/// Changes that become durable together.
#[derive(Debug, Default)]
pub(super) struct Change {
    pub(super) removed: Vec<EntryKey>,
    pub(super) written: Vec<(EntryKey, Entry)>,
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

    pub(super) fn apply(&self, change: &Change) -> Result<(), CacheError> {
        let apply = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            {
                let mut entries = transaction.open_table(ENTRIES)?;
                for key in &change.removed {
                    let etag = etag_text(&key.version);
                    entries.remove(row_key(key, &etag))?;
                }
                for (key, entry) in &change.written {
                    let etag = etag_text(&key.version);
                    let row = (entry.file, entry.length, entry.last_use);
                    entries.insert(row_key(key, &etag), row)?;
                }
            }
            transaction.commit()?;
            Ok(())
        };
        apply().map_err(|error| self.failed("write", error))
    }

    /// Gives a store a number never used before, with the identity it stands for.
    pub(super) fn bind(&self, store: &StoreId, identity: &str) -> Result<u64, CacheError> {
        let bind = || -> Result<u64, redb::Error> {
            let transaction = self.database.begin_write()?;
            let number = {
                let mut meta = transaction.open_table(META)?;
                let number = meta.get("next_binding")?.map_or(0, |next| next.value());
                meta.insert("next_binding", number + 1)?;
                let mut stores = transaction.open_table(STORES)?;
                stores.insert(store.as_str(), (number, identity))?;
                number
            };
            transaction.commit()?;
            Ok(number)
        };
        bind().map_err(|error| self.failed("write", error))
    }

    /// Forgets a store and its entries.
    pub(super) fn unbind(&self, store: &StoreId, number: u64) -> Result<(), CacheError> {
        let unbind = || -> Result<(), redb::Error> {
            let transaction = self.database.begin_write()?;
            transaction.open_table(STORES)?.remove(store.as_str())?;
            transaction
                .open_table(ENTRIES)?
                .retain(|(of, ..), _| of != number)?;
            transaction.commit()?;
            Ok(())
        };
        unbind().map_err(|error| self.failed("write", error))
    }

    fn failed(&self, operation: &'static str, source: redb::Error) -> CacheError {
        CacheError::Index {
            operation,
            path: self.path.clone(),
            source: Box::new(source),
        }
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
    initialise(database)?;
    let mut contents = Contents::default();
    let read = |error: StorageError| OpenError::from(redb::Error::from(error));
    let transaction = database.begin_read().map_err(redb::Error::from)?;
    let meta = transaction.open_table(META).map_err(redb::Error::from)?;
    let layout = meta.get("layout").map_err(read)?.map(|row| row.value());
    if layout != Some(LAYOUT) {
        return Err(unreadable("its layout has another version"));
    }
    let stores = transaction.open_table(STORES).map_err(redb::Error::from)?;
    let mut bindings = BTreeMap::new();
    for row in stores.iter().map_err(read)? {
        let (id, row) = row.map_err(read)?;
        let id = StoreId::new(id.value()).map_err(|_| unreadable("it has a bad store id"))?;
        let (number, identity) = row.value();
        let binding = StoreBinding {
            number,
            store: Arc::new(id.clone()),
        };
        bindings.insert(number, binding.clone());
        contents.stores.insert(id, (binding, identity.to_owned()));
    }
    let entries = transaction.open_table(ENTRIES).map_err(redb::Error::from)?;
    let mut homeless = false;
    for row in entries.iter().map_err(read)? {
        let (key, row) = row.map_err(read)?;
        let (number, path, etag, size, part) = key.value();
        let Some(binding) = bindings.get(&number) else {
            homeless = true;
            continue;
        };
        let key = EntryKey {
            binding: binding.clone(),
            path: ObjectPath::new(path).map_err(|_| unreadable("it has a bad path"))?,
            version: ObjectVersion {
                etag: etag.strip_prefix('=').map(str::to_owned),
                size,
            },
            part: Part::from_number(part).ok_or_else(|| unreadable("it has a bad part"))?,
        };
        let (file, length, last_use) = row.value();
        let entry = Entry {
            file,
            length,
            last_use,
        };
        contents.entries.push((key, entry));
    }
    if homeless {
        // Committed while their store was being closed.
        let transaction = database.begin_write().map_err(redb::Error::from)?;
        transaction
            .open_table(ENTRIES)
            .map_err(redb::Error::from)?
            .retain(|(of, ..), _| bindings.contains_key(&of))
            .map_err(read)?;
        transaction.commit().map_err(redb::Error::from)?;
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
        transaction.open_table(ENTRIES)?;
    }
    transaction.commit()?;
    Ok(())
}

fn etag_text(version: &ObjectVersion) -> String {
    version
        .etag
        .as_ref()
        .map(|etag| format!("={etag}"))
        .unwrap_or_default()
}

fn row_key<'a>(key: &'a EntryKey, etag: &'a str) -> EntryRowKey<'a> {
    (
        key.binding.number,
        key.path.as_str(),
        etag,
        key.version.size,
        key.part.to_number(),
    )
}
