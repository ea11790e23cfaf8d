//! The cache itself: files, their order, and the limit.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirEntry, File},
    io,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
    time::{SystemTime, UNIX_EPOCH},
};

use super::{
    error::{CacheError, is_full},
    index::{Bindings, Changes, Index, Row},
    key::{ObjectKey, StoreBinding},
    recency::Recency,
    writer::Writer,
};
use crate::{
    cache_file::Layout,
    protocol::{ByteRange, ObjectPath, ObjectVersion},
};

/// Bytes of a block, in which the file system counts.
const BLOCK_BYTES: u64 = 512;

/// Settings of a cache.
#[derive(Debug, Clone)]
pub struct CacheConfig {
    pub directory: PathBuf,
    /// Most bytes of cached objects on disk; the index comes on top.
    pub capacity: u64,
}

impl CacheConfig {
    pub fn new(directory: impl Into<PathBuf>, capacity: u64) -> Self {
        Self {
            directory: directory.into(),
            capacity,
        }
    }
}

/// A directory of cached objects. One process at a time uses it.
#[derive(Debug, Clone)]
pub struct DiskCache {
    /// Dropped first, so that it writes what is left to write.
    _writer: Arc<Writer>,
    shared: Arc<Shared>,
}

/// An object in the cache, as far as it was fetched.
#[derive(Debug)]
pub struct CachedObject {
    key: ObjectKey,
    file: u64,
    layout: Layout,
    /// What the store calls the version; known once any of it was fetched.
    etag: OnceLock<Option<String>>,
}

/// What is in the cache.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    pub objects: u64,
    pub bytes: u64,
    /// Objects removed to make room, since the start.
    pub evictions: u64,
}

#[derive(Debug)]
pub(super) struct Shared {
    config: CacheConfig,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    objects: HashMap<ObjectKey, Arc<CachedObject>>,
    recency: Recency,
    stores: Bindings,
    next_store: u64,
    next_file: u64,
    changed_stores: HashSet<String>,
    changed_objects: HashSet<ObjectKey>,
    evictions: u64,
}

impl CachedObject {
    pub fn key(&self) -> &ObjectKey {
        &self.key
    }

    pub fn layout(&self) -> Layout {
        self.layout
    }

    /// The version that its bytes are of.
    pub fn version(&self) -> ObjectVersion {
        ObjectVersion {
            etag: self.etag.get().cloned().flatten(),
            size: self.layout.size(),
        }
    }

    /// Takes note of the version's entity tag. Returns whether it is the one that was known, if any was.
    pub fn note_etag(&self, etag: Option<&str>) -> bool {
        self.etag.get_or_init(|| etag.map(str::to_owned)).as_deref() == etag
    }
}

impl State {
    fn remove(&mut self, key: &ObjectKey) -> Option<Arc<CachedObject>> {
        let object = self.objects.remove(key)?;
        self.recency.remove(key);
        self.changed_objects.insert(key.clone());
        Some(object)
    }

    /// An object of which nothing is cached, with a number of its own.
    fn new_object(&mut self, key: ObjectKey, size: u64) -> Arc<CachedObject> {
        let file = self.next_file;
        self.next_file += 1;
        Arc::new(CachedObject {
            key,
            file,
            layout: Layout::new(size),
            etag: OnceLock::new(),
        })
    }

    fn row(&self, key: &ObjectKey) -> Option<Row> {
        let object = self.objects.get(key)?;
        Some(Row {
            file: object.file,
            version: object.version(),
            use_: self.recency.get(key)?,
        })
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        // No code that holds the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn store_directory(&self, binding: StoreBinding) -> PathBuf {
        let data = self.config.directory.join("data");
        data.join(binding.number.to_string())
    }

    fn path_of(&self, object: &CachedObject) -> PathBuf {
        let directory = self.store_directory(object.key.binding);
        directory.join(object.file.to_string())
    }

    fn discard(&self, objects: impl IntoIterator<Item = Arc<CachedObject>>) {
        for object in objects {
            let path = self.path_of(&object);
            if let Err(error) = remove_if_there(&path) {
                // The next start removes it.
                tracing::warn!(path = %path.display(), %error, "a file of the cache is left");
            }
        }
    }

    /// What has changed since it was last asked.
    pub(super) fn take_changes(&self) -> Changes {
        let mut state = self.lock();
        let stores = std::mem::take(&mut state.changed_stores);
        let objects = std::mem::take(&mut state.changed_objects);
        let store = |identity: String| {
            let binding = state.stores.get(&identity).copied();
            (identity, binding)
        };
        let object = |key: ObjectKey| (key.clone(), state.row(&key));
        Changes {
            stores: stores.into_iter().map(store).collect(),
            objects: objects.into_iter().map(object).collect(),
        }
    }

    /// All that there is.
    pub(super) fn all_as_changes(&self) -> Changes {
        let mut state = self.lock();
        let all: HashSet<ObjectKey> = state.objects.keys().cloned().collect();
        state.changed_objects.extend(all);
        let all: HashSet<String> = state.stores.keys().cloned().collect();
        state.changed_stores.extend(all);
        drop(state);
        self.take_changes()
    }
}

impl DiskCache {
    /// Opens the cache.
    ///
    /// # Errors
    /// [`CacheError::Busy`] when another process has it open, [`CacheError::File`] and
    /// [`CacheError::Index`] when the directory cannot be used.
    pub fn open(config: CacheConfig) -> Result<Self, CacheError> {
        for directory in [config.directory.clone(), config.directory.join("data")] {
            fs::create_dir_all(&directory).map_err(file_error("create", &directory))?;
        }
        // It is locked, so that the files are nobody else's.
        let path = config.directory.join("index.redb");
        let (index, contents) = Index::open(&path)?;
        let mut state = State {
            stores: contents.stores,
            ..State::default()
        };
        for (key, row) in contents.objects {
            state.next_file = state.next_file.max(row.file + 1);
            let object = CachedObject {
                key: key.clone(),
                file: row.file,
                layout: Layout::new(row.version.size),
                etag: OnceLock::from(row.version.etag),
            };
            state.recency.insert(key.clone(), Some(row.use_));
            state.objects.insert(key, Arc::new(object));
        }
        // Files that no index knows may have any number from before.
        state.next_file = state.next_file.max(micros_since_epoch());
        let first_new = state.next_file;
        // Above all numbers that stores have or had: each began as this one does, and grew by one a store.
        let stores: HashSet<u64> = (state.stores.values())
            .map(|binding| binding.number)
            .collect();
        let after = stores.iter().max().map_or(0, |last| last + 1);
        state.next_store = after.max(first_new);
        let known: HashSet<u64> = state.objects.values().map(|object| object.file).collect();
        let data = config.directory.join("data");
        let shared = Arc::new(Shared {
            config,
            state: Mutex::new(state),
        });
        let writer = Writer::start(Arc::downgrade(&shared), index, path.clone())
            .map_err(file_error("start a thread that writes", &path))?;
        // Files that the index did not get to know. Those made from now on have higher numbers.
        std::thread::Builder::new()
            .name("cache sweep".to_owned())
            .spawn(move || remove_others(&data, first_new, &known, &stores))
            .map_err(file_error("start a thread that sweeps", &path))?;
        let cache = Self {
            _writer: Arc::new(writer),
            shared,
        };
        // The limit may be lower than it was.
        cache.make_room(None, 0);
        Ok(cache)
    }

    /// Most bytes that its files may take.
    pub fn capacity(&self) -> u64 {
        self.shared.config.capacity
    }

    pub fn usage(&self) -> Usage {
        let state = self.shared.lock();
        Usage {
            objects: state.recency.len() as u64,
            bytes: state.recency.used(),
            evictions: state.evictions,
        }
    }

    /// Objects and bytes by store.
    pub fn usage_by_store(&self) -> HashMap<StoreBinding, Usage> {
        let state = self.shared.lock();
        let mut by_store = HashMap::<StoreBinding, Usage>::new();
        for (key, use_) in state.recency.iter() {
            let usage = by_store.entry(key.binding).or_default();
            usage.objects += 1;
            usage.bytes += use_.bytes;
        }
        by_store
    }

    /// What stands for the store of this identity, with the entries that it has from before.
    ///
    /// # Errors
    /// [`CacheError::File`] when its directory cannot be made.
    pub fn bind_store(&self, identity: &str) -> Result<StoreBinding, CacheError> {
        let mut state = self.shared.lock();
        let binding = match state.stores.get(identity) {
            Some(binding) => *binding,
            None => {
                let number = state.next_store;
                state.next_store += 1;
                StoreBinding { number }
            }
        };
        let directory = self.shared.store_directory(binding);
        fs::create_dir_all(&directory).map_err(file_error("create", &directory))?;
        if state.stores.insert(identity.to_owned(), binding).is_none() {
            state.changed_stores.insert(identity.to_owned());
        }
        Ok(binding)
    }

    /// Forgets a store and removes its entries.
    pub fn unbind_store(&self, identity: &str) {
        let mut state = self.shared.lock();
        let Some(binding) = state.stores.remove(identity) else {
            return;
        };
        state.changed_stores.insert(identity.to_owned());
        let keys: Vec<ObjectKey> = (state.objects.keys())
            .filter(|key| key.binding == binding)
            .cloned()
            .collect();
        let removed: Vec<_> = keys.iter().filter_map(|key| state.remove(key)).collect();
        drop(state);
        self.shared.discard(removed);
        // Fails where others still write; the next start removes their files.
        let _ = fs::remove_dir(self.shared.store_directory(binding));
    }

    /// What is cached of an object, whichever version.
    pub fn find(&self, binding: StoreBinding, path: &ObjectPath) -> Option<Arc<CachedObject>> {
        let key = ObjectKey::new(binding, path);
        self.shared.lock().objects.get(&key).cloned()
    }

    /// What is cached of an object of this size; begun if there is nothing. An object of another size is forgotten.
    ///
    /// # Errors
    /// [`CacheError::File`] when its file cannot be made.
    pub fn entry(
        &self,
        binding: StoreBinding,
        path: &ObjectPath,
        size: u64,
    ) -> Result<Arc<CachedObject>, CacheError> {
        let key = ObjectKey::new(binding, path);
        let mut state = self.shared.lock();
        if let Some(known) = state.objects.get(&key)
            && known.layout.size() == size
        {
            return Ok(Arc::clone(known));
        }
        let replaced = state.remove(&key);
        let object = state.new_object(key.clone(), size);
        // Before anybody else finds it.
        let path = self.shared.path_of(&object);
        File::create_new(&path)
            .and_then(|file| file.set_len(object.layout.file_length()))
            .map_err(file_error("create", &path))?;
        state.recency.insert(key.clone(), None);
        state.objects.insert(key.clone(), Arc::clone(&object));
        state.changed_objects.insert(key);
        drop(state);
        self.shared.discard(replaced);
        Ok(object)
    }

    /// An object that is not cached, for whoever has its bytes in hand: it has no file.
    pub fn without_file(
        &self,
        binding: StoreBinding,
        path: &ObjectPath,
        size: u64,
    ) -> Arc<CachedObject> {
        let key = ObjectKey::new(binding, path);
        self.shared.lock().new_object(key, size)
    }

    /// The file and version of an object, which is marked used, if all of `ranges` is there, undamaged; of this size, or of
    /// whichever.
    pub fn open_whole(
        &self,
        binding: StoreBinding,
        path: &ObjectPath,
        size: Option<u64>,
        ranges: &[ByteRange],
    ) -> Option<(File, ObjectVersion)> {
        let object = self.find(binding, path)?;
        let layout = object.layout;
        if size.is_some_and(|size| size != layout.size()) {
            return None;
        }
        let file = self.open_file(&object, false).ok()?;
        let is_there = |range: &ByteRange| {
            let granules = layout.granules_of(*range);
            layout.missing(&file, &granules, |_| false).is_empty()
        };
        if !ranges.iter().all(is_there) {
            return None;
        }
        self.touch(&object);
        Some((file, object.version()))
    }

    /// Opens an object's file. One that is gone, or of another length, is forgotten.
    ///
    /// # Errors
    /// [`CacheError::File`].
    pub fn open_file(&self, object: &CachedObject, writable: bool) -> Result<File, CacheError> {
        let path = self.shared.path_of(object);
        let opened = (File::options().read(true).write(writable).open(&path)).and_then(|file| {
            match file.metadata()?.len() == object.layout.file_length() {
                true => Ok(file),
                false => Err(io::ErrorKind::InvalidData.into()),
            }
        });
        opened.map_err(|source| {
            if matches!(
                source.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::InvalidData
            ) {
                self.forget(object);
            }
            file_error("open", &path)(source)
        })
    }

    /// Writes whole granules of an object, from granule `first` on; others make room for them.
    ///
    /// # Errors
    /// [`CacheError::Full`] when there cannot be room, [`CacheError::File`] when the file cannot be written.
    pub fn write(
        &self,
        object: &Arc<CachedObject>,
        first: u64,
        data: &[u8],
    ) -> Result<(), CacheError> {
        let bytes = data.len() as u64;
        // What the object has already does not make room for the rest of it.
        let own = (self.shared.lock().recency.get(&object.key)).map_or(0, |use_| use_.bytes);
        if own + bytes > self.shared.config.capacity {
            return Err(CacheError::Full {
                wanted: own + bytes,
                capacity: self.shared.config.capacity,
            });
        }
        self.make_room(Some(object), bytes);
        let file = self.open_file(object, true)?;
        let path = self.shared.path_of(object);
        let write = || object.layout.write(&file, first, data);
        let written = write().or_else(|error| match is_full(&error) {
            true => {
                // Others fill the disk: what the cache can give, it gives.
                self.give_up(object, bytes);
                write()
            }
            false => Err(error),
        });
        let blocks = file.metadata().map(|metadata| metadata.blocks());
        let mut state = self.shared.lock();
        let is_current =
            (state.objects.get(&object.key)).is_some_and(|now| Arc::ptr_eq(now, object));
        if is_current {
            let bytes = blocks.map_or(bytes, |blocks| blocks * BLOCK_BYTES);
            state.recency.set_bytes(&object.key, bytes);
            state.changed_objects.insert(object.key.clone());
        }
        drop(state);
        written.map_err(file_error("write", &path))?;
        self.make_room(Some(object), 0);
        Ok(())
    }

    /// Marks an object used.
    pub fn touch(&self, object: &CachedObject) {
        let mut state = self.shared.lock();
        state
            .recency
            .touch(&object.key, self.shared.config.capacity);
        state.changed_objects.insert(object.key.clone());
    }

    /// Forgets an object, if it is still the one that is cached, and removes its file.
    pub fn forget(&self, object: &CachedObject) {
        let mut state = self.shared.lock();
        let is_current =
            (state.objects.get(&object.key)).is_some_and(|now| now.file == object.file);
        let removed = is_current.then(|| state.remove(&object.key)).flatten();
        drop(state);
        self.shared.discard(removed);
    }

    /// Forgets whatever is cached of an object.
    pub fn forget_path(&self, binding: StoreBinding, path: &ObjectPath) {
        if let Some(object) = self.find(binding, path) {
            self.forget(&object);
        }
    }

    /// Removes objects until `bytes` more would fit.
    fn make_room(&self, spared: Option<&CachedObject>, bytes: u64) {
        let most = self.shared.config.capacity.saturating_sub(bytes);
        self.evict_to(most, spared);
    }

    /// Removes objects that take twice as much as `bytes`, or a sixteenth of all, if that is more.
    fn give_up(&self, spared: &CachedObject, bytes: u64) {
        let used = self.shared.lock().recency.used();
        let most = used.saturating_sub((2 * bytes).max(used / 16));
        self.evict_to(most, Some(spared));
    }

    fn evict_to(&self, most: u64, spared: Option<&CachedObject>) {
        let mut state = self.shared.lock();
        if state.recency.used() <= most {
            return;
        }
        let keys = state.recency.evict(most, spared.map(CachedObject::key));
        let evicted: Vec<_> = keys.iter().filter_map(|key| state.remove(key)).collect();
        state.evictions += evicted.len() as u64;
        drop(state);
        self.shared.discard(evicted);
    }
}

fn micros_since_epoch() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_micros() as u64)
}

/// Removes files that were there at the start, below number `first_new`, and are not known, and the directories of stores
/// that are not.
fn remove_others(data: &Path, first_new: u64, known: &HashSet<u64>, stores: &HashSet<u64>) {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let number_of = |entry: &DirEntry| entry.file_name().to_str()?.parse::<u64>().ok();
    for store in entries(data) {
        for file in entries(&store.path()) {
            if number_of(&file).is_none_or(|number| number < first_new && !known.contains(&number))
                && let Err(error) = remove_if_there(&file.path())
            {
                tracing::warn!(path = %file.path().display(), %error, "a file of the cache is left");
            }
        }
        let number = number_of(&store);
        if number.is_none_or(|number| number < first_new && !stores.contains(&number)) {
            // Fails where a file is left.
            let _ = fs::remove_dir(store.path());
        }
    }
}

fn remove_if_there(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(super) fn file_error(
    operation: &'static str,
    path: &Path,
) -> impl Fn(io::Error) -> CacheError + use<> {
    let path = path.to_owned();
    move |source| CacheError::File {
        operation,
        path: path.clone(),
        source,
    }
}
