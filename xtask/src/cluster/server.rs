//! A cluster's life: create, start, stop.

use super::connection::{Connection, DATABASE, SUPERUSER};
use super::postmaster::{self, State};
use super::socket;
use crate::account::Account;
use crate::cache::{lock_file, remove_tree};
use crate::extension;
use crate::installation::{Flavour, Installation};
use crate::process;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

pub const DEFAULT_PORT: u16 = 5432;
/// Included by postgresql.conf and written anew at every start; ALTER SYSTEM still wins.
const SETTINGS_FILE: &str = "xtask.conf";

/// What a start asks for.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Listen on this TCP port of the loopback interface too; it also numbers the socket.
    pub port: Option<u16>,
    /// Leave the extension out: plain PostgreSQL.
    pub plain: bool,
    /// Further `name = value` lines.
    pub extra: Vec<(String, String)>,
}

/// What `cluster.json` remembers.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
struct Memory {
    flavour: Flavour,
    port: u16,
    bindir: PathBuf,
    /// The library the running server has loaded, see [`extension::library_mark`].
    library: String,
}

pub struct Cluster {
    dir: PathBuf,
    account: Account,
}

impl Cluster {
    /// The cluster in `dir`, which need not exist yet.
    pub fn at(dir: &Path) -> Result<Self> {
        let dir = std::path::absolute(dir)
            .with_context(|| format!("cannot resolve {}", dir.display()))?;
        // The server resolves links in its working directory, and so must we to recognise it.
        let dir = dir.canonicalize().unwrap_or(dir);
        Ok(Self {
            dir,
            account: Account::current()?,
        })
    }

    pub fn dir(&self) -> &Path {
        &self.dir
    }

    pub fn account(&self) -> &Account {
        &self.account
    }

    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("log/postgresql.log")
    }

    /// The build the cluster was last started on.
    pub fn flavour(&self) -> Option<Flavour> {
        self.memory().map(|memory| memory.flavour)
    }

    pub fn pid(&self) -> Option<i32> {
        match postmaster::state(&self.data()) {
            State::Running(pid) => Some(pid),
            State::Stopped | State::Stale => None,
        }
    }

    /// How to connect, when the server runs.
    pub fn connection(&self) -> Option<Connection> {
        let memory = self.memory()?;
        self.pid()?;
        Some(self.connection_to(memory.port, memory.bindir))
    }

    /// Makes the cluster run on `installation`, restarting it where another build, another
    /// library or another port runs. Returns once it accepts connections and holds the database.
    pub fn start(
        &mut self,
        installation: &Installation,
        library: &str,
        settings: &Settings,
    ) -> Result<Connection> {
        self.account.make_private_dir(&self.dir)?;
        self.dir = self
            .dir
            .canonicalize()
            .context("cannot resolve the cluster's directory")?;
        let _lock = lock_file(&self.dir.join("lock"))?;
        let before = self.memory();
        let port = settings
            .port
            .or_else(|| before.as_ref().map(|memory| memory.port))
            .unwrap_or(DEFAULT_PORT);
        if let (Some(_), Some(before)) = (self.pid(), &before) {
            if before.bindir == installation.bindir
                && before.library == library
                && before.port == port
            {
                return Ok(self.connection_to(port, installation.bindir.clone()));
            }
            crate::progress::note("restarting the cluster: its build has changed");
            self.stop_running()?;
        }
        self.make_ready(installation, library, port, settings)?;
        self.pg_ctl_start(installation)?;
        let connection = self.connection_to(port, installation.bindir.clone());
        ensure_database(&connection, settings.plain)?;
        Ok(connection)
    }

    /// Makes the cluster as far as it is without being started: the database is missing.
    pub fn prepare(
        &mut self,
        installation: &Installation,
        library: &str,
        settings: &Settings,
    ) -> Result<()> {
        let _lock = lock_file(&self.dir.join("lock"))?;
        let port = settings.port.unwrap_or(DEFAULT_PORT);
        self.make_ready(installation, library, port, settings)
    }

    /// Has everything in place that a start needs.
    fn make_ready(
        &self,
        installation: &Installation,
        library: &str,
        port: u16,
        settings: &Settings,
    ) -> Result<()> {
        let data = self.data();
        let socket = socket::directory(&self.dir);
        if postmaster::state(&data) == State::Stale {
            let old = self.memory().map_or(port, |memory| memory.port);
            postmaster::clear_stale(&data, &socket, old)?;
        }
        socket::prepare(&self.account, &socket)?;
        self.account.make_private_dir(&self.dir.join("log"))?;
        self.initialise(installation)?;
        self.write(
            &data.join(SETTINGS_FILE),
            &configuration(&socket, port, settings),
        )?;
        self.remember(&Memory {
            flavour: installation.flavour,
            port,
            bindir: installation.bindir.clone(),
            library: library.to_owned(),
        })
    }

    /// Stops the server and waits until it is gone. `false` when none ran.
    pub fn stop(&self) -> Result<bool> {
        if self.pid().is_none() {
            return Ok(false);
        }
        let _lock = lock_file(&self.dir.join("lock"))?;
        if self.pid().is_none() {
            return Ok(false);
        }
        self.stop_running()?;
        Ok(true)
    }

    /// Stops the server and removes its data, so that the next start begins from nothing.
    pub fn renew(&self) -> Result<()> {
        self.stop()?;
        remove_tree(&self.data())
    }

    fn stop_running(&self) -> Result<()> {
        let memory = self
            .memory()
            .with_context(|| format!("{} has no cluster.json", self.dir.display()))?;
        let mut command = self
            .account
            .command(memory.bindir.join("pg_ctl"), &self.dir);
        command.args(["stop", "--wait", "--mode=fast", "--timeout=120", "--pgdata"]);
        command.arg(self.data());
        process::output(&mut command).context("the server does not stop")?;
        Ok(())
    }

    fn initialise(&self, installation: &Installation) -> Result<()> {
        let data = self.data();
        if data.join("PG_VERSION").exists() {
            return Ok(());
        }
        // What an interrupted initdb left.
        remove_tree(&data)?;
        let mut command = self
            .account
            .command(installation.program("initdb"), &self.dir);
        command.arg("--pgdata").arg(&data);
        command.args([
            "--username",
            SUPERUSER,
            "--auth-local=trust",
            "--auth-host=scram-sha-256",
        ]);
        // The same order of text on every machine.
        command.args([
            "--encoding=UTF8",
            "--locale-provider=builtin",
            "--builtin-locale=C.UTF-8",
        ]);
        command.args(["--locale=C", "--no-instructions"]);
        process::run_logged(
            "Creating the cluster",
            &self.dir.join("initdb.log"),
            &mut command,
        )?;
        let conf = data.join("postgresql.conf");
        let mut text =
            fs::read_to_string(&conf).with_context(|| format!("cannot read {}", conf.display()))?;
        let _ = write!(text, "\ninclude_if_exists = '{SETTINGS_FILE}'\n");
        self.write(&conf, &text)
    }

    fn pg_ctl_start(&self, installation: &Installation) -> Result<()> {
        let log = self.log();
        let start = process::log_length(&log);
        let mut command = self
            .account
            .command(installation.program("pg_ctl"), &self.dir);
        command
            .args(["start", "--wait", "--timeout=120", "--silent", "--pgdata"])
            .arg(self.data());
        command.arg("--log").arg(&log);
        if let Err(error) = process::output(&mut command) {
            eprint!("{}", process::tail(&log, start, 30));
            bail!(
                "the server does not start; see {} ({error:#})",
                log.display()
            );
        }
        Ok(())
    }

    fn connection_to(&self, port: u16, bindir: PathBuf) -> Connection {
        Connection {
            host: socket::directory(&self.dir),
            port,
            database: DATABASE.to_owned(),
            bindir,
        }
    }

    fn memory(&self) -> Option<Memory> {
        serde_json::from_str(&fs::read_to_string(self.dir.join("cluster.json")).ok()?).ok()
    }

    fn remember(&self, memory: &Memory) -> Result<()> {
        let text = serde_json::to_string_pretty(memory).context("cannot write cluster.json")?;
        self.write(&self.dir.join("cluster.json"), &text)
    }

    fn write(&self, path: &Path, text: &str) -> Result<()> {
        fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))?;
        self.account.give(path)
    }
}

/// The lines that steer a private cluster.
fn configuration(socket: &Path, port: u16, settings: &Settings) -> String {
    let listen = if settings.port.is_some() {
        "127.0.0.1"
    } else {
        ""
    };
    let mut lines = vec![
        ("listen_addresses", listen.to_owned()),
        ("port", port.to_string()),
        ("unix_socket_directories", socket.display().to_string()),
        ("max_prepared_transactions", "16".to_owned()),
        ("log_line_prefix", "%m [%p] %q%a ".to_owned()),
        ("timezone", "UTC".to_owned()),
    ];
    if !settings.plain {
        lines.push(("shared_preload_libraries", extension::NAME.to_owned()));
    }
    lines.extend(
        settings
            .extra
            .iter()
            .map(|(name, value)| (name.as_str(), value.clone())),
    );
    lines
        .iter()
        .map(|(name, value)| format!("{name} = '{}'\n", value.replace('\'', "''")))
        .collect()
}

fn ensure_database(connection: &Connection, plain: bool) -> Result<()> {
    let template = connection.with_database("template1");
    let known = format!("SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'");
    if psql::query(&template, &known)?.is_empty() {
        psql::execute(&template, &format!("CREATE DATABASE {DATABASE}"))?;
    }
    if !plain {
        let create = format!("CREATE EXTENSION IF NOT EXISTS {}", extension::NAME);
        psql::execute(
            connection,
            &format!("SET client_min_messages = warning; {create}"),
        )
        .context("cannot create the extension")?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tcp_is_off_unless_a_port_is_asked_for() {
        let silent = configuration(Path::new("/s"), 5432, &Settings::default());
        assert!(silent.contains("listen_addresses = ''\n"));
        assert!(silent.contains("shared_preload_libraries = 'pg_iceberg_am'\n"));
        let settings = Settings {
            port: Some(6000),
            plain: true,
            extra: vec![("application_name".to_owned(), "it's".to_owned())],
        };
        let open = configuration(Path::new("/s"), 6000, &settings);
        assert!(open.contains("listen_addresses = '127.0.0.1'\n"));
        assert!(open.contains("application_name = 'it''s'\n"));
        assert!(!open.contains("shared_preload_libraries"));
    }
}
