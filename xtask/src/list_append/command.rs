//! The command: the server, the run, and what is said of the history.

use super::check::{self, Findings};
use super::client::{Client, Shared};
use super::history::{Clock, Fate, History, TABLES};
use super::keys::Keys;
use super::level::{LEVELS, Level};
use super::rounds::Run;
use crate::cache::Cache;
use crate::crash::{self, Primary};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::progress::note;
use crate::setup;
use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use std::fs;
use std::path::Path;
use std::sync::atomic::AtomicU32;
use std::time::Duration;

const NAME: &str = "list-append";
/// Of what is found, so much is shown; a file has the rest.
const SHOWN: usize = 5;

#[derive(clap::Args)]
pub struct Args {
    /// How long sessions work, restarts included
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// What is drawn depends on it alone
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How many sessions work at a time
    #[arg(long, default_value_t = 8, value_parser = clap::value_parser!(u64).range(1..=50))]
    sessions: u64,
    /// With heap tables, which show that no more is demanded than PostgreSQL promises
    #[arg(long)]
    heap: bool,
    /// Write the history down, whatever is found
    #[arg(long)]
    keep: bool,
    /// Run no transaction at a higher level, whatever it is held to: then anomalies have to be found
    #[arg(long, value_enum, value_name = "LEVEL")]
    at_most: Option<Level>,
}

impl Args {
    /// A run over Iceberg tables.
    pub fn short(seconds: u64, seed: u64) -> Self {
        Self {
            seconds,
            seed,
            sessions: 8,
            heap: false,
            keep: false,
            at_most: None,
        }
    }

    /// The command that draws the same.
    fn again(&self) -> String {
        let mut command = format!(
            "cargo xtask list-append --seconds {} --seed {} --sessions {}",
            self.seconds, self.seed, self.sessions
        );
        if self.heap {
            command += " --heap";
        }
        if let Some(value) = self.at_most.and_then(|level| level.to_possible_value()) {
            command += &format!(" --at-most {}", value.get_name());
        }
        command
    }
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock(NAME)?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let library = extension::ensure(&cache, &installation)?;
    let dir = cache.cluster(NAME);
    let _guardian = Guardian::over([dir.clone()])?;
    let mut primary = Primary::create_with(&dir, &installation, &library, settings())?;
    let result = work(args, &mut primary);
    let stopped = primary.cluster.stop().map(drop);
    let mut history = result
        .and_then(|history| stopped.map(|()| history))
        .with_context(|| format!("kept: {}; again: {}", dir.display(), args.again()))?;
    let findings = check::check(&mut history);
    note(summary(&history, &findings));
    let file = cache.log(&format!("{NAME}-{}", args.seed));
    if args.keep || !findings.anomalies.is_empty() {
        write_down(&file, &history, &findings)?;
    }
    if findings.anomalies.is_empty() {
        return crash::clear(&dir);
    }
    for anomaly in findings.anomalies.iter().take(SHOWN) {
        println!("{}", anomaly.report(&history));
    }
    bail!(
        "{}; all of them, and the whole history: {}; again: {}",
        counted(&findings),
        file.display(),
        args.again()
    )
}

fn settings() -> Vec<(String, String)> {
    [
        ("max_prepared_transactions", "64"),
        ("max_connections", "80"),
        ("deadlock_timeout", "20ms"),
        ("autovacuum_naptime", "5s"),
        ("checkpoint_timeout", "30s"),
        // Histories are thinned, and files removed, all the time.
        ("pg_iceberg_am.recent_snapshots", "5"),
        ("pg_iceberg_am.file_keep_time", "0"),
        // Nothing here takes so long: it hangs.
        ("statement_timeout", "50s"),
    ]
    .map(|(name, value)| (name.to_owned(), value.to_owned()))
    .into()
}

fn work(args: &Args, primary: &mut Primary) -> Result<History> {
    let kind = match args.heap {
        // A primary key lets serializable transactions conflict by rows.
        true => "(key int PRIMARY KEY, value int[]) USING heap",
        false => "(key int, value int[]) USING iceberg",
    };
    for table in TABLES {
        primary.execute(&format!("CREATE TABLE {table} {kind}"))?;
    }
    let sessions = usize::try_from(args.sessions).unwrap_or(1);
    let mut run = Run {
        primary,
        shared: Shared {
            clock: Clock::start(),
            keys: Keys::default(),
            elements: AtomicU32::new(1),
            at_most: args.at_most,
            seed: args.seed,
        },
        clients: (1..=sessions).map(Client::new).collect(),
        kills: 0,
        backends_killed: 0,
    };
    run.work(Duration::from_secs(args.seconds))?;
    note(format!(
        "the server was killed {} times, and one of its sessions {} times",
        run.kills, run.backends_killed
    ));
    run.finish()
}

fn summary(history: &History, findings: &Findings) -> String {
    let count = |level: Level, fate: Fate| {
        let all = history.transactions.iter();
        all.filter(|transaction| (transaction.level, transaction.fate) == (level, fate))
            .count()
    };
    let levels = LEVELS.map(|level| {
        format!(
            "{level} {} committed and {} not",
            count(level, Fate::Committed),
            count(level, Fate::Aborted)
        )
    });
    format!(
        "{}; {} lists read, {} of them overwritten later, {} of these by serializable transactions among \
         themselves: {}",
        levels.join(", "),
        findings.reads,
        findings.overwritten,
        findings.serializable_overwritten,
        counted(findings)
    )
}

/// How many anomalies of each kind.
fn counted(findings: &Findings) -> String {
    if findings.anomalies.is_empty() {
        return "no anomaly".to_owned();
    }
    let mut counts = std::collections::BTreeMap::new();
    for anomaly in &findings.anomalies {
        *counts.entry(anomaly.kind.to_string()).or_insert(0) += 1;
    }
    let counts: Vec<String> = counts
        .iter()
        .map(|(kind, count)| format!("{count} of {kind}"))
        .collect();
    format!("anomalies: {}", counts.join(", "))
}

fn write_down(file: &Path, history: &History, findings: &Findings) -> Result<()> {
    let reports = findings.anomalies.iter();
    let mut text: String = reports
        .map(|anomaly| anomaly.report(history) + "\n")
        .collect();
    text += &history.text();
    let written = match file.parent() {
        Some(dir) => fs::create_dir_all(dir).and_then(|()| fs::write(file, text)),
        None => Ok(()),
    };
    written.with_context(|| format!("cannot write {}", file.display()))
}
