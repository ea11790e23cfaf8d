//! The server that is killed: its cluster, its settings, and how it comes back.

use super::leftover;
use super::points::POINTS;
use super::server_log::ServerLog;
use crate::cache::{Cache, remove_tree};
use crate::cluster::processes::{self, KILL_LIMIT};
use crate::cluster::{Cluster, Connection, Settings, end_processes};
use crate::extension;
use crate::installation::Installation;
use crate::mount::unmount;
use crate::process::log_length;
use crate::progress::note;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

const RESTART_LIMIT: Duration = Duration::from_secs(120);
/// A fast shutdown waits for a checkpoint, for standbys and for the archive.
const STOP_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(50);

pub struct Primary {
    pub cluster: Cluster,
    pub connection: Connection,
    pub log: ServerLog,
    installation: Installation,
    library: String,
    settings: Settings,
    /// Whether points may be attached, and whether they are.
    has_points: bool,
    attached: bool,
}

impl Primary {
    /// A new cluster in `dir`, whatever was there before.
    pub fn create(dir: &Path, installation: &Installation, library: &str) -> Result<Self> {
        let cluster = nothing_in(dir)?;
        let archive = archive(dir);
        cluster.account().make_private_dir(&archive)?;
        Self::start_new(cluster, installation, library, settings(&archive))
    }

    /// The same with other settings.
    pub fn create_with(
        dir: &Path,
        installation: &Installation,
        library: &str,
        settings: Vec<(String, String)>,
    ) -> Result<Self> {
        Self::start_new(nothing_in(dir)?, installation, library, settings)
    }

    fn start_new(
        mut cluster: Cluster,
        installation: &Installation,
        library: &str,
        settings: Vec<(String, String)>,
    ) -> Result<Self> {
        let settings = Settings {
            extra: settings,
            ..Settings::default()
        };
        let connection = cluster.start(installation, library, &settings)?;
        let mut primary = Self {
            log: ServerLog::watch(&cluster.log()),
            cluster,
            connection,
            installation: installation.clone(),
            library: library.to_owned(),
            settings,
            has_points: false,
            attached: false,
        };
        primary.has_points = primary
            .execute("CREATE EXTENSION IF NOT EXISTS injection_points")
            .is_ok();
        Ok(primary)
    }

    pub fn execute(&self, sql: &str) -> Result<()> {
        psql::execute(
            &self.connection,
            &format!("SET client_min_messages = warning; {sql}"),
        )
    }

    /// A statement that cannot run in a transaction block, not even in psql's for several.
    pub fn execute_alone(&self, sql: &str) -> Result<()> {
        psql::execute(&self.connection, sql)
    }

    pub fn query(&self, sql: &str) -> Result<String> {
        psql::query(&self.connection, sql)
    }

    /// Names of the prepared transactions that begin with `prefix`.
    pub fn prepared(&self, prefix: &str) -> Result<BTreeSet<String>> {
        let text = self.query("SELECT gid FROM pg_prepared_xacts")?;
        let gids = text.lines().filter(|gid| gid.starts_with(prefix));
        Ok(gids.map(str::to_owned).collect())
    }

    pub fn archive(&self) -> PathBuf {
        archive(self.cluster.dir())
    }

    pub fn has_points(&self) -> bool {
        self.has_points
    }

    /// Makes every point tell that it was passed. Shared memory forgets it in a crash.
    pub fn attach_points(&mut self) -> Result<()> {
        if self.has_points && !self.attached {
            let calls: Vec<String> = POINTS
                .iter()
                .map(|point| format!("injection_points_attach('{point}', 'notice')"))
                .collect();
            self.execute(&format!("SELECT {}", calls.join(", ")))?;
            self.attached = true;
        }
        Ok(())
    }

    /// Gives one point another action.
    pub fn set_action(&self, point: &str, action: &str) -> Result<()> {
        self.execute(&format!("SELECT injection_points_detach('{point}')"))?;
        self.execute(&format!(
            "SELECT injection_points_attach('{point}', '{action}')"
        ))
    }

    pub fn postmaster(&self) -> Result<i32> {
        self.cluster.pid().context("the server does not run")
    }

    /// Kills the postmaster and, before anything could start anew, whatever it leaves behind.
    pub fn kill(&self) -> Result<()> {
        processes::send(self.postmaster()?, rustix::process::Signal::KILL)?;
        processes::kill_all(&self.cluster.data(), KILL_LIMIT)
    }

    /// Immediate shutdown, as `pg_ctl stop --mode=immediate` does it.
    pub fn stop_immediately(&self) -> Result<()> {
        processes::send(self.postmaster()?, rustix::process::Signal::QUIT)?;
        processes::wait_gone(&self.cluster.data(), KILL_LIMIT)
    }

    /// Fast shutdown, as `pg_ctl stop` does it; the clients' ends are no failures.
    pub fn stop_cleanly(&self) -> Result<()> {
        processes::send(self.postmaster()?, rustix::process::Signal::INT)?;
        processes::wait_gone(&self.cluster.data(), STOP_LIMIT)
    }

    /// Starts the server that was killed.
    pub fn start(&mut self) -> Result<()> {
        let from = log_length(&self.cluster.log());
        self.start_once().or_else(|error| {
            leftover::stumbled_over(&self.cluster.log(), from)?
                .map_or(Err(error), |number| self.start_again(number))
        })
    }

    fn start_once(&mut self) -> Result<()> {
        self.attached = false;
        self.connection = self
            .cluster
            .start(&self.installation, &self.library, &self.settings)?;
        Ok(())
    }

    /// Starts the server whose recovery stumbled over the file of an unlogged relation, which must be nobody's.
    fn start_again(&mut self, number: u32) -> Result<()> {
        note(format!(
            "PostgreSQL's recovery stumbled over unlogged relation file {number}, see leftover.rs: once more"
        ));
        self.start_once()?;
        let users = format!("SELECT count(*) FROM pg_class WHERE relfilenode = {number}");
        if self.query(&users)? != "0" {
            bail!("recovery stumbled over relation file {number}, which is somebody's");
        }
        Ok(())
    }

    /// Stops the server and starts it with more settings.
    pub fn restart_with(&mut self, settings: Vec<(String, String)>) -> Result<()> {
        self.cluster.stop()?;
        self.settings.extra.extend(settings);
        self.start()
    }

    /// Starts the server as a standby, which its data directory makes it.
    pub fn follow(&mut self) -> Result<()> {
        let settings = follower_settings(common_settings(), &[]);
        self.connection = self
            .cluster
            .start(&self.installation, &self.library, &settings)?;
        Ok(())
    }

    /// Waits until the postmaster that lost a backend accepts connections again.
    pub fn wait_restarted(&mut self) -> Result<()> {
        self.attached = false;
        let started = Instant::now();
        loop {
            match self.query("SELECT 1") {
                Ok(_) => return Ok(()),
                Err(error) if started.elapsed() > RESTART_LIMIT => {
                    return Err(error.context("the server does not restart after a crash"));
                }
                Err(_) if self.cluster.pid().is_none() => {
                    let log = self.cluster.log();
                    if let Some(number) = leftover::stumbled_over(&log, self.log.position())? {
                        return self.start_again(number);
                    }
                    bail!("the postmaster is gone after the crash of a backend");
                }
                Err(_) => std::thread::sleep(POLL),
            }
        }
    }
}

/// A cluster in `dir` that is yet to be made, whatever was there before.
fn nothing_in(dir: &Path) -> Result<Cluster> {
    clear(dir)?;
    let cluster = Cluster::at(dir)?;
    cluster.account().make_private_dir(dir)?;
    Ok(cluster)
}

/// Ends whatever runs in the cluster in `dir` and removes it, mounts included.
pub fn clear(dir: &Path) -> Result<()> {
    end_processes(dir)?;
    unmount_small_disk(dir)?;
    remove_tree(dir)
}

/// The clusters of this test: the primary's, the standby's, that of the standby's standby, and the one
/// that is restored.
pub fn directories(cache: &Cache) -> [PathBuf; 4] {
    ["crash", "crash-standby", "crash-cascade", "crash-restore"].map(|name| cache.cluster(name))
}

/// Removes all clusters.
pub fn clear_all(cache: &Cache) -> Result<()> {
    directories(cache).iter().try_for_each(|dir| clear(dir))
}

/// Ends whatever runs in the clusters.
pub fn stop_all(cache: &Cache) -> Result<()> {
    directories(cache)
        .iter()
        .try_for_each(|dir| end_processes(dir))
}

/// Unmounts the small disk that a run which failed left mounted in the cluster in `dir`.
pub fn unmount_small_disk(dir: &Path) -> Result<()> {
    unmount(&small_disk_path(Cluster::at(dir)?.dir()))
}

pub fn small_disk_path(dir: &Path) -> PathBuf {
    dir.join("small")
}

fn archive(dir: &Path) -> PathBuf {
    dir.join("archive")
}

fn settings(archive: &Path) -> Vec<(String, String)> {
    let archive = archive.display();
    // A segment may be archived twice when the server was killed in between.
    let archive_command =
        format!("cp \"%p\" \"{archive}/%f.part\" && mv \"{archive}/%f.part\" \"{archive}/%f\"");
    let mut lines = common_settings();
    lines.extend(
        [
            ("wal_level", "replica"),
            ("fsync", "on"),
            ("restart_after_crash", "on"),
            ("autovacuum", "on"),
            ("autovacuum_naptime", "5s"),
            ("checkpoint_timeout", "30s"),
            // pg_rewind looks back to before the last common checkpoint.
            ("wal_keep_size", "1GB"),
            ("archive_mode", "on"),
            ("archive_command", archive_command.as_str()),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    lines
}

/// What a standby needs to have as its primary has it.
pub fn common_settings() -> Vec<(String, String)> {
    [
        ("max_prepared_transactions", "20"),
        // Histories are thinned, and files removed, all the time.
        ("pg_iceberg_am.recent_snapshots", "5"),
        ("pg_iceberg_am.file_keep_time", "0"),
        ("max_wal_senders", "5"),
        ("hot_standby", "on"),
        // pg_rewind asks for them.
        ("wal_log_hints", "on"),
        // Nothing here takes so long: it hangs.
        ("statement_timeout", "100s"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

/// The library is loaded, but nothing is created in a database that is not to be written. `extra` is what it has as its primary.
pub fn follower_settings(mut extra: Vec<(String, String)>, further: &[(&str, &str)]) -> Settings {
    extra.push((
        "shared_preload_libraries".to_owned(),
        extension::NAME.to_owned(),
    ));
    extra.push(("archive_mode".to_owned(), "off".to_owned()));
    extra.extend(
        further
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned())),
    );
    Settings {
        port: None,
        plain: true,
        extra,
    }
}
