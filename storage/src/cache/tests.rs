//! The cache against its promises: what is found, what goes first, what survives.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{fs, path::PathBuf, sync::Arc, time::Duration};

use tempfile::TempDir;

use super::*;
use crate::{
    cache_file::{GRANULE_BYTES, Layout},
    protocol::ObjectPath,
};

const GRANULE: usize = GRANULE_BYTES as usize;

fn path(name: &str) -> ObjectPath {
    ObjectPath::new(name).unwrap()
}

fn open(directory: &TempDir, granules: u64) -> (DiskCache, StoreBinding) {
    // With room for the maps, which take a block of the file system each.
    let capacity = granules * (GRANULE_BYTES + 8192);
    let cache = DiskCache::open(CacheConfig::new(directory.path(), capacity)).unwrap();
    let binding = cache.bind_store("memory://a").unwrap();
    (cache, binding)
}

/// The one directory of the one store.
fn lake(directory: &TempDir) -> PathBuf {
    let mut stores = fs::read_dir(directory.path().join("data")).unwrap();
    let lake = stores.next().unwrap().unwrap().path();
    assert!(stores.next().is_none());
    lake
}

/// An object of one granule, all of it cached.
fn fill(cache: &DiskCache, binding: StoreBinding, name: &str) -> Arc<CachedObject> {
    let object = cache.entry(binding, &path(name), GRANULE_BYTES).unwrap();
    assert!(object.note_etag(Some("e")));
    cache.write(&object, 0, &vec![7; GRANULE]).unwrap();
    object
}

fn has(cache: &DiskCache, binding: StoreBinding, name: &str) -> bool {
    let Some(object) = cache.find(binding, &path(name)) else {
        return false;
    };
    let file = cache.open_file(&object, false).unwrap();
    let sums = object.layout().checksums(&file, &(0..1)).unwrap();
    sums[0] != 0
}

#[test]
fn what_was_used_once_goes_before_what_was_used_again() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 4);
    let again = fill(&cache, binding, "again");
    cache.touch(&again);
    for number in 0..20 {
        fill(&cache, binding, &number.to_string());
    }
    assert!(has(&cache, binding, "again"));
    assert!(has(&cache, binding, "19"));
    assert!(!has(&cache, binding, "0"));
    assert!(cache.usage().evictions >= 16);
    assert!(cache.usage().bytes <= 4 * (GRANULE_BYTES + 8192));
    let files = fs::read_dir(lake(&directory)).unwrap();
    assert_eq!(files.count() as u64, cache.usage().objects);
}

#[test]
fn a_file_stays_readable_when_it_is_evicted() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 1);
    let first = fill(&cache, binding, "first");
    let file = cache.open_file(&first, false).unwrap();
    fill(&cache, binding, "second");
    assert!(!has(&cache, binding, "first"));
    let sums = first.layout().checksums(&file, &(0..1)).unwrap();
    assert_ne!(sums[0], 0);
    // And who still has the entry writes into nothing that others find.
    assert!(cache.write(&first, 0, &vec![7; GRANULE]).is_err());
}

#[test]
fn an_object_that_is_larger_than_the_cache_is_there_in_part() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 2);
    let large = (cache.entry(binding, &path("large"), 9 * GRANULE_BYTES)).unwrap();
    let written = (0..9).map(|granule| cache.write(&large, granule, &vec![7; GRANULE]));
    let written: Vec<bool> = written.map(|written| written.is_ok()).collect();
    assert!(written[0] && !written[8], "{written:?}");
    assert!(cache.usage().bytes <= cache.capacity());
    // It makes room for others.
    fill(&cache, binding, "other");
    assert!(has(&cache, binding, "other"));
    assert!(cache.usage().bytes <= cache.capacity());
}

#[test]
fn an_object_of_another_size_is_another_version() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 4);
    fill(&cache, binding, "a");
    let other = cache.entry(binding, &path("a"), 5).unwrap();
    assert_eq!(other.layout(), Layout::new(5));
    assert!(!has(&cache, binding, "a"));
    assert!(other.note_etag(Some("x")));
    assert!(!other.note_etag(Some("y")), "the version has changed");
}

#[test]
fn what_was_cached_is_known_after_a_start_and_other_files_go() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 4);
    let object = fill(&cache, binding, "a");
    cache.touch(&object);
    fill(&cache, binding, "lost");
    drop(cache);
    let lake = lake(&directory);
    fs::write(lake.join("stray"), b"x").unwrap();
    let (cache, again) = open(&directory, 4);
    assert_eq!(binding, again);
    assert!(has(&cache, binding, "a"));
    let found = cache.find(binding, &path("a")).unwrap();
    assert_eq!(found.version().etag.as_deref(), Some("e"));
    for _ in 0..500 {
        if !lake.join("stray").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(!lake.join("stray").exists());
    // A file that is gone, or cut, is forgotten when it is met.
    for file in fs::read_dir(&lake).unwrap() {
        fs::remove_file(file.unwrap().path()).unwrap();
    }
    assert!(cache.open_file(&found, false).is_err());
    assert!(cache.find(binding, &path("a")).is_none());
}

#[test]
fn a_store_has_what_is_cached_of_its_place_until_it_is_forgotten() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 4);
    fill(&cache, binding, "a");
    let other = cache.bind_store("memory://b").unwrap();
    assert_ne!(other, binding);
    assert!(!has(&cache, other, "a"));
    assert_eq!(cache.bind_store("memory://a").unwrap(), binding);
    assert!(has(&cache, binding, "a"));
    cache.unbind_store("memory://a");
    assert!(!has(&cache, binding, "a"));
    assert_eq!(cache.usage().objects, 0);
    assert_ne!(cache.bind_store("memory://a").unwrap(), binding);
    drop(cache);
    let (cache, first_again) = open(&directory, 4);
    assert_ne!(first_again, binding);
    assert_eq!(cache.usage().objects, 0);
}

#[test]
fn an_index_that_cannot_be_read_is_begun_anew() {
    let directory = TempDir::new().unwrap();
    let (cache, binding) = open(&directory, 4);
    fill(&cache, binding, "a");
    drop(cache);
    fs::write(directory.path().join("index.redb"), b"no index").unwrap();
    let (cache, binding) = open(&directory, 4);
    assert!(!has(&cache, binding, "a"));
    fill(&cache, binding, "b");
    assert!(has(&cache, binding, "b"));
}

#[test]
fn one_process_at_a_time_has_the_cache() {
    let directory = TempDir::new().unwrap();
    let (_cache, _) = open(&directory, 4);
    let second = DiskCache::open(CacheConfig::new(directory.path(), 1));
    assert!(matches!(second, Err(CacheError::Busy { .. })));
}
