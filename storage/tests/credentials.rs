//! Who the daemon is to a store.
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    time::{Duration, Instant},
};

use harness::{
    Daemon, eventually,
    http_setup::{Setup, put, setup, spec, told, write_credentials},
    http_store::{HttpFault, HttpStore},
    object,
};
use pg_lakebase_storage::{
    backend::ErrorKind,
    protocol::{FailureCode, PutCondition},
};
use tempfile::TempDir;

#[tokio::test(flavor = "multi_thread")]
async fn credentials_that_were_read_again_are_used_and_those_that_are_gone_are_not() {
    let setup = setup();
    let file = setup.directory.path().join("credentials");
    let key = |setup: &Setup| {
        let requests = setup.server.take_requests();
        requests[0].headers["authorization"].clone()
    };
    put(&setup, "a", b"x", PutCondition::Any).await.unwrap();
    assert!(key(&setup).contains("Credential=FIRST/"));
    write_credentials(&file, "SECOND");
    put(&setup, "a", b"x", PutCondition::Any).await.unwrap();
    assert!(key(&setup).contains("Credential=FIRST/"));
    setup.credentials.reload().unwrap();
    put(&setup, "a", b"x", PutCondition::Any).await.unwrap();
    assert!(key(&setup).contains("Credential=SECOND/"));
    fs::write(&file, "[other]\naccess_key_id = x\nsecret_access_key = y\n").unwrap();
    setup.credentials.reload().unwrap();
    let error = put(&setup, "a", b"x", PutCondition::Any).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::InvalidStore);
    assert!(told(error).contains("\"writer\""));
    fs::write(&file, "[writer]\naccess_key = x\n").unwrap();
    setup.credentials.reload().unwrap();
    let error = put(&setup, "a", b"x", PutCondition::Any).await.unwrap_err();
    assert!(told(error).contains("\"access_key\""));
}

#[test]
fn without_credentials_that_is_said_soon_and_once() {
    let directory = TempDir::new().unwrap();
    let server = HttpStore::start();
    let daemon = Daemon::start_as(directory.path(), "1M", |command| {
        // Nobody listens there, as on hosts outside of clouds.
        command
            .args(["--log", "warn"])
            .env("AWS_METADATA_ENDPOINT", "http://127.0.0.1:1");
        for name in [
            "AWS_ACCESS_KEY_ID",
            "AWS_SECRET_ACCESS_KEY",
            "AWS_SESSION_TOKEN",
        ] {
            command.env_remove(name);
        }
    });
    let mut ambient = spec(&server);
    ambient.options.remove("credentials");
    let mut client = daemon.client();
    client.open_store(ambient).unwrap();
    let begun = Instant::now();
    let error = client.head(&object("a")).unwrap_err();
    assert!(begun.elapsed() < Duration::from_secs(10));
    let failure = error.failure().unwrap();
    assert_eq!(failure.code, FailureCode::Unauthenticated);
    assert!(
        failure.message.contains("there are no credentials"),
        "{failure}"
    );
    assert!(server.take_requests().is_empty());
    // A named entry has to be in a file.
    client.close_store(&harness::store_id()).unwrap();
    let error = client.open_store(spec(&server)).unwrap_err();
    let failure = error.failure().unwrap();
    assert_eq!(failure.code, FailureCode::InvalidStore);
    assert!(
        failure.message.contains("without a credentials file"),
        "{failure}"
    );
}

/// Environments of other programs name endpoints and buckets: once they changed what a store was.
#[test]
fn the_environment_gives_credentials_and_says_nothing_of_the_store() {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("credentials");
    write_credentials(&file, "FIRST");
    let log = directory.path().join("log");
    let server = HttpStore::start();
    let daemon = Daemon::start_as(directory.path(), "1M", |command| {
        command
            .arg("--credentials")
            .arg(&file)
            .args(["--log", "trace"])
            .stderr(File::create(&log).unwrap())
            .env("AWS_ACCESS_KEY_ID", "AMBIENT")
            .env("AWS_SECRET_ACCESS_KEY", "HIDDEN")
            .env("AWS_SESSION_TOKEN", "HIDDEN")
            .env("AWS_REGION", "elsewhere")
            .env("AWS_BUCKET", "other")
            .env("AWS_SKIP_SIGNATURE", "true");
        for name in ["AWS_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"] {
            command.env(name, "http://127.0.0.1:1");
        }
    });
    let mut client = daemon.client();
    let key = |server: &HttpStore| {
        let requests = server.take_requests();
        requests.last().unwrap().headers["authorization"].clone()
    };
    let mut ambient = spec(&server);
    ambient.options.remove("credentials");
    client.open_store(ambient).unwrap();
    harness::put(&mut client, "a", b"x");
    assert_eq!(server.keys(), ["lake/a"]);
    let used = key(&server);
    assert!(
        used.contains("Credential=AMBIENT/") && used.contains("/us-east-1/"),
        "{used}"
    );

    // Other credentials take another id, or this one once it is closed.
    client.close_store(&harness::store_id()).unwrap();
    client.open_store(spec(&server)).unwrap();
    client.head(&object("a")).unwrap();
    assert!(key(&server).contains("Credential=FIRST/"));
    write_credentials(&file, "SECOND");
    daemon.hang_up();
    eventually("the file is read again", || {
        let mut client = daemon.client();
        client.open_store(spec(&server)).unwrap();
        client.head(&object("a")).unwrap();
        key(&server).contains("Credential=SECOND/")
    });
    // A file that is wrong changes nothing, and stops nothing.
    fs::set_permissions(&file, fs::Permissions::from_mode(0o644)).unwrap();
    daemon.hang_up();
    eventually("the log says why", || {
        fs::read_to_string(&log).unwrap().contains("chmod 0600")
    });
    client.head(&object("a")).unwrap();
    assert!(key(&server).contains("Credential=SECOND/"));
    server.inject("HEAD", &HttpFault::Status(403, "AccessDenied", "No."), 1);
    client.head(&object("a")).unwrap_err();
    assert!(daemon.terminate().success());
    let log = fs::read_to_string(&log).unwrap();
    assert!(log.len() > 1000 && !log.contains("HIDDEN"), "{log}");

    // Nobody starts with it either.
    let (socket, cache) = (directory.path().join("s"), directory.path().join("c"));
    let mut command = Daemon::command(&socket, &cache, "1M");
    let refused = command.arg("--credentials").arg(&file).output().unwrap();
    assert!(!refused.status.success());
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(message.contains("permissions are 0644"), "{message}");
}
