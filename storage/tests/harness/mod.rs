//! What the integration tests share: a daemon as a child process, one within the process over a
//! store that fails on command, and names.
#![allow(dead_code, reason = "each test file uses a part of it")]
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]

pub mod failing_store;
#[cfg(feature = "cloud")]
pub mod http_setup;
pub mod http_store;
#[cfg(feature = "cloud")]
pub mod proxied;
#[cfg(feature = "cloud")]
pub mod store_suite;

use std::{
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::Arc,
    thread,
    time::{Duration, Instant},
};

use pg_lakebase_storage::{
    backend::BackendOpener,
    cache::{CacheConfig, DiskCache},
    client::{Client, ClientConfig, ClientError, Put, Uninterrupted},
    connection::{ConnectionLimits, serve},
    protocol::{
        ByteRange, ObjectMeta, ObjectPath, ObjectRef, PutCondition, StoreId, StoreProtocol,
        StoreSpec,
    },
    service::StorageService,
    transport::{PeerPolicy, SocketListener},
};
use tokio::{runtime::Runtime, sync::watch, task::JoinHandle};

pub type TestClient = Client<Uninterrupted>;

/// What the environment says of a real store.
pub fn variable(name: &str) -> String {
    std::env::var(name).unwrap_or_else(|_| panic!("{name} is not set: there is no store to ask"))
}

pub fn store_id() -> StoreId {
    StoreId::new("lake").unwrap()
}

/// Where the cache has files of stores.
pub fn cache_directories(directory: &Path) -> Vec<PathBuf> {
    let stores = std::fs::read_dir(directory.join("cache/data")).unwrap();
    stores.map(|store| store.unwrap().path()).collect()
}

/// The files of the cache.
pub fn cached_files(directory: &Path) -> Vec<PathBuf> {
    let files = |store: PathBuf| std::fs::read_dir(store).unwrap();
    let files = cache_directories(directory).into_iter().flat_map(files);
    files.map(|file| file.unwrap().path()).collect()
}

pub fn path(path: &str) -> ObjectPath {
    ObjectPath::new(path).unwrap()
}

pub fn object(name: &str) -> ObjectRef {
    ObjectRef {
        store: store_id(),
        path: path(name),
    }
}

/// A store in the directory `bucket`.
pub fn local_store(bucket: &Path) -> StoreSpec {
    StoreSpec {
        id: store_id(),
        protocol: StoreProtocol::Local,
        bucket: bucket.to_str().unwrap().to_owned(),
        options: Default::default(),
    }
}

pub fn memory_store() -> StoreSpec {
    StoreSpec {
        id: store_id(),
        protocol: StoreProtocol::Memory,
        bucket: "bucket".to_owned(),
        options: Default::default(),
    }
}

/// Bytes without a short period, so that a block in the wrong place shows.
pub fn content(length: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    std::iter::repeat_with(next).take(length).collect()
}

/// Writes an object, whatever was there.
pub fn put(client: &mut TestClient, name: &str, data: &[u8]) {
    let meta = try_put(client, name, data, PutCondition::Any).unwrap();
    assert_eq!(meta.version.size, data.len() as u64);
}

pub fn try_put(
    client: &mut TestClient,
    name: &str,
    data: &[u8],
    condition: PutCondition,
) -> Result<ObjectMeta, ClientError> {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(data).unwrap();
    let object = object(name);
    let put = Put::new(&object, &file, data.len() as u64).unwrap();
    let metas = client.put(&[put.when(condition)])?;
    Ok(metas.into_iter().next().unwrap())
}

/// Bytes of an object, cut at its end.
pub fn read(
    client: &mut TestClient,
    name: &str,
    size: Option<u64>,
    offset: usize,
    length: usize,
) -> Result<Vec<u8>, ClientError> {
    let range = ByteRange {
        offset: offset as u64,
        length: length as u64,
    };
    let cached = client.want(&object(name), size, &[range])?;
    let length = length.min((cached.size() as usize).saturating_sub(offset));
    let mut data = vec![0; length];
    cached.read_exact_at(&mut data, range.offset).unwrap();
    Ok(data)
}

/// Waits for what must come soon.
pub fn eventually(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(20), "not yet: {what}");
        thread::sleep(Duration::from_millis(10));
    }
}

/// The daemon as users start it.
pub struct Daemon {
    child: Child,
    directory: PathBuf,
}

impl Daemon {
    /// Starts the daemon with socket and cache in `directory`, and waits until it listens.
    pub fn start(directory: &Path, cache_size: &str) -> Self {
        Self::start_as(directory, cache_size, |command| {
            command.args(["--log", "warn"]);
        })
    }

    /// As [`Daemon::start`], with more arguments.
    pub fn start_as(directory: &Path, cache_size: &str, with: impl FnOnce(&mut Command)) -> Self {
        let (socket, cache) = (directory.join("socket"), directory.join("cache"));
        let mut command = Self::command(&socket, &cache, cache_size);
        with(&mut command);
        let child = command.spawn().unwrap();
        let daemon = Self {
            child,
            directory: directory.to_owned(),
        };
        let socket = daemon.socket();
        eventually("the daemon listens", || {
            std::os::unix::net::UnixStream::connect(&socket).is_ok()
        });
        daemon
    }

    pub fn command(socket: &Path, cache: &Path, cache_size: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pg-lakebase-storage"));
        command
            .arg("--socket")
            .arg(socket)
            .arg("--cache-dir")
            .arg(cache)
            .args(["--cache-size", cache_size])
            .arg("--allow-test-stores")
            .stdin(Stdio::null());
        command
    }

    pub fn socket(&self) -> PathBuf {
        self.directory.join("socket")
    }

    pub fn client(&self) -> TestClient {
        Client::new(ClientConfig::new(self.socket()), Uninterrupted)
    }

    /// SIGKILL: nothing of the daemon runs any more.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// SIGHUP.
    pub fn hang_up(&self) {
        let pid = self.child.id().to_string();
        let signalled = Command::new("kill").args(["-HUP", &pid]).status();
        assert!(signalled.unwrap().success());
    }

    /// SIGTERM, and its exit status.
    pub fn terminate(mut self) -> std::process::ExitStatus {
        let pid = self.child.id().to_string();
        assert!(Command::new("kill").arg(pid).status().unwrap().success());
        self.child.wait().unwrap()
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The daemon's parts in this process, over stores of the test's making.
pub struct InProcess {
    socket: PathBuf,
    stop: watch::Sender<bool>,
    serving: Option<JoinHandle<()>>,
    runtime: Runtime,
}

impl InProcess {
    pub fn start(directory: &Path, capacity: u64, opener: Arc<dyn BackendOpener>) -> Self {
        let runtime = Runtime::new().unwrap();
        let config = CacheConfig::new(directory.join("cache"), capacity);
        let cache = DiskCache::open(config).unwrap();
        let service = Arc::new(StorageService::new(opener, cache));
        let socket = directory.join("socket");
        let (stop, stopping) = watch::channel(false);
        let listener = {
            let _inside = runtime.enter();
            SocketListener::bind(&socket, 0o600, PeerPolicy::default()).unwrap()
        };
        let limits = ConnectionLimits {
            stop: Duration::from_millis(300),
            ..ConnectionLimits::default()
        };
        let serving = runtime.spawn(serve(listener, service, limits, stopping));
        Self {
            socket,
            stop,
            serving: Some(serving),
            runtime,
        }
    }

    pub fn config(&self) -> ClientConfig {
        ClientConfig::new(&self.socket)
    }

    pub fn client(&self) -> TestClient {
        Client::new(self.config(), Uninterrupted)
    }

    /// Stops as SIGTERM does, and waits for the end.
    pub fn stop(mut self) {
        self.stop.send_replace(true);
        if let Some(serving) = self.serving.take() {
            self.runtime.block_on(serving).unwrap();
        }
    }
}
