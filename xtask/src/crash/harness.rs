//! One run: the servers and clients, and an iteration from the first transaction to the last check.

use super::client::Client;
use super::engines;
use super::fault::{Down, Scene, Struck};
use super::load::Load;
use super::orphans::Orphans;
use super::plan::Iteration;
use super::points::Hits;
use super::prepared::{self, Which};
use super::primary::{self, Primary};
use super::random::Random;
use super::restore::Restore;
use super::rewind;
use super::small_disk::SmallDisk;
use super::standby::{self, Standby, Upstream};
use super::summary::Summary;
use super::tables::{self, Fingerprints};
use super::transaction::Targets;
use crate::cache::Cache;
use crate::engines::Engines;
use crate::installation::Installation;
use crate::progress::note;
use anyhow::{Context, Result};
use std::sync::Arc;
use std::time::Instant;

const CLIENTS: usize = 4;
const SHARED: [&str; 6] = ["t0", "t1", "t2", "t3", UNLOGGED, CHANGING];
const UNLOGGED: &str = "u0";
/// It is now a logged table, now an unlogged one.
const CHANGING: &str = "u1";
/// On the small disk.
const SMALL: &str = "t9";
const TABLESPACE: &str = "small";
/// Tables with more rows are emptied between iterations.
const ROWS_MAX: u64 = 150_000;

/// Which parts of the test take part.
#[derive(Clone, Copy, Debug)]
pub struct Parts {
    pub standby: bool,
    pub restore: bool,
    pub small_disk: bool,
    pub engines: bool,
}

pub struct Harness {
    primary: Primary,
    standby: Option<Standby>,
    /// The standby's standby.
    cascade: Option<Standby>,
    restore: Option<Restore>,
    small: Option<SmallDisk>,
    engines: Option<Engines>,
    orphans: Orphans,
    clients: Vec<Client>,
    hits: Arc<Hits>,
    /// Whether there is a prepared transaction of the harness's own.
    prepared: bool,
    fingerprints: Fingerprints,
    summary: Summary,
    seed: u64,
    /// What is being done, for the report of a failure.
    step: &'static str,
    installation: Installation,
    library: String,
}

impl Harness {
    pub fn set_up(
        cache: &Cache,
        installation: &Installation,
        library: &str,
        seed: u64,
        parts: Parts,
    ) -> Result<Self> {
        let directories = primary::directories(cache);
        let [primary_dir, followers @ ..] = &directories;
        let [standby_dir, cascade_dir, restore_dir] = followers;
        // A standby left over would stream from the new primary.
        for dir in followers {
            primary::clear(dir)?;
        }
        let primary = Primary::create(primary_dir, installation, library)?;
        if !primary.has_points() {
            note("injection_points is not installed: nothing is injected");
        }
        primary.execute("CREATE TABLE acks (client int, seq bigint) USING heap")?;
        let small = if parts.small_disk {
            mount_small(&primary)?
        } else {
            None
        };
        for table in SHARED {
            tables::create(&primary.connection, table, None)?;
        }
        if small.is_some() {
            tables::create(&primary.connection, SMALL, Some(TABLESPACE))?;
        }
        let all = tables::list(&primary.connection, tables::Which::Readable)?;
        tables::add_a_row(&primary.connection, &all, 1)?;
        let fingerprints = tables::check(&primary.connection)?;
        let tablespace = small.as_ref().map(SmallDisk::tablespace);
        let upstream = Upstream {
            cluster: &primary.cluster,
            connection: &primary.connection,
            tablespace: tablespace.as_deref(),
        };
        let restore = parts
            .restore
            .then(|| Restore::prepare(restore_dir, upstream, installation))
            .transpose()?;
        let standby = parts
            .standby
            .then(|| Standby::create(standby_dir, upstream, standby::SLOT, installation, library))
            .transpose()?;
        let cascade = standby
            .as_ref()
            .map(|first| {
                let tablespace = standby::tablespace_of(&first.cluster);
                let upstream = Upstream {
                    cluster: &first.cluster,
                    connection: &first.connection,
                    tablespace: upstream.tablespace.map(|_| &*tablespace),
                };
                let slot = standby::CASCADE_SLOT;
                Standby::create(cascade_dir, upstream, slot, installation, library)
            })
            .transpose()
            .context("the standby's standby")?;
        let engines = parts
            .engines
            .then(|| Engines::start(cache, None))
            .transpose()
            .context("DuckDB and PyIceberg cannot be had")?;
        Ok(Self {
            primary,
            standby,
            cascade,
            restore,
            small,
            engines,
            orphans: Orphans::default(),
            clients: (0..CLIENTS)
                .map(|number| Client::new(number, seed))
                .collect(),
            hits: Arc::default(),
            prepared: false,
            fingerprints,
            summary: Summary::default(),
            seed,
            step: "setting up",
            installation: installation.clone(),
            library: library.to_owned(),
        })
    }

    pub fn step(&self) -> &'static str {
        self.step
    }

    /// What the primary's log says of its own failing, if it does.
    pub fn alarm(&mut self) -> Option<String> {
        let alarm = self.primary.log.check().err()?;
        Some(format!("{alarm:#}"))
    }

    pub fn iterate(&mut self, iteration: &Iteration) -> Result<()> {
        let started = Instant::now();
        self.step = "before the fault";
        tables::empty_large(&self.primary.connection, &self.fingerprints, ROWS_MAX)?;
        self.primary.attach_points()?;
        let struck = self.work_and_strike(iteration)?;
        self.step = "bringing the server back";
        match struck.down {
            Down::Stopped => self.primary.start()?,
            Down::Restarting => self.primary.wait_restarted()?,
            Down::No => {}
        }
        self.primary.log.check()?;
        let recovered = struck.down != Down::No && iteration.fault.empties_unlogged();
        self.check(iteration, recovered)?;
        self.summary.iteration(
            iteration,
            struck.as_planned,
            &self.clients,
            &self.fingerprints,
            started.elapsed(),
        );
        Ok(())
    }

    /// Lets clients work, strikes, and waits until all of them have ended.
    fn work_and_strike(&mut self, iteration: &Iteration) -> Result<Struck> {
        let small = self.small.as_ref().map(|disk| (disk, SMALL));
        let targets = |client: &Client| Targets {
            shared: SHARED.map(str::to_owned).into(),
            small: small.map(|(_, table)| table.to_owned()),
            changing: vec![CHANGING.to_owned()],
            own: ["t", "u"].map(|letter| format!("{letter}{}", 100 + client.number)),
        };
        let load = Load::start(
            std::mem::take(&mut self.clients),
            iteration.number,
            &self.primary.connection,
            targets,
            &self.hits,
        );
        std::thread::sleep(iteration.before);
        self.step = "preparing a transaction";
        let prepared = prepared::prepare_own(&self.primary, UNLOGGED);
        self.step = "the fault";
        let scene = Scene {
            primary: &self.primary,
            signals: load.signals(),
            hits: &self.hits,
            small,
            installation: &self.installation,
            seed: self.seed,
        };
        let struck = prepared.and_then(|prepared| {
            self.prepared = prepared;
            scene.strike(iteration)
        });
        // Whoever is to lose the connection goes on until it does.
        if struck.is_err() || !iteration.fault.breaks_connections() {
            load.signals().stop();
        }
        self.step = "the clients' work";
        let (clients, worked) = load.join()?;
        self.clients = clients;
        worked?;
        self.step = "the fault";
        struck
    }

    fn check(&mut self, iteration: &Iteration, recovered: bool) -> Result<()> {
        let mut random = Random::for_part(self.seed, &[2, iteration.number]);
        self.step = "resolving prepared transactions";
        prepared::settle(&self.primary, &mut self.clients)?;
        prepared::resolve(
            &self.primary,
            &mut self.clients,
            Which::Exclusive,
            &mut random,
        )?;
        self.step = "looking at unlogged tables";
        let unlogged = tables::list(&self.primary.connection, tables::Which::Unlogged)?;
        if recovered {
            tables::check_emptied(&self.primary.connection, &unlogged)?;
        }
        // From now on they have another incarnation than what is committed below.
        tables::add_a_row(&self.primary.connection, &unlogged, iteration.number)?;
        if std::mem::take(&mut self.prepared) {
            prepared::commit_own(&self.primary)?;
        }
        if iteration.resolve_first {
            self.step = "resolving all prepared transactions";
            prepared::resolve(&self.primary, &mut self.clients, Which::All, &mut random)?;
        }
        self.step = "comparing the tables";
        self.fingerprints = tables::check(&self.primary.connection)?;
        self.step = "removing orphans beside prepared transactions";
        self.orphans.remove_some(&self.primary.connection)?;
        self.step = "resolving the remaining prepared transactions";
        prepared::resolve(&self.primary, &mut self.clients, Which::All, &mut random)?;
        self.step = "removing orphans";
        self.orphans.remove(&self.primary.connection)?;
        self.step = "comparing what was acknowledged";
        prepared::check_acknowledged(&self.primary, &mut self.clients)?;
        self.step = "working on";
        let all: Vec<String> = tables::list(&self.primary.connection, tables::Which::Readable)?;
        tables::add_a_row(&self.primary.connection, &all, iteration.number)?;
        self.step = "comparing the tables again";
        self.fingerprints = tables::check(&self.primary.connection)?;
        self.step = "reading with other engines";
        if let Some(running) = &mut self.engines {
            engines::check(running, &self.primary, &self.fingerprints)?;
        }
        self.step = "setting a restore point";
        if let Some(restore) = &mut self.restore {
            restore.remember(&self.primary, iteration.number, &self.fingerprints)?;
        }
        self.step = "comparing the standby";
        if let Some(standby) = &mut self.standby {
            standby.check(&self.primary.connection, &self.fingerprints)?;
        }
        self.step = "comparing the standby's standby";
        if let Some(cascade) = &mut self.cascade {
            cascade.check(&self.primary.connection, &self.fingerprints)?;
        }
        self.step = "reading the server's log";
        self.primary.log.check()
    }

    /// The checks that end the run.
    pub fn finish(&mut self) -> Result<()> {
        let mut promoted = None;
        if let Some(standby) = &mut self.standby {
            self.step = "promoting the standby";
            let tables = standby.promote(&self.fingerprints, &mut self.orphans)?;
            self.step = "comparing the promoted standby's standby";
            if let Some(cascade) = &mut self.cascade {
                cascade.check(&standby.connection, &tables)?;
            }
            promoted = Some(tables);
            self.summary.promoted = true;
        }
        if let Some(restore) = &mut self.restore {
            self.step = "restoring to a point in time";
            let mut random = Random::for_part(self.seed, &[3]);
            let name = restore.check(
                &self.primary,
                &mut random,
                &mut self.orphans,
                &self.installation,
                &self.library,
            )?;
            self.summary.restored = Some(name);
        }
        if let (Some(standby), Some(tables)) = (&self.standby, &promoted) {
            self.step = "rewinding the former primary";
            rewind::check(&mut self.primary, standby, tables, &self.installation)?;
            self.summary.rewound = true;
        }
        self.step = "counting injection points";
        self.summary.report(
            &self.clients,
            &self.hits,
            self.orphans.removed(),
            self.primary.has_points(),
        )
    }

    /// Stops the servers. Their directories stay, and after a failure the small disk too.
    pub fn shut_down(self, failed: bool) -> Result<()> {
        drop(self.engines);
        let mut stopped = Ok(());
        for standby in self.cascade.iter().chain(&self.standby) {
            stopped = stopped.and(standby.cluster.stop().map(drop));
        }
        if let Some(restore) = &self.restore {
            stopped = stopped.and(restore.cluster.stop().map(drop));
        }
        if failed {
            // As it is, without a last checkpoint.
            return self
                .primary
                .cluster
                .pid()
                .map_or(stopped, |_| self.primary.stop_immediately());
        }
        stopped = stopped.and(self.primary.cluster.stop().map(drop));
        if let Some(small) = &self.small {
            stopped = stopped.and(small.unmount());
        }
        stopped
    }
}

fn mount_small(primary: &Primary) -> Result<Option<SmallDisk>> {
    let path = primary::small_disk_path(primary.cluster.dir());
    match SmallDisk::mount(&path, primary.cluster.account()) {
        Ok(disk) => {
            let place = disk.tablespace();
            primary.execute_alone(&format!(
                "CREATE TABLESPACE {TABLESPACE} LOCATION '{}'",
                place.display()
            ))?;
            Ok(Some(disk))
        }
        Err(error) => {
            note(format!("no small disk, full disks are left out: {error:#}"));
            Ok(None)
        }
    }
}
