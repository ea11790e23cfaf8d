//! Stores that fail, hang and change; clients that leave, dawdle and talk nonsense.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use std::{
    io::{Read, Write},
    os::unix::net::UnixStream,
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use harness::{
    InProcess, TestClient, content, eventually,
    failing_store::{FailingStore, Fault, Opener},
    memory_store, object, put,
};
use pg_lakebase_storage::{
    backend::ErrorKind,
    client::{Client, ClientError, Interrupted, Uninterrupted},
    protocol::{
        ByteRange, FailureCode, FrameHeader, HEADER_BYTES, Request, RequestId, Response, UploadId,
    },
};
use tempfile::TempDir;

struct Setup {
    store: Arc<FailingStore>,
    daemon: InProcess,
    client: TestClient,
    directory: TempDir,
}

fn setup(capacity: u64) -> Setup {
    let directory = TempDir::new().unwrap();
    let store = FailingStore::new();
    let opener = Arc::new(Opener(Arc::clone(&store)));
    let daemon = InProcess::start(directory.path(), capacity, opener);
    let mut client = daemon.client();
    client.open_store(memory_store()).unwrap();
    Setup {
        store,
        daemon,
        client,
        directory,
    }
}

fn all(data: &[u8]) -> ByteRange {
    ByteRange {
        offset: 0,
        length: data.len() as u64,
    }
}

#[test]
fn transient_errors_are_retried_and_permanent_ones_are_not() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", b"content");
    store.inject([Fault::Error(ErrorKind::Unavailable); 2]);
    let before = store.calls();
    client.head(&object("a")).unwrap();
    assert_eq!(store.calls() - before, 3);

    // More than a second of them, as a store has them that makes room.
    store.inject([Fault::Error(ErrorKind::Unavailable); 200]);
    client.head(&object("a")).unwrap();

    store.inject([Fault::Error(ErrorKind::PermissionDenied)]);
    let before = store.calls();
    let error = client.head(&object("a")).unwrap_err();
    assert!(!error.is_transient());
    let failure = error.failure().unwrap();
    assert_eq!(failure.code, FailureCode::PermissionDenied);
    assert_eq!(failure.object, "lake:a");
    assert!(failure.message.contains("injected fault"), "{failure}");
    assert_eq!(store.calls() - before, 1);
}

#[test]
fn what_is_cached_is_read_without_the_store() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(100_000);
    let data = content(5000);
    put(&mut client, "a", &data);
    client
        .get_range(&object("a"), Some(5000), all(&data))
        .unwrap();
    let before = store.calls();
    let range = ByteRange {
        offset: 1000,
        length: 3000,
    };
    let read = client.get_range(&object("a"), Some(5000), range).unwrap();
    assert!(read == data[1000..4000]);
    assert_eq!(store.calls(), before);
}

#[test]
fn readers_of_the_same_block_share_one_download() {
    let Setup {
        store,
        daemon,
        mut client,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", &content(1000));
    client.head(&object("a")).unwrap();
    let before = store.calls();
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut client = daemon.client();
                client.open_store(memory_store()).unwrap();
                let read = client.get_range(&object("a"), Some(1000), all(&[0; 1000]));
                assert!(read.unwrap() == content(1000));
            });
        }
    });
    assert_eq!(store.calls() - before, 1);
}

#[test]
fn a_cache_too_small_for_a_block_only_costs_time_but_a_fetch_says_so() {
    let Setup {
        mut client,
        directory,
        daemon: _daemon,
        ..
    } = setup(700);
    let data = content(3000);
    put(&mut client, "a", &data);
    for _ in 0..2 {
        let read = client.get_range(&object("a"), Some(3000), all(&data));
        assert!(read.unwrap() == data);
    }
    let error = client.fetch(&object("a"), Some(3000)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.code, FailureCode::CacheFull);
    assert!(!failure.is_transient());
    put(&mut client, "b", &data[..600]);
    let (mut file, _) = client.fetch(&object("b"), None).unwrap();
    let mut whole = Vec::new();
    file.read_to_end(&mut whole).unwrap();
    assert!(whole == data[..600]);
    assert!(
        file.write_all(b"x").is_err(),
        "the cache's file can be written"
    );
    let staging = directory.path().join("cache/staging");
    assert_eq!(std::fs::read_dir(staging).unwrap().count(), 0);
}

#[test]
fn a_cache_whose_disk_fails_still_serves_ranges() {
    let Setup {
        mut client,
        directory,
        daemon: _daemon,
        ..
    } = setup(100_000);
    let data = content(3000);
    put(&mut client, "a", &data);
    let staging = directory.path().join("cache/staging");
    std::fs::remove_dir(&staging).unwrap();
    let read = client.get_range(&object("a"), Some(3000), all(&data));
    assert!(read.unwrap() == data);
    let error = client.fetch(&object("a"), Some(3000)).unwrap_err();
    assert_eq!(error.failure().unwrap().code, FailureCode::Internal);
    std::fs::create_dir(&staging).unwrap();
    client.fetch(&object("a"), Some(3000)).unwrap();
}

#[test]
fn an_object_replaced_behind_the_daemons_back_is_noticed() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", &content(1000));
    client.head(&object("a")).unwrap();
    store.inject([Fault::Error(ErrorKind::Changed)]);
    let error = client.get_range(&object("a"), Some(1000), all(&[0; 1000]));
    assert_eq!(
        error.unwrap_err().failure().unwrap().code,
        FailureCode::Changed
    );
    let before = store.calls();
    client
        .get_range(&object("a"), Some(1000), all(&[0; 100]))
        .unwrap();
    assert_eq!(
        store.calls() - before,
        2,
        "asks for the version, then reads"
    );
}

#[test]
fn an_interrupt_ends_a_wait_within_a_second_and_cancels_the_request() {
    let Setup {
        store,
        mut client,
        daemon,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", b"content");
    let start = Instant::now();
    let mut pending = false;
    let interrupts = || {
        // As a signal handler would: only once the wait has begun.
        pending |= start.elapsed() > Duration::from_millis(300);
        if pending { Err(Interrupted) } else { Ok(()) }
    };
    let mut interrupted = Client::new(daemon.config(), interrupts);
    interrupted.open_store(memory_store()).unwrap();
    store.inject([Fault::Hang]);
    let error = interrupted.head(&object("a")).unwrap_err();
    assert!(matches!(error, ClientError::Interrupted(_)), "{error:?}");
    assert!(start.elapsed() < Duration::from_secs(1));
    eventually("the request is cancelled", || {
        store.hanging.load(SeqCst) == 0
    });
    client.head(&object("a")).unwrap();
}

#[test]
fn a_store_that_hangs_is_a_time_out_and_the_client_goes_on() {
    let Setup {
        store,
        daemon,
        directory: _directory,
        ..
    } = setup(100_000);
    let mut config = daemon.config();
    config.timeout = Duration::from_millis(200);
    let mut client = Client::new(config, Uninterrupted);
    client.open_store(memory_store()).unwrap();
    put(&mut client, "a", b"content");
    store.inject([Fault::Hang]);
    let error = client.head(&object("a")).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    assert!(error.is_transient());
    eventually("the request is cancelled", || {
        store.hanging.load(SeqCst) == 0
    });
    client.head(&object("a")).unwrap();
}

#[test]
fn an_upload_that_is_given_up_or_refused_leaves_nothing() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(100_000);
    let mut upload = client.put(&object("a")).unwrap();
    upload.write(&content(3_000_000)).unwrap();
    drop(upload);

    store.inject([Fault::Error(ErrorKind::PermissionDenied)]);
    let mut upload = client.put(&object("a")).unwrap();
    upload.write(&content(3_000_000)).unwrap();
    let error = upload.finish().unwrap_err();
    assert_eq!(error.failure().unwrap().code, FailureCode::PermissionDenied);
    let missing = client.head(&object("a")).unwrap_err();
    assert_eq!(missing.failure().unwrap().code, FailureCode::NotFound);
    put(&mut client, "a", b"content");
}

#[test]
fn a_stopping_daemon_ends_in_time_although_a_store_hangs() {
    let Setup {
        store,
        daemon,
        mut client,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", b"content");
    store.inject([Fault::Hang]);
    let waiting = thread::spawn(move || client.head(&object("a")));
    eventually("the request hangs", || store.hanging.load(SeqCst) == 1);
    let start = Instant::now();
    daemon.stop();
    assert!(start.elapsed() < Duration::from_secs(3));
    let error = waiting.join().unwrap().unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

/// A client that writes frames by hand.
struct RawClient(UnixStream);

impl RawClient {
    fn connect(daemon: &InProcess) -> Self {
        let stream = UnixStream::connect(daemon.config().socket).unwrap();
        stream
            .set_read_timeout(Some(Duration::from_secs(10)))
            .unwrap();
        Self(stream)
    }

    fn greeted(daemon: &InProcess) -> Self {
        let mut client = Self::connect(daemon);
        client.send(
            &Request::Hello {
                oldest: 1,
                newest: 9,
            },
            0,
        );
        assert_eq!(
            client.receive(),
            Some((0, Response::Welcome { version: 1 }))
        );
        client
    }

    fn send(&mut self, request: &Request, id: u64) {
        self.0
            .write_all(request.encode(RequestId(id)).as_bytes())
            .unwrap();
    }

    /// The next response, or `None` once the daemon has closed the connection.
    fn receive(&mut self) -> Option<(u64, Response)> {
        let mut header = [0; HEADER_BYTES];
        self.0.read_exact(&mut header).ok()?;
        let header = FrameHeader::decode(&header).unwrap();
        let mut payload = vec![0; header.payload_bytes];
        self.0.read_exact(&mut payload).unwrap();
        let response = Response::decode(header.kind, &payload).unwrap();
        Some((header.request_id.0, response))
    }

    fn receive_failure(&mut self) -> FailureCode {
        match self.receive() {
            Some((_, Response::Failed(failure))) => failure.code,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn nonsense_costs_its_author_the_connection_and_nobody_else() {
    let Setup {
        daemon,
        mut client,
        directory: _directory,
        ..
    } = setup(100_000);
    let mut no_greeting = RawClient::connect(&daemon);
    no_greeting.send(&Request::Head(object("a")), 1);
    assert_eq!(no_greeting.receive_failure(), FailureCode::BadRequest);
    assert_eq!(no_greeting.receive(), None);

    let mut from_the_future = RawClient::connect(&daemon);
    from_the_future.send(
        &Request::Hello {
            oldest: 2,
            newest: 9,
        },
        1,
    );
    assert_eq!(
        from_the_future.receive_failure(),
        FailureCode::UnsupportedVersion
    );
    assert_eq!(from_the_future.receive(), None);

    let mut no_frame = RawClient::greeted(&daemon);
    no_frame.0.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    assert_eq!(no_frame.receive(), None);

    let mut half_a_frame = RawClient::greeted(&daemon);
    half_a_frame.0.write_all(&[1, 0, 4]).unwrap();
    drop(half_a_frame);

    let mut bad_request = RawClient::greeted(&daemon);
    bad_request.send(
        &Request::PutFinish {
            upload: UploadId(7),
        },
        1,
    );
    assert_eq!(bad_request.receive_failure(), FailureCode::BadRequest);
    bad_request.send(&Request::Head(object("a")), 2);
    assert_eq!(bad_request.receive_failure(), FailureCode::NotFound);

    put(&mut client, "a", b"content");
}

#[test]
fn requests_are_answered_side_by_side_and_too_many_are_refused() {
    let Setup {
        store,
        daemon,
        mut client,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", b"content");
    let mut raw = RawClient::greeted(&daemon);
    store.inject([Fault::Hang]);
    raw.send(&Request::Head(object("a")), 1);
    eventually("the first hangs", || store.hanging.load(SeqCst) == 1);
    raw.send(&Request::Head(object("a")), 2);
    assert!(matches!(raw.receive(), Some((2, Response::Object(_)))));

    store.inject([Fault::Hang; 31]);
    for id in 3..34 {
        raw.send(&Request::Head(object("a")), id);
    }
    eventually("all hang", || store.hanging.load(SeqCst) == 32);
    raw.send(&Request::Head(object("a")), 34);
    assert_eq!(raw.receive_failure(), FailureCode::BadRequest);
    drop(raw);
    eventually("all are cancelled", || store.hanging.load(SeqCst) == 0);
}

#[test]
fn a_client_that_takes_no_answers_holds_up_nobody_else() {
    let Setup {
        daemon,
        mut client,
        directory: _directory,
        ..
    } = setup(20_000_000);
    let data = content(8_000_000);
    put(&mut client, "a", &data);
    client.fetch(&object("a"), None).unwrap();
    let mut lazy = RawClient::greeted(&daemon);
    for id in 0..4 {
        let request = Request::GetRange {
            object: object("a"),
            expected_size: Some(8_000_000),
            range: all(&data),
        };
        lazy.send(&request, id);
    }
    for _ in 0..3 {
        let read = client.get_range(&object("a"), Some(8_000_000), all(&data));
        assert!(read.unwrap() == data);
    }
    // And its answers are still there, each whole, when it does take them.
    for _ in 0..4 {
        let Some((_, Response::Data(read))) = lazy.receive() else {
            panic!("no data");
        };
        assert!(read == data);
    }
}

#[test]
fn a_closed_store_is_opened_again_by_whoever_still_uses_it() {
    let Setup {
        daemon,
        mut client,
        directory: _directory,
        ..
    } = setup(100_000);
    put(&mut client, "a", b"content");
    daemon.client().close_store(&harness::store_id()).unwrap();
    client.head(&object("a")).unwrap();
}
