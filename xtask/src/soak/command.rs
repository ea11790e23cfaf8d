//! The command: clusters of its own, the run, the files, and what is too much.

use super::run::{self, Servers, Times};
use super::{bounds, picture, report};
use crate::cache::Cache;
use crate::checkout;
use crate::cluster::{Cluster, Settings, end_processes};
use crate::crash::{self, Standby, Upstream};
use crate::engines::Engines;
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::{Flavour, Installation};
use crate::progress::note;
use crate::setup;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

const SLOT: &str = "soak_standby";
/// Everything that protects data is on, and everything else is as it comes, but for what tells of long waits.
const SETTINGS: [(&str, &str); 6] = [
    ("wal_level", "replica"),
    ("fsync", "on"),
    ("max_wal_size", "4GB"),
    ("log_lock_waits", "on"),
    // How long a wait is to be logged.
    ("deadlock_timeout", "1s"),
    ("log_checkpoints", "off"),
];

#[derive(clap::Args)]
pub struct Args {
    /// How long the tables are written to
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Take the build with assertions instead of the optimised one
    #[arg(long)]
    assertions: bool,
    /// Without a standby
    #[arg(long)]
    no_standby: bool,
    /// Without DuckDB and PyIceberg
    #[arg(long)]
    no_engines: bool,
    /// Fail for what grows, not for what takes long: on a machine that does other things meanwhile
    #[arg(long)]
    growth_only: bool,
}

impl Args {
    /// A run with all that there is, on the optimised build.
    pub fn whole(minutes: u64) -> Self {
        Self {
            minutes,
            assertions: false,
            no_standby: false,
            no_engines: false,
            growth_only: false,
        }
    }

    /// A run of some minutes on the build with assertions, whatever else the machine does.
    pub fn short(minutes: u64) -> Self {
        Self {
            minutes,
            assertions: true,
            no_standby: false,
            no_engines: true,
            growth_only: true,
        }
    }
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock("soak")?;
    let flavour = if args.assertions {
        Flavour::Assert
    } else {
        Flavour::Release
    };
    let installation = setup::ensure(&cache, flavour)?;
    let library = extension::ensure(&cache, &installation)?;
    let directories = ["soak", "soak-standby"].map(|name| cache.cluster(name));
    let _guardian = Guardian::over(directories.clone())?;
    let done = soak(args, &cache, &installation, &library, &directories);
    for dir in &directories {
        match &done {
            Ok(_) => crash::clear(dir)?,
            Err(_) => end_processes(dir)?,
        }
    }
    match done {
        Ok(too_much) if too_much.is_empty() => Ok(()),
        Ok(too_much) => bail!("too much: {}", too_much.join("; ")),
        Err(error) => {
            let kept = directories.map(|dir| dir.display().to_string());
            note(format!("kept: {}", kept.join(", ")));
            Err(error)
        }
    }
}

/// Returns the names of the measures that are too large.
fn soak(
    args: &Args,
    cache: &Cache,
    installation: &Installation,
    library: &str,
    directories: &[PathBuf; 2],
) -> Result<Vec<String>> {
    let [dir, standby_dir] = directories;
    // A standby left over would stream from the new primary.
    crash::clear(standby_dir)?;
    crash::clear(dir)?;
    let mut cluster = Cluster::at(dir)?;
    let mut extra = crash::common_settings();
    extra.extend(SETTINGS.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let settings = Settings {
        extra,
        ..Settings::default()
    };
    let connection = cluster.start(installation, library, &settings)?;
    run::prepare(&connection)?;
    let upstream = Upstream {
        cluster: &cluster,
        connection: &connection,
        tablespace: None,
    };
    let standby = (!args.no_standby)
        .then(|| Standby::create(standby_dir, upstream, SLOT, installation, library))
        .transpose()?;
    let mut engines = (!args.no_engines)
        .then(|| Engines::start(cache, None))
        .transpose()
        .context("DuckDB and PyIceberg cannot be had")?;
    let servers = Servers {
        cluster,
        connection,
        standby,
    };
    let samples = run::run(&servers, engines.as_mut(), Times::of(args.minutes))?;
    let bounds = bounds::all(&samples);
    print!("{}", report::table(&samples, &bounds));
    let title = format!(
        "pg-lakebase: {} minutes of small transactions by {} sessions, {flavour} build",
        args.minutes,
        super::writers::WRITERS,
        flavour = installation.flavour
    );
    for (extension, text) in [
        ("csv", report::csv(&samples)),
        ("svg", picture::svg(&title, &bounds)),
    ] {
        println!("{}", write(args.minutes, extension, &text)?.display());
    }
    Ok(bounds
        .into_iter()
        .filter(|bound| !(bound.is_met() || args.growth_only && bound.is_timed))
        .map(|bound| bound.name)
        .collect())
}

fn write(minutes: u64, extension: &str, text: &str) -> Result<PathBuf> {
    let dir = checkout::root().join("soak-results");
    let path = dir.join(format!("{minutes}-minutes.{extension}"));
    let put = |path: &Path| -> std::io::Result<()> {
        fs::create_dir_all(&dir)?;
        fs::write(path, text)
    };
    put(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
