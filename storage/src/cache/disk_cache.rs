//! The cache itself: index, files and limit kept in step.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use super::{
    error::CacheError,
    index::{Change, Index},
    key::{EntryKey, StoreBinding},
    recency::{Entry, Recency},
    staged::StagedFile,
};
use crate::protocol::{ObjectPath, ObjectVersion, StoreId};

/// Objects whose version is remembered; beyond it those go that have nothing cached.
const MAX_VERSIONS: usize = 65_536;

/// Settings of a cache.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub directory: PathBuf,
    /// Most bytes of files, those being written included; the index comes on top.
    pub capacity: u64,
    /// Bytes of a block.
    pub block_bytes: u64,
}

impl CacheConfig {
    pub fn new(directory: impl Into<PathBuf>, capacity: u64) -> Self {
        Self {
            directory: directory.into(),
            capacity,
            block_bytes: 4 * 1024 * 1024,
        }
    }
}

/// A directory of cached objects. One process at a time uses it.
#[derive(Debug, Clone)]
pub struct DiskCache {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(super) struct Shared {
    config: CacheConfig,
    index: Index,
    state: Mutex<State>,
}

/// Never locked across a write to the disk.
#[derive(Debug)]
pub(super) struct State {
    pub(super) recency: Recency,
    stores: BTreeMap<StoreId, (StoreBinding, String)>,
    /// The version of each object seen last.
    versions: HashMap<(StoreBinding, ObjectPath), ObjectVersion>,
    /// Entries whose last use the index does not have yet.
    touched: HashSet<EntryKey>,
    next_file: u64,
}

impl Shared {
    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn staging(&self, file: u64) -> PathBuf {
        self.config.directory.join("staging").join(file.to_string())
    }

    fn store_directory(&self, store: &StoreId) -> PathBuf {
        self.config
            .directory
            .join("data")
            .join(store.directory_name())
    }

    fn data_file(&self, key: &EntryKey, entry: &Entry) -> PathBuf {
        self.store_directory(&key.binding.store)
            .join(entry.file.to_string())
    }

    /// Forgets entries that memory has forgotten already, then removes their files.
    fn discard(&self, discarded: &[(EntryKey, Entry)]) -> Result<(), CacheError> {
        if discarded.is_empty() {
            return Ok(());
        }
        let removed = discarded.iter().map(|(key, _)| key.clone()).collect();
        self.index.apply(&Change {
            removed,
            written: Vec::new(),
        })?;
        for (key, entry) in discarded {
            let path = self.data_file(key, entry);
            remove_if_there(&path)?;
        }
        Ok(())
    }
}

impl DiskCache {
    /// Opens the cache, removing what a crash left behind.
    ///
    /// # Errors
    /// [`CacheError::Busy`] when another process has it open, [`CacheError::File`] and
    /// [`CacheError::Index`] when the directory cannot be used.
    pub fn open(config: CacheConfig) -> Result<Self, CacheError> {
        let directory = &config.directory;
        for directory in [directory.clone(), directory.join("data")] {
            fs::create_dir_all(&directory).map_err(file_error("create", &directory))?;
        }
        // The index first: it is locked, so that the files are nobody else's.
        let (index, contents) = Index::open(&directory.join("index.redb"))?;
        let staging = directory.join("staging");
        match fs::remove_dir_all(&staging) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(file_error("remove", &staging)(error));
            }
            _ => {}
        }
        fs::create_dir(&staging).map_err(file_error("create", &staging))?;

        let state = State {
            recency: Recency::default(),
            stores: contents.stores,
            versions: HashMap::new(),
            touched: HashSet::new(),
            next_file: 0,
        };
        let shared = Shared {
            config,
            index,
            state: Mutex::new(state),
        };
        let mut lost = Vec::new();
        let mut kept = HashSet::new();
        let mut state = shared.lock();
        for (key, entry) in contents.entries {
            let path = shared.data_file(&key, &entry);
            if fs::metadata(&path).is_ok_and(|file| file.len() == entry.length) {
                kept.insert(path);
                state.next_file = state.next_file.max(entry.file + 1);
                state.remember(key.binding.clone(), key.path.clone(), key.version.clone());
                state.recency.insert(key, entry);
            } else {
                lost.push((key, entry));
            }
        }
        // The limit may be lower than it was.
        let surplus = state.recency.reserve(0, shared.config.capacity);
        for (key, entry) in surplus.into_iter().flatten() {
            kept.remove(&shared.data_file(&key, &entry));
            lost.push((key, entry));
        }
        drop(state);
        shared.discard(&lost)?;
        remove_others(&shared.config.directory.join("data"), &kept)?;
        Ok(Self {
            shared: Arc::new(shared),
        })
    }

    pub fn block_bytes(&self) -> u64 {
        self.shared.config.block_bytes
    }

    /// Bytes of all files in the cache.
    pub fn used_bytes(&self) -> u64 {
        self.shared.lock().recency.used()
    }

    /// The store's entries, kept from before if it had the same identity then, else none.
    ///
    /// # Errors
    /// [`CacheError::Index`], and [`CacheError::File`] when files cannot be removed.
    pub fn bind_store(&self, store: &StoreId, identity: &str) -> Result<StoreBinding, CacheError> {
        let directory = self.shared.store_directory(store);
        fs::create_dir_all(&directory).map_err(file_error("create", &directory))?;
        sync_directory(&self.shared.config.directory.join("data"))?;
        if let Some((binding, known)) = self.shared.lock().stores.get(store)
            && known == identity
        {
            return Ok(binding.clone());
        }
        self.unbind_store(store)?;
        let number = self.shared.index.bind(store, identity)?;
        let binding = StoreBinding {
            number,
            store: Arc::new(store.clone()),
        };
        let bound = (binding.clone(), identity.to_owned());
        self.shared.lock().stores.insert(store.clone(), bound);
        Ok(binding)
    }

    /// Forgets a store and removes its entries.
    ///
    /// # Errors
    /// As [`DiskCache::bind_store`].
    pub fn unbind_store(&self, store: &StoreId) -> Result<(), CacheError> {
        let mut state = self.shared.lock();
        let Some((binding, _)) = state.stores.remove(store) else {
            return Ok(());
        };
        state.versions.retain(|(of, _), _| *of != binding);
        let discarded = state.recency.remove_store(&binding);
        drop(state);
        self.shared.index.unbind(store, binding.number)?;
        self.shared.discard(&discarded)
    }

    /// The version an object had when it was last seen.
    pub fn version(&self, binding: &StoreBinding, path: &ObjectPath) -> Option<ObjectVersion> {
        let key = (binding.clone(), path.clone());
        self.shared.lock().versions.get(&key).cloned()
    }

    /// Remembers the version of an object.
    pub fn remember(&self, binding: &StoreBinding, path: &ObjectPath, version: &ObjectVersion) {
        let mut state = self.shared.lock();
        state.remember(binding.clone(), path.clone(), version.clone());
    }

    /// Forgets the version of an object, so that the store is asked for it again.
    pub fn forget_version(&self, binding: &StoreBinding, path: &ObjectPath) {
        let key = (binding.clone(), path.clone());
        self.shared.lock().versions.remove(&key);
    }

    /// Forgets an object that was written or deleted, and removes what is cached of it.
    ///
    /// # Errors
    /// As [`DiskCache::bind_store`].
    pub fn forget(&self, binding: &StoreBinding, path: &ObjectPath) -> Result<(), CacheError> {
        let mut state = self.shared.lock();
        state.versions.remove(&(binding.clone(), path.clone()));
        let discarded = state.recency.remove_object(binding, path);
        drop(state);
        self.shared.discard(&discarded)
    }

    /// Opens what is cached under a key and marks it used. The file stays readable even when its
    /// entry is evicted.
    pub fn lookup(&self, key: &EntryKey) -> Option<File> {
        let mut state = self.shared.lock();
        let entry = state.recency.touch(key)?;
        // Under the lock: an eviction could else remove the file in between.
        let path = self.shared.data_file(key, &entry);
        match File::open(&path) {
            Ok(file) => {
                state.touched.insert(key.clone());
                Some(file)
            }
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "cached file is lost");
                state.recency.remove(key);
                drop(state);
                self.report(self.shared.discard(&[(key.clone(), entry)]));
                None
            }
        }
    }

    /// Makes room for a file of `length` bytes and creates it, not yet part of the cache.
    ///
    /// # Errors
    /// [`CacheError::Full`] when there cannot be room; otherwise as [`DiskCache::bind_store`].
    pub fn stage(&self, length: u64) -> Result<StagedFile, CacheError> {
        let capacity = self.shared.config.capacity;
        let mut state = self.shared.lock();
        let Some(evicted) = state.recency.reserve(length, capacity) else {
            return Err(CacheError::Full {
                wanted: length,
                capacity,
                reserved: state.recency.reserved(),
            });
        };
        let number = state.next_file;
        state.next_file += 1;
        for (key, _) in &evicted {
            state.touched.remove(key);
        }
        drop(state);
        let discarded = self.shared.discard(&evicted);
        let path = self.shared.staging(number);
        let file = discarded.and_then(|()| {
            File::options()
                .read(true)
                .write(true)
                .create_new(true)
                .open(&path)
                .map_err(file_error("create", &path))
        });
        match file {
            Ok(file) => Ok(StagedFile {
                shared: Arc::clone(&self.shared),
                file,
                path,
                number,
                length,
            }),
            Err(error) => {
                self.shared.lock().recency.release(length);
                Err(error)
            }
        }
    }

    /// Makes a file that is complete part of the cache, durably, and opens it for reading.
    ///
    /// # Errors
    /// As [`DiskCache::bind_store`]; the file is then gone.
    pub fn commit(&self, mut staged: StagedFile, key: EntryKey) -> Result<File, CacheError> {
        let failed = |operation| file_error(operation, &staged.path);
        staged.file.sync_all().map_err(failed("sync"))?;
        let length = staged.file.metadata().map_err(failed("look at"))?.len();
        if length != staged.length {
            return Err(failed("complete")(io::ErrorKind::UnexpectedEof.into()));
        }
        // A descriptor of its own: the one it was written through must not be handed out.
        let reader = File::open(&staged.path).map_err(failed("open"))?;
        let directory = self.shared.store_directory(&key.binding.store);
        let place = directory.join(staged.number.to_string());
        fs::rename(&staged.path, &place).map_err(failed("rename"))?;
        let recorded = sync_directory(&directory).and_then(|()| self.record(&mut staged, key));
        if let Err(error) = recorded {
            self.report(remove_if_there(&place));
            return Err(error);
        }
        Ok(reader)
    }

    /// Enters a file in place into the index, then into memory, so that what memory knows, and may
    /// evict, the index knows.
    fn record(&self, staged: &mut StagedFile, key: EntryKey) -> Result<(), CacheError> {
        let mut state = self.shared.lock();
        let mut written = state.take_touched();
        let entry = Entry {
            file: staged.number,
            length: staged.length,
            last_use: state.recency.next_tick(),
        };
        drop(state);
        written.push((key.clone(), entry));
        let removed = Vec::new();
        self.shared.index.apply(&Change { removed, written })?;

        let mut state = self.shared.lock();
        state.recency.release(std::mem::take(&mut staged.length));
        let replaced = state.recency.insert(key.clone(), entry);
        drop(state);
        match replaced {
            Some(replaced) => remove_if_there(&self.shared.data_file(&key, &replaced)),
            None => Ok(()),
        }
    }

    /// Writes what the index need not have but had better: times of last use. For a graceful stop.
    ///
    /// # Errors
    /// [`CacheError::Index`].
    pub fn flush(&self) -> Result<(), CacheError> {
        let written = self.shared.lock().take_touched();
        let removed = Vec::new();
        self.shared.index.apply(&Change { removed, written })
    }

    fn report(&self, result: Result<(), CacheError>) {
        if let Err(error) = result {
            tracing::warn!(
                error = crate::backend::one_line(&error),
                "cache could not be tidied; the next start will do it"
            );
        }
    }
}

impl State {
    fn remember(&mut self, binding: StoreBinding, path: ObjectPath, version: ObjectVersion) {
        self.versions.insert((binding, path), version);
        if self.versions.len() > MAX_VERSIONS {
            let cached: HashSet<_> = self
                .recency
                .entries()
                .map(|(key, _)| (key.binding.clone(), key.path.clone()))
                .collect();
            self.versions.retain(|object, _| cached.contains(object));
        }
    }

    /// The entries used since the index was last written, as they are now.
    fn take_touched(&mut self) -> Vec<(EntryKey, Entry)> {
        let touched = std::mem::take(&mut self.touched);
        touched
            .into_iter()
            .filter_map(|key| self.recency.get(&key).map(|entry| (key, entry)))
            .collect()
    }
}

/// Removes files of stores' directories that are not `kept`.
fn remove_others(data: &Path, kept: &HashSet<PathBuf>) -> Result<(), CacheError> {
    for directory in list(data)? {
        for file in list(&directory)? {
            if !kept.contains(&file) {
                remove_if_there(&file)?;
            }
        }
    }
    Ok(())
}

fn list(directory: &Path) -> Result<Vec<PathBuf>, CacheError> {
    fs::read_dir(directory)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect())
        .map_err(file_error("list", directory))
}

fn remove_if_there(path: &Path) -> Result<(), CacheError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            Err(file_error("remove", path)(error))
        }
        _ => Ok(()),
    }
}

fn sync_directory(path: &Path) -> Result<(), CacheError> {
    File::open(path)
        .and_then(|directory| directory.sync_all())
        .map_err(file_error("sync", path))
}

fn file_error(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> CacheError + use<> {
    let path = path.to_owned();
    move |source| CacheError::File {
        operation,
        path: path.clone(),
        source,
    }
}
