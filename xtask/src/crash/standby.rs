//! Servers that follow by streaming all along: one the primary, another one the first. They must have what
//! the primary has.

use super::orphans::Orphans;
use super::primary;
use super::server_log::ServerLog;
use super::tables::{self, Fingerprints};
use crate::cluster::{Cluster, Connection, SUPERUSER};
use crate::installation::Installation;
use crate::process;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// The replication slots, by which the primary and the first standby keep what their standbys have not got
/// yet.
pub const SLOT: &str = "crash_standby";
pub const CASCADE_SLOT: &str = "crash_cascade";
const CATCH_UP_LIMIT: Duration = Duration::from_secs(60);
/// How long a comparison may be in the way of replay.
const COMPARISON_LIMIT: Duration = Duration::from_secs(60);
/// What a standby says of a statement that is.
const CONFLICT: &str = "due to conflict with recovery";
/// What one says of unlogged tables.
const UNREADABLE: &str = "cannot access temporary or unlogged relations during recovery";
const PROMOTE_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

pub struct Standby {
    pub cluster: Cluster,
    pub connection: Connection,
    log: ServerLog,
}

/// A server that others are copied from and follow.
#[derive(Clone, Copy)]
pub struct Upstream<'a> {
    pub cluster: &'a Cluster,
    pub connection: &'a Connection,
    /// Where the small disk's tablespace is.
    pub tablespace: Option<&'a Path>,
}

impl Standby {
    pub fn create(
        dir: &Path,
        upstream: Upstream<'_>,
        slot: &str,
        installation: &Installation,
        library: &str,
    ) -> Result<Self> {
        let settings = primary::common_settings();
        Self::create_with(dir, upstream, slot, installation, library, settings)
    }

    /// As [`Self::create`], of a primary with other settings.
    pub fn create_with(
        dir: &Path,
        upstream: Upstream<'_>,
        slot: &str,
        installation: &Installation,
        library: &str,
        settings: Vec<(String, String)>,
    ) -> Result<Self> {
        primary::clear(dir)?;
        let options = ["--create-slot", "--slot", slot, "--write-recovery-conf"];
        let mut cluster = base_backup(dir, upstream, installation, &options)?;
        let settings = primary::follower_settings(
            settings,
            &[
                ("wal_retrieve_retry_interval", "500ms"),
                // A comparison in the way of replay is cancelled soon, and made again.
                ("max_standby_streaming_delay", "2s"),
                ("max_standby_archive_delay", "2s"),
            ],
        );
        let connection = cluster
            .start(installation, library, &settings)
            .context("the standby does not start")?;
        Ok(Self {
            log: ServerLog::watch(&cluster.log()),
            cluster,
            connection,
        })
    }

    /// Waits until everything that the server written to has in its log is replayed, and compares.
    pub fn check(&mut self, writer: &Connection, expected: &Fingerprints) -> Result<()> {
        wait_replayed(&self.cluster, &self.connection, &flushed(writer)?)?;
        self.compare(&tables::logged(expected))?;
        self.check_unreadable(expected)?;
        self.log.check()
    }

    /// Makes it a primary, compares, removes orphans, and goes on working. Returns what the tables hold
    /// then.
    pub fn promote(
        &mut self,
        expected: &Fingerprints,
        orphans: &mut Orphans,
    ) -> Result<Fingerprints> {
        psql::execute(&self.connection, "SELECT pg_promote(true, 60)")
            .context("the standby cannot be promoted")?;
        wait_writable(&self.connection)?;
        orphans.remove(&self.connection)?;
        let left = tables::recovered(expected);
        self.compare(&left)?;
        let found = work_on(&self.connection, &left, orphans)
            .context("after the standby was promoted and written to")?;
        self.log.check()?;
        Ok(found)
    }

    /// Unlogged tables cannot be read during recovery, whatever their access method.
    fn check_unreadable(&self, expected: &Fingerprints) -> Result<()> {
        for (table, _) in expected.iter().filter(|(_, table)| table.unlogged) {
            for table in [table.clone(), tables::mirror(table)] {
                let sql = format!("SELECT count(*) FROM {table}");
                match again_if_in_the_way(|| psql::query(&self.connection, &sql)) {
                    Err(error) if format!("{error:#}").contains(UNREADABLE) => {}
                    Err(error) => return Err(error.context("on the standby")),
                    Ok(rows) => bail!("unlogged table {table} has {rows} rows on the standby"),
                }
            }
        }
        Ok(())
    }

    pub fn compare(&self, expected: &Fingerprints) -> Result<()> {
        let found = again_if_in_the_way(|| tables::check(&self.connection));
        let found = found.context("on the standby")?;
        let place = format!("the standby in {}", self.cluster.dir().display());
        tables::same(&place, &found, expected)
    }
}

/// What `query` gives, which is asked again as long as it is in the way of replay: a standby that is behind by more
/// than its delay cancels at once whatever is in the way, until it has caught up.
fn again_if_in_the_way<T>(query: impl Fn() -> Result<T>) -> Result<T> {
    let started = Instant::now();
    loop {
        match query() {
            Err(error)
                if started.elapsed() < COMPARISON_LIMIT
                    && format!("{error:#}").contains(CONFLICT) =>
            {
                std::thread::sleep(POLL);
            }
            answer => return answer,
        }
    }
}

/// Waits until a server has replayed the log up to `target`.
pub fn wait_replayed(cluster: &Cluster, connection: &Connection, target: &str) -> Result<()> {
    let started = Instant::now();
    let replayed = format!(
        "SELECT coalesce(pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '{target}') >= 0, false)"
    );
    loop {
        if cluster.pid().is_none() {
            bail!("the standby is down; see {}", cluster.log().display());
        }
        // It may be restarting its recovery.
        let answer = psql::query(connection, &replayed);
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

/// The position up to which a server's log is flushed; it is sent as far as that, and what was written
/// before is flushed by a commit.
pub fn flushed(writer: &Connection) -> Result<String> {
    psql::query(
        writer,
        "SELECT pg_logical_emit_message(true, 'crash', 'flush')",
    )?;
    psql::query(writer, "SELECT pg_current_wal_flush_lsn()")
}

/// Where [`base_backup`] puts the small disk's tablespace.
pub fn tablespace_of(cluster: &Cluster) -> PathBuf {
    cluster.dir().join("tablespace")
}

/// A base backup in the cluster directory `dir`; the small disk's tablespace goes to an ordinary directory
/// there.
pub fn base_backup(
    dir: &Path,
    upstream: Upstream<'_>,
    installation: &Installation,
    options: &[&str],
) -> Result<Cluster> {
    let account = upstream.cluster.account();
    account.make_private_dir(dir)?;
    let cluster = Cluster::at(dir)?;
    let mut command = account.command(installation.program("pg_basebackup"), cluster.dir());
    command.arg("--pgdata").arg(cluster.data());
    command.args(["--checkpoint=fast", "--wal-method=stream"]);
    command.args(options);
    if let Some(small) = upstream.tablespace {
        let moved = tablespace_of(&cluster);
        command
            .arg("--tablespace-mapping")
            .arg(format!("{}={}", small.display(), moved.display()));
    }
    let connection = upstream.connection;
    command.arg("--host").arg(&connection.host);
    command.args(["--port", &connection.port.to_string()]);
    command.args(["--username", SUPERUSER]);
    process::output(&mut command).context("cannot take a base backup")?;
    Ok(cluster)
}

/// Goes on working where the tables are now, which is not where most of their files were written, and removes
/// what is no longer needed. Returns what the tables hold then.
pub fn work_on(
    connection: &Connection,
    tables: &Fingerprints,
    orphans: &mut Orphans,
) -> Result<Fingerprints> {
    let tables: Vec<String> = tables.keys().cloned().collect();
    tables::add_a_row(connection, &tables, u64::from(u32::MAX))?;
    tables::check(connection)?;
    orphans.remove(connection)?;
    tables::check(connection)
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
