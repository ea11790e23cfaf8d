//! How long it takes to open what is cached, and to start with much in the cache. By hand:
//!
//! ```text
//! cargo bench --package pg-lakebase-storage --bench service [-- OBJECTS]
//! ```
#![expect(clippy::unwrap_used, reason = "a benchmark")]

#[path = "../tests/harness/mod.rs"]
mod harness;

use std::{fs, thread, time::Duration, time::Instant};

use harness::{Daemon, content, local_store, object, path, put};
use pg_lakebase_storage::{
    cache::{CacheConfig, DiskCache},
    protocol::ByteRange,
};
use tempfile::TempDir;

/// Objects that are opened, one after the other.
const FILES: usize = 64;
const FILE_BYTES: u64 = 1 << 20;
const OPENINGS: usize = 20_000;

fn main() {
    // Cargo's own arguments begin with dashes.
    let objects = std::env::args().skip(1).find_map(|text| text.parse().ok());
    open_cached();
    start_with(objects.unwrap_or(100_000));
}

/// Has the end of files that are cached opened, and read, as a scan does that comes to a file.
fn open_cached() {
    let directory = TempDir::new().unwrap();
    let bucket = directory.path().join("bucket");
    fs::create_dir(&bucket).unwrap();
    let daemon = Daemon::start(directory.path(), "1G");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    for file in 0..FILES {
        put(
            &mut client,
            &format!("{file}"),
            &content(FILE_BYTES as usize),
        );
    }
    let footer = ByteRange {
        offset: FILE_BYTES - 10_000,
        length: 10_000,
    };
    let mut took: Vec<Duration> = (0..OPENINGS)
        .map(|opening| {
            let object = object(&format!("{}", opening % FILES));
            let begun = Instant::now();
            let file = client.want(&object, Some(FILE_BYTES), &[footer]).unwrap();
            let mut bytes = vec![0; footer.length as usize];
            file.read_exact_at(&mut bytes, footer.offset).unwrap();
            begun.elapsed()
        })
        .collect();
    took.sort_unstable();
    println!(
        "opening a cached file: median {:?}, 95% {:?}",
        took[OPENINGS / 2],
        took[OPENINGS * 95 / 100]
    );
}

/// Starts the service with so many objects in its cache, and waits until it listens.
fn start_with(objects: usize) {
    let directory = TempDir::new().unwrap();
    let config = CacheConfig::new(directory.path().join("cache"), u64::MAX);
    let cache = DiskCache::open(config).unwrap();
    let store = local_store(directory.path());
    let binding = cache.bind_store(&store.identity()).unwrap();
    let identity = "0123456789abcdef/16384/20000-800/data";
    for number in 0..objects {
        let name = path(&format!(
            "{identity}/00000-{number}-cafe0123-4567-89ab.parquet"
        ));
        let cached = cache.entry(binding, &name, 4096).unwrap();
        cached.note_etag(Some("\"9b2cf535f27731c974343645a3985328\""));
    }
    drop(cache);
    let begun = Instant::now();
    let daemon = Daemon::start(directory.path(), "100G");
    let took = begun.elapsed();
    thread::sleep(Duration::from_secs(1));
    let status = daemon.client().status().unwrap();
    println!("starting with {} objects: {took:?}", status.cache.files);
}
