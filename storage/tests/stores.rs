//! What every store has to do, asked of a server in this process, and of real ones. Places of these come from the
//! environment, and without them the tests fail; so they are run on purpose only:
//! `cargo xtask stores start`, `eval "$(cargo xtask stores env)"`, and
//! `cargo test -p pg-lakebase-storage --test stores -- --ignored`.
//!
//! | test | variables |
//! | --- | --- |
//! | `s3` | `LAKEBASE_S3_ENDPOINT`, `LAKEBASE_S3_BUCKET`, `LAKEBASE_S3_ACCESS_KEY_ID`, `LAKEBASE_S3_SECRET_ACCESS_KEY` |
//! | `gcs` | `LAKEBASE_GCS_BASE_URL`, `LAKEBASE_GCS_BUCKET`; requests are anonymous, by the XML API |
//! | `azure` | `LAKEBASE_AZURE_ENDPOINT`, `LAKEBASE_AZURE_ACCOUNT`, `LAKEBASE_AZURE_CONTAINER`; an emulator, with its well-known key |
#![expect(clippy::unwrap_used, reason = "tests")]

mod harness;

use harness::{
    http_store::HttpStore,
    store_suite::{SuiteStore, conforms, one_of_two_claims_wins, put},
    variable,
};
use pg_lakebase_storage::{
    backend::ErrorKind,
    protocol::{PutCondition, StoreProtocol},
};

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_s3s_protocol_conforms() {
    let server = HttpStore::start();
    let entry = "[writer]\naccess_key_id = a\nsecret_access_key = b\n";
    let options = [
        ("endpoint", server.url.clone()),
        ("allow_http", "true".to_owned()),
        ("credentials", "writer".to_owned()),
    ];
    let store = SuiteStore::new(StoreProtocol::S3, "bucket".to_owned(), &options, entry);
    conforms(&store).await;
    one_of_two_claims_wins(&store).await;
    assert_eq!(server.open_uploads(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_of_gcs_xml_protocol_conforms() {
    let server = HttpStore::start();
    let options = [
        ("base_url", server.url.clone()),
        ("skip_signature", "true".to_owned()),
    ];
    conforms(&SuiteStore::new(
        StoreProtocol::Gcs,
        "bucket".to_owned(),
        &options,
        "",
    ))
    .await;
    assert_eq!(server.open_uploads(), 0);
    // Its conditions are on generations.
    let requests = server.take_requests();
    assert!(
        requests
            .iter()
            .all(|request| !request.headers.contains_key("if-none-match"))
    );
    let generations = requests
        .iter()
        .filter(|request| request.headers.contains_key("x-goog-if-generation-match"));
    assert!(generations.count() >= 4);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: set LAKEBASE_S3_ENDPOINT and the like"]
async fn s3() {
    let entry = format!(
        "[writer]\naccess_key_id = {}\nsecret_access_key = {}\n[stranger]\naccess_key_id = \
         stranger\nsecret_access_key = wrong\n",
        variable("LAKEBASE_S3_ACCESS_KEY_ID"),
        variable("LAKEBASE_S3_SECRET_ACCESS_KEY")
    );
    let options = [
        ("endpoint", variable("LAKEBASE_S3_ENDPOINT")),
        ("allow_http", "true".to_owned()),
        ("credentials", "writer".to_owned()),
    ];
    let bucket = variable("LAKEBASE_S3_BUCKET");
    let mut real = SuiteStore::new(StoreProtocol::S3, bucket, &options, &entry);
    conforms(&real).await;
    one_of_two_claims_wins(&real).await;
    let stranger = "stranger".to_owned();
    real.spec.options.insert("credentials".to_owned(), stranger);
    let error = put(&real.open(), "a", b"x", PutCondition::Any).await;
    assert_eq!(error.unwrap_err().kind, ErrorKind::Unauthenticated);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: set LAKEBASE_GCS_BASE_URL and the like"]
async fn gcs() {
    let options = [
        ("base_url", variable("LAKEBASE_GCS_BASE_URL")),
        ("skip_signature", "true".to_owned()),
    ];
    let bucket = variable("LAKEBASE_GCS_BUCKET");
    conforms(&SuiteStore::new(StoreProtocol::Gcs, bucket, &options, "")).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs a server: set LAKEBASE_AZURE_ENDPOINT and the like"]
async fn azure() {
    let entry = "[stranger]\naccess_key = d3Jvbmc=\n";
    let options = [
        ("endpoint", variable("LAKEBASE_AZURE_ENDPOINT")),
        ("account", variable("LAKEBASE_AZURE_ACCOUNT")),
        ("use_emulator", "true".to_owned()),
    ];
    let container = variable("LAKEBASE_AZURE_CONTAINER");
    let mut real = SuiteStore::new(StoreProtocol::Azure, container, &options, entry);
    conforms(&real).await;
    let stranger = "stranger".to_owned();
    real.spec.options.insert("credentials".to_owned(), stranger);
    let error = put(&real.open(), "a", b"x", PutCondition::Any).await;
    let error = error.unwrap_err();
    let kinds = [ErrorKind::Unauthenticated, ErrorKind::PermissionDenied];
    assert!(kinds.contains(&error.kind), "{error:?}");
}
