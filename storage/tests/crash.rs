//! The daemon is killed at any moment and started again. Nothing that was committed is lost, since
//! the daemon holds nothing but a cache; what must hold is that the cache never lies afterwards.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::{
    fs,
    os::unix::fs::{FileExt, MetadataExt},
    path::Path,
    thread,
    time::{Duration, Instant},
};

use harness::{Daemon, TestClient, content, local_store, object, put};
use pg_lakebase_storage::client::{Client, ClientConfig, ClientError, Uninterrupted};
use tempfile::TempDir;

const OBJECTS: usize = 12;
const LENGTH: usize = 3_000_000;

fn name(number: usize) -> String {
    format!("data/{number}.parquet")
}

fn data(number: usize) -> Vec<u8> {
    content(LENGTH + number)
}

fn read(client: &mut TestClient, number: usize) -> Result<Vec<u8>, ClientError> {
    let size = LENGTH + number;
    harness::read(client, &name(number), Some(size as u64), 0, size)
}

fn bucket(directory: &Path) -> std::path::PathBuf {
    let bucket = directory.join("bucket");
    fs::create_dir_all(bucket.join("data")).unwrap();
    for number in 0..OBJECTS {
        fs::write(bucket.join(name(number)), data(number)).unwrap();
    }
    bucket
}

/// Every object is whole, with its size known and without.
fn assert_consistent(client: &mut TestClient) {
    for number in 0..OBJECTS {
        assert!(
            read(client, number).unwrap() == data(number),
            "object {number}"
        );
        let whole = harness::read(client, &name(number), None, 0, LENGTH + number);
        assert!(whole.unwrap() == data(number), "object {number} by name");
    }
}

#[test]
fn a_cache_filled_and_evicted_while_the_daemon_is_killed_never_lies() {
    let directory = TempDir::new().unwrap();
    let bucket = bucket(directory.path());
    for round in 0..6u64 {
        // Small enough that evictions happen all the time.
        let daemon = Daemon::start(directory.path(), "20M");
        let socket = daemon.socket();
        let spec = local_store(&bucket);
        let readers: Vec<_> = (0..2)
            .map(|reader| {
                let (socket, spec) = (socket.clone(), spec.clone());
                thread::spawn(move || {
                    let mut client = Client::new(ClientConfig::new(socket), Uninterrupted);
                    if client.open_store(spec).is_err() {
                        return;
                    }
                    for step in 0.. {
                        let number = (step * 5 + reader * 3) % OBJECTS;
                        // In pieces, so that files are half there.
                        let offset = step % 7 * LENGTH / 7;
                        let size = (LENGTH + number) as u64;
                        let done =
                            harness::read(&mut client, &name(number), Some(size), offset, 100_000);
                        if let Err(error) = done {
                            assert!(error.is_transient(), "{error:?}");
                            return;
                        }
                    }
                })
            })
            .collect();
        thread::sleep(Duration::from_millis(60 + 70 * round));
        daemon.kill();
        for reader in readers {
            reader.join().unwrap();
        }
    }
    let daemon = Daemon::start(directory.path(), "20M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    assert_consistent(&mut client);
    assert!(daemon.terminate().success());
    let cached: u64 = (harness::cached_files(directory.path()).iter())
        .map(|file| file.metadata().unwrap().blocks() * 512)
        .sum();
    assert!(cached <= 20 << 20);
}

#[test]
fn what_was_cached_is_served_after_a_kill_without_the_store() {
    let directory = TempDir::new().unwrap();
    let bucket = bucket(directory.path());
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    for number in 0..OBJECTS {
        read(&mut client, number).unwrap();
    }
    // The index is written soon, and without anybody waiting for it.
    thread::sleep(Duration::from_secs(4));
    daemon.kill();
    fs::remove_dir_all(bucket.join("data")).unwrap();
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    for number in 0..OBJECTS {
        assert!(read(&mut client, number).unwrap() == data(number));
    }
}

#[test]
fn a_client_goes_on_with_a_daemon_that_was_restarted() {
    let directory = TempDir::new().unwrap();
    let bucket = bucket(directory.path());
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    read(&mut client, 0).unwrap();
    daemon.kill();
    let start = Instant::now();
    let error = read(&mut client, 0).unwrap_err();
    assert!(
        matches!(error, ClientError::Unreachable { .. }),
        "{error:?}"
    );
    assert!(error.is_transient() && start.elapsed() < Duration::from_secs(1));
    // The dead daemon's socket is in the way, its stores are forgotten.
    let _daemon = Daemon::start(directory.path(), "100M");
    assert!(read(&mut client, 0).unwrap() == data(0));
    put(&mut client, "new", b"content");
}

#[test]
fn a_write_whose_daemon_is_killed_is_repeated_with_the_next_one() {
    let directory = TempDir::new().unwrap();
    let bucket = bucket(directory.path());
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    client.head(&object(&name(0))).unwrap();
    daemon.kill();
    let _daemon = Daemon::start(directory.path(), "100M");
    let data = content(40_000_000);
    put(&mut client, "half", &data);
    let read = harness::read(&mut client, "half", None, 0, data.len());
    assert!(read.unwrap() == data);
}

/// What a crash of the machine leaves of files that were never synced.
#[test]
fn files_of_the_cache_that_lost_bytes_are_fetched_again() {
    let directory = TempDir::new().unwrap();
    let bucket = bucket(directory.path());
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    for number in 0..OBJECTS {
        read(&mut client, number).unwrap();
    }
    assert!(daemon.terminate().success());
    let files = harness::cached_files(directory.path());
    for (number, path) in files.into_iter().enumerate() {
        let file = fs::File::options().write(true).open(&path).unwrap();
        match number % 4 {
            0 => file.write_all_at(&[0; 50_000], 70_000).unwrap(),
            1 => file.set_len(1_000_000).unwrap(),
            2 => fs::remove_file(&path).unwrap(),
            _ => file.write_all_at(b"x", LENGTH as u64 + 1).unwrap(),
        }
    }
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    assert_consistent(&mut client);
}

#[test]
fn a_daemon_with_a_damaged_index_starts_with_an_empty_cache() {
    let directory = TempDir::new().unwrap();
    let bucket = bucket(directory.path());
    let daemon = Daemon::start(directory.path(), "100M");
    let mut client = daemon.client();
    client.open_store(local_store(&bucket)).unwrap();
    read(&mut client, 0).unwrap();
    daemon.kill();
    let index = directory.path().join("cache/index.redb");
    let mut bytes = fs::read(&index).unwrap();
    for byte in &mut bytes[..512] {
        *byte ^= 0x5a;
    }
    fs::write(&index, bytes).unwrap();
    let _daemon = Daemon::start(directory.path(), "100M");
    assert_consistent(&mut client);
}
