//! cargo-pgrx at the version of the pgrx in use, and pgrx's configuration.

use crate::cache::Cache;
use crate::checkout;
use crate::installation::MAJOR;
use crate::process;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::Path;
use std::process::Command;

const CARGO_PGRX_VERSION: &str = "0.18.1";

/// Whether cargo-pgrx needs no installation.
pub fn ready(cache: &Cache) -> bool {
    installed_version(cache).as_deref() == Some(CARGO_PGRX_VERSION)
}

/// Installs cargo-pgrx into the cache. Built without optimisation: it only drives cargo.
pub fn ensure_cargo_pgrx(cache: &Cache) -> Result<()> {
    if ready(cache) {
        return Ok(());
    }
    let mut cargo = checkout::cargo(cache);
    cargo
        .current_dir(cache.root())
        .args(["install", "cargo-pgrx", "--version", CARGO_PGRX_VERSION])
        .args(["--locked", "--debug", "--force", "--root"])
        .arg(cache.cargo_pgrx())
        .env("CARGO_TARGET_DIR", cache.build("cargo-pgrx"));
    let title = format!("Installing cargo-pgrx {CARGO_PGRX_VERSION}");
    process::run_logged(&title, &cache.log("cargo-pgrx"), &mut cargo)?;
    if !ready(cache) {
        bail!("cargo-pgrx {CARGO_PGRX_VERSION} was installed but does not run");
    }
    // A gigabyte that nothing will use again; what stays behind does no harm.
    let _ = fs::remove_dir_all(cache.build("cargo-pgrx"));
    Ok(())
}

fn installed_version(cache: &Cache) -> Option<String> {
    let program = cache.cargo_pgrx().join("bin/cargo-pgrx");
    let text = process::output(Command::new(program).args(["pgrx", "--version"])).ok()?;
    text.split_whitespace().last().map(str::to_owned)
}

/// Writes the configuration in `home` that makes pgrx use the PostgreSQL of `pg_config`, and only when it differs: pgrx's
/// build scripts run again whenever the file is touched.
pub fn write_pgrx_configuration(home: &Path, pg_config: &Path) -> Result<()> {
    let path = home.join("config.toml");
    let wanted = format!("[configs]\npg{MAJOR} = \"{}\"\n", pg_config.display());
    if fs::read_to_string(&path).is_ok_and(|present| present == wanted) {
        return Ok(());
    }
    fs::create_dir_all(home).with_context(|| format!("cannot create {}", home.display()))?;
    fs::write(&path, wanted).with_context(|| format!("cannot write {}", path.display()))
}
