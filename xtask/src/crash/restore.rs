//! Recovery to a point in time: a base backup from the beginning and the archived WAL make one of the
//! moments between iterations again.

use super::orphans::Orphans;
use super::primary::{self, Primary};
use super::random::Random;
use super::server_log::ServerLog;
use super::standby::{self, Upstream};
use super::tables::{self, Fingerprints};
use crate::cluster::Cluster;
use crate::installation::Installation;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const ARCHIVE_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

pub struct Restore {
    pub cluster: Cluster,
    moments: Vec<Moment>,
}

/// A moment at which nobody worked.
struct Moment {
    /// Ways to name it: PostgreSQL's `recovery_target_*` settings with their values.
    targets: [(&'static str, String); 4],
    fingerprints: Fingerprints,
}

impl Restore {
    /// Takes the base backup.
    pub fn prepare(
        dir: &Path,
        upstream: Upstream<'_>,
        installation: &Installation,
    ) -> Result<Self> {
        primary::clear(dir)?;
        psql::execute(upstream.connection, "CREATE TABLE moments (at timestamptz)")?;
        Ok(Self {
            cluster: standby::base_backup(dir, upstream, installation, &[])?,
            moments: Vec::new(),
        })
    }

    /// Names the present moment, at which nobody works and tables hold `fingerprints`.
    pub fn remember(
        &mut self,
        primary: &Primary,
        iteration: u64,
        fingerprints: &Fingerprints,
    ) -> Result<()> {
        let name = format!("crash_{iteration}");
        let xid = mark(primary)?;
        let time = primary.query("SELECT clock_timestamp()")?;
        let lsn = primary.query(&format!("SELECT pg_create_restore_point('{name}')"))?;
        self.moments.push(Moment {
            targets: [
                ("recovery_target_name", name),
                ("recovery_target_xid", xid),
                ("recovery_target_time", time),
                ("recovery_target_lsn", lsn),
            ],
            fingerprints: fingerprints.clone(),
        });
        Ok(())
    }

    /// Restores one of the moments and compares. Returns how it was named.
    pub fn check(
        &mut self,
        primary: &Primary,
        random: &mut Random,
        orphans: &mut Orphans,
        installation: &Installation,
        library: &str,
    ) -> Result<String> {
        let moment = random
            .pick(&self.moments)
            .context("there is no moment to restore")?;
        let Some((setting, value)) = random.pick(&moment.targets) else {
            bail!("the moment has no name");
        };
        let target = format!("{setting} = '{value}'");
        // Recovery to a time ends at the first commit after it.
        mark(primary)?;
        archive_all(primary)?;
        let signal = self.cluster.data().join("recovery.signal");
        fs::write(&signal, "").with_context(|| format!("cannot write {}", signal.display()))?;
        self.cluster.account().give(&signal)?;
        let restore_command = format!("cp \"{}/%f\" \"%p\"", primary.archive().display());
        let settings = primary::follower_settings(
            primary::common_settings(),
            &[
                ("restore_command", &restore_command),
                (setting, value),
                ("recovery_target_action", "promote"),
            ],
        );
        let connection = self
            .cluster
            .start(installation, library, &settings)
            .with_context(|| format!("recovery with {target} fails"))?;
        let mut log = ServerLog::from_start(&self.cluster.log());
        standby::wait_writable(&connection)?;
        orphans.remove(&connection)?;
        let found =
            tables::check(&connection).with_context(|| format!("restored with {target}"))?;
        let place = format!("the server restored with {target}");
        tables::same(&place, &found, &tables::recovered(&moment.fingerprints))?;
        standby::work_on(&connection, &found, orphans)
            .with_context(|| format!("after {place} was written to"))?;
        log.check()?;
        Ok(target)
    }
}

/// Commits a transaction and returns its id.
fn mark(primary: &Primary) -> Result<String> {
    primary.query("INSERT INTO moments VALUES (now()) RETURNING pg_current_xact_id()")
}

/// Waits until all that was written so far is in the archive.
fn archive_all(primary: &Primary) -> Result<()> {
    let last = primary.query("SELECT pg_walfile_name(pg_switch_wal())")?;
    let path = primary.archive().join(&last);
    let started = Instant::now();
    while !path.exists() {
        if started.elapsed() > ARCHIVE_LIMIT {
            bail!("{last} is not archived after {} s", ARCHIVE_LIMIT.as_secs());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}
