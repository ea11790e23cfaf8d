//! One run: the servers, everybody who works on them, and the samples.

use super::gate::Gate;
use super::sample::{Counters, Sample, Sampler};
use super::tables::TABLES;
use super::writers::WRITERS;
use super::{other_engines, readers, writers};
use crate::cluster::{Cluster, Connection};
use crate::crash::{ServerLog, Standby, flushed, wait_replayed};
use crate::engines::Engines;
use crate::progress::Progress;
use crate::stores::Lake;
use anyhow::{Context, Result, bail};
use std::sync::atomic::Ordering;
use std::time::Duration;

/// How long the run and its parts take.
#[derive(Clone, Copy, Debug)]
pub struct Times {
    pub run: Duration,
    /// From one sample to the next.
    pub sample: Duration,
    /// How long a reader holds a snapshot.
    pub hold: Duration,
}

impl Times {
    pub fn of(minutes: u64) -> Self {
        let run = Duration::from_secs(60 * minutes);
        Self {
            run,
            // Two hundred samples of a long run, twelve of a short one.
            sample: (run / 200).clamp(
                run.min(Duration::from_secs(150)) / 10,
                Duration::from_secs(60),
            ),
            hold: (run / 6).min(Duration::from_secs(60)),
        }
    }
}

pub struct Servers {
    pub cluster: Cluster,
    pub connection: Connection,
    pub standby: Option<Standby>,
    /// Where the tables are, if they are in an object store.
    pub lake: Option<Lake>,
}

/// What a thread does until work ends.
type Job<'a> = Box<dyn FnOnce() -> Result<()> + Send + 'a>;

/// Works until time is over, and returns what was measured meanwhile.
pub fn run(servers: &Servers, engines: Option<&mut Engines>, times: Times) -> Result<Vec<Sample>> {
    let connection = &servers.connection;
    let (gate, counters) = (Gate::default(), Counters::default());
    let log = ServerLog::watch(&servers.cluster.log());
    let samples = std::thread::scope(|scope| {
        let (gate, counters) = (&gate, &counters);
        let mut jobs: Vec<Job<'_>> = Vec::new();
        for number in 1..=WRITERS {
            jobs.push(Box::new(move || {
                writers::write(number, connection, gate, &counters.written)
            }));
        }
        jobs.push(Box::new(|| {
            writers::load(connection, gate, &counters.written)
        }));
        jobs.push(Box::new(|| {
            writers::write_heap(connection, gate, &counters.written)
        }));
        for number in 1..=readers::READERS {
            jobs.push(Box::new(move || {
                readers::hold_snapshots(number, connection, times.hold, gate, &counters.read)
            }));
        }
        if let Some(standby) = &servers.standby {
            jobs.push(Box::new(|| {
                readers::read_standby(&standby.connection, gate, &counters.read)
            }));
        }
        if let Some(engines) = engines {
            jobs.push(Box::new(|| {
                other_engines::read(engines, connection, gate, &counters.others)
            }));
        }
        jobs.push(Box::new(|| counters.processes.watch(connection, gate)));
        let threads: Vec<_> = jobs
            .into_iter()
            // Who fails ends the work of all.
            .map(|job| scope.spawn(move || job().inspect_err(|_| gate.end())))
            .collect();
        let sampled = Sampler::new(servers, log, gate, counters)
            .and_then(|sampler| sample(sampler, gate, times));
        gate.end();
        let mut worked = Ok(());
        for thread in threads {
            let Ok(result) = thread.join() else {
                bail!("a thread has panicked");
            };
            worked = worked.and(result);
        }
        // Who failed first is the reason why sampling ended early.
        worked.and(sampled)
    })?;
    check_rows(servers, &counters)?;
    Ok(samples)
}

fn sample(mut sampler: Sampler<'_>, gate: &Gate, times: Times) -> Result<Vec<Sample>> {
    let mut progress = Progress::start("Working on the tables");
    let mut samples: Vec<Sample> = Vec::new();
    while sampler.elapsed() < times.run && gate.sleep(times.sample) {
        let sample = sampler.take()?;
        progress.tick(|| {
            let files: f64 = sample.tables.iter().map(|table| table.data_files).sum();
            format!(
                "{:.0} transactions a second, {files} data files",
                sample.rate
            )
        });
        samples.push(sample);
    }
    progress.finish();
    Ok(samples)
}

/// All that was acknowledged is there, once, here and on the standby.
fn check_rows(servers: &Servers, counters: &Counters) -> Result<()> {
    let expected = counters
        .written
        .rows
        .each_ref()
        .map(|rows| rows.load(Ordering::Relaxed));
    let mut session = writers::open(&servers.connection, "soak-check")?;
    let found = readers::count(&mut session)?;
    if found != expected {
        bail!("{TABLES:?} have {found:?} rows, and {expected:?} were acknowledged");
    }
    if let Some(standby) = &servers.standby {
        let target = flushed(&servers.connection)?;
        wait_replayed(&standby.cluster, &standby.connection, &target)?;
        let mut session = writers::open(&standby.connection, "soak-check")?;
        let found = readers::count(&mut session).context("on the standby")?;
        if found != expected {
            bail!("on the standby, {TABLES:?} have {found:?} rows instead of {expected:?}");
        }
    }
    Ok(())
}
