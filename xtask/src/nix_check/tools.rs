//! The formatter and the linter of Nix code, from the registry of crates.

use crate::cache::Cache;
use crate::checkout;
use crate::process;
use anyhow::Result;
use std::path::PathBuf;

/// A program, the crate it comes from, and its version.
const FORMATTER: (&str, &str, &str) = ("nixfmt", "nixfmt_rs", "0.5.3");
const LINTER: (&str, &str, &str) = ("deadnix", "deadnix", "1.3.1");

pub fn formatter(cache: &Cache) -> Result<PathBuf> {
    install(cache, FORMATTER)
}

pub fn linter(cache: &Cache) -> Result<PathBuf> {
    install(cache, LINTER)
}

fn install(cache: &Cache, (program, name, version): (&str, &str, &str)) -> Result<PathBuf> {
    let root = cache
        .root()
        .join("nix-tools")
        .join(format!("{name}-{version}"));
    let path = root.join("bin").join(program);
    if path.exists() {
        return Ok(path);
    }
    let mut cargo = checkout::cargo(cache);
    cargo
        .current_dir(cache.root())
        .args([
            "install",
            name,
            "--version",
            version,
            "--locked",
            "--debug",
            "--root",
        ])
        .arg(&root)
        .env("CARGO_TARGET_DIR", cache.build(name));
    let title = format!("Installing {name} {version}");
    process::run_logged(&title, &cache.log("nix-tools"), &mut cargo)?;
    // What stays behind does no harm.
    let _ = std::fs::remove_dir_all(cache.build(name));
    Ok(path)
}
