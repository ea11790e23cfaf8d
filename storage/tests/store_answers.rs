//! What stores answer: errors that pass and errors that stay, broken answers, pages.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use harness::{
    content, eventually,
    http_setup::{SLOW_DOWN, put, setup, soon, told},
    http_store::HttpFault,
    path,
};
use pg_lakebase_storage::{backend::ErrorKind, protocol::PutCondition};
use tokio::time::Instant;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_of_503s_fails_nothing() {
    let setup = setup();
    let data = content(1000);
    for method in ["PUT", "HEAD", "GET", "GET", "POST"] {
        setup.server.inject(method, &SLOW_DOWN, 10);
    }
    let begun = Instant::now();
    put(&setup, "a", &data, PutCondition::Absent).await.unwrap();
    let meta = setup.store.head(&path("a"), soon()).await.unwrap();
    let read = setup
        .store
        .get(&path("a"), Some(&meta.version), 0..1000, soon())
        .await;
    assert!(read.unwrap().data == data);
    let page = setup.store.list(None, None, 10, soon()).await.unwrap();
    assert_eq!(page.objects.len(), 1);
    setup.store.delete(&[path("a")], soon()).await.unwrap();
    assert!(setup.server.keys().is_empty());
    assert!(
        begun.elapsed() > Duration::from_secs(4),
        "nothing was waited for"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn at_the_deadline_the_last_cause_is_told() {
    let setup = setup();
    setup.server.inject("HEAD", &SLOW_DOWN, 1000);
    setup.server.inject("GET", &SLOW_DOWN, 1000);
    let begun = Instant::now();
    let deadline = begun + Duration::from_secs(1);
    let read = setup.store.get(&path("a"), None, 0..10, deadline).await;
    let error = read.unwrap_err();
    assert!(begun.elapsed() < Duration::from_millis(1500));
    assert_eq!(error.kind, ErrorKind::Unavailable);
    assert!(error.attempts > 3, "{error:?}");
    let told = told(error);
    assert!(
        told.contains("503") && told.contains("SlowDown: Please reduce your request rate."),
        "{told}"
    );
    // The last attempt hangs until the deadline: what was told before says more.
    setup.server.clear_faults();
    setup.server.inject("GET", &SLOW_DOWN, 3);
    setup.server.inject("GET", &HttpFault::Hang, 10);
    let deadline = Instant::now() + Duration::from_millis(700);
    let error = setup.store.get(&path("a"), None, 0..10, deadline).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unavailable);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_pass_is_told_at_once_and_without_secrets() {
    let setup = setup();
    let echo = "It does not match.</Message><CanonicalRequest>HIDDEN</CanonicalRequest><Message>";
    for (status, code, message, kind) in [
        (403, "AccessDenied", "No.", ErrorKind::PermissionDenied),
        (
            403,
            "SignatureDoesNotMatch",
            echo,
            ErrorKind::Unauthenticated,
        ),
        (
            403,
            "RequestTimeTooSkewed",
            "The clock is wrong.",
            ErrorKind::Unauthenticated,
        ),
        (
            400,
            "ExpiredToken",
            "It has expired.",
            ErrorKind::Unauthenticated,
        ),
        (
            404,
            "NoSuchBucket",
            "There is none.",
            ErrorKind::InvalidStore,
        ),
        (
            301,
            "PermanentRedirect",
            "It is elsewhere.",
            ErrorKind::InvalidStore,
        ),
        (400, "InvalidArgument", "No.", ErrorKind::Refused),
    ] {
        setup.server.take_requests();
        setup
            .server
            .inject("GET", &HttpFault::Status(status, code, message), 1);
        let read = setup.store.get(&path("a"), None, 0..10, soon()).await;
        let error = read.unwrap_err();
        assert_eq!(error.kind, kind, "{error:?}");
        assert_eq!(setup.server.take_requests().len(), 1, "{code}");
        let shown = format!("{error:?} {:?}", setup.store);
        let told = told(error);
        assert!(told.contains(code), "{told}");
        assert!(
            !told.contains("HIDDEN") && !shown.contains("HIDDEN"),
            "{told} {shown}"
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn broken_answers_are_asked_for_again() {
    let setup = setup();
    let data = content(100_000);
    put(&setup, "a", &data, PutCondition::Any).await.unwrap();
    for fault in [
        HttpFault::Reset,
        HttpFault::LoseAnswer,
        HttpFault::Truncate,
        HttpFault::Shorten,
        HttpFault::Alter,
        HttpFault::Hang,
    ] {
        setup.server.inject("GET", &fault, 1);
        setup.server.take_requests();
        let read = setup.store.get(&path("a"), None, 0..100_000, soon()).await;
        assert!(read.unwrap().data == data, "{fault:?}");
        assert_eq!(setup.server.take_requests().len(), 2, "{fault:?}");
    }
    setup.server.inject("GET", &HttpFault::Garble, 1);
    setup.store.list(None, None, 10, soon()).await.unwrap();
    setup.server.inject("GET", &HttpFault::Shorten, 1000);
    let deadline = Instant::now() + Duration::from_secs(1);
    let read = setup
        .store
        .get(&path("a"), None, 0..100_000, deadline)
        .await;
    let error = read.unwrap_err();
    assert!(error.is_transient(), "{error:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_black_hole_is_a_time_out_and_nothing_goes_on() {
    let setup = setup();
    setup.server.inject("HEAD", &HttpFault::Hang, 1000);
    let begun = Instant::now();
    let deadline = begun + Duration::from_millis(1200);
    let error = setup.store.head(&path("a"), deadline).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::TimedOut);
    assert!(
        begun.elapsed() < Duration::from_millis(1700),
        "{:?}",
        begun.elapsed()
    );
    eventually("no request is left", || setup.server.hanging() == 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_get_tells_bytes_size_and_version() {
    let setup = setup();
    let data = content(1000);
    let etag = put(&setup, "a", &data, PutCondition::Any).await.unwrap();
    put(&setup, "empty", b"", PutCondition::Any).await.unwrap();
    setup.server.take_requests();
    let piece = setup
        .store
        .get_suffix(&path("a"), 100, soon())
        .await
        .unwrap();
    assert_eq!((piece.offset, piece.meta.version.size), (900, 1000));
    assert_eq!(piece.meta.version.etag.as_ref(), Some(&etag));
    assert!(piece.data == data[900..]);
    let piece = setup
        .store
        .get(&path("a"), None, 800..5000, soon())
        .await
        .unwrap();
    assert!(piece.data == data[800..]);
    assert_eq!(setup.server.take_requests().len(), 2);
    let piece = setup
        .store
        .get_suffix(&path("a"), 5000, soon())
        .await
        .unwrap();
    assert!(piece.offset == 0 && piece.data == data);
    let piece = setup
        .store
        .get(&path("empty"), None, 0..10, soon())
        .await
        .unwrap();
    assert!(piece.data.is_empty() && piece.meta.version.size == 0);
    let piece = setup
        .store
        .get_suffix(&path("empty"), 10, soon())
        .await
        .unwrap();
    assert!(piece.data.is_empty());
    // Another object is noticed, by its tag, or by its size where there is no tag.
    let mut version = setup.store.head(&path("a"), soon()).await.unwrap().version;
    put(&setup, "a", &content(999), PutCondition::Any)
        .await
        .unwrap();
    for etag in [version.etag.clone(), None] {
        version.etag = etag;
        let read = setup
            .store
            .get(&path("a"), Some(&version), 0..10, soon())
            .await;
        assert_eq!(read.unwrap_err().kind, ErrorKind::Changed);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_page_is_one_request_and_a_thousand_deletions_are() {
    let setup = setup();
    let names: Vec<_> = (0..25).map(|number| format!("t/{number:03}")).collect();
    for name in names.iter().map(String::as_str).chain(["t", "tt/1", "u/1"]) {
        put(&setup, name, b"x", PutCondition::Any).await.unwrap();
    }
    setup.server.take_requests();
    let mut listed = Vec::new();
    let mut token: Option<String> = None;
    for page in 0..3 {
        let found = setup
            .store
            .list(Some(&path("t")), token.as_deref(), 10, soon())
            .await;
        let found = found.unwrap();
        assert_eq!(setup.server.take_requests().len(), 1);
        assert_eq!(found.next.is_some(), page < 2);
        listed.extend(found.objects);
        token = found.next;
    }
    let paths: Vec<_> = listed
        .iter()
        .map(|listed| listed.meta.path.to_string())
        .collect();
    assert_eq!(paths, names);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let age = now.as_millis() as i64 - listed[0].last_modified_ms;
    assert!((0..60_000).contains(&age), "{age} ms");

    let many: Vec<_> = (0..1000)
        .map(|number| path(&format!("t/{number:03}")))
        .collect();
    setup.store.delete(&many, soon()).await.unwrap();
    assert_eq!(setup.server.take_requests().len(), 1);
    assert_eq!(setup.server.keys(), ["lake/t", "lake/tt/1", "lake/u/1"]);
    put(&setup, "forbidden", b"x", PutCondition::Any)
        .await
        .unwrap();
    let error = setup
        .store
        .delete(&[path("forbidden"), path("t")], soon())
        .await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::PermissionDenied);
    assert_eq!(
        setup.server.keys(),
        ["lake/forbidden", "lake/tt/1", "lake/u/1"]
    );
}
