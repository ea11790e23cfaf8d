//! What the service tells of itself, asked by clients and by scrapers.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use std::{
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::net::UnixStream,
    time::{Duration, Instant},
};

use harness::{
    Daemon, InProcess, TestClient, content, eventually,
    failing_store::{FailingStore, Fault, Opener},
    local_store, memory_store, object, put, read, store_id,
};
use pg_lakebase_storage::{
    backend::ErrorKind,
    protocol::{
        ByteRange, ObjectRef, OperationCounts, Status, StoreId, StoreOperation, StoreStatus,
    },
};
use tempfile::TempDir;

const CAPACITY: u64 = 10_000_000;

fn of(store: &StoreStatus, operation: StoreOperation) -> OperationCounts {
    store.operations[operation as usize]
}

#[test]
fn a_client_is_told_what_stores_were_asked_and_what_the_cache_has() {
    let directory = TempDir::new().unwrap();
    let store = FailingStore::new();
    let service = InProcess::start(
        directory.path(),
        CAPACITY,
        std::sync::Arc::new(Opener(store.clone())),
    );
    let mut client = service.client();

    let fresh = client.status().unwrap();
    assert_eq!((fresh.stores.len(), fresh.cache.files), (0, 0));
    assert_eq!(fresh.cache.capacity, CAPACITY);
    assert_eq!(fresh.version, env!("CARGO_PKG_VERSION"));

    client.open_store(memory_store()).unwrap();
    store.write("there", &content(50_000));
    for _ in 0..3 {
        read(&mut client, "there", Some(50_000), 0, 50_000).unwrap();
    }
    // Nobody has read it yet: what is there already counts for nothing.
    let whole = ByteRange {
        offset: 0,
        length: 50_000,
    };
    for name in ["there", "ahead"] {
        store.write(name, &content(50_000));
        client.prefetch(&object(name), 50_000, &[whole]).unwrap();
    }
    eventually("it is fetched ahead of time", || {
        service.client().status().unwrap().cache.bytes >= 100_000
    });
    read(&mut client, "ahead", Some(50_000), 0, 50_000).unwrap();
    put(&mut client, "new", &content(7000));
    // Tried again until it succeeds: one operation, and no error.
    store.inject([Fault::Error(ErrorKind::Unavailable); 2]);
    client.head(&object("there")).unwrap();
    client.head(&object("absent")).unwrap_err();
    client.delete(&[object("new")]).unwrap();
    client.list(&store_id(), None).unwrap();

    let Status {
        stores,
        cache,
        uptime_milliseconds,
        ..
    } = client.status().unwrap();
    assert!(uptime_milliseconds >= fresh.uptime_milliseconds);
    let [lake] = &stores[..] else {
        panic!("{stores:?}");
    };
    assert_eq!(lake.store, store_id());
    assert_eq!(lake.identity, memory_store().identity());
    assert_eq!((lake.hits, lake.misses), (3, 2));
    // The object that was deleted is forgotten.
    assert_eq!((lake.cached_files, cache.files), (2, 2));
    assert!(
        lake.cached_bytes >= 100_000 && lake.cached_bytes == cache.bytes,
        "{lake:?} {cache:?}"
    );
    let counted = |operation| {
        let counts = of(lake, operation);
        (counts.requests, counts.errors, counts.bytes)
    };
    assert_eq!(counted(StoreOperation::Get), (2, 0, 100_000));
    assert_eq!(counted(StoreOperation::Put), (1, 0, 7000));
    assert_eq!(counted(StoreOperation::Head), (2, 1, 0));
    assert_eq!(counted(StoreOperation::Delete), (1, 0, 0));
    assert_eq!(counted(StoreOperation::List), (1, 0, 0));
    assert!(of(lake, StoreOperation::Head).microseconds > 0);
}

/// New credentials make another store beside the old one. Nobody who still uses the old one takes them away, and what is cached
/// is not fetched again.
#[test]
fn ids_of_one_place_have_counts_of_their_own_and_share_what_is_cached() {
    let directory = TempDir::new().unwrap();
    let store = FailingStore::new();
    let service = InProcess::start(
        directory.path(),
        CAPACITY,
        std::sync::Arc::new(Opener(store.clone())),
    );
    let mut client = service.client();
    client.open_store(memory_store()).unwrap();
    put(&mut client, "a", b"content");
    let mut renewed = memory_store();
    renewed.id = StoreId::new("renewed").unwrap();
    renewed.options.insert("credentials".into(), "other".into());
    client.open_store(renewed.clone()).unwrap();
    let same = ObjectRef {
        store: renewed.id.clone(),
        ..object("a")
    };
    let mut client = service.client();
    client.open_store(renewed.clone()).unwrap();
    let gets = |client: &mut TestClient| {
        let status = client.status().unwrap();
        let gets = status
            .stores
            .iter()
            .map(|store| of(store, StoreOperation::Get).requests);
        gets.collect::<Vec<_>>()
    };
    let whole = [ByteRange {
        offset: 0,
        length: 7,
    }];
    client.want(&same, Some(7), &whole).unwrap();
    assert_eq!(gets(&mut client), [0, 0]);
    client.close_store(&store_id()).unwrap();
    client.want(&same, Some(7), &whole).unwrap();
    assert_eq!(gets(&mut client), [0]);
    // The last one takes along what is cached.
    client.close_store(&renewed.id).unwrap();
    assert!(client.status().unwrap().stores.is_empty());
    client.open_store(renewed).unwrap();
    client.want(&same, Some(7), &whole).unwrap();
    assert_eq!(gets(&mut client), [1]);
}

#[test]
fn scrapers_are_answered_at_a_socket_and_at_a_port() {
    // Free a moment ago.
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("metrics");
    for address in [socket.to_str().unwrap(), &format!("127.0.0.1:{port}")] {
        let daemon = Daemon::start_as(directory.path(), "100M", |command| {
            command.args(["--metrics", address]);
        });
        let bucket = directory.path().join("bucket");
        std::fs::create_dir_all(&bucket).unwrap();
        let mut client = daemon.client();
        client.open_store(local_store(&bucket)).unwrap();
        put(&mut client, "a", b"content");
        let ask = |request: &str| match address.contains('/') {
            true => exchange(UnixStream::connect(&socket).unwrap(), request),
            false => exchange(TcpStream::connect(address).unwrap(), request),
        };

        let page = ask("GET /metrics HTTP/1.1\r\nHost: here\r\n\r\n");
        assert!(page.starts_with("HTTP/1.1 200 OK\r\n"), "{page}");
        assert!(
            page.contains("\r\nContent-Type: text/plain; version=0.0.4"),
            "{page}"
        );
        let puts = "pg_lakebase_storage_store_requests_total{store=\"lake\",operation=\"put\"} 1";
        assert!(page.lines().any(|line| line == puts), "{page}");
        let (_, body) = page.split_once("\r\n\r\n").unwrap();
        let length = format!("Content-Length: {}\r\n", body.len());
        assert!(page.contains(&length), "{page}");

        assert!(ask("GET /other HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 404 "));
        assert!(ask("POST /metrics HTTP/1.1\r\n\r\n").starts_with("HTTP/1.1 400 "));
        let endless = "x".repeat(100_000);
        let begun = Instant::now();
        ask(&endless);
        assert!(
            begun.elapsed() < Duration::from_secs(4),
            "an endless request is not cut off"
        );

        assert!(daemon.terminate().success());
        eventually("the socket is removed", || !socket.exists());
    }
}

#[test]
fn scrapers_that_say_nothing_keep_nobody_from_the_service() {
    let directory = TempDir::new().unwrap();
    let metrics = directory.path().join("metrics");
    let daemon = Daemon::start_as(directory.path(), "100M", |command| {
        command.arg("--metrics").arg(&metrics);
    });
    let silent: Vec<UnixStream> = (0..20)
        .map(|_| UnixStream::connect(&metrics).unwrap())
        .collect();
    daemon.client().status().unwrap();
    drop(silent);
    let page = exchange(
        UnixStream::connect(&metrics).unwrap(),
        "GET /metrics HTTP/1.0\r\n\r\n",
    );
    assert!(
        page.contains("pg_lakebase_storage_uptime_seconds "),
        "{page}"
    );
}

/// Sends a request and returns all that comes back, as far as the other end lets it.
fn exchange(mut stream: impl Read + Write, request: &str) -> String {
    // It may close before it has read all.
    let _ = stream.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8(answer).unwrap()
}
