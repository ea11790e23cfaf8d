//! The daemon before a real store, with the proxy between them that `cargo xtask stores start --faults`
//! starts: it fails on command, and counts.

use std::{
    collections::BTreeMap,
    fs,
    io::{Read, Write},
    net::TcpStream,
    os::unix::fs::PermissionsExt,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use pg_lakebase_storage::{
    client::{Client, ClientConfig, Interrupts, Uninterrupted},
    protocol::{ObjectRef, StoreProtocol, StoreSpec},
};
use tempfile::TempDir;

use super::{Daemon, TestClient, store_id, variable};

/// The daemon's `--store-timeout`.
pub const ATTEMPT: Duration = Duration::from_secs(1);
/// How long clients wait here.
pub const LIMIT: Duration = Duration::from_secs(6);

/// There is one proxy before each store for all tests.
static IN_USE: Mutex<()> = Mutex::new(());
static SETUPS: AtomicUsize = AtomicUsize::new(0);

/// What a kind of request came to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    pub requests: u64,
    pub sent: u64,
    pub received: u64,
    pub faults: u64,
}

pub struct Proxied {
    daemon: Daemon,
    /// Another one, whose cache has nothing of what is written here.
    reader: Daemon,
    directory: TempDir,
    spec: StoreSpec,
    address: String,
    _in_use: MutexGuard<'static, ()>,
}

impl Proxied {
    /// Before the store of S3's protocol.
    pub fn start() -> Self {
        Self::before(StoreProtocol::S3)
    }

    pub fn before(protocol: StoreProtocol) -> Self {
        let in_use = IN_USE.lock().unwrap_or_else(PoisonError::into_inner);
        let place = place_of(protocol);
        let directory = TempDir::new().unwrap();
        let credentials = directory.path().join("credentials");
        fs::write(&credentials, &place.credentials).unwrap();
        fs::set_permissions(&credentials, fs::Permissions::from_mode(0o600)).unwrap();
        let start = |name| {
            let directory = directory.path().join(name);
            fs::create_dir(&directory).unwrap();
            Daemon::start_as(&directory, "1G", |command| {
                let seconds = ATTEMPT.as_secs().to_string();
                command.args(["--log", "error", "--store-timeout", &seconds]);
                command.arg("--credentials").arg(&credentials);
            })
        };
        let (daemon, reader) = (start("daemon"), start("reader"));
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let number = SETUPS.fetch_add(1, SeqCst);
        let prefix = format!("faults/{}-{number}", since.as_millis());
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        let mut options: BTreeMap<_, _> = place.options.iter().map(own).collect();
        options.insert(place.url_option.to_owned(), place.url.clone());
        options.insert("prefix".to_owned(), prefix);
        let spec = StoreSpec {
            id: store_id(),
            protocol,
            bucket: place.bucket,
            options,
        };
        let proxied = Self {
            daemon,
            reader,
            directory,
            spec,
            address: place.url.trim_start_matches("http://").to_owned(),
            _in_use: in_use,
        };
        proxied.tell("clear\nforget");
        proxied
    }

    pub fn client(&self) -> TestClient {
        self.client_of(&self.daemon, Uninterrupted)
    }

    /// A client whose reads come from the store.
    pub fn reader(&self) -> TestClient {
        self.client_of(&self.reader, Uninterrupted)
    }

    pub fn interrupted_by<I: Interrupts>(&self, interrupts: I) -> Client<I> {
        self.client_of(&self.daemon, interrupts)
    }

    fn client_of<I: Interrupts>(&self, daemon: &Daemon, interrupts: I) -> Client<I> {
        let mut config = ClientConfig::new(daemon.socket());
        config.limit = |_| LIMIT;
        let mut client = Client::new(config, interrupts);
        client.open_store(self.spec.clone()).unwrap();
        client
    }

    /// Gives orders to the proxy; what it tells.
    pub fn tell(&self, orders: &str) -> String {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        let length = orders.len();
        let head = format!("POST /-/control HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
        connection.write_all((head + orders).as_bytes()).unwrap();
        let mut answer = String::new();
        connection.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{orders}: {answer}");
        answer.split_once("\r\n\r\n").unwrap().1.to_owned()
    }

    /// Of `GET`, `LIST` and so on, since [`Proxied::forget`].
    pub fn count(&self, kind: &str) -> Count {
        let counts = self.tell("counts");
        let line = counts.lines().find(|line| line.starts_with(kind)).unwrap();
        let numbers: Vec<u64> = line
            .split(' ')
            .filter_map(|word| word.parse().ok())
            .collect();
        let [requests, sent, received, faults] = numbers[..] else {
            unreachable!("{line}");
        };
        Count {
            requests,
            sent,
            received,
            faults,
        }
    }

    /// Requests of all kinds.
    pub fn requests(&self) -> u64 {
        let kinds = [
            "GET", "HEAD", "LIST", "PUT", "PART", "JOIN", "DELETE", "OTHER",
        ];
        kinds.iter().map(|kind| self.count(kind).requests).sum()
    }

    /// SIGTERM to the daemon of [`Proxied::client`]; waits for its end.
    pub fn terminate(&mut self) {
        let directory = self.directory.path().join("other");
        fs::create_dir(&directory).unwrap();
        let other = Daemon::start(&directory, "1M");
        let status = std::mem::replace(&mut self.daemon, other).terminate();
        assert!(status.success(), "{status}");
    }

    pub fn forget(&self) {
        self.tell("forget");
    }
}

/// How a store is reached.
struct Place {
    url: String,
    url_option: &'static str,
    bucket: String,
    options: &'static [(&'static str, &'static str)],
    credentials: String,
}

fn place_of(protocol: StoreProtocol) -> Place {
    match protocol {
        StoreProtocol::Gcs => Place {
            url: variable("LAKEBASE_GCS_PROXY"),
            url_option: "base_url",
            bucket: variable("LAKEBASE_GCS_BUCKET"),
            options: &[("skip_signature", "true")],
            credentials: String::new(),
        },
        // The emulators' account, which all of them have.
        StoreProtocol::Azure => Place {
            url: variable("LAKEBASE_AZURE_PROXY"),
            url_option: "endpoint",
            bucket: variable("LAKEBASE_AZURE_CONTAINER"),
            options: &[("account", "devstoreaccount1"), ("use_emulator", "true")],
            credentials: String::new(),
        },
        _ => Place {
            url: variable("LAKEBASE_S3_PROXY"),
            url_option: "endpoint",
            bucket: variable("LAKEBASE_S3_BUCKET"),
            options: &[("allow_http", "true"), ("credentials", "writer")],
            credentials: format!(
                "[writer]\naccess_key_id = {}\nsecret_access_key = {}\n",
                variable("LAKEBASE_S3_ACCESS_KEY_ID"),
                variable("LAKEBASE_S3_SECRET_ACCESS_KEY")
            ),
        },
    }
}

impl Drop for Proxied {
    /// Nothing fails any more, and no object of a test that passed is left.
    fn drop(&mut self) {
        self.tell("clear");
        if std::thread::panicking() {
            return;
        }
        let mut client = self.reader();
        let listed = client.list(&store_id(), None).unwrap();
        let objects: Vec<_> = listed
            .into_iter()
            .map(|listed| ObjectRef {
                store: store_id(),
                path: listed.meta.path,
            })
            .collect();
        client.delete(&objects).unwrap();
    }
}
