//! The command: a cluster of its own, the data, the measurements, the files.

use super::machine::Machine;
use super::report::{self, Report};
use super::{dml, measure, object_store, picture};
use crate::cache::Cache;
use crate::checkout;
use crate::cluster::{Cluster, Connection, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::progress::{Progress, note};
use crate::setup;
use crate::tpch::Table;
use crate::wire::Session;
use anyhow::{Context, Result, bail};
use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Realistic rather than flattering: everything that protects data is on.
pub const SETTINGS: [(&str, &str); 8] = [
    ("shared_buffers", "1GB"),
    ("max_wal_size", "4GB"),
    ("wal_level", "replica"),
    ("fsync", "on"),
    ("synchronous_commit", "on"),
    ("max_parallel_workers_per_gather", "0"),
    // Nothing may start by itself while a clock runs; VACUUM ANALYZE follows each load instead.
    ("autovacuum", "off"),
    ("jit", "off"),
];

#[derive(clap::Args)]
pub struct Args {
    /// TPC-H scale factor of lineitem
    #[arg(long, default_value_t = 1.0)]
    scale_factor: f64,
    /// Repeats of every measurement
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..))]
    repeats: u32,
    /// Tables in an object store against local ones, with MinIO behind a link of 30 ms and 1 Gbit/s
    #[arg(long)]
    object_store: bool,
    /// UPDATE, DELETE and MERGE
    #[arg(long, conflicts_with = "object_store")]
    dml: bool,
    /// Seconds of each run of small updates, with --dml
    #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
}

pub fn run(args: &Args) -> Result<()> {
    if !(args.scale_factor > 0.0 && args.scale_factor <= 1000.0) {
        bail!("the scale factor must lie between 0 and 1000");
    }
    let cache = Cache::open()?;
    if args.object_store {
        return object_store::run(&cache, args.scale_factor, args.repeats);
    }
    if args.dml {
        let seconds = Duration::from_secs(args.seconds);
        return dml::run(&cache, args.scale_factor, args.repeats, seconds);
    }
    let installation = setup::ensure(&cache, Flavour::Release)?;
    let library = extension::ensure(&cache, &installation)?;
    let csv = csv(&cache, Table::LineItem, args.scale_factor)?;

    let dir = cache.cluster("bench");
    let _guardian = Guardian::over([dir.clone()])?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    let extra = SETTINGS
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .into();
    let settings = Settings {
        extra,
        ..Settings::default()
    };
    let connection = cluster.start(&installation, &library, &settings)?;
    note(format!(
        "measuring {} repeats; this takes minutes",
        args.repeats
    ));
    let measured = measure::all(&connection, &csv, args.repeats);
    let settings = actual_settings(&connection);
    cluster.stop()?;
    let report = Report {
        scale_factor: args.scale_factor,
        repeats: args.repeats,
        machine: Machine::here(),
        postgresql: installation.version.clone(),
        settings: settings?,
        rows: report::rows(&measured?),
    };
    print!("{}", report.table());
    let (json, svg) = write(&report)?;
    println!("{}\n{}", json.display(), svg.display());
    // The tables are large, and the next run makes its own.
    cluster.renew()
}

/// What the server says it ran with.
fn actual_settings(connection: &Connection) -> Result<Vec<(String, String)>> {
    let mut session = Session::open(connection)?;
    SETTINGS
        .iter()
        .map(|(name, _)| {
            let value = session
                .query(&format!("SHOW {name}"))?
                .first
                .unwrap_or_default();
            Ok(((*name).to_owned(), value))
        })
        .collect()
}

/// The CSV file of a table in the cache, generated once.
pub fn csv(cache: &Cache, table: Table, scale_factor: f64) -> Result<PathBuf> {
    let name = table.name();
    let path = cache.data().join(format!("{name}-sf{scale_factor}.csv"));
    if path.exists() {
        return Ok(path);
    }
    let _lock = cache.lock("data")?;
    fs::create_dir_all(cache.data())
        .with_context(|| format!("cannot create {}", cache.data().display()))?;
    let partial = path.with_extension("partial");
    let progress = Progress::start(format!("Generating {name} at scale factor {scale_factor}"));
    let file =
        File::create(&partial).with_context(|| format!("cannot create {}", partial.display()))?;
    let mut out = Reporting {
        out: BufWriter::with_capacity(1 << 20, file),
        bytes: 0,
        progress,
    };
    table
        .write_csv(scale_factor, &mut out)
        .and_then(|()| out.flush())
        .with_context(|| format!("cannot write {}", partial.display()))?;
    out.progress.finish();
    fs::rename(&partial, &path).with_context(|| format!("cannot name {}", path.display()))?;
    Ok(path)
}

/// Shows progress while it writes.
struct Reporting {
    out: BufWriter<File>,
    bytes: u64,
    progress: Progress,
}

impl Write for Reporting {
    fn write(&mut self, buffer: &[u8]) -> std::io::Result<usize> {
        let written = self.out.write(buffer)?;
        let before = self.bytes >> 24;
        self.bytes += written as u64;
        if self.bytes >> 24 != before {
            let megabytes = self.bytes >> 20;
            self.progress.tick(|| format!("{megabytes} MB"));
        }
        Ok(written)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.out.flush()
    }
}

fn write(report: &Report) -> Result<(PathBuf, PathBuf)> {
    let dir = checkout::root().join("bench-results");
    fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
    let stem = format!("lineitem-sf{}", report.scale_factor);
    let json = dir.join(format!("{stem}.json"));
    let svg = dir.join(format!("{stem}.svg"));
    let text = serde_json::to_string_pretty(report).context("cannot write JSON")?;
    put(&json, &text)?;
    put(&svg, &picture::svg(report))?;
    Ok((json, svg))
}

fn put(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("cannot write {}", path.display()))
}
