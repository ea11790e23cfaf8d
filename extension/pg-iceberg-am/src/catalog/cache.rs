//! Parsed metadata, kept for the life of the backend.
//!
//! Metadata files, manifest lists and manifests never change once written, and their names are never
//! used again, so what is cached by path is right for ever; the bound is on memory alone.

use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use iceberg_lite::error::Error;
use iceberg_lite::scan::{FileMetadata, plan_files};
use iceberg_lite::spec::{Schema, TableMetadata};
use pg_lakebase_core::error::PgResult;

use crate::error::to_pg_error;
use crate::scan::{Segment, committed_segments};
use crate::storage::VfdFileIo;

/// Metadata files kept.
const METADATA_FILES: usize = 64;
/// Segments kept, over all snapshots.
const SEGMENT_COUNT: usize = 200_000;
/// Parquet footers kept.
const FOOTERS: usize = 512;

thread_local! {
    static METADATA: RefCell<Cache<String, Arc<TableMetadata>>> = RefCell::new(Cache::new(METADATA_FILES));
    static SEGMENTS: RefCell<Cache<String, Arc<Vec<Segment>>>> = RefCell::new(Cache::new(SEGMENT_COUNT));
    static FILES: RefCell<Cache<String, FileMetadata>> = RefCell::new(Cache::new(FOOTERS));
}

/// The table metadata in the file `relative` to the table's directory.
pub fn metadata(io: &VfdFileIo, relative: &str) -> PgResult<Arc<TableMetadata>> {
    let path = format!("{}/{relative}", io.directory().location());
    if let Some(known) = METADATA.with_borrow_mut(|cache| cache.get(&path)) {
        return Ok(known);
    }
    let metadata = Arc::new(TableMetadata::read_from(io, &path).map_err(to_pg_error)?);
    METADATA.with_borrow_mut(|cache| cache.put(path, Arc::clone(&metadata), 1));
    Ok(metadata)
}

/// The schema that new rows of the table are written with.
pub fn current_schema(metadata: &TableMetadata) -> PgResult<Arc<Schema>> {
    metadata.current_schema().cloned().ok_or_else(|| {
        to_pg_error(Error::invalid_metadata(
            &*metadata.location,
            "current-schema-id",
            "there is no schema of that id",
        ))
    })
}

/// The data files of the current snapshot of `metadata`, which is the file `relative`, as segments.
pub fn segments(
    io: &VfdFileIo,
    relative: &str,
    metadata: &TableMetadata,
) -> PgResult<Arc<Vec<Segment>>> {
    let Some(snapshot) = metadata.current_snapshot() else {
        return Ok(Arc::default());
    };
    let path = format!("{}/{relative}", io.directory().location());
    if let Some(known) = SEGMENTS.with_borrow_mut(|cache| cache.get(&path)) {
        return Ok(known);
    }
    let mut files = plan_files(metadata, snapshot, io).map_err(to_pg_error)?;
    // Stable: files of one snapshot stay in the order of their manifest.
    files.sort_by_key(|file| file.data_sequence_number);
    let segments = Arc::new(committed_segments(files)?);
    let weight = segments.len().max(1);
    SEGMENTS.with_borrow_mut(|cache| cache.put(path, Arc::clone(&segments), weight));
    Ok(segments)
}

/// Keeps metadata that this backend has just written.
pub fn remember(io: &VfdFileIo, relative: &str, metadata: Arc<TableMetadata>) {
    let path = format!("{}/{relative}", io.directory().location());
    METADATA.with_borrow_mut(|cache| cache.put(path, metadata, 1));
}

/// The footer of the data file at `path`, read by `read` unless known.
pub fn file_metadata(
    path: &str,
    read: impl FnOnce() -> PgResult<FileMetadata>,
) -> PgResult<FileMetadata> {
    if let Some(known) = FILES.with_borrow_mut(|cache| cache.get(path)) {
        return Ok(known);
    }
    let footer = read()?;
    FILES.with_borrow_mut(|cache| cache.put(path.to_owned(), footer.clone(), 1));
    Ok(footer)
}

/// A bounded map that forgets the half used longest ago when it is full.
struct Cache<K, V> {
    entries: HashMap<K, Entry<V>>,
    capacity: usize,
    weight: usize,
    clock: u64,
}

struct Entry<V> {
    value: V,
    weight: usize,
    used: u64,
}

impl<K: Hash + Eq + Clone, V: Clone> Cache<K, V> {
    fn new(capacity: usize) -> Self {
        Self {
            entries: HashMap::new(),
            capacity,
            weight: 0,
            clock: 0,
        }
    }

    fn get<Q>(&mut self, key: &Q) -> Option<V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Hash + Eq + ?Sized,
    {
        self.clock += 1;
        let entry = self.entries.get_mut(key)?;
        entry.used = self.clock;
        Some(entry.value.clone())
    }

    fn put(&mut self, key: K, value: V, weight: usize) {
        self.clock += 1;
        let used = self.clock;
        self.weight += weight;
        if let Some(old) = self.entries.insert(
            key,
            Entry {
                value,
                weight,
                used,
            },
        ) {
            self.weight -= old.weight;
        }
        if self.weight > self.capacity {
            self.shrink();
        }
    }

    fn shrink(&mut self) {
        let mut by_use: Vec<(u64, K)> = self
            .entries
            .iter()
            .map(|(key, entry)| (entry.used, key.clone()))
            .collect();
        by_use.sort_unstable_by_key(|&(used, _)| used);
        for (_, key) in by_use {
            if self.weight <= self.capacity / 2 || self.entries.len() == 1 {
                break;
            }
            if let Some(entry) = self.entries.remove(&key) {
                self.weight -= entry.weight;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Cache;

    #[test]
    fn a_full_cache_keeps_what_was_used_last() {
        let mut cache = Cache::new(4);
        for key in 0..4 {
            cache.put(key, key, 1);
        }
        assert_eq!(cache.get(&0), Some(0));
        cache.put(4, 4, 1);
        assert_eq!(cache.get(&0), Some(0));
        assert_eq!(cache.get(&4), Some(4));
        assert_eq!(cache.get(&1), None);
        assert_eq!(cache.weight, 2);
    }

    #[test]
    fn replacing_a_value_replaces_its_weight() {
        let mut cache = Cache::new(4);
        cache.put("a", 1, 3);
        cache.put("a", 2, 1);
        assert_eq!(cache.weight, 1);
        assert_eq!(cache.get("a"), Some(2));
    }
}
