//! Building PostgreSQL from its source package. An installation appears under its final name
//! only when it is complete: everything is installed below a staging directory and renamed.

use super::apt_source;
use crate::cache::{Cache, remove_tree};
use crate::installation::{Flavour, Installation};
use crate::process;
use crate::progress::note;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const COMMON_OPTIONS: [&str; 3] = ["--with-lz4", "--with-zstd", "--without-icu"];
const ASSERT_OPTIONS: [&str; 4] = [
    "--enable-cassert",
    "--enable-injection-points",
    "--enable-debug",
    // Slow enough to catch, fast enough to run the whole suite.
    "CFLAGS=-O1 -g1 -fno-omit-frame-pointer",
];
const RELEASE_OPTIONS: [&str; 1] = ["CFLAGS=-O2"];

/// Directories built and installed beside the server.
const COMMON_PARTS: [&str; 2] = ["contrib", "src/test/regress"];
const ASSERT_PARTS: [&str; 2] = ["src/test/modules/injection_points", "src/test/isolation"];

/// The tree of PostgreSQL's source, unpacked.
pub fn source(cache: &Cache) -> Result<PathBuf> {
    source_and_version(cache).map(|(source, _)| source)
}

fn source_and_version(cache: &Cache) -> Result<(PathBuf, String)> {
    let tar = apt_source::fetch(cache)?;
    let version = tar
        .file_name()
        .and_then(|name| apt_source::tar_version(name.to_str()?))
        .context("the source package has no version in its name")?
        .iter()
        .map(u32::to_string)
        .collect::<Vec<_>>()
        .join(".");
    Ok((unpack(cache, &tar, &version)?, version))
}

/// Builds PostgreSQL for `flavour` into the cache.
pub fn build(cache: &Cache, flavour: Flavour) -> Result<Installation> {
    let (source, version) = source_and_version(cache)?;
    note(format!(
        "building PostgreSQL {version} ({flavour}): about ten minutes of processor time"
    ));

    let prefix = cache.postgresql().join(format!("{version}-{flavour}"));
    let log = cache.log(&format!("postgresql-{flavour}"));
    let tree = cache.build(&format!("postgresql-{flavour}"));
    remove_tree(&tree)?;
    fs::create_dir_all(&tree).with_context(|| format!("cannot create {}", tree.display()))?;

    let mut configure = Command::new(source.join("configure"));
    configure
        .current_dir(&tree)
        .arg(format!("--prefix={}", prefix.display()));
    configure.args(COMMON_OPTIONS);
    let mut parts = COMMON_PARTS.to_vec();
    match flavour {
        Flavour::Assert => {
            configure.args(ASSERT_OPTIONS);
            parts.extend(ASSERT_PARTS);
        }
        Flavour::Release => {
            configure.args(RELEASE_OPTIONS);
        }
    }
    process::run_logged(
        &format!("Configuring PostgreSQL {version} ({flavour})"),
        &log,
        &mut configure,
    )?;

    let jobs = std::thread::available_parallelism().map_or(1, usize::from);
    let make = |args: &[&str]| {
        let mut command = Command::new("make");
        command
            .current_dir(&tree)
            .arg("-s")
            .arg(format!("-j{jobs}"))
            .args(args);
        // An outer make's job server would not be ours to use.
        command.env_remove("MAKEFLAGS").env_remove("MAKELEVEL");
        command
    };
    process::run_logged(
        &format!("Compiling PostgreSQL {version} ({flavour})"),
        &log,
        &mut make(&[]),
    )?;
    for part in &parts {
        let title = format!("Compiling {part} ({flavour})");
        process::run_logged(&title, &log, &mut make(&["-C", part]))?;
    }

    let staging = cache
        .postgresql()
        .join(format!(".{version}-{flavour}.partial"));
    remove_tree(&staging)?;
    let destination = format!("DESTDIR={}", staging.display());
    let title = format!("Installing PostgreSQL {version} ({flavour})");
    process::run_logged(&title, &log, &mut make(&["install", &destination]))?;
    for part in &parts {
        let title = format!("Installing {part} ({flavour})");
        process::run_logged(
            &title,
            &log,
            &mut make(&["-C", part, "install", &destination]),
        )?;
    }
    let staged = staging.join(prefix.strip_prefix("/").unwrap_or(&prefix));
    remove_tree(&prefix)?;
    fs::rename(&staged, &prefix)
        .with_context(|| format!("cannot move {} to {}", staged.display(), prefix.display()))?;
    remove_tree(&staging)?;
    remove_tree(&tree)?;

    let built = Installation::describe(flavour, &prefix.join("bin/pg_config"))?;
    if let Some(reason) = built.unfit() {
        bail!(
            "the PostgreSQL just built cannot be used: {reason}; see {}",
            log.display()
        );
    }
    Ok(built)
}

/// The unpacked source tree of `tar`, complete or not there at all.
fn unpack(cache: &Cache, tar: &Path, version: &str) -> Result<PathBuf> {
    let name = format!("postgresql-{version}");
    let source = cache.src().join(&name);
    if source.join("configure").exists() {
        return Ok(source);
    }
    let staging = cache.src().join(".unpacking");
    remove_tree(&staging)?;
    fs::create_dir_all(&staging).with_context(|| format!("cannot create {}", staging.display()))?;
    process::run_logged(
        "Unpacking the source",
        &cache.log("postgresql-source"),
        Command::new("tar")
            .arg("-xf")
            .arg(tar)
            .arg("-C")
            .arg(&staging)
            .arg("--no-same-owner"),
    )?;
    remove_tree(&source)?;
    fs::rename(staging.join(&name), &source)
        .with_context(|| format!("{} holds no {name}", tar.display()))?;
    remove_tree(&staging)?;
    Ok(source)
}
