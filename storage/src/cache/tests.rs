//! What the cache keeps, gives up, and survives.
#![expect(clippy::unwrap_used, reason = "tests")]

use std::{collections::HashSet, fs, io::Read, path::Path};

use proptest::{collection::vec, prelude::*};
use tempfile::TempDir;

use super::*;
use crate::protocol::{ObjectPath, ObjectVersion, StoreId};

fn open(directory: &Path, capacity: u64) -> DiskCache {
    DiskCache::open(CacheConfig::new(directory, capacity)).unwrap()
}

fn bind(cache: &DiskCache) -> StoreBinding {
    cache
        .bind_store(&StoreId::new("lake").unwrap(), "memory://a")
        .unwrap()
}

fn key(binding: &StoreBinding, path: &str, part: Part) -> EntryKey {
    EntryKey {
        binding: binding.clone(),
        path: ObjectPath::new(path).unwrap(),
        version: ObjectVersion {
            etag: Some("1".into()),
            size: 100,
        },
        part,
    }
}

fn put(cache: &DiskCache, key: EntryKey, data: &[u8]) -> Result<(), CacheError> {
    let staged = cache.stage(data.len() as u64)?;
    staged.write_at(0, data)?;
    cache.commit(staged, key).map(drop)
}

fn get(cache: &DiskCache, key: &EntryKey) -> Option<Vec<u8>> {
    let mut data = Vec::new();
    cache.lookup(key)?.read_to_end(&mut data).unwrap();
    Some(data)
}

/// All files below `data` and `staging`.
fn files(directory: &Path) -> HashSet<std::path::PathBuf> {
    let mut found = HashSet::new();
    for below in ["data", "staging"] {
        let mut pending = vec![directory.join(below)];
        while let Some(path) = pending.pop() {
            if path.is_dir() {
                pending.extend(fs::read_dir(&path).unwrap().map(|e| e.unwrap().path()));
            } else {
                found.insert(path);
            }
        }
    }
    found
}

#[test]
fn entries_outlive_the_process() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 1000);
    let binding = bind(&cache);
    let key = key(&binding, "a/b", Part::Block(3));
    put(&cache, key.clone(), b"content").unwrap();
    drop(cache);
    let cache = open(directory.path(), 1000);
    assert_eq!(bind(&cache), binding);
    assert_eq!(get(&cache, &key).unwrap(), b"content");
    assert_eq!(cache.version(&binding, &key.path), Some(key.version));
    assert_eq!(cache.used_bytes(), 7);
}

#[test]
fn what_was_unused_for_longest_goes_first_also_after_a_restart() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 30);
    let binding = bind(&cache);
    let [a, b, c, d] = ["a", "b", "c", "d"].map(|path| key(&binding, path, Part::Whole));
    for key in [&a, &b, &c] {
        put(&cache, key.clone(), &[7; 10]).unwrap();
    }
    assert!(get(&cache, &a).is_some());
    cache.flush().unwrap();
    drop(cache);
    let cache = open(directory.path(), 30);
    put(&cache, d.clone(), &[7; 10]).unwrap();
    assert!(get(&cache, &b).is_none());
    for key in [&a, &c, &d] {
        assert!(get(&cache, key).is_some(), "{key:?}");
    }
    assert_eq!(files(directory.path()).len(), 3);
}

#[test]
fn a_lower_limit_holds_from_the_start() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 30);
    let binding = bind(&cache);
    for path in ["a", "b", "c"] {
        put(&cache, key(&binding, path, Part::Whole), &[7; 10]).unwrap();
    }
    drop(cache);
    let cache = open(directory.path(), 15);
    assert_eq!(cache.used_bytes(), 10);
    assert!(get(&cache, &key(&binding, "c", Part::Whole)).is_some());
    assert_eq!(files(directory.path()).len(), 1);
}

#[test]
fn files_being_written_count_and_are_never_evicted() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 10);
    let staged = cache.stage(8).unwrap();
    assert!(matches!(cache.stage(3), Err(CacheError::Full { .. })));
    assert!(matches!(cache.stage(11), Err(CacheError::Full { .. })));
    drop(staged);
    assert!(cache.stage(10).is_ok());
    assert!(files(directory.path()).is_empty());
}

#[test]
fn an_incomplete_file_is_not_committed() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 100);
    let key = key(&bind(&cache), "a", Part::Whole);
    let staged = cache.stage(8).unwrap();
    staged.write_at(0, b"short").unwrap();
    assert!(cache.commit(staged, key.clone()).is_err());
    assert!(get(&cache, &key).is_none());
    assert!(files(directory.path()).is_empty());
}

#[test]
fn an_open_file_stays_readable_after_its_eviction() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 10);
    let binding = bind(&cache);
    let [a, b] = ["a", "b"].map(|path| key(&binding, path, Part::Whole));
    put(&cache, a.clone(), b"0123456789").unwrap();
    let mut file = cache.lookup(&a).unwrap();
    put(&cache, b, &[0; 10]).unwrap();
    assert!(get(&cache, &a).is_none());
    let mut text = String::new();
    file.read_to_string(&mut text).unwrap();
    assert_eq!(text, "0123456789");
}

#[test]
fn leftovers_of_a_crash_are_removed_and_lost_files_are_forgotten() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 1000);
    let binding = bind(&cache);
    let [a, b, c] = ["a", "b", "c"].map(|path| key(&binding, path, Part::Whole));
    for key in [&a, &b, &c] {
        put(&cache, key.clone(), b"content").unwrap();
    }
    drop(cache);
    let data = directory.path().join("data/lake");
    fs::remove_file(data.join("0")).unwrap();
    fs::write(data.join("1"), b"cont").unwrap();
    fs::write(data.join("77"), b"renamed, but never in the index").unwrap();
    fs::write(directory.path().join("staging/78"), b"begun").unwrap();
    let cache = open(directory.path(), 1000);
    assert!(get(&cache, &a).is_none());
    assert!(get(&cache, &b).is_none(), "shorter than it was");
    assert_eq!(get(&cache, &c).unwrap(), b"content");
    assert_eq!(files(directory.path()), HashSet::from([data.join("2")]));
    assert_eq!(cache.used_bytes(), 7);
}

#[test]
fn a_damaged_index_is_begun_anew_wherever_the_damage_is() {
    let directory = TempDir::new().unwrap();
    let path = directory.path().join("index.redb");
    let cache = open(directory.path(), 1000);
    let entry = key(&bind(&cache), "a", Part::Whole);
    put(&cache, entry, b"content").unwrap();
    drop(cache);
    let good = fs::read(&path).unwrap();

    let mut damaged: Vec<Vec<u8>> = vec![b"no database at all".to_vec(), good[..600].to_vec()];
    for start in [0, 64, 256, 4096] {
        let mut bad = good.clone();
        for byte in bad.iter_mut().skip(start).take(200) {
            *byte = !*byte;
        }
        damaged.push(bad);
    }
    for bad in damaged {
        fs::write(&path, bad).unwrap();
        let cache = open(directory.path(), 1000);
        let key = key(&bind(&cache), "a", Part::Whole);
        if let Some(found) = get(&cache, &key) {
            assert_eq!(found, b"content", "redb had repaired the index");
        }
        put(&cache, key.clone(), b"content").unwrap();
        assert_eq!(get(&cache, &key).unwrap(), b"content");
        assert_eq!(files(directory.path()).len(), 1);
    }
}

#[test]
fn a_cache_is_used_by_one_process_at_a_time() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 1000);
    let second = DiskCache::open(CacheConfig::new(directory.path(), 1000));
    assert!(matches!(second, Err(CacheError::Busy { .. })));
    drop(cache);
    open(directory.path(), 1000);
}

#[test]
fn a_name_that_comes_to_mean_another_store_shows_nothing_of_the_old_one() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 1000);
    let id = StoreId::new("lake").unwrap();
    let before = cache.bind_store(&id, "s3://a").unwrap();
    let old = key(&before, "x", Part::Whole);
    put(&cache, old.clone(), b"old").unwrap();
    // A download that began before and ends after.
    let late = cache.stage(3).unwrap();
    late.write_at(0, b"old").unwrap();
    let after = cache.bind_store(&id, "s3://b").unwrap();
    cache.commit(late, old.clone()).unwrap();
    let new = key(&after, "x", Part::Whole);
    assert!(get(&cache, &new).is_none());
    drop(cache);
    let cache = open(directory.path(), 1000);
    assert_eq!(cache.bind_store(&id, "s3://b").unwrap(), after);
    assert!(get(&cache, &new).is_none());
    assert!(files(directory.path()).is_empty());
    assert_eq!(cache.used_bytes(), 0);
}

#[test]
fn forgetting_an_object_leaves_its_neighbours() {
    let directory = TempDir::new().unwrap();
    let cache = open(directory.path(), 1000);
    let binding = bind(&cache);
    let keep = [
        key(&binding, "a", Part::Whole),
        key(&binding, "b/c", Part::Block(0)),
    ];
    let drop = [
        key(&binding, "b", Part::Block(0)),
        key(&binding, "b", Part::Whole),
    ];
    for key in keep.iter().chain(&drop) {
        put(&cache, key.clone(), b"x").unwrap();
    }
    cache
        .forget(&binding, &ObjectPath::new("b").unwrap())
        .unwrap();
    assert!(keep.iter().all(|key| get(&cache, key).is_some()));
    assert!(drop.iter().all(|key| get(&cache, key).is_none()));
}

#[derive(Debug, Clone)]
enum Action {
    Put(u8, u8),
    Get(u8),
    Forget(u8),
    Reopen,
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// Whatever happens, the cache gives what was put or nothing, keeps its limit, and its files
    /// are those of its entries.
    #[test]
    fn any_history_keeps_the_cache_consistent(actions in vec(
        prop_oneof![
            4 => (0..6u8, 1..60u8).prop_map(|(path, length)| Action::Put(path, length)),
            3 => (0..6u8).prop_map(Action::Get),
            1 => (0..6u8).prop_map(Action::Forget),
            1 => Just(Action::Reopen),
        ], 1..20)) {
        let directory = TempDir::new().unwrap();
        let mut cache = open(directory.path(), 100);
        let binding = bind(&cache);
        let at = |path: u8| key(&binding, &path.to_string(), Part::Whole);
        let mut model = std::collections::HashMap::new();
        for action in actions {
            match action {
                Action::Put(path, length) => {
                    let data = vec![path ^ length; usize::from(length)];
                    put(&cache, at(path), &data).unwrap();
                    prop_assert_eq!(get(&cache, &at(path)), Some(data.clone()));
                    model.insert(path, data);
                }
                Action::Get(path) => {
                    if let Some(data) = get(&cache, &at(path)) {
                        prop_assert_eq!(Some(&data), model.get(&path));
                    }
                }
                Action::Forget(path) => {
                    cache.forget(&binding, &at(path).path).unwrap();
                    prop_assert_eq!(get(&cache, &at(path)), None);
                    model.remove(&path);
                }
                Action::Reopen => {
                    drop(cache);
                    cache = open(directory.path(), 100);
                }
            }
            let found = files(directory.path());
            let bytes: u64 = found.iter().map(|file| fs::metadata(file).unwrap().len()).sum();
            prop_assert_eq!(bytes, cache.used_bytes());
            prop_assert!(bytes <= 100);
        }
    }
}
