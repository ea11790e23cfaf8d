//! The checkout this command belongs to, and running cargo on it.

use crate::cache::Cache;
use crate::installation::Installation;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The repository's root: from cargo when it runs us, else where we were built.
pub fn root() -> PathBuf {
    let manifest = std::env::var_os("CARGO_MANIFEST_DIR")
        .map_or_else(|| PathBuf::from(env!("CARGO_MANIFEST_DIR")), PathBuf::from);
    manifest
        .parent()
        .map_or_else(|| manifest.clone(), Path::to_path_buf)
}

/// `cargo` at the root, building into the cache's target directory.
pub fn cargo(cache: &Cache) -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(root());
    set_cargo_env(cache, &mut command);
    command
}

/// Prepares the environment of a program that runs cargo on the checkout.
///
/// What the outer cargo told us about our own package is taken away: build scripts that watch
/// such variables would otherwise run anew on each change of the way they are called.
pub fn set_cargo_env(cache: &Cache, command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        let name = name.to_string_lossy();
        let ours = [
            "CARGO_PKG_",
            "CARGO_MANIFEST_",
            "CARGO_BIN_",
            "CARGO_CRATE_",
        ]
        .iter()
        .any(|prefix| name.starts_with(prefix));
        if ours || name == "OUT_DIR" || name == "CARGO" {
            command.env_remove(name.as_ref());
        }
    }
    command.env("CARGO_TARGET_DIR", cache.target());
}

/// [`cargo`] with pgrx pointed at `installation` and `cargo pgrx` on the path.
pub fn cargo_pgrx(cache: &Cache, installation: &Installation) -> Command {
    cargo_pgrx_of(cache, &installation.pgrx_home(cache))
}

/// The same with the directory of pgrx's configuration.
pub fn cargo_pgrx_of(cache: &Cache, pgrx_home: &Path) -> Command {
    let mut command = cargo(cache);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let dirs = std::iter::once(cache.cargo_pgrx().join("bin")).chain(std::env::split_paths(&path));
    if let Ok(path) = std::env::join_paths(dirs) {
        command.env("PATH", path);
    }
    command.env("PGRX_HOME", pgrx_home);
    command
        .env_remove("PGRX_PG_CONFIG_PATH")
        .env_remove("PG_VERSION");
    // `cargo pgrx` would add linker flags for every crate, and so compile each a second time. What
    // they are for, a section with the SQL entities that some linkers drop, is kept by GNU ld; were
    // it dropped, CREATE EXTENSION would find nothing to create and every test would fail.
    command.env("CARGO_PGRX_DISABLE_GC_SECTIONS_WORKAROUND", "1");
    command
}
