//! What every store has to do.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    process,
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pg_lakebase_storage::{
    backend::{
        Backend, BackendError, BackendOpener, ErrorKind, PutBody, PutSource, StoreOpener,
        TestStores, Uploads,
    },
    credentials::CredentialsFile,
    protocol::{PutCondition, StoreProtocol, StoreSpec},
};
use tempfile::TempDir;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use super::{content, path, store_id};

pub fn soon() -> Instant {
    Instant::now() + Duration::from_secs(60)
}

pub struct SuiteStore {
    pub spec: StoreSpec,
    pub opener: StoreOpener,
    pub directory: TempDir,
}

impl SuiteStore {
    pub fn new(
        protocol: StoreProtocol,
        bucket: String,
        options: &[(&str, String)],
        entry: &str,
    ) -> Self {
        let directory = TempDir::new().unwrap();
        let file = directory.path().join("credentials");
        fs::write(&file, entry).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o600)).unwrap();
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let prefix = format!("conformance/{}-{}", since.as_millis(), process::id());
        let own = |(name, value): &(&str, String)| ((*name).to_owned(), value.clone());
        let mut options: std::collections::BTreeMap<_, _> = options.iter().map(own).collect();
        options.insert("prefix".to_owned(), prefix);
        Self {
            spec: StoreSpec {
                id: store_id(),
                protocol,
                bucket,
                options,
            },
            opener: StoreOpener {
                test_stores: TestStores::Refused,
                limits: Default::default(),
                credentials: Some(Arc::new(CredentialsFile::open(file).unwrap())),
                uploads: Uploads::default(),
            },
            directory,
        }
    }

    pub fn open(&self) -> Arc<dyn Backend> {
        self.opener.open(&self.spec).unwrap()
    }
}

pub async fn put(
    store: &Arc<dyn Backend>,
    name: &str,
    data: &[u8],
    condition: PutCondition,
) -> Result<String, BackendError> {
    let source = PutSource::bytes(data.to_vec());
    let put = store.put(&path(name), &source, &condition, soon()).await;
    put.map(|meta| meta.version.etag.unwrap())
}

pub async fn conforms(of: &SuiteStore) {
    let store = of.open();
    reads_give_what_was_written(&store).await;
    conditions_hold(&store).await;
    large_objects_go_in_parts(&store, of).await;
    listings_have_pages(&store).await;
    other_buckets_are_not_there(of).await;
}

async fn reads_give_what_was_written(store: &Arc<dyn Backend>) {
    let data = content(100_000);
    for name in [
        "plain",
        "a b/c+d%20e=f/\u{fc}&g'h(1)~@:!$,;",
        "x/00000-1-a.parquet",
    ] {
        put(store, name, &data, PutCondition::Any).await.unwrap();
        let meta = store.head(&path(name), soon()).await.unwrap();
        assert_eq!(meta.version.size, 100_000, "{name}");
        let (path, version) = (path(name), Some(&meta.version));
        let piece = store.get(&path, version, 10..70_000, soon()).await.unwrap();
        assert!(
            piece.data == data[10..70_000] && piece.offset == 10,
            "{name}"
        );
        assert_eq!(piece.meta.version, meta.version, "{name}");
        let piece = store
            .get(&path, None, 99_000..200_000, soon())
            .await
            .unwrap();
        assert!(piece.data == data[99_000..], "{name}");
        let piece = store.get_suffix(&path, 1000, soon()).await.unwrap();
        assert!(
            piece.data == data[99_000..] && piece.offset == 99_000,
            "{name}"
        );
        assert_eq!(piece.meta.version, meta.version, "{name}");
        store
            .delete(std::slice::from_ref(&path), soon())
            .await
            .unwrap();
        let gone = store.head(&path, soon()).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound, "{gone:?}");
        let gone = store.get(&path, None, 0..10, soon()).await.unwrap_err();
        assert_eq!(gone.kind, ErrorKind::NotFound, "{gone:?}");
    }
    put(store, "empty", b"", PutCondition::Any).await.unwrap();
    let piece = store
        .get(&path("empty"), None, 0..10, soon())
        .await
        .unwrap();
    assert!(piece.data.is_empty() && piece.meta.version.size == 0);
    let piece = store.get_suffix(&path("empty"), 10, soon()).await.unwrap();
    assert!(piece.data.is_empty());

    let mut old = store.head(&path("empty"), soon()).await.unwrap().version;
    put(store, "empty", &data, PutCondition::Any).await.unwrap();
    old.size = 100_000;
    let read = store.get(&path("empty"), Some(&old), 0..10, soon()).await;
    let changed = read.unwrap_err();
    assert_eq!(changed.kind, ErrorKind::Changed, "{changed:?}");
}

async fn conditions_hold(store: &Arc<dyn Backend>) {
    let first = put(store, "claim", b"one", PutCondition::Absent)
        .await
        .unwrap();
    let refused = put(store, "claim", b"two", PutCondition::Absent).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Exists, "{refused:?}");
    // The same once more, as after an answer that got lost.
    put(store, "claim", b"one", PutCondition::Absent)
        .await
        .unwrap();
    let matches = PutCondition::Matches(first.clone());
    put(store, "claim", b"two", matches).await.unwrap();
    let matches = PutCondition::Matches(first);
    let refused = put(store, "claim", b"three", matches.clone()).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Changed, "{refused:?}");
    let refused = put(store, "nothing", b"three", matches).await;
    let refused = refused.unwrap_err();
    assert_eq!(refused.kind, ErrorKind::Changed, "{refused:?}");
    let piece = store
        .get(&path("claim"), None, 0..10, soon())
        .await
        .unwrap();
    assert_eq!(&piece.data[..], b"two");
}

async fn large_objects_go_in_parts(store: &Arc<dyn Backend>, of: &SuiteStore) {
    let data = content(40 * 1024 * 1024);
    let file = of.directory.path().join("large");
    fs::write(&file, &data).unwrap();
    let mut source = PutSource {
        body: PutBody::File(Arc::new(fs::File::open(file).unwrap())),
        length: data.len() as u64,
        checksum: xxh3_64(&data),
    };
    let (large, absent) = (path("large"), PutCondition::Absent);
    let meta = store.put(&large, &source, &absent, soon()).await.unwrap();
    assert_eq!(store.head(&large, soon()).await.unwrap(), meta);
    let piece = store
        .get(
            &large,
            Some(&meta.version),
            30_000_000..meta.version.size,
            soon(),
        )
        .await
        .unwrap();
    assert!(piece.data == data[30_000_000..]);
    // As after an answer that got lost.
    let again = store.put(&large, &source, &absent, soon()).await.unwrap();
    assert_eq!(again, meta);
    source.length -= 1;
    source.checksum = xxh3_64(&data[1..]);
    let refused = store.put(&large, &source, &PutCondition::Any, soon()).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Damaged);
    source.checksum = xxh3_64(&data[..data.len() - 1]);
    let refused = store.put(&large, &source, &absent, soon()).await;
    assert_eq!(refused.unwrap_err().kind, ErrorKind::Exists);
    assert_eq!(store.head(&large, soon()).await.unwrap(), meta);
    of.opener.uploads.ended().await;
}

async fn listings_have_pages(store: &Arc<dyn Backend>) {
    let mut names: Vec<_> = (0..25).map(|number| format!("t/{number}")).collect();
    for name in names.iter().map(String::as_str).chain(["t.x/1", "tt/1"]) {
        put(store, name, b"x", PutCondition::Any).await.unwrap();
    }
    names.sort();
    let (mut listed, mut token) = (Vec::new(), None::<String>);
    loop {
        let page = store
            .list(Some(&path("t")), token.as_deref(), 10, soon())
            .await;
        let page = page.unwrap();
        assert!(page.objects.len() <= 10);
        listed.extend(page.objects);
        token = page.next;
        if token.is_none() {
            break;
        }
    }
    let paths: Vec<_> = listed
        .iter()
        .map(|listed| listed.meta.path.to_string())
        .collect();
    assert_eq!(paths, names);
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_millis() as i64;
    for listed in &listed {
        assert!(
            (now - listed.last_modified_ms).abs() < 600_000,
            "{listed:?}"
        );
        let meta = store.head(&listed.meta.path, soon()).await.unwrap();
        assert_eq!(meta, listed.meta);
    }
    let mut all: Vec<_> = (0..300)
        .map(|number| path(&format!("t/{number}")))
        .collect();
    all.extend(["t.x/1", "tt/1", "large", "claim", "empty"].map(path));
    store.delete(&all, soon()).await.unwrap();
    let left = store.list(None, None, 1000, soon()).await.unwrap();
    assert!(left.objects.is_empty() && left.next.is_none(), "{left:?}");
}

async fn other_buckets_are_not_there(of: &SuiteStore) {
    let mut spec = of.spec.clone();
    spec.bucket = "no-such-bucket-of-mine".to_owned();
    let store = of.opener.open(&spec).unwrap();
    let error = put(&store, "a", b"x", PutCondition::Any).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
    let error = store.list(None, None, 10, soon()).await.unwrap_err();
    assert!(!error.is_transient(), "{error:?}");
}

/// Two that write a large object on the condition that there is none, at once: the store decides as it joins the parts.
pub async fn one_of_two_claims_wins(of: &SuiteStore) {
    let claim = async |first: u8| {
        let store = of.open();
        let mut data = content(20 * 1024 * 1024);
        data[0] = first;
        let source = PutSource::bytes(data);
        let put = store
            .put(&path("both"), &source, &PutCondition::Absent, soon())
            .await;
        put.map(|meta| (first, meta))
    };
    let (one, two) = tokio::join!(claim(1), claim(2));
    assert_ne!(one.is_ok(), two.is_ok(), "{one:?} {two:?}");
    let (winner, loser) = if one.is_ok() { (one, two) } else { (two, one) };
    let ((first, meta), loser) = (winner.unwrap(), loser.unwrap_err());
    assert_eq!(loser.kind, ErrorKind::Exists, "{loser:?}");
    let store = of.open();
    let piece = store
        .get(&path("both"), Some(&meta.version), 0..1, soon())
        .await;
    assert_eq!(piece.unwrap().data[0], first);
    store.delete(&[path("both")], soon()).await.unwrap();
    of.opener.uploads.ended().await;
}
