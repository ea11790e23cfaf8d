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
pub fn ensure(cache: &Cache) -> Result<PathBuf> {
    let dir = cache.root().join("debian");
    let tree = dir.join(SUITE);
    if tree.exists() {
        return Ok(tree);
    }
    let new = dir.join(format!("{SUITE}.new"));
    remove_tree(&new)?;
    let packages = format!("systemd,systemd-sysv,dbus,adduser,ca-certificates,postgresql-{MAJOR}");
    let mut command = Command::new("mmdebstrap");
    command
        .args(["--mode=root", "--variant=minbase"])
        .arg(format!("--include={packages}"))
        // A cluster is made when the machine has been started.
        .arg("--essential-hook=mkdir -p \"$1/etc/postgresql-common\"")
        .arg("--essential-hook=echo 'create_main_cluster = false' > \"$1/etc/postgresql-common/createcluster.conf\"")
        .arg(SUITE)
        .arg(&new)
        .arg(setup::mirror()?);
    let title = "Making a tree of Debian 13 with PostgreSQL 17";
    process::run_logged(title, &cache.log("debian-tree"), &mut command)?;
    fs::rename(&new, &tree).with_context(|| format!("cannot rename {}", new.display()))?;
    Ok(tree)
}

/// A root file system over `tree` at `dir/root`, whose changes are in `dir` too and are forgotten with it.
pub fn lay_over(tree: &Path, dir: &Path) -> Result<PathBuf> {
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
    let options = format!(
        "lowerdir={},upperdir={},workdir={}",
        tree.display(),
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
