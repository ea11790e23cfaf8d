//! What every store must do, asked through the real daemon over its socket: stores in memory and in
//! a directory. Any other store can be asked the same by adding its specification.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use std::{fs, os::unix::fs::PermissionsExt};

use harness::{
    Daemon, TestClient, content, eventually, local_store, memory_store, object, path, put, read,
    store_id, try_put,
};
use pg_lakebase_storage::protocol::{ByteRange, FailureCode, Listed, PutCondition, StoreSpec};
use tempfile::TempDir;

const MIB: usize = 1024 * 1024;

fn with_stores(check: impl Fn(&mut TestClient)) {
    let directory = TempDir::new().unwrap();
    let bucket = directory.path().join("bucket");
    fs::create_dir(&bucket).unwrap();
    let prefixed = |mut spec: StoreSpec| {
        spec.options.insert("prefix".into(), "warehouse/a".into());
        spec
    };
    let specs = [
        memory_store(),
        local_store(&bucket),
        prefixed(memory_store()),
        prefixed(local_store(&bucket)),
    ];
    let daemon = Daemon::start(directory.path(), "64M");
    for spec in specs {
        let mut client = daemon.client();
        client.open_store(spec).unwrap();
        check(&mut client);
        client.close_store(&store_id()).unwrap();
        // An upload that is being aborted may still have its hands in there.
        eventually("the bucket is empty", || {
            fs::remove_dir_all(&bucket).is_ok()
        });
        fs::create_dir_all(&bucket).unwrap();
    }
}

fn code<T: std::fmt::Debug>(
    result: Result<T, pg_lakebase_storage::client::ClientError>,
) -> FailureCode {
    let error = result.unwrap_err();
    let failure = error.failure().unwrap_or_else(|| panic!("{error:?}"));
    assert!(!failure.is_transient(), "{failure:?}");
    failure.code
}

#[test]
fn an_object_comes_back_as_it_was_written_whatever_its_size() {
    with_stores(|client| {
        // Around a granule of the cache and one request of an upload.
        for size in [0, 1, 16_384, 16_385, MIB, 16 * MIB, 17 * MIB + 3] {
            let name = format!("data/t=1/{size}.parquet");
            let data = content(size);
            put(client, &name, &data);
            let meta = client.head(&object(&name)).unwrap();
            assert_eq!(meta.version.size, size as u64);
            for known in [None, Some(size as u64)] {
                assert!(
                    read(client, &name, known, 0, size).unwrap() == data,
                    "{size}"
                );
            }
        }
    });
}

#[test]
fn ranges_are_exact_and_cut_at_the_end_of_the_object() {
    with_stores(|client| {
        let data = content(9 * MIB);
        put(client, "a", &data);
        for size in [Some(data.len() as u64), None] {
            for (offset, length) in [
                (0, 0),
                (0, 1),
                (4 * MIB - 1, 2),
                (3 * MIB, 6 * MIB),
                (9 * MIB - 1, 1),
                (9 * MIB - 1, 7),
                (9 * MIB, 1),
                (5, 9 * MIB - 5),
            ] {
                let read = read(client, "a", size, offset, length).unwrap();
                let end = (offset + length).min(data.len());
                assert!(read == data[offset..end], "{offset} {length}");
            }
        }
        let all = ByteRange {
            offset: 0,
            length: u64::MAX,
        };
        let nothing = ByteRange {
            offset: u64::MAX,
            length: u64::MAX,
        };
        let size = Some(data.len() as u64);
        let cached = client.want(&object("a"), size, &[all, nothing]).unwrap();
        let mut whole = vec![0; data.len()];
        cached.read_exact_at(&mut whole, 0).unwrap();
        assert!(whole == data);
    });
}

#[test]
fn what_is_not_there_is_not_found_and_deleting_it_is_no_error() {
    with_stores(|client| {
        assert_eq!(code(client.head(&object("no"))), FailureCode::NotFound);
        for size in [None, Some(1)] {
            assert_eq!(code(read(client, "no", size, 0, 1)), FailureCode::NotFound);
        }
        client.delete(&[object("no")]).unwrap();
        for name in ["yes", "and"] {
            put(client, name, b"content");
        }
        assert_eq!(read(client, "yes", Some(7), 0, 7).unwrap(), b"content");
        client.delete(&["yes", "no", "and"].map(object)).unwrap();
        for name in ["yes", "and"] {
            assert_eq!(code(client.head(&object(name))), FailureCode::NotFound);
        }
        // Nor is it served from the cache.
        let gone = read(client, "yes", Some(7), 0, 7);
        assert_eq!(code(gone), FailureCode::NotFound);
    });
}

#[test]
fn an_object_written_again_is_read_as_it_is_now() {
    with_stores(|client| {
        put(client, "a", b"before");
        assert_eq!(read(client, "a", Some(6), 0, 6).unwrap(), b"before");
        put(client, "a", b"after!");
        assert_eq!(read(client, "a", Some(6), 0, 6).unwrap(), b"after!");
        put(client, "a", b"longer than before");
        assert_eq!(code(read(client, "a", Some(6), 0, 6)), FailureCode::Changed);
        assert_eq!(read(client, "a", Some(18), 7, 4).unwrap(), b"than");
    });
}

#[test]
fn conditions_are_kept_and_what_was_written_may_be_written_again() {
    with_stores(|client| {
        let first = try_put(client, "a", b"mine", PutCondition::Absent).unwrap();
        // The answer may have been lost.
        let again = try_put(client, "a", b"mine", PutCondition::Absent).unwrap();
        assert_eq!(first.version.size, again.version.size);
        let other = try_put(client, "a", b"its!", PutCondition::Absent);
        assert_eq!(code(other), FailureCode::Exists);
        assert_eq!(read(client, "a", Some(4), 0, 4).unwrap(), b"mine");
    });
}

#[test]
fn listings_are_ordered_paged_and_confined_to_their_directory() {
    with_stores(|client| {
        let mut names: Vec<_> = (0..25).map(|n| format!("t/data/{n}.parquet")).collect();
        names.extend(["t-other/x", "t/metadata/v1.metadata.json", "é"].map(String::from));
        for name in &names {
            put(client, name, b"x");
        }
        names.sort();
        let paths = |page: &[Listed]| -> Vec<String> {
            page.iter()
                .map(|listed| listed.meta.path.to_string())
                .collect()
        };
        assert_eq!(paths(&client.list(&store_id(), None).unwrap()), names);
        let within: Vec<_> = names
            .iter()
            .filter(|n| n.starts_with("t/"))
            .cloned()
            .collect();
        let prefix = path("t");
        assert_eq!(
            paths(&client.list(&store_id(), Some(&prefix)).unwrap()),
            within
        );
        let mut paged = Vec::new();
        let mut token = None;
        loop {
            let (page, next) = client
                .list_page(&store_id(), Some(&prefix), token, 7)
                .unwrap();
            assert!(page.len() == 7 || next.is_none());
            let now = std::time::SystemTime::now()
                .duration_since(std::time::UNIX_EPOCH)
                .unwrap()
                .as_millis() as i64;
            assert!(
                page.iter()
                    .all(|listed| (now - listed.last_modified_ms).abs() < 600_000)
            );
            paged.extend(paths(&page));
            if next.is_none() {
                break;
            }
            token = next;
        }
        assert_eq!(paged, within);
        assert!(
            client
                .list(&store_id(), Some(&path("nothing")))
                .unwrap()
                .is_empty()
        );
    });
}

#[test]
fn an_id_stands_for_one_specification_until_it_is_closed() {
    let directory = TempDir::new().unwrap();
    let buckets = ["one", "two"].map(|name| directory.path().join(name));
    for bucket in &buckets {
        fs::create_dir(bucket).unwrap();
        fs::write(
            bucket.join("a"),
            bucket.file_name().unwrap().as_encoded_bytes(),
        )
        .unwrap();
    }
    let daemon = Daemon::start(directory.path(), "1M");
    let mut client = daemon.client();
    let unknown = client.head(&object("a"));
    assert_eq!(code(unknown), FailureCode::UnknownStore);
    client.open_store(local_store(&buckets[0])).unwrap();
    assert_eq!(read(&mut client, "a", Some(3), 0, 3).unwrap(), b"one");
    let mut other = daemon.client();
    let conflict = other.open_store(local_store(&buckets[1]));
    assert_eq!(code(conflict), FailureCode::StoreConflict);
    let mut same_place = local_store(&buckets[0]);
    same_place.options.insert("prefix".into(), "/".into());
    let conflict = other.open_store(same_place);
    assert_eq!(code(conflict), FailureCode::StoreConflict);
    other.close_store(&store_id()).unwrap();
    other.open_store(local_store(&buckets[1])).unwrap();
    assert_eq!(read(&mut other, "a", Some(3), 0, 3).unwrap(), b"two");
}

#[test]
fn unusable_stores_are_refused_with_the_reason() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "1M");
    let mut client = daemon.client();
    let mut spec = memory_store();
    spec.options.insert("regoin".into(), "eu".into());
    let error = client.open_store(spec).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.code, FailureCode::InvalidStore);
    assert!(failure.message.contains("regoin"), "{failure}");
    let missing = local_store(&directory.path().join("missing"));
    assert_eq!(code(client.open_store(missing)), FailureCode::InvalidStore);
}

#[test]
#[cfg(feature = "cloud")]
fn cloud_stores_take_their_options_and_refuse_others() {
    use pg_lakebase_storage::protocol::StoreProtocol;
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "1M");
    let mut client = daemon.client();
    let options: [(StoreProtocol, &[(&str, &str)]); 3] = [
        (
            StoreProtocol::S3,
            &[
                ("region", "eu-central-1"),
                ("endpoint", "https://s3.invalid"),
            ],
        ),
        (StoreProtocol::Gcs, &[("skip_signature", "true")]),
        (
            StoreProtocol::Azure,
            &[("account", "a"), ("use_emulator", "true")],
        ),
    ];
    for (protocol, options) in options {
        let mut spec = StoreSpec {
            protocol,
            ..memory_store()
        };
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        spec.options = options.iter().map(own).collect();
        client.open_store(spec.clone()).unwrap();
        client.close_store(&store_id()).unwrap();
        spec.options.insert("no_such_option".into(), "1".into());
        assert_eq!(code(client.open_store(spec)), FailureCode::InvalidStore);
    }
}

#[test]
#[cfg(feature = "cloud")]
fn a_bucket_is_put_before_names_and_not_before_addresses() {
    use pg_lakebase_storage::protocol::StoreProtocol;
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "1M");
    let mut client = daemon.client();
    let mut open = |host: &str, is_virtual_hosted: &str| {
        let spec = StoreSpec {
            protocol: StoreProtocol::S3,
            options: [
                ("endpoint", &*format!("https://{host}")),
                ("virtual_hosted_style_request", is_virtual_hosted),
            ]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into(),
            ..memory_store()
        };
        let opened = client.open_store(spec);
        client.close_store(&store_id()).unwrap();
        opened
    };
    for host in ["127.0.0.1:9000", "[::1]:9000"] {
        open(host, "false").unwrap();
        let refused = open(host, "true").unwrap_err();
        let failure = refused.failure().unwrap();
        assert_eq!(failure.code, FailureCode::InvalidStore);
        assert!(failure.message.contains("is an address"), "{failure}");
    }
    open("s3.invalid", "true").unwrap();
}

#[test]
fn the_socket_is_private_and_a_second_daemon_leaves_it_alone() {
    let directory = TempDir::new().unwrap();
    let daemon = Daemon::start(directory.path(), "1M");
    let mode = fs::metadata(daemon.socket()).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let other = TempDir::new().unwrap();
    for (socket, cache, reason) in [
        (
            daemon.socket(),
            other.path().join("cache"),
            "another process listens",
        ),
        (
            other.path().join("socket"),
            directory.path().join("cache"),
            "another process uses",
        ),
    ] {
        let second = Daemon::command(&socket, &cache, "1M").output().unwrap();
        assert!(!second.status.success());
        let message = String::from_utf8(second.stderr).unwrap();
        assert!(message.contains(reason), "{message}");
    }
    let mut client = daemon.client();
    client.open_store(memory_store()).unwrap();
    put(&mut client, "a", b"x");
    let socket = daemon.socket();
    assert!(daemon.terminate().success());
    assert!(!socket.exists());
}

#[test]
fn without_permission_for_tests_their_stores_are_refused() {
    let directory = TempDir::new().unwrap();
    let opener = pg_lakebase_storage::backend::StoreOpener {
        test_stores: pg_lakebase_storage::backend::TestStores::Refused,
        limits: Default::default(),
        credentials: None,
        uploads: Default::default(),
    };
    let daemon = harness::InProcess::start(directory.path(), 1000, std::sync::Arc::new(opener));
    for spec in [memory_store(), local_store(directory.path())] {
        let refused = daemon.client().open_store(spec);
        assert_eq!(code(refused), FailureCode::InvalidStore);
    }
}
