//! Real stores that fail, and what the daemon has to do. As in `stores.rs`, run on purpose only: by the step `stores` of
//! `cargo xtask test-all`, or by `cargo xtask stores start --faults`, `eval "$(cargo xtask stores env)"`, and
//! `cargo test -p pg-lakebase-storage --test stores_failing -- --ignored`.
//!
//! A fault that a test orders has to be met: the proxy counts that.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use std::{
    io::Write,
    thread,
    time::{Duration, Instant},
};

use harness::{
    content, eventually, object,
    proxied::{ATTEMPT, LIMIT, Proxied},
    put, read, store_id, try_put,
};
use pg_lakebase_storage::{
    client::{ClientError, Interrupted, Put},
    protocol::{FailureCode, PutCondition, StoreProtocol},
};

const MIB: usize = 1024 * 1024;
const CLOUDS: [StoreProtocol; 3] = [StoreProtocol::S3, StoreProtocol::Gcs, StoreProtocol::Azure];

fn code(error: &ClientError) -> FailureCode {
    match error.failure() {
        Some(failure) => failure.code,
        None => panic!("not the service's answer: {error:?}"),
    }
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn a_second_of_503s_fails_nothing() {
    for protocol in CLOUDS {
        eprintln!("{protocol:?}");
        a_second_of_503s_fails_nothing_in(protocol);
    }
}

fn a_second_of_503s_fails_nothing_in(protocol: StoreProtocol) {
    let store = Proxied::before(protocol);
    let mut client = store.client();
    let data = content(100_000);
    let burst = || store.tell("fault * 503:SlowDown 1s");
    burst();
    let begun = Instant::now();
    put(&mut client, "a", &data);
    burst();
    assert_eq!(client.head(&object("a")).unwrap().version.size, 100_000);
    burst();
    let meta = client.list(&store_id(), None).unwrap();
    assert_eq!(meta.len(), 1);
    burst();
    client.delete(&[object("a")]).unwrap();
    assert!(begun.elapsed() > Duration::from_secs(4));
    for kind in ["PUT", "HEAD", "LIST", "DELETE"] {
        let count = store.count(kind);
        assert!(count.faults > 0 && count.faults < 12, "{kind}: {count:?}");
        assert_eq!(count.requests, count.faults + 1, "{kind}: {count:?}");
    }
    // Uploads in parts: at their beginning, in the middle, and at their end.
    let large = content(40 * MIB);
    for kind in ["OTHER", "PART", "JOIN"] {
        // Parts of Azure need no beginning.
        if protocol == StoreProtocol::Azure && kind == "OTHER" {
            continue;
        }
        store.tell(&format!("fault {kind} 503:SlowDown 2"));
        put(&mut client, "large", &large);
        assert_eq!(store.count(kind).faults, 2, "{kind}");
    }
    store.tell("fault GET 503:SlowDown 2");
    let read = read(&mut store.reader(), "large", Some(40 * MIB as u64), 0, MIB);
    assert!(read.unwrap() == large[..MIB]);
    assert_eq!(store.count("GET").faults, 2);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn requests_that_hang_are_made_again_and_in_the_end_told() {
    let store = Proxied::start();
    let mut client = store.client();
    let data = content(100_000);
    store.tell("fault PUT hang");
    let begun = Instant::now();
    put(&mut client, "a", &data);
    assert!(begun.elapsed() > ATTEMPT);
    store.tell("fault HEAD hang");
    client.head(&object("a")).unwrap();
    store.tell("fault LIST hang always\nfault HEAD hang always");
    type Operation = fn(&mut harness::TestClient) -> Option<ClientError>;
    let operations: [Operation; 2] = [
        |client| client.head(&object("a")).err(),
        |client| client.list(&store_id(), None).err(),
    ];
    for operation in operations {
        let begun = Instant::now();
        let error = operation(&mut client).unwrap();
        assert_eq!(code(&error), FailureCode::TimedOut, "{error:?}");
        assert!(error.is_transient());
        assert!(begun.elapsed() < LIMIT);
    }
    assert_eq!(store.count("PUT").faults, 1);
    assert!(store.count("HEAD").faults >= 3);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn in_a_black_hole_what_is_cached_is_read_and_the_rest_fails_in_time_and_heals_by_itself() {
    let store = Proxied::start();
    let mut client = store.client();
    let data = content(100_000);
    put(&mut client, "a", &data);
    put(&mut client, "b", &data);
    store.tell("black-hole on");
    let read_a = |client: &mut _| read(client, "a", Some(100_000), 0, 100_000);
    assert!(read_a(&mut client).unwrap() == data);
    let begun = Instant::now();
    let error = client.head(&object("b")).unwrap_err();
    assert!(begun.elapsed() < LIMIT);
    assert_eq!(code(&error), FailureCode::TimedOut, "{error:?}");
    let begun = Instant::now();
    let error = try_put(&mut client, "c", &data, PutCondition::Absent).unwrap_err();
    assert!(begun.elapsed() < LIMIT);
    assert!(error.is_transient(), "{error:?}");
    store.tell("black-hole off");
    // What the black hole gives back may have written it.
    try_put(&mut client, "c", &data, PutCondition::Absent).unwrap();
    client.head(&object("b")).unwrap();
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn an_interrupt_ends_a_wait_for_a_store_that_hangs_at_once() {
    let store = Proxied::start();
    put(&mut store.client(), "a", &content(1000));
    store.tell("black-hole on");
    let begun = Instant::now();
    let wanted = Duration::from_millis(300);
    let mut client = store.interrupted_by(move || match begun.elapsed() > wanted {
        true => Err(Interrupted),
        false => Ok(()),
    });
    let error = client.head(&object("a")).unwrap_err();
    assert!(matches!(error, ClientError::Interrupted(_)), "{error:?}");
    assert!(begun.elapsed() < wanted + Duration::from_millis(500));
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn connections_that_break_cost_further_requests_and_no_error() {
    for protocol in CLOUDS {
        eprintln!("{protocol:?}");
        connections_break_in(protocol);
    }
}

fn connections_break_in(protocol: StoreProtocol) {
    let store = Proxied::before(protocol);
    let large = content(40 * MIB);
    put(&mut store.client(), "large", &large);
    store
        .tell("forget\nfault GET reset\nfault GET truncate\nfault HEAD reset\nfault LIST truncate");
    let mut reader = store.reader();
    let size = Some(large.len() as u64);
    assert!(read(&mut reader, "large", size, 0, large.len()).unwrap() == large);
    reader.head(&object("large")).unwrap();
    assert_eq!(reader.list(&store_id(), None).unwrap().len(), 1);
    for (kind, faults) in [("GET", 2), ("HEAD", 1), ("LIST", 1)] {
        assert_eq!(store.count(kind).faults, faults, "{kind}");
    }
    // Whole pieces of 16 MiB: three, and one more for each fault.
    assert_eq!(store.count("GET").requests, 5);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn a_write_whose_answer_is_lost_was_done_once_and_is_told_as_done() {
    for protocol in CLOUDS {
        eprintln!("{protocol:?}");
        a_lost_answer_is_found_in(protocol);
    }
}

fn a_lost_answer_is_found_in(protocol: StoreProtocol) {
    let store = Proxied::before(protocol);
    let mut client = store.client();
    let (small, large) = (content(100_000), content(40 * MIB));
    store.tell("fault PUT lose-answer\nfault PART lose-answer 2\nfault JOIN lose-answer\nfault DELETE lose-answer");
    let meta = try_put(&mut client, "small", &small, PutCondition::Absent).unwrap();
    assert_eq!(client.head(&object("small")).unwrap(), meta);
    let meta = try_put(&mut client, "large", &large, PutCondition::Absent).unwrap();
    assert_eq!(client.head(&object("large")).unwrap(), meta);
    let size = Some(large.len() as u64);
    assert!(read(&mut store.reader(), "large", size, 0, large.len()).unwrap() == large);
    client.delete(&[object("small"), object("large")]).unwrap();
    for (kind, faults) in [("PUT", 1), ("PART", 2), ("JOIN", 1), ("DELETE", 1)] {
        assert_eq!(store.count(kind).faults, faults, "{kind}");
    }
    // What another has written is not taken for it.
    put(&mut client, "small", &large[..100_000]);
    store.tell("fault PUT lose-answer");
    let error = try_put(&mut client, "small", &content(99_999), PutCondition::Absent);
    assert_eq!(code(&error.unwrap_err()), FailureCode::Exists);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn bodies_that_are_altered_on_the_way_to_the_store_do_not_become_objects() {
    let store = Proxied::start();
    let mut client = store.client();
    let (small, large) = (content(100_000), content(40 * MIB));
    store.tell("fault PUT alter-request\nfault PART alter-request");
    put(&mut client, "small", &small);
    put(&mut client, "large", &large);
    assert_eq!(store.count("PUT").faults, 1);
    assert_eq!(store.count("PART").faults, 1);
    let mut reader = store.reader();
    for (name, data) in [("small", &small), ("large", &large)] {
        let read = read(&mut reader, name, Some(data.len() as u64), 0, data.len());
        assert!(read.unwrap() == *data, "{name}");
    }
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn objects_that_are_altered_on_the_way_from_the_store_are_read_again_or_not_at_all() {
    let store = Proxied::start();
    let data = content(100_000);
    for name in ["a", "b", "c"] {
        put(&mut store.client(), name, &data);
    }
    store.tell("fault GET alter 2");
    let mut reader = store.reader();
    // With and without a known size.
    for (name, size) in [("a", Some(100_000)), ("b", None)] {
        let read = read(&mut reader, name, size, 0, 100_000);
        assert!(read.unwrap() == data, "{name}");
    }
    assert_eq!(store.count("GET").faults, 2);
    store.tell("fault GET alter always");
    let error = read(&mut reader, "c", Some(100_000), 0, 100_000).unwrap_err();
    assert_eq!(code(&error), FailureCode::Unavailable, "{error:?}");
    let message = &error.failure().unwrap().message;
    assert!(message.contains("checksum"), "{message}");
    // Nothing of it is in the cache.
    store.tell("clear");
    assert!(read(&mut reader, "c", Some(100_000), 0, 100_000).unwrap() == data);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn expired_credentials_and_clocks_that_are_wrong_are_told_at_once() {
    let store = Proxied::start();
    let mut client = store.client();
    let data = content(1000);
    for (order, told) in [
        ("fault * expired always", "ExpiredToken"),
        ("skew 1200", "RequestTimeTooSkewed"),
        ("skew -1200", "RequestTimeTooSkewed"),
    ] {
        store.tell(&format!("clear\nforget\n{order}"));
        let begun = Instant::now();
        let error = try_put(&mut client, "a", &data, PutCondition::Any).unwrap_err();
        assert!(begun.elapsed() < ATTEMPT);
        assert_eq!(code(&error), FailureCode::Unauthenticated, "{error:?}");
        assert!(!error.is_transient());
        let message = &error.failure().unwrap().message;
        assert!(message.contains(told), "{message}");
        assert_eq!(store.count("PUT").requests, 1);
    }
    // Ten minutes do no harm, and with new credentials everything goes on.
    store.tell("clear\nskew 600");
    put(&mut client, "a", &data);
    let listed = client.list(&store_id(), None).unwrap();
    assert_eq!(listed.len(), 1);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn requests_are_as_many_as_are_needed() {
    let store = Proxied::start();
    let mut client = store.client();
    let data = content(3 * MIB);
    let counted = |what: &str, expected: &[(&str, u64)]| {
        for (kind, requests) in expected {
            assert_eq!(store.count(kind).requests, *requests, "{what}: {kind}");
        }
        let sum: u64 = expected.iter().map(|(_, requests)| requests).sum();
        assert_eq!(store.requests(), sum, "{what}");
        store.forget();
    };
    put(&mut client, "a", &data);
    counted("a small write", &[("PUT", 1)]);
    let size = Some(data.len() as u64);
    assert!(read(&mut client, "a", size, 0, data.len()).unwrap() == data);
    counted("what was written is cached", &[]);
    let mut reader = store.reader();
    assert!(read(&mut reader, "a", size, MIB, MIB).unwrap() == data[MIB..2 * MIB]);
    let received = store.count("GET").received;
    assert!(received < (MIB + 64 * 1024) as u64, "{received}");
    counted("a cold read", &[("GET", 1)]);
    assert!(read(&mut reader, "a", size, MIB, MIB).unwrap() == data[MIB..2 * MIB]);
    counted("a warm read", &[]);
    let large = content(40 * MIB);
    put(&mut client, "large", &large);
    counted("a large write", &[("OTHER", 1), ("PART", 3), ("JOIN", 1)]);
    assert_eq!(client.list(&store_id(), None).unwrap().len(), 2);
    counted("a listing", &[("LIST", 1)]);
    client.delete(&[object("a"), object("large")]).unwrap();
    counted("a deletion", &[("DELETE", 1)]);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn readers_of_the_same_bytes_share_one_slow_request() {
    let store = Proxied::start();
    let data = content(4 * MIB);
    put(&mut store.client(), "a", &data);
    store.tell("forget\nlatency 200ms\nbandwidth 20000000");
    let begun = Instant::now();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let read = read(
                    &mut store.reader(),
                    "a",
                    Some(data.len() as u64),
                    0,
                    data.len(),
                );
                assert!(read.unwrap() == data);
            });
        }
    });
    // Latency twice, for connection and answer, and the time for the bytes: the proxy is what it says.
    assert!(begun.elapsed() > Duration::from_millis(600));
    assert_eq!(store.count("GET").requests, 1);
}

#[test]
#[ignore = "needs a server and a proxy: cargo xtask stores start --faults"]
fn a_daemon_that_stops_removes_the_parts_of_what_it_was_uploading() {
    let mut store = Proxied::start();
    let object = object("large");
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content(40 * MIB)).unwrap();
    store.tell("fault PART hang always");
    let mut client = store.client();
    thread::scope(|scope| {
        let putting = scope.spawn(|| {
            let put = Put::new(&object, &file, 40 * MIB as u64).unwrap();
            client.put(&[put])
        });
        eventually("parts are under way", || store.count("PART").faults > 0);
        store.terminate();
        assert!(putting.join().unwrap().is_err());
    });
    assert_eq!(store.count("DELETE").requests, 1);
    assert_eq!(store.count("JOIN").requests, 0);
    let error = store.reader().head(&object).unwrap_err();
    assert_eq!(code(&error), FailureCode::NotFound);
}
