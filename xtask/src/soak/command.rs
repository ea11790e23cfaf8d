//! The command: clusters of its own, the run, the files, and what is too much.

use super::run::{self, Servers, Times};
use super::{bounds, picture, report, tables};
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
use crate::stores::{Lake, TABLESPACE};
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};

const SLOT: &str = "soak_standby";
/// Everything that protects data is on, and everything else is as it comes, but for what tells of long waits.
const SETTINGS: [(&str, &str); 7] = [
    ("wal_level", "replica"),
    ("hot_standby", "on"),
    ("fsync", "on"),
    ("max_wal_size", "4GB"),
    ("log_lock_waits", "on"),
    // How long a wait is to be logged.
    ("deadlock_timeout", "1s"),
    ("log_checkpoints", "off"),
];
/// The store, if there is one.
const NAME: &str = "soak";
/// For as long as superfluous files are kept on local disk.
const OBJECT_RETENTION: (&str, &str) = ("pg_lakebase.object_retention", "1min");

#[derive(clap::Args)]
pub struct Args {
    /// How long the tables are written to
    #[arg(long, default_value_t = 10, value_parser = clap::value_parser!(u64).range(1..))]
    minutes: u64,
    /// Take the build with assertions instead of the optimised one
    #[arg(long)]
    assertions: bool,
    /// With the tables in an object store, a MinIO on this machine
    #[arg(long)]
    object_store: bool,
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
            object_store: false,
            no_standby: false,
            no_engines: false,
            growth_only: false,
        }
    }

    /// The same with the tables in an object store.
    pub fn in_object_store(self) -> Self {
        Self {
            object_store: true,
            ..self
        }
    }

    /// A run of some minutes on the build with assertions, whatever else the machine does.
    pub fn short(minutes: u64) -> Self {
        Self {
            minutes,
            assertions: true,
            object_store: false,
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
    let lake = Lake::directory(&cache, NAME);
    let _guardian = Guardian::over(directories.iter().cloned().chain([lake]))?;
    let lake = (args.object_store)
        .then(|| Lake::start(&cache, NAME))
        .transpose()?;
    let done = soak(args, &cache, &installation, &library, &directories, lake);
    end_processes(&Lake::directory(&cache, NAME))?;
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
    lake: Option<Lake>,
) -> Result<Vec<String>> {
    let [dir, standby_dir] = directories;
    // A standby left over would stream from the new primary.
    crash::clear(standby_dir)?;
    crash::clear(dir)?;
    let mut cluster = Cluster::at(dir)?;
    let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
    let mut extra: Vec<_> = SETTINGS.into_iter().map(owned).collect();
    if let Some(lake) = &lake {
        cluster.account().make_private_dir(cluster.dir())?;
        extra.extend(lake.access(cluster.account(), cluster.dir())?);
        extra.push(owned(OBJECT_RETENTION));
    }
    let settings = Settings {
        extra: extra.clone(),
        ..Settings::default()
    };
    let connection = cluster.start(installation, library, &settings)?;
    let tablespace = match &lake {
        Some(lake) => {
            lake.create_tablespace(&connection)?;
            TABLESPACE
        }
        None => "pg_default",
    };
    tables::create(&connection, tablespace)?;
    let upstream = Upstream {
        cluster: &cluster,
        connection: &connection,
        tablespace: None,
    };
    let standby = (!args.no_standby)
        .then(|| Standby::create_with(standby_dir, upstream, SLOT, installation, library, extra))
        .transpose()?;
    let mut engines = (!args.no_engines)
        .then(|| Engines::start(cache, lake.as_ref()))
        .transpose()
        .context("DuckDB and PyIceberg cannot be had")?;
    let servers = Servers {
        cluster,
        connection,
        standby,
        lake,
    };
    let samples = run::run(&servers, engines.as_mut(), Times::of(args.minutes))?;
    let bounds = bounds::all(&samples);
    print!("{}", report::table(&samples, &bounds));
    let title = format!(
        "pg-lakebase: {} minutes of small transactions by {} sessions{where_to}, {flavour} build",
        args.minutes,
        super::writers::WRITERS,
        where_to = if args.object_store {
            " to an object store"
        } else {
            ""
        },
        flavour = installation.flavour
    );
    for (extension, text) in [
        ("csv", report::csv(&samples)),
        ("svg", picture::svg(&title, &bounds)),
    ] {
        println!("{}", write(args, extension, &text)?.display());
    }
    Ok(bounds
        .into_iter()
        .filter(|bound| !(bound.is_met() || args.growth_only && bound.is_timed))
        .map(|bound| bound.name)
        .collect())
}

fn write(args: &Args, extension: &str, text: &str) -> Result<PathBuf> {
    let dir = checkout::root().join("soak-results");
    let of = if args.object_store {
        "-object-store"
    } else {
        ""
    };
    let path = dir.join(format!("{}-minutes{of}.{extension}", args.minutes));
    let put = |path: &Path| -> std::io::Result<()> {
        fs::create_dir_all(&dir)?;
        fs::write(path, text)
    };
    put(&path).with_context(|| format!("cannot write {}", path.display()))?;
    Ok(path)
}
