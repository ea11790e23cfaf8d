//! Writing to a store: conditions, lost answers, parts.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::{sync::Arc, thread};

use harness::{
    Daemon, content, eventually,
    http_setup::{SLOW_DOWN, file_source, put, setup, soon, spec, write_credentials},
    http_store::{HttpFault, HttpStore},
    path, try_put,
};
use pg_lakebase_storage::{backend::ErrorKind, protocol::PutCondition};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn a_put_whose_answer_is_lost_is_recognised() {
    let setup = setup();
    for condition in [PutCondition::Absent, PutCondition::Any] {
        let name = format!("{condition:?}");
        setup.server.inject("PUT", &HttpFault::LoseAnswer, 1);
        put(&setup, &name, b"mine", condition).await.unwrap();
        let meta = setup.store.head(&path(&name), soon()).await.unwrap();
        assert_eq!(meta.version.size, 4);
    }
    let etag = put(&setup, "m", b"one", PutCondition::Any).await.unwrap();
    setup.server.inject("PUT", &HttpFault::LoseAnswer, 1);
    let matches = PutCondition::Matches(etag);
    put(&setup, "m", b"two", matches).await.unwrap();
    assert_eq!(setup.server.object("lake/m").unwrap(), b"two");
    // Nobody else's object is taken for one's own, though it is as long.
    let error = put(&setup, "m", b"six", PutCondition::Absent).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(setup.server.object("lake/m").unwrap(), b"two");
}

#[tokio::test(flavor = "multi_thread")]
async fn conditions_are_decided_by_the_store() {
    let setup = setup();
    setup.server.take_requests();
    let first = put(&setup, "a", b"one", PutCondition::Absent)
        .await
        .unwrap();
    let requests = setup.server.take_requests();
    assert_eq!(requests.len(), 1);
    assert_eq!(requests[0].headers["if-none-match"], "*");
    let error = put(&setup, "a", b"two", PutCondition::Absent).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    let matches = PutCondition::Matches(first.clone());
    put(&setup, "a", b"two", matches).await.unwrap();
    let matches = PutCondition::Matches(first);
    let error = put(&setup, "a", b"three", matches).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Changed);
    assert_eq!(setup.server.object("lake/a").unwrap(), b"two");
    let matches = PutCondition::Matches("\"1\"".to_owned());
    let error = put(&setup, "none", b"x", matches).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Changed);
    // S3 answers 409 to one of two that write at the same time; it may try again.
    let conflict = HttpFault::Status(409, "ConditionalRequestConflict", "Again, please.");
    setup.server.inject("PUT", &conflict, 1);
    put(&setup, "b", b"x", PutCondition::Absent).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_store_without_conditions_is_looked_at_first() {
    let setup = setup();
    setup.server.refuse_conditions();
    put(&setup, "a", b"one", PutCondition::Absent)
        .await
        .unwrap();
    let error = put(&setup, "a", b"two", PutCondition::Absent).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Exists);
    let matches = PutCondition::Matches("\"0\"".to_owned());
    let error = put(&setup, "a", b"two", matches).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Refused);
    assert_eq!(setup.server.object("lake/a").unwrap(), b"one");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_object_is_written_in_parts_which_are_repeated_and_joined_on_the_condition() {
    let setup = setup();
    let data = content(40 * 1024 * 1024);
    let source = file_source(&setup, &data);
    setup.server.inject("PUT", &SLOW_DOWN, 4);
    setup.server.inject("PUT", &HttpFault::Reset, 1);
    let put = setup
        .store
        .put(&path("large"), &source, &PutCondition::Absent, soon())
        .await;
    let meta = put.unwrap();
    assert_eq!(meta.version.size, data.len() as u64);
    assert!(setup.server.object("lake/large").unwrap() == data);
    assert_eq!(setup.server.open_uploads(), 0);
    let requests = setup.server.take_requests();
    let joined = requests.iter().find(|request| request.kind() == "JOIN");
    assert_eq!(joined.unwrap().headers["if-none-match"], "*");
    let parts = requests
        .iter()
        .filter(|request| request.query.contains("partNumber"));
    assert_eq!(parts.count(), 3 + 5);

    let written = setup.server.written();
    let other = content(17 * 1024 * 1024);
    let source = file_source(&setup, &other);
    let put = setup
        .store
        .put(&path("large"), &source, &PutCondition::Absent, soon())
        .await;
    assert_eq!(put.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(setup.server.written(), written);
    assert!(setup.server.object("lake/large").unwrap() == data);
    setup.uploads.ended().await;
    assert_eq!(setup.server.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn parts_that_were_joined_without_an_answer_are_recognised() {
    let setup = setup();
    for condition in [PutCondition::Absent, PutCondition::Any] {
        let name = format!("{condition:?}");
        let data = content(17 * 1024 * 1024);
        let source = file_source(&setup, &data);
        setup.server.inject("JOIN", &HttpFault::LoseAnswer, 1);
        setup.server.take_requests();
        let put = setup
            .store
            .put(&path(&name), &source, &condition, soon())
            .await;
        put.unwrap();
        let requests = setup.server.take_requests();
        let joins = requests.iter().filter(|request| request.kind() == "JOIN");
        assert_eq!(joins.count(), 2);
        assert!(setup.server.object(&format!("lake/{name}")).unwrap() == data);
    }
    assert_eq!(setup.server.written(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_upload_that_is_given_up_leaves_no_parts() {
    let setup = setup();
    let source = file_source(&setup, &content(40 * 1024 * 1024));
    setup.server.inject("PUT", &HttpFault::Hang, 100);
    let store = Arc::clone(&setup.store);
    let writing = tokio::spawn(async move {
        store
            .put(&path("a"), &source, &PutCondition::Any, soon())
            .await
    });
    eventually("parts are under way", || setup.server.hanging() == 3);
    assert_eq!(setup.server.open_uploads(), 1);
    writing.abort();
    assert!(writing.await.unwrap_err().is_cancelled());
    setup.uploads.ended().await;
    assert_eq!(setup.server.open_uploads(), 0);
    assert!(setup.server.keys().is_empty());
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_what_it_is_said_to_be_does_not_appear() {
    let setup = setup();
    for bytes in [1000, 20 * 1024 * 1024] {
        let data = content(bytes);
        let mut wrong = [file_source(&setup, &data), file_source(&setup, &data)];
        wrong[0].checksum ^= 1;
        wrong[1].length += 1;
        for source in wrong {
            let put = setup
                .store
                .put(&path("a"), &source, &PutCondition::Any, soon())
                .await;
            assert_eq!(put.unwrap_err().kind, ErrorKind::Damaged);
        }
    }
    setup.uploads.ended().await;
    assert!(setup.server.keys().is_empty());
    assert_eq!(setup.server.open_uploads(), 0);
}

#[test]
fn a_daemon_that_is_stopped_leaves_no_parts() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("credentials");
    write_credentials(&file, "FIRST");
    let server = HttpStore::start();
    server.inject("PUT", &HttpFault::Hang, 100);
    let daemon = Daemon::start_as(directory.path(), "100M", |command| {
        command
            .arg("--credentials")
            .arg(&file)
            .args(["--log", "warn"]);
    });
    let mut client = daemon.client();
    client.open_store(spec(&server)).unwrap();
    thread::scope(|scope| {
        let writing = scope.spawn(|| {
            let data = content(40 * 1024 * 1024);
            try_put(&mut client, "a", &data, PutCondition::Absent)
        });
        eventually("parts are under way", || server.hanging() == 3);
        assert_eq!(server.open_uploads(), 1);
        assert!(daemon.terminate().success());
        assert!(writing.join().unwrap().unwrap_err().is_transient());
    });
    assert_eq!(server.open_uploads(), 0);
    assert!(server.keys().is_empty());
}
