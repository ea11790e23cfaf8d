//! Building the extension and the storage service's program, and installing them into a PostgreSQL, skipped when nothing
//! changed.

use crate::cache::{self, Cache};
use crate::checkout;
use crate::installation::{Flavour, Installation};
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

pub const NAME: &str = "pg_iceberg_am";
pub const PACKAGE: &str = "pg-iceberg-am";
/// The storage service: the package and its program.
pub const SERVICE: &str = "pg-lakebase-storage";

/// Scripts of earlier versions, relative to the checkout.
const EARLIER_VERSIONS: &str = "extension/pg-iceberg-am/tests/versions";

/// What the extension is built from, relative to the checkout.
const INPUTS: [&str; 6] = [
    "Cargo.toml",
    "Cargo.lock",
    "extension",
    "iceberg",
    "storage",
    ".cargo/config.toml",
];

/// Builds and installs the extension where it is not up to date. Returns the mark of the
/// installed library, which changes with every installation.
pub fn ensure(cache: &Cache, installation: &Installation) -> Result<String> {
    let _lock = cache::lock_file(&cache.root().join("extension.lock"))?;
    let wanted = fingerprint(installation)?;
    let stamp = stamp_path(cache, installation);
    if let (Ok(stamped), Some(mark)) = (fs::read_to_string(&stamp), library_mark(installation))
        && stamped == stamp_text(wanted, &mark)
    {
        return Ok(mark);
    }
    let mut command = checkout::cargo_pgrx(cache, installation);
    command.args(["pgrx", "install", "--package", PACKAGE, "--pg-config"]);
    command.arg(&installation.pg_config);
    // What is wrong is told by the compiler, not by cargo-pgrx's own stack.
    command.env("RUST_BACKTRACE", "0");
    if installation.flavour == Flavour::Release {
        command.arg("--release");
    }
    let flavour = installation.flavour;
    install_service(cache, installation)?;
    let log = cache.log(&format!("extension-{flavour}"));
    process::run_logged(
        &format!("Building the extension ({flavour})"),
        &log,
        &mut command,
    )?;
    if flavour == Flavour::Assert {
        install_earlier_versions(installation)?;
    }
    let mark = library_mark(installation)
        .with_context(|| format!("the extension was not installed; see {}", log.display()))?;
    fs::write(&stamp, stamp_text(wanted, &mark))
        .with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(mark)
}

/// Puts the scripts of earlier versions beside that of the present one, for tests that update them.
fn install_earlier_versions(installation: &Installation) -> Result<()> {
    let scripts = checkout::root().join(EARLIER_VERSIONS);
    let context = || format!("cannot install the scripts in {}", scripts.display());
    for script in fs::read_dir(&scripts).with_context(context)?.flatten() {
        let installed = installation
            .sharedir
            .join("extension")
            .join(script.file_name());
        fs::copy(script.path(), installed).with_context(context)?;
    }
    Ok(())
}

/// Builds the storage service and puts its program beside the server's own, where servers look for it.
fn install_service(cache: &Cache, installation: &Installation) -> Result<()> {
    let flavour = installation.flavour;
    let mut command = checkout::cargo(cache);
    command.args(["build", "--package", SERVICE, "--bin", SERVICE]);
    let profile = match flavour {
        Flavour::Assert => "debug",
        Flavour::Release => {
            command.arg("--release");
            "release"
        }
    };
    let log = cache.log(&format!("storage-service-{flavour}"));
    let title = format!("Building the storage service ({flavour})");
    process::run_logged(&title, &log, &mut command)?;
    let built = cache.target().join(profile).join(SERVICE);
    // A program that runs cannot be written to, but another one can take its name.
    let new = installation.bindir.join(format!("{SERVICE}.new"));
    let installed = installation.program(SERVICE);
    fs::copy(&built, &new)
        .and_then(|_| fs::rename(&new, &installed))
        .with_context(|| format!("cannot install {}", installed.display()))
}

/// The mark of the library and the storage service as they are installed now.
pub fn library_mark(installation: &Installation) -> Option<String> {
    let library = installation.pkglibdir.join(format!("{NAME}.so"));
    let marks = [library, installation.program(SERVICE)].map(|path| {
        let meta = fs::metadata(path).ok()?;
        let (seconds, nanoseconds) = (meta.mtime(), meta.mtime_nsec());
        Some(format!("{}:{seconds}.{nanoseconds:09}", meta.len()))
    });
    let [library, service] = marks;
    Some(format!("{}+{}", library?, service?))
}

/// Makes the next [`ensure`] install the extension anew.
pub fn forget(cache: &Cache, installation: &Installation) -> Result<()> {
    let stamp = stamp_path(cache, installation);
    match fs::remove_file(&stamp) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            Err(error).with_context(|| format!("cannot remove {}", stamp.display()))
        }
        _ => Ok(()),
    }
}

fn stamp_path(cache: &Cache, installation: &Installation) -> PathBuf {
    installation.pgrx_home(cache).join("extension.stamp")
}

fn stamp_text(fingerprint: u64, mark: &str) -> String {
    format!("{fingerprint:016x} {mark}\n")
}

/// A number that changes whenever a source file, the profile or the server does.
fn fingerprint(installation: &Installation) -> Result<u64> {
    let root = checkout::root();
    let mut hasher = DefaultHasher::new();
    root.hash(&mut hasher);
    installation.pg_config.hash(&mut hasher);
    installation.version.hash(&mut hasher);
    for input in INPUTS {
        hash_below(&root.join(input), &mut hasher)?;
    }
    Ok(hasher.finish())
}

/// Names, lengths and times of the files at and below `path`, in a fixed order.
fn hash_below(path: &Path, hasher: &mut DefaultHasher) -> Result<()> {
    let meta = match fs::metadata(path) {
        Ok(meta) => meta,
        // A dangling link or a file removed under our eyes: its name is all there is.
        Err(_) => {
            path.hash(hasher);
            return Ok(());
        }
    };
    if meta.is_dir() {
        let mut entries: Vec<PathBuf> = fs::read_dir(path)
            .with_context(|| format!("cannot read {}", path.display()))?
            .flatten()
            .map(|entry| entry.path())
            .filter(|entry| !is_irrelevant(entry))
            .collect();
        entries.sort();
        return entries
            .iter()
            .try_for_each(|entry| hash_below(entry, hasher));
    }
    (path, meta.len(), meta.mtime(), meta.mtime_nsec()).hash(hasher);
    Ok(())
}

/// Build output and tests: they are not part of the library.
fn is_irrelevant(path: &Path) -> bool {
    matches!(
        path.file_name().and_then(|name| name.to_str()),
        Some("target" | "tests" | "fuzz")
    )
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn hash_of(path: &Path) -> u64 {
        let mut hasher = DefaultHasher::new();
        hash_below(path, &mut hasher).unwrap();
        hasher.finish()
    }

    #[test]
    fn sources_change_the_fingerprint_and_tests_do_not() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("src")).unwrap();
        fs::create_dir_all(dir.path().join("tests/sql")).unwrap();
        fs::write(dir.path().join("src/lib.rs"), "a").unwrap();
        let first = hash_of(dir.path());
        assert_eq!(first, hash_of(dir.path()));
        fs::write(dir.path().join("tests/sql/x.sql"), "select 1").unwrap();
        assert_eq!(first, hash_of(dir.path()));
        fs::write(dir.path().join("src/lib.rs"), "ab").unwrap();
        assert_ne!(first, hash_of(dir.path()));
    }
}
