//! Building and packing.

use crate::cache::{Cache, remove_tree};
use crate::checkout;
use crate::extension::{NAME, PACKAGE, SERVICE};
use crate::installation::MAJOR;
use crate::process;
use crate::setup;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// The profile in `Cargo.toml`.
const PROFILE: &str = "dist";
/// The version that the checkout has.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// Built files, as they are installed: `postgresql/` with what goes to the root directory, and the service's program.
pub struct Built {
    dir: PathBuf,
    version: String,
}

/// What packages are made for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// To be kept: small, and with the debug symbols in packages of their own.
    Release,
    /// To be tried: made soon.
    Trial,
}

impl Built {
    /// Builds what the checkout holds.
    pub fn of_checkout(cache: &Cache) -> Result<Self> {
        let (pgrx_home, pg_config) = setup::ensure_packaging(cache)?;
        let dir = cache.root().join("debian/built");
        remove_tree(&dir)?;
        let log = cache.log("package-build");
        let mut command = checkout::cargo_pgrx_of(cache, &pgrx_home);
        command.args([
            "pgrx",
            "package",
            "--package",
            PACKAGE,
            "--profile",
            PROFILE,
        ]);
        command.arg("--pg-config").arg(&pg_config);
        command.arg("--out-dir").arg(dir.join("postgresql"));
        command.env("RUST_BACKTRACE", "0");
        process::run_logged("Building the extension (dist)", &log, &mut command)?;
        let mut command = checkout::cargo(cache);
        command.args([
            "build",
            "--package",
            SERVICE,
            "--bin",
            SERVICE,
            "--profile",
            PROFILE,
        ]);
        process::run_logged("Building the storage service (dist)", &log, &mut command)?;
        let program = cache.target().join(PROFILE).join(SERVICE);
        fs::copy(&program, dir.join(SERVICE))
            .with_context(|| format!("cannot copy {}", program.display()))?;
        Ok(Self {
            dir,
            version: VERSION.to_owned(),
        })
    }

    /// The same files as those of a version to come, whose catalog is the same.
    pub fn as_version(&self, cache: &Cache, version: &str) -> Result<Self> {
        let dir = cache.root().join("debian").join(format!("built-{version}"));
        remove_tree(&dir)?;
        process::output(Command::new("cp").arg("-r").arg(&self.dir).arg(&dir))?;
        let extension = dir.join(format!("postgresql/usr/share/postgresql/{MAJOR}/extension"));
        let control = extension.join(format!("{NAME}.control"));
        let text = fs::read_to_string(&control)
            .with_context(|| format!("cannot read {}", control.display()))?;
        let (old, new) = (
            format!("default_version = '{}'", self.version),
            format!("default_version = '{version}'"),
        );
        if !text.contains(&old) {
            bail!("{} does not say {old}", control.display());
        }
        let script = |of: &str| extension.join(format!("{NAME}--{of}.sql"));
        fs::write(&control, text.replace(&old, &new))
            .and_then(|()| fs::rename(script(&self.version), script(version)))
            .and_then(|()| fs::write(script(&format!("{}--{version}", self.version)), ""))
            .context("cannot write scripts of another version")?;
        Ok(Self {
            dir,
            version: version.to_owned(),
        })
    }

    /// Packs them, and returns the packages without those of debug symbols.
    pub fn pack(&self, cache: &Cache, purpose: Use) -> Result<Vec<PathBuf>> {
        let dir = cache.root().join("debian/packages").join(&self.version);
        remove_tree(&dir)?;
        let source = dir.join("source");
        fs::create_dir_all(&source)
            .with_context(|| format!("cannot create {}", source.display()))?;
        let mut copy = Command::new("cp");
        copy.current_dir(checkout::root());
        copy.args(["-r", "debian", "docs"]).arg(&source);
        process::output(&mut copy)?;
        self.set_changelog(&source)?;
        let log = cache.log("package-pack");
        let mut command = Command::new("dpkg-buildpackage");
        command
            .args(["--build=binary", "--no-sign"])
            .current_dir(&source)
            .env("BUILT", &self.dir);
        if purpose == Use::Trial {
            command.env("DEB_BUILD_OPTIONS", "noautodbgsym");
            command.env("DPKG_DEB_COMPRESSOR_LEVEL", "0");
        }
        process::run_logged(&format!("Packing {}", self.version), &log, &mut command)?;
        remove_tree(&source)?;
        packages_in(&dir)
    }

    /// The changelog's version is that of what is packed.
    fn set_changelog(&self, source: &Path) -> Result<()> {
        let path = source.join("debian/changelog");
        let text =
            fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))?;
        let first = format!("pg-lakebase ({VERSION}) ");
        if !text.starts_with(&first) {
            bail!("debian/changelog does not begin with {first}");
        }
        if self.version == VERSION {
            return Ok(());
        }
        let entry = text.replacen(VERSION, &self.version, 1);
        fs::write(&path, format!("{entry}\n{text}"))
            .with_context(|| format!("cannot write {}", path.display()))
    }
}

fn packages_in(dir: &Path) -> Result<Vec<PathBuf>> {
    let mut packages: Vec<PathBuf> = fs::read_dir(dir)
        .with_context(|| format!("cannot read {}", dir.display()))?
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            name.ends_with(".deb") && !name.contains("-dbgsym_")
        })
        .collect();
    packages.sort();
    Ok(packages)
}
