//! Where everything that is not in the checkout lies: one cache root per user.
//!
//! `$PG_LAKEBASE_CACHE`; else `/var/cache/pg-lakebase` for root; else `pg-lakebase` under
//! `$XDG_CACHE_HOME` or `~/.cache`. Nothing in it is precious: removing it all costs only time
//! (and the private clusters kept there).

use anyhow::{Context, Result};
use std::ffi::OsString;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The cache root and the names below it.
#[derive(Clone, Debug)]
pub struct Cache {
    root: PathBuf,
}

impl Cache {
    /// The cache of the present user, created if absent.
    pub fn open() -> Result<Self> {
        let root = locate(rustix::process::geteuid().is_root(), |name| {
            std::env::var_os(name)
        })
        .context("no place for the cache: set PG_LAKEBASE_CACHE or HOME")?;
        fs::create_dir_all(&root)
            .with_context(|| format!("cannot create the cache {}", root.display()))?;
        let root = root
            .canonicalize()
            .with_context(|| format!("cannot resolve the cache {}", root.display()))?;
        Ok(Self { root })
    }

    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Source packages and their unpacked trees.
    pub fn src(&self) -> PathBuf {
        self.root.join("src")
    }

    /// Build trees; removed when the build is done.
    pub fn build(&self, name: &str) -> PathBuf {
        self.root.join("build").join(name)
    }

    /// Installed PostgreSQL builds, `<version>-assert` and `<version>-release`.
    pub fn postgresql(&self) -> PathBuf {
        self.root.join("postgresql")
    }

    /// apt's private state, so that the system's sources stay as they are.
    pub fn apt(&self) -> PathBuf {
        self.root.join("apt")
    }

    /// Root of `cargo install` for cargo-pgrx.
    pub fn cargo_pgrx(&self) -> PathBuf {
        self.root.join("cargo-pgrx")
    }

    /// Shared `CARGO_TARGET_DIR` of the extension and the tests.
    pub fn target(&self) -> PathBuf {
        self.root.join("target")
    }

    pub fn cluster(&self, name: &str) -> PathBuf {
        self.root.join("clusters").join(name)
    }

    /// Python environment of the independent engines.
    pub fn venv(&self) -> PathBuf {
        self.root.join("venv")
    }

    /// Generated or downloaded data.
    pub fn data(&self) -> PathBuf {
        self.root.join("data")
    }

    pub fn log(&self, name: &str) -> PathBuf {
        self.root.join("logs").join(format!("{name}.log"))
    }

    /// Waits for the lock `name` and holds it until the returned file is dropped.
    pub fn lock(&self, name: &str) -> Result<File> {
        lock_file(&self.root.join(format!("{name}.lock")))
    }
}

/// Waits for an exclusive lock on `path`, saying so when it is taken.
pub fn lock_file(path: &Path) -> Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(path)
        .with_context(|| format!("cannot open lock file {}", path.display()))?;
    if file.try_lock().is_err() {
        crate::progress::note(format!("waiting for another command ({})", path.display()));
        file.lock()
            .with_context(|| format!("cannot lock {}", path.display()))?;
    }
    Ok(file)
}

/// Removes `path` and everything below it; that there is none is fine.
pub fn remove_tree(path: &Path) -> Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", path.display()))
        }
        _ => Ok(()),
    }
}

fn locate(root_user: bool, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let set = |name: &str| {
        env(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    if let Some(cache) = set("PG_LAKEBASE_CACHE") {
        return Some(cache);
    }
    if root_user {
        return Some(PathBuf::from("/var/cache/pg-lakebase"));
    }
    set("XDG_CACHE_HOME")
        .or_else(|| set("HOME").map(|home| home.join(".cache")))
        .map(|base| base.join("pg-lakebase"))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn located(root_user: bool, vars: &[(&str, &str)]) -> Option<PathBuf> {
        locate(root_user, |name| {
            vars.iter()
                .find(|(key, _)| *key == name)
                .map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn the_root_follows_the_documented_order() {
        let all = [
            ("PG_LAKEBASE_CACHE", "/c"),
            ("XDG_CACHE_HOME", "/x"),
            ("HOME", "/h"),
        ];
        assert_eq!(located(true, &all).unwrap(), Path::new("/c"));
        assert_eq!(
            located(true, &all[1..]).unwrap(),
            Path::new("/var/cache/pg-lakebase")
        );
        assert_eq!(
            located(false, &all[1..]).unwrap(),
            Path::new("/x/pg-lakebase")
        );
        assert_eq!(
            located(false, &all[2..]).unwrap(),
            Path::new("/h/.cache/pg-lakebase")
        );
        assert_eq!(located(false, &[("XDG_CACHE_HOME", "")]), None);
    }

    #[test]
    fn a_lock_is_held_until_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let held = lock_file(&path).unwrap();
        assert!(File::open(&path).unwrap().try_lock().is_err());
        drop(held);
        assert!(File::open(&path).unwrap().try_lock().is_ok());
    }
}
