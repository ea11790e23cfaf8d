//! The root file system of a machine: Debian 13 with systemd and its PostgreSQL 17, from the mirror that apt goes by.

use crate::cache::{Cache, remove_tree};
use crate::installation::MAJOR;
use crate::mount;
use crate::process;
use crate::setup;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const SUITE: &str = "trixie";

/// The tree, made where there is none; nothing is to be written to it.
pub fn debian(cache: &Cache) -> Result<PathBuf> {
    let dir = cache.root().join("debian");
    let tree = dir.join(format!("{SUITE}-machine"));
    if tree.exists() {
        return Ok(tree);
    }
    let new = dir.join(format!("{SUITE}.new"));
    remove_tree(&new)?;
    let packages = [
        "systemd",
        "systemd-sysv",
        "dbus",
        "adduser",
        "ca-certificates",
        "procps",
        "python3",
    ];
    let mut command = mmdebstrap(&packages);
    command.arg(SUITE).arg(&new).arg(setup::mirror()?);
    let title = "Making a tree of Debian 13 with PostgreSQL 17";
    process::run_logged(title, &cache.log("debian-tree"), &mut command)?;
    fs::rename(&new, &tree).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(tree)
}

/// The lower layer of container images, an archive, made where there is none: Debian 13 with its PostgreSQL 17 and little else.
pub fn container_base(cache: &Cache) -> Result<PathBuf> {
    let dir = cache.root().join("debian");
    let archive = dir.join(format!("{SUITE}-container.tar"));
    if archive.exists() {
        return Ok(archive);
    }
    let new = dir.join(format!("{SUITE}-container.new.tar"));
    let mut command = mmdebstrap(&["ca-certificates"]);
    // As in the widespread images of PostgreSQL, whatever else Debian makes users for.
    for (file, entry) in [
        ("group", "postgres:x:999:"),
        (
            "passwd",
            "postgres:x:999:999::/var/lib/postgresql:/bin/bash",
        ),
    ] {
        command.arg(format!(
            "--essential-hook=echo '{entry}' >> \"$1/etc/{file}\""
        ));
    }
    for path in ["man", "locale", "info"] {
        command.arg(format!("--dpkgopt=path-exclude=/usr/share/{path}/*"));
    }
    command.arg(SUITE).arg(&new).arg(setup::mirror()?);
    let title = "Making the lower layer of an image";
    process::run_logged(title, &cache.log("debian-tree"), &mut command)?;
    fs::rename(&new, &archive).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(archive)
}

/// The program that makes trees, with PostgreSQL and more packages.
fn mmdebstrap(packages: &[&str]) -> Command {
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--mode=root", "--variant=minbase"])
        .arg(format!("--include=postgresql-{MAJOR},{}", packages.join(",")))
        // A cluster is made when it is used.
        .arg("--essential-hook=mkdir -p \"$1/etc/postgresql-common\"")
        .arg("--essential-hook=echo 'create_main_cluster = false' > \"$1/etc/postgresql-common/createcluster.conf\"");
    command
}

/// A root file system over trees, the uppermost first, at `dir/root`, whose changes are in `dir/changes` and are forgotten with it.
pub fn lay_over(trees: &[&Path], dir: &Path) -> Result<PathBuf> {
    clear(dir)?;
    let root = dir.join("root");
    for dir in [
        &root,
        &dir.join("changes"),
        &dir.join("work"),
        &dir.join("data"),
    ] {
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
    }
    let lower: Vec<String> = (trees.iter())
        .map(|tree| tree.display().to_string())
        .collect();
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        lower.join(":"),
        dir.join("changes").display(),
        dir.join("work").display()
    );
    let mut command = Command::new("mount");
    command.args(["-t", "overlay", "-o", &options, "pg-lakebase-machine"]);
    process::output(command.arg(&root))?;
    Ok(root)
}

/// Removes it, if it is there.
pub fn clear(dir: &Path) -> Result<()> {
    mount::unmount(&dir.join("root"))?;
    remove_tree(dir)
}
