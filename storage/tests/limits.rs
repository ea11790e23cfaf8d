//! Time limits nest: the service gives up before its client does, and tells the last cause.
#![expect(clippy::unwrap_used, clippy::panic, reason = "tests")]

mod harness;

use std::{
    os::unix::net::UnixListener,
    sync::{Arc, atomic::Ordering::SeqCst},
    thread,
    time::{Duration, Instant},
};

use harness::{
    InProcess, TestClient, content, eventually,
    failing_store::{FailingStore, Fault, Opener},
    memory_store, object, read, try_put,
};
use pg_lakebase_storage::{
    backend::ErrorKind,
    client::{Client, ClientConfig, ClientError, Uninterrupted},
    protocol::{FailureCode, PutCondition},
};
use tempfile::TempDir;

struct Setup {
    store: Arc<FailingStore>,
    daemon: InProcess,
    _directory: TempDir,
}

fn setup() -> Setup {
    let directory = TempDir::new().unwrap();
    let store = FailingStore::new();
    let daemon = InProcess::start(
        directory.path(),
        10_000_000,
        Arc::new(Opener(store.clone())),
    );
    Setup {
        store,
        daemon,
        _directory: directory,
    }
}

impl Setup {
    /// A client that waits for two seconds.
    fn hasty_client(&self) -> TestClient {
        let mut config = self.daemon.config();
        config.limit = |_| Duration::from_secs(2);
        let mut client = Client::new(config, Uninterrupted);
        client.open_store(memory_store()).unwrap();
        client
    }

    fn client(&self) -> TestClient {
        let mut client = self.daemon.client();
        client.open_store(memory_store()).unwrap();
        client
    }
}

fn code(error: &ClientError) -> FailureCode {
    match error.failure() {
        Some(failure) => failure.code,
        None => panic!("not the service's answer: {error:?}"),
    }
}

#[test]
fn a_store_that_fails_is_asked_until_just_before_the_client_gives_up_and_the_cause_is_told() {
    let setup = setup();
    let mut client = setup.hasty_client();
    type Operation = fn(&mut TestClient) -> Option<ClientError>;
    let operations: [(&str, Operation); 4] = [
        ("look up", |client| client.head(&object("a")).err()),
        ("read", |client| read(client, "a", Some(9), 0, 9).err()),
        ("write", |client| {
            try_put(client, "a", b"data", PutCondition::Any).err()
        }),
        ("delete", |client| client.delete(&[object("a")]).err()),
    ];
    for (name, operation) in operations {
        setup
            .store
            .inject([Fault::Error(ErrorKind::Unavailable); 2000]);
        let begun = Instant::now();
        let error = operation(&mut client).unwrap();
        let took = begun.elapsed();
        assert_eq!(code(&error), FailureCode::Unavailable, "{name}: {error:?}");
        assert!(error.is_transient());
        let message = error.failure().unwrap().message.clone();
        assert!(
            message.contains("injected fault") && message.contains("attempt"),
            "{message}"
        );
        assert!(
            Duration::from_secs(1) < took && took < Duration::from_secs(2),
            "{name}: {took:?}"
        );
        setup.store.forget_faults();
    }
}

#[test]
fn a_store_that_hangs_is_told_by_the_service_and_its_request_is_over() {
    let setup = setup();
    let mut client = setup.hasty_client();
    setup.store.inject([Fault::Hang; 8]);
    let begun = Instant::now();
    let error = client.head(&object("a")).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(code(&error), FailureCode::TimedOut);
    assert_eq!(setup.store.hanging.load(SeqCst), 0);
    // The same connection goes on.
    setup.store.forget_faults();
    assert_eq!(
        code(&client.head(&object("a")).unwrap_err()),
        FailureCode::NotFound
    );
}

#[test]
fn a_reader_with_more_time_goes_on_where_one_with_less_gave_up() {
    let setup = setup();
    let data = content(40_000);
    setup.store.write("a", &data);
    setup.store.inject([Fault::Hang]);
    let mut hasty = setup.hasty_client();
    let mut patient = setup.client();
    let calls = setup.store.calls();
    let first = thread::spawn(move || read(&mut hasty, "a", Some(40_000), 0, 40_000));
    eventually("the first reader asks the store", || {
        setup.store.hanging.load(SeqCst) == 1
    });
    assert_eq!(
        read(&mut patient, "a", Some(40_000), 0, 40_000).unwrap(),
        data
    );
    let error = first.join().unwrap().unwrap_err();
    assert_eq!(code(&error), FailureCode::TimedOut);
    assert_eq!(setup.store.calls() - calls, 2);
}

#[test]
fn a_reader_with_less_time_gives_up_while_one_with_more_goes_on() {
    let setup = setup();
    let data = content(40_000);
    setup.store.write("a", &data);
    setup.store.inject([Fault::Wait]);
    let mut patient = setup.client();
    let mut hasty = setup.hasty_client();
    let first = thread::spawn(move || read(&mut patient, "a", Some(40_000), 0, 40_000));
    eventually("the first reader asks the store", || {
        setup.store.hanging.load(SeqCst) == 1
    });
    let begun = Instant::now();
    let error = read(&mut hasty, "a", Some(40_000), 0, 40_000).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(2));
    assert_eq!(code(&error), FailureCode::TimedOut);
    setup.store.release();
    assert_eq!(first.join().unwrap().unwrap(), data);
}

#[test]
fn a_service_that_says_nothing_is_given_up() {
    let directory = TempDir::new().unwrap();
    let socket = directory.path().join("socket");
    let _silent = UnixListener::bind(&socket).unwrap();
    let mut config = ClientConfig::new(&socket);
    config.limit = |_| Duration::from_millis(300);
    let mut client = Client::new(config, Uninterrupted);
    let begun = Instant::now();
    let error = client.head(&object("a")).unwrap_err();
    assert!(matches!(error, ClientError::TimedOut { .. }), "{error:?}");
    assert!(begun.elapsed() < Duration::from_secs(2));
}
