//! Recovery to a point in time: a base backup from the beginning and the archived WAL make one of the
//! moments between iterations again.

use super::orphans::Orphans;
use super::primary::{self, Primary};
use super::random::Random;
use super::server_log::ServerLog;
use super::standby;
use super::tables::{self, Fingerprints};
use crate::cluster::Cluster;
use crate::installation::Installation;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const ARCHIVE_LIMIT: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(100);

pub struct Restore {
    pub cluster: Cluster,
    points: Vec<(String, Fingerprints)>,
}

impl Restore {
    /// Takes the base backup.
    pub fn prepare(
        dir: &Path,
        primary: &Primary,
        small: Option<&Path>,
        installation: &Installation,
    ) -> Result<Self> {
        primary::clear(dir)?;
        Ok(Self {
            cluster: standby::base_backup(dir, primary, small, installation, &[])?,
            points: Vec::new(),
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
        primary.execute(&format!("SELECT pg_create_restore_point('{name}')"))?;
        self.points.push((name, fingerprints.clone()));
        Ok(())
    }

    /// Restores one of the moments and compares. Returns its name.
    pub fn check(
        &mut self,
        primary: &Primary,
        random: &mut Random,
        orphans: &mut Orphans,
        installation: &Installation,
        library: &str,
    ) -> Result<String> {
        let (name, expected) = random
            .pick(&self.points)
            .context("there is no restore point")?;
        archive_all(primary)?;
        let signal = self.cluster.data().join("recovery.signal");
        fs::write(&signal, "").with_context(|| format!("cannot write {}", signal.display()))?;
        self.cluster.account().give(&signal)?;
        let restore_command = format!("cp \"{}/%f\" \"%p\"", primary.archive().display());
        let settings = primary::follower_settings(&[
            ("restore_command", &restore_command),
            ("recovery_target_name", name),
            ("recovery_target_action", "promote"),
        ]);
        let connection = self
            .cluster
            .start(installation, library, &settings)
            .with_context(|| format!("recovery to {name} fails"))?;
        let mut log = ServerLog::from_start(&self.cluster.log());
        standby::wait_writable(&connection)?;
        orphans.remove(&connection)?;
        let found = tables::check(&connection).with_context(|| format!("restored to {name}"))?;
        tables::same(&format!("the server restored to {name}"), &found, expected)?;
        log.check()?;
        Ok(name.clone())
    }
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
