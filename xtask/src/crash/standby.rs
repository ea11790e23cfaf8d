//! A server that follows the primary by streaming all along: it must have what the primary has.

use super::orphans::Orphans;
use super::primary::{self, Primary};
use super::server_log::ServerLog;
use super::tables::{self, Fingerprints};
use crate::cluster::{Cluster, Connection, SUPERUSER};
use crate::installation::Installation;
use crate::process;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::path::Path;
use std::time::{Duration, Instant};

/// The replication slot, by which the primary keeps what the standby has not got yet.
const SLOT: &str = "crash_standby";
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// How often a comparison may be in the way of replay.
const COMPARISONS: u32 = 20;
/// What a standby says of a statement that is.
const CONFLICT: &str = "due to conflict with recovery";
const PROMOTE_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

pub struct Standby {
    pub cluster: Cluster,
    connection: Connection,
    log: ServerLog,
}

impl Standby {
    pub fn create(
        dir: &Path,
        primary: &Primary,
        small: Option<&Path>,
        installation: &Installation,
        library: &str,
    ) -> Result<Self> {
        primary::clear(dir)?;
        let slot = ["--create-slot", "--slot", SLOT, "--write-recovery-conf"];
        let mut cluster = base_backup(dir, primary, small, installation, &slot)?;
        let settings = primary::follower_settings(&[
            ("wal_retrieve_retry_interval", "500ms"),
            // A comparison in the way of replay is cancelled soon, and made again.
            ("max_standby_streaming_delay", "2s"),
            ("max_standby_archive_delay", "2s"),
        ]);
        let connection = cluster
            .start(installation, library, &settings)
            .context("the standby does not start")?;
        Ok(Self {
            log: ServerLog::watch(&cluster.log()),
            cluster,
            connection,
        })
    }

    /// Waits until everything the primary has written is replayed, and compares.
    pub fn check(&mut self, primary: &Primary, expected: &Fingerprints) -> Result<()> {
        // The log is sent as far as it is flushed, which a commit sees to.
        primary.query("SELECT pg_logical_emit_message(true, 'crash', 'flush')")?;
        let target = primary.query("SELECT pg_current_wal_flush_lsn()")?;
        self.catch_up(&target)?;
        self.compare(expected)?;
        self.log.check()
    }

    /// Makes it a primary, compares, removes orphans, and goes on working.
    pub fn promote(&mut self, expected: &Fingerprints, orphans: &mut Orphans) -> Result<()> {
        psql::execute(&self.connection, "SELECT pg_promote(true, 60)")
            .context("the standby cannot be promoted")?;
        wait_writable(&self.connection)?;
        orphans.remove(&self.connection)?;
        self.compare(expected)?;
        let tables: Vec<String> = expected.keys().cloned().collect();
        tables::add_a_row(&self.connection, &tables, u64::from(u32::MAX))?;
        tables::check(&self.connection).context("after the standby was promoted and written to")?;
        self.log.check()
    }

    fn compare(&self, expected: &Fingerprints) -> Result<()> {
        let mut tries = COMPARISONS;
        let found = loop {
            tries -= 1;
            match tables::check(&self.connection) {
                Err(error) if tries > 0 && format!("{error:#}").contains(CONFLICT) => {}
                found => break found.context("on the standby")?,
            }
        };
        tables::same("the standby", &found, expected)
    }

    fn catch_up(&self, target: &str) -> Result<()> {
        let started = Instant::now();
        let replayed = format!(
            "SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '{target}') >= 0, false)"
        );
        loop {
            if self.cluster.pid().is_none() {
                bail!("the standby is down; see {}", self.cluster.log().display());
            }
            // It may be restarting its recovery.
            let answer = psql::query(&self.connection, &replayed);
            if matches!(answer.as_deref(), Ok("t")) {
                return Ok(());
            }
            if started.elapsed() > CATCH_UP_LIMIT {
                answer?;
                bail!(
                    "the standby has not replayed {target} within {} s",
                    CATCH_UP_LIMIT.as_secs()
                );
            }
            std::thread::sleep(POLL);
        }
    }
}

/// A base backup of the primary in the cluster directory `dir`; the small disk's tablespace goes to an
/// ordinary directory there.
pub fn base_backup(
    dir: &Path,
    primary: &Primary,
    small: Option<&Path>,
    installation: &Installation,
    options: &[&str],
) -> Result<Cluster> {
    let account = primary.cluster.account();
    account.make_private_dir(dir)?;
    let cluster = Cluster::at(dir)?;
    let mut command = account.command(installation.program("pg_basebackup"), cluster.dir());
    command.arg("--pgdata").arg(cluster.data());
    command.args(["--checkpoint=fast", "--wal-method=stream"]);
    command.args(options);
    if let Some(small) = small {
        let moved = cluster.dir().join("tablespace");
        command
            .arg("--tablespace-mapping")
            .arg(format!("{}={}", small.display(), moved.display()));
    }
    let connection = &primary.connection;
    command.arg("--host").arg(&connection.host);
    command.args(["--port", &connection.port.to_string()]);
    command.args(["--username", SUPERUSER]);
    process::output(&mut command).context("cannot take a base backup")?;
    Ok(cluster)
}

/// Waits until recovery has ended.
pub fn wait_writable(connection: &Connection) -> Result<()> {
    let started = Instant::now();
    loop {
        let answer = psql::query(connection, "SELECT pg_is_in_recovery()");
        if matches!(answer.as_deref(), Ok("f")) {
            return Ok(());
        }
        if started.elapsed() > PROMOTE_LIMIT {
            answer?;
            bail!(
                "recovery has not ended within {} s",
                PROMOTE_LIMIT.as_secs()
            );
        }
        std::thread::sleep(POLL);
    }
}
