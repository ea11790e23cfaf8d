//! Stores that fail, hang and change; clients that leave, dawdle and talk nonsense.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use std::{
    io::{Read, Write},
    os::{
        fd::{AsFd, AsRawFd},
        unix::{fs::FileExt, net::UnixStream},
    },
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use harness::{
    InProcess, TestClient, content, eventually,
    failing_store::{FailingStore, Fault, Opener},
    memory_store, object, put, read, try_put,
};
use pg_lakebase_storage::{
    backend::ErrorKind,
    client::{Client, ClientError, Interrupted, Uninterrupted},
    protocol::{
        ByteRange, FailureCode, FrameHeader, HEADER_BYTES, PutCondition, Request, RequestId,
        Response, StoreOperation,
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
fn a_request_that_panics_is_answered_and_others_go_on() {
    let Setup {
        store,
        mut client,
        daemon,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", b"content");
    store.inject([Fault::Wait]);
    thread::scope(|scope| {
        let mut other = daemon.client();
        let waiting = scope.spawn(move || other.head(&object("a")));
        eventually("it hangs", || store.hanging.load(SeqCst) == 1);
        store.inject([Fault::Panic]);
        let began = Instant::now();
        let error = client.head(&object("a")).unwrap_err();
        assert!(began.elapsed() < Duration::from_secs(2), "{error}");
        let failure = error.failure().unwrap();
        assert_eq!(failure.code, FailureCode::Internal);
        assert!(failure.message.contains("injected panic"), "{failure}");
        store.inject([Fault::Panic]);
        let error = try_put(&mut client, "b", b"data", PutCondition::Any).unwrap_err();
        assert_eq!(error.failure().unwrap().code, FailureCode::Internal);
        store.inject([Fault::Panic; 20]);
        let error = read(&mut client, "c", Some(7), 0, 7).unwrap_err();
        assert_eq!(error.failure().unwrap().code, FailureCode::Internal);
        store.forget_faults();
        store.release();
        waiting.join().unwrap().unwrap();
    });
    // The same connection serves on.
    client.head(&object("a")).unwrap();
}

#[test]
fn what_is_cached_is_read_without_the_store() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(1_000_000);
    let data = content(50_000);
    put(&mut client, "a", &data);
    let before = store.calls();
    // What was written is there, whoever asks and however.
    assert!(read(&mut client, "a", Some(50_000), 0, 50_000).unwrap() == data);
    assert!(read(&mut client, "a", None, 17_000, 20_000).unwrap() == data[17_000..37_000]);
    assert_eq!(store.calls(), before);
}

#[test]
fn only_what_is_missing_is_fetched_and_what_is_near_in_one_request() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(10_000_000);
    let data = content(4_000_000);
    store.write("a", &data);
    let size = Some(4_000_000);
    let before = store.calls();
    let ranges = [(100_000, 50_000), (160_000, 40_000), (3_000_000, 10)];
    let ranges = ranges.map(|(offset, length)| ByteRange { offset, length });
    client.want(&object("a"), size, &ranges).unwrap();
    assert_eq!(store.calls() - before, 2, "two runs, no look-up");
    client.want(&object("a"), size, &ranges).unwrap();
    assert_eq!(store.calls() - before, 2, "all is there");
    let read = read(&mut client, "a", size, 90_000, 120_000).unwrap();
    assert!(read == data[90_000..210_000]);
    assert!(store.bytes() < 400_000, "{} bytes came", store.bytes());
    let status = client.status().unwrap();
    let [of_store] = &*status.stores else {
        panic!("{status:?}");
    };
    assert_eq!((of_store.hits, of_store.misses), (1, 2));
    let gets = of_store.operations[StoreOperation::Get as usize];
    assert_eq!(gets.bytes, store.bytes() as u64);
    assert_eq!(of_store.cached_files, 1);
    assert!(of_store.cached_bytes >= gets.bytes);
}

#[test]
fn readers_of_the_same_bytes_share_one_download_and_its_error() {
    let Setup {
        store,
        daemon,
        client: _client,
        directory: _directory,
    } = setup(1_000_000);
    store.write("a", &content(1000));
    let read_at_once = || {
        thread::scope(|scope| {
            let readers: Vec<_> = (0..8)
                .map(|_| {
                    scope.spawn(|| {
                        let mut client = daemon.client();
                        client.open_store(memory_store()).unwrap();
                        read(&mut client, "a", Some(1000), 0, 1000)
                    })
                })
                .collect();
            eventually("the download is under way", || {
                store.hanging.load(SeqCst) == 1
            });
            // Time for the others to come.
            thread::sleep(Duration::from_millis(300));
            store.release();
            let ended = readers.into_iter().map(|reader| reader.join().unwrap());
            ended.collect::<Vec<_>>()
        })
    };
    store.inject([Fault::WaitThenFail(ErrorKind::PermissionDenied)]);
    let before = store.calls();
    for result in read_at_once() {
        let error = result.unwrap_err();
        assert_eq!(error.failure().unwrap().code, FailureCode::PermissionDenied);
    }
    assert_eq!(store.calls() - before, 1);
    store.inject([Fault::Wait]);
    let before = store.calls();
    for result in read_at_once() {
        assert!(result.unwrap() == content(1000));
    }
    assert_eq!(store.calls() - before, 1);
}

#[test]
fn a_cache_that_is_too_small_only_costs_time() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(20_000);
    let data = content(300_000);
    store.write("a", &data);
    for _ in 0..2 {
        assert!(read(&mut client, "a", Some(300_000), 0, 300_000).unwrap() == data);
        assert!(read(&mut client, "a", None, 5, 100_000).unwrap() == data[5..100_005]);
    }
    put(&mut client, "b", &data);
    assert!(read(&mut client, "b", Some(300_000), 0, 300_000).unwrap() == data);
}

#[test]
fn a_cache_whose_directory_fails_serves_and_heals_by_itself() {
    let Setup {
        store,
        mut client,
        directory,
        daemon: _daemon,
    } = setup(1_000_000);
    let data = content(100_000);
    store.write("a", &data);
    store.write("b", &data);
    let lake = harness::cache_directories(directory.path()).remove(0);
    std::fs::remove_dir(&lake).unwrap();
    for name in ["a", "a", "b"] {
        assert!(read(&mut client, name, Some(100_000), 0, 100_000).unwrap() == data);
    }
    std::fs::create_dir(&lake).unwrap();
    read(&mut client, "a", Some(100_000), 0, 100_000).unwrap();
    let before = store.calls();
    assert!(read(&mut client, "a", Some(100_000), 0, 100_000).unwrap() == data);
    assert_eq!(store.calls(), before, "it is cached again");
}

#[test]
fn a_damaged_file_of_the_cache_is_fetched_again() {
    let Setup {
        store,
        mut client,
        directory,
        daemon: _daemon,
    } = setup(1_000_000);
    let data = content(100_000);
    store.write("a", &data);
    read(&mut client, "a", Some(100_000), 0, 100_000).unwrap();
    for path in harness::cached_files(directory.path()) {
        let file = std::fs::File::options().write(true).open(path).unwrap();
        file.write_all_at(b"damage", 40_000).unwrap();
    }
    assert!(read(&mut client, "a", Some(100_000), 0, 100_000).unwrap() == data);
}

#[test]
fn the_files_of_the_cache_are_not_for_clients_to_write() {
    let Setup {
        mut client,
        directory,
        daemon: _daemon,
        ..
    } = setup(1_000_000);
    put(&mut client, "a", b"content");
    let cached = client.want(&object("a"), Some(7), &[]).unwrap();
    let path = format!("/proc/self/fd/{}", cached.as_fd().as_raw_fd());
    let target = std::fs::read_link(path).unwrap();
    assert!(target.starts_with(directory.path().canonicalize().unwrap()));
    let written = rustix::io::write(cached.as_fd(), b"x");
    assert!(written.is_err());
}

#[test]
fn an_object_replaced_behind_the_daemons_back_is_noticed() {
    let Setup {
        store,
        mut client,
        daemon: _daemon,
        directory: _directory,
    } = setup(1_000_000);
    store.write("a", &content(100_000));
    read(&mut client, "a", Some(100_000), 0, 1000).unwrap();
    store.write("a", &content(70_000));
    let error = read(&mut client, "a", Some(100_000), 50_000, 1000).unwrap_err();
    assert_eq!(error.failure().unwrap().code, FailureCode::Changed);
    // What was cached of the one that is gone is gone as well.
    let error = read(&mut client, "a", Some(100_000), 0, 1000).unwrap_err();
    assert_eq!(error.failure().unwrap().code, FailureCode::Changed);
    assert!(read(&mut client, "a", None, 0, 70_000).unwrap() == content(70_000));
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
        mut client,
        directory: _directory,
    } = setup(100_000);
    put(&mut client, "a", b"content");
    let mut config = daemon.config();
    config.limit = |_| Duration::from_millis(500);
    let mut hasty = Client::new(config, Uninterrupted);
    hasty.open_store(memory_store()).unwrap();
    store.inject([Fault::Hang]);
    let error = hasty.head(&object("a")).unwrap_err();
    assert_eq!(
        error.failure().map(|failure| failure.code),
        Some(FailureCode::TimedOut),
        "{error:?}"
    );
    assert!(error.is_transient());
    eventually("the request is cancelled", || {
        store.hanging.load(SeqCst) == 0
    });
    hasty.head(&object("a")).unwrap();
}

#[test]
fn a_write_that_is_refused_or_not_what_it_says_leaves_nothing() {
    let Setup {
        store,
        mut client,
        daemon,
        directory: _directory,
    } = setup(10_000_000);
    store.inject([Fault::Error(ErrorKind::PermissionDenied)]);
    let data = content(3_000_000);
    let error = try_put(&mut client, "a", &data, PutCondition::Absent).unwrap_err();
    assert_eq!(error.failure().unwrap().code, FailureCode::PermissionDenied);
    let missing = read(&mut client, "a", Some(3_000_000), 0, 10).unwrap_err();
    assert_eq!(missing.failure().unwrap().code, FailureCode::NotFound);
    let mut raw = RawClient::greeted(&daemon);
    let without_descriptor = Request::Put {
        object: object("a"),
        length: 1,
        checksum: 0,
        condition: PutCondition::Any,
    };
    raw.send(&without_descriptor, 1);
    assert_eq!(raw.receive_failure(), FailureCode::BadRequest);
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
        &Request::Hello {
            oldest: 1,
            newest: 1,
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
    let data = content(1_000_000);
    for number in 0..300 {
        put(&mut client, &format!("{:0>500}/{number}", 1), b"x");
    }
    put(&mut client, "a", &data);
    let mut lazy = RawClient::greeted(&daemon);
    for id in 0..4 {
        let request = Request::List {
            store: harness::store_id(),
            prefix: None,
            token: None,
            limit: 300,
        };
        lazy.send(&request, id);
    }
    for _ in 0..3 {
        let read = read(&mut client, "a", Some(1_000_000), 0, 1_000_000);
        assert!(read.unwrap() == data);
    }
    // And its answers are still there, each whole, when it does take them.
    for _ in 0..4 {
        let Some((_, Response::Page { objects, .. })) = lazy.receive() else {
            panic!("no page");
        };
        assert_eq!(objects.len(), 300);
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
