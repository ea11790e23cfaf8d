//! The servers that operations are tried on, and what is in their tables.

use crate::cache::{Cache, remove_tree};
use crate::cluster::{Cluster, Connection, Settings, end_processes};
use crate::installation::Installation;
use crate::process;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

const NAMES: [&str; 3] = ["operations-first", "operations-second", "operations-third"];
const POLL: Duration = Duration::from_millis(50);
const LIMIT: Duration = Duration::from_secs(60);

/// A function that tells of each table of a schema how many rows it has and what they are.
const FINGERPRINT: &str = "
CREATE FUNCTION fingerprint(schema regnamespace) RETURNS TABLE (relation text, rows bigint, digest text) LANGUAGE plpgsql AS $$
DECLARE
    oid oid;
BEGIN
    FOR oid, relation IN
        SELECT c.oid, c.relname FROM pg_class c WHERE c.relnamespace = schema AND c.relkind IN ('r', 'm') ORDER BY c.relname
    LOOP
        EXECUTE format('SELECT count(*), md5(string_agg(t::text, E''\\n'' ORDER BY t::text)) FROM %s t', oid::regclass) INTO rows, digest;
        RETURN NEXT;
    END LOOP;
END $$";

/// Where servers are made, and of what.
pub struct Servers<'a> {
    pub cache: &'a Cache,
    directories: [PathBuf; 3],
    installation: &'a Installation,
    library: &'a str,
}

impl<'a> Servers<'a> {
    pub fn new(cache: &'a Cache, installation: &'a Installation, library: &'a str) -> Self {
        Self {
            cache,
            directories: NAMES.map(|name| cache.cluster(name)),
            installation,
            library,
        }
    }

    pub fn directories(&self) -> [PathBuf; 3] {
        self.directories.clone()
    }

    /// Stops all servers, whatever state they are in.
    pub fn stop(&self) -> Result<()> {
        self.directories
            .iter()
            .try_for_each(|dir| end_processes(dir))
    }

    /// Stops all servers and removes what they had.
    pub fn clear(&self) -> Result<()> {
        self.stop()?;
        self.directories.iter().try_for_each(|dir| remove_tree(dir))
    }

    pub fn first(&self, settings: &[(&str, &str)]) -> Result<Server<'_>> {
        Server::new(self, &self.directories[0], settings)
    }

    pub fn second(&self, settings: &[(&str, &str)]) -> Result<Server<'_>> {
        Server::new(self, &self.directories[1], settings)
    }

    pub fn third(&self, settings: &[(&str, &str)]) -> Result<Server<'_>> {
        Server::new(self, &self.directories[2], settings)
    }
}

/// A cluster with its settings.
pub struct Server<'a> {
    pub cluster: Cluster,
    servers: &'a Servers<'a>,
    settings: Settings,
}

impl<'a> Server<'a> {
    fn new(servers: &'a Servers<'a>, dir: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        let cluster = Cluster::at(dir)?;
        cluster.account().make_private_dir(dir)?;
        Ok(Self {
            // The directory is there now, so that its name is the one that servers see.
            cluster: Cluster::at(dir)?,
            servers,
            settings: Settings {
                extra: settings
                    .iter()
                    .map(|&(name, value)| (name.to_owned(), value.to_owned()))
                    .collect(),
                ..Settings::default()
            },
        })
    }

    /// Gives it more settings.
    pub fn set(&mut self, settings: &[(String, String)]) {
        self.settings.extra.extend_from_slice(settings);
    }

    /// The same without the extension.
    pub fn plain(mut self) -> Self {
        self.settings.plain = true;
        self
    }

    /// Makes the cluster as far as it can be without starting it, where it is not there.
    pub fn prepare(&mut self) -> Result<()> {
        self.cluster
            .prepare(
                self.servers.installation,
                self.servers.library,
                &self.settings,
            )
            .map(drop)
    }

    pub fn start(&mut self) -> Result<Connection> {
        self.cluster.start(
            self.servers.installation,
            self.servers.library,
            &self.settings,
        )
    }

    /// A program of PostgreSQL's, as the account that runs the server, in the cluster's directory.
    pub fn program(&self, name: &str) -> Command {
        let path = self.servers.installation.program(name);
        self.cluster.account().command(path, self.cluster.dir())
    }

    pub fn bindir(&self) -> &Path {
        &self.servers.installation.bindir
    }
}

/// Makes [`fingerprint`] possible.
pub fn create_fingerprint(connection: &Connection) -> Result<()> {
    psql::execute(connection, FINGERPRINT)
}

/// What the tables of schema `public` hold, a line each.
pub fn fingerprint(connection: &Connection) -> Result<String> {
    psql::query(connection, "SELECT * FROM fingerprint('public')")
}

/// Fails unless tables hold what is expected.
pub fn same(what: &str, found: &str, expected: &str) -> Result<()> {
    if found != expected {
        bail!("{what}: the tables are\n{found}\nand should be\n{expected}");
    }
    Ok(())
}

/// Fails unless `command` fails, and says `reason`.
pub fn fails_because(command: &mut Command, reason: &str) -> Result<()> {
    let Output {
        status,
        stdout,
        stderr,
    } = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {:?}", command.get_program()))?;
    let said = [stdout, stderr].concat();
    let said = String::from_utf8_lossy(&said);
    if status.success() || !said.contains(reason) {
        bail!(
            "{:?} {} and should fail with \"{reason}\":\n{said}",
            command.get_program(),
            process::describe(status)
        );
    }
    Ok(())
}

/// Waits until a query gives `t`.
pub fn wait_until(connection: &Connection, query: &str) -> Result<()> {
    let started = Instant::now();
    while psql::query(connection, query)? != "t" {
        if started.elapsed() > LIMIT {
            bail!("after {} s, not yet: {query}", LIMIT.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
