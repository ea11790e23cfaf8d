//! A store of S3's protocol before [`HttpStore`], with credentials from a file.

use std::{
    fs::{self, File},
    os::unix::fs::PermissionsExt,
    path::Path,
    sync::Arc,
    time::Duration,
};

use pg_lakebase_storage::{
    backend::{
        Backend, BackendError, BackendOpener, Limits, PutBody, PutSource, StoreOpener, TestStores,
        Uploads,
    },
    credentials::CredentialsFile,
    protocol::{PutCondition, StoreProtocol, StoreSpec},
};
use tempfile::TempDir;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::{
    http_store::{HttpFault, HttpStore},
    path, store_id,
};

pub const SLOW_DOWN: HttpFault =
    HttpFault::Status(503, "SlowDown", "Please reduce your request rate.");

pub struct Setup {
    pub server: HttpStore,
    pub store: Arc<dyn Backend>,
    pub uploads: Uploads,
    pub credentials: Arc<CredentialsFile>,
    pub directory: TempDir,
}

pub fn write_credentials(path: &Path, key: &str) {
    let text = format!("[writer]\naccess_key_id = {key}\nsecret_access_key = HIDDEN\n");
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o600)).unwrap();
}

pub fn spec(server: &HttpStore) -> StoreSpec {
    let options = [
        ("endpoint", server.url.as_str()),
        ("allow_http", "true"),
        ("credentials", "writer"),
        ("prefix", "lake"),
    ];
    let own = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    StoreSpec {
        id: store_id(),
        protocol: StoreProtocol::S3,
        bucket: "bucket".to_owned(),
        options: options.into_iter().map(own).collect(),
    }
}

pub fn setup() -> Setup {
    let directory = TempDir::new().unwrap();
    let file = directory.path().join("credentials");
    write_credentials(&file, "FIRST");
    let credentials = Arc::new(CredentialsFile::open(file).unwrap());
    let uploads = Uploads::default();
    let opener = StoreOpener {
        test_stores: TestStores::Refused,
        limits: Limits {
            attempt: Duration::from_millis(500),
            backoff: Duration::from_millis(50),
            longest_backoff: Duration::from_millis(200),
            ..Limits::default()
        },
        credentials: Some(Arc::clone(&credentials)),
        uploads: uploads.clone(),
    };
    let server = HttpStore::start();
    Setup {
        store: opener.open(&spec(&server)).unwrap(),
        server,
        uploads,
        credentials,
        directory,
    }
}

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(20)
}

/// What a client would be told.
pub fn told(error: BackendError) -> String {
    error.into_failure(&store_id()).to_string()
}

pub async fn put(
    setup: &Setup,
    name: &str,
    data: &[u8],
    condition: PutCondition,
) -> Result<String, BackendError> {
    let source = PutSource::bytes(data.to_vec());
    let put = setup
        .store
        .put(&path(name), &source, &condition, soon())
        .await;
    put.map(|meta| meta.version.etag.unwrap())
}

pub fn file_source(setup: &Setup, data: &[u8]) -> PutSource {
    let path = setup.directory.path().join("source");
    fs::write(&path, data).unwrap();
    PutSource {
        body: PutBody::File(Arc::new(File::open(path).unwrap())),
        length: data.len() as u64,
        checksum: xxh3_64(data),
    }
}
