//! How the server is brought down, or to an error, while clients work.

use super::client::APPLICATION;
use super::load::Signals;
use super::plan::{Fault, Iteration};
use super::points::Hits;
use super::primary::Primary;
use super::random::Random;
use super::small_disk::SmallDisk;
use super::tables::mirror;
use super::torn;
use crate::cluster::processes;
use crate::installation::Installation;
use crate::wire::{ServerError, Session};
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long a backend is waited for at an injection point.
const POINT_LIMIT: Duration = Duration::from_secs(3);
/// How long an injected error stays, and how long a full disk is tried, at least.
const LASTING: Duration = Duration::from_millis(1500);
/// How long clients go on once the error or the full disk is over.
const AFTERWARDS: Duration = Duration::from_millis(500);
const POLL: Duration = Duration::from_millis(20);

/// What has to happen until the server works again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// It has to be started.
    Stopped,
    /// It restarts by itself.
    Restarting,
    /// It never went down.
    No,
}

/// A fault's outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Struck {
    pub down: Down,
    /// `false` where nobody came to the injection point, or where there is no small disk: then the
    /// server was killed without it, or nothing was done.
    pub as_planned: bool,
}

/// What a fault acts on.
pub struct Scene<'a> {
    pub primary: &'a Primary,
    pub signals: &'a Signals,
    pub hits: &'a Hits,
    pub small: Option<(&'a SmallDisk, &'a str)>,
    pub installation: &'a Installation,
    pub seed: u64,
}

impl Scene<'_> {
    pub fn strike(&self, iteration: &Iteration) -> Result<Struck> {
        let fault = iteration.fault;
        let mut as_planned = true;
        if let Fault::KillAt(point) = fault {
            as_planned = self.wait_at(point)?;
            std::thread::sleep(iteration.hold);
        }
        if fault.breaks_connections() {
            self.signals.set_breaking();
        }
        let down = match fault {
            Fault::KillPostmaster | Fault::KillAt(_) => {
                self.primary.kill()?;
                Down::Stopped
            }
            Fault::Immediate => {
                self.primary.stop_immediately()?;
                Down::Stopped
            }
            Fault::CleanStop => {
                self.primary.stop_cleanly()?;
                Down::Stopped
            }
            Fault::PowerFailure => {
                let mut random = Random::for_part(self.seed, &[4, iteration.number]);
                torn::power_failure(self.primary, self.installation, &mut random)?;
                Down::Stopped
            }
            Fault::KillBackend => {
                self.kill_backend()?;
                Down::Restarting
            }
            Fault::ErrorAt(point) => {
                as_planned = self.inject_error(point, iteration.hold)?;
                Down::No
            }
            Fault::FullDisk => {
                as_planned = self.fill_disk(iteration.hold)?;
                Down::No
            }
        };
        Ok(Struck { down, as_planned })
    }

    /// Returns whether anybody met the error.
    fn inject_error(&self, point: &str, hold: Duration) -> Result<bool> {
        let before = self.hits.struck(point);
        if self.primary.has_points() {
            self.primary.set_action(point, "error")?;
            std::thread::sleep(LASTING + hold);
            self.primary.set_action(point, "notice")?;
        }
        std::thread::sleep(AFTERWARDS);
        Ok(self.hits.struck(point) > before)
    }

    /// Returns whether there is a disk to fill.
    fn fill_disk(&self, hold: Duration) -> Result<bool> {
        let Some((disk, table)) = self.small else {
            return Ok(false);
        };
        self.signals.set_disk_full();
        disk.fill()?;
        let tried = self.write_until_full(table);
        std::thread::sleep(hold);
        disk.relieve()?;
        tried?;
        std::thread::sleep(AFTERWARDS);
        Ok(true)
    }

    /// Waits until a backend waits at `point`, but not for ever. Returns whether one does.
    fn wait_at(&self, point: &str) -> Result<bool> {
        if !self.primary.has_points() {
            return Ok(false);
        }
        let mut session = Session::open(&self.primary.connection)?;
        self.primary.set_action(point, "wait")?;
        let waiting = format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{point}'");
        let started = Instant::now();
        while started.elapsed() < POINT_LIMIT && !self.signals.is_stopped() {
            let answer = session.query(&waiting)?;
            if answer.first.as_deref().is_some_and(|count| count != "0") {
                self.hits.count_struck(point);
                return Ok(true);
            }
            std::thread::sleep(POLL);
        }
        Ok(false)
    }

    fn kill_backend(&self) -> Result<()> {
        // The server's own random order: which backend it is depends on the moment anyhow.
        let pid = self.primary.query(&format!(
            "SELECT pid FROM pg_stat_activity WHERE application_name LIKE '{APPLICATION}%' \
             ORDER BY random() LIMIT 1"
        ))?;
        let pid = pid.parse().context("no client is connected")?;
        processes::send(pid, Signal::KILL)
    }

    /// Writes to the table on the full disk until it fails for want of space.
    fn write_until_full(&self, table: &str) -> Result<()> {
        let mut session = Session::open(&self.primary.connection)?;
        session.query("SET lock_timeout = '300ms'")?;
        let started = Instant::now();
        let mut last = None;
        while started.elapsed() < 4 * LASTING {
            let [first, second] = [table.to_owned(), mirror(table)].map(|table| {
                format!("INSERT INTO {table} SELECT g, 0, 'x' || g FROM generate_series(1, 5000) g")
            });
            let Err(error) = session.query(&format!("BEGIN; {first}; {second}; COMMIT")) else {
                continue;
            };
            let Some(answer) = error.downcast_ref::<ServerError>() else {
                return Err(error.context("a full disk took the server down"));
            };
            let state = answer.state.clone();
            session.query("ROLLBACK")?;
            if state.starts_with("53") {
                return Ok(());
            }
            // Another client may hold a lock.
            if state != "55P03" && state != "40P01" {
                return Err(error.context("a full disk makes another error"));
            }
            last = Some(error);
        }
        match last {
            None => bail!("nothing failed though the disk of {table} was full"),
            // All the time locked out: nothing learned, nothing wrong.
            Some(_) => Ok(()),
        }
    }
}
