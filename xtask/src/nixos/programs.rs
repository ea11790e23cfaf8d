//! What machines have beside Debian: our packages, the emulated stores, and the engines that read tables.

use crate::cache::{Cache, remove_tree};
use crate::checkout;
use crate::interop;
use crate::machine;
use crate::nix_check::write;
use crate::package::{Built, Use};
use crate::process;
use crate::stores;
use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Python of Debian 13.
const PYTHON: &str = "3.13";
const AZURITE: &str = "opt/azurite";

/// A tree that lies over Debian's: for machines with the server.
pub fn of_servers(cache: &Cache, debian: &Path) -> Result<PathBuf> {
    let packages = Built::of_checkout(cache)?.pack(cache, Use::Trial)?;
    let dir = cache.root().join("machines/programs");
    let root = machine::lay_over(&[debian], &dir)?;
    let install = (|| {
        let mut dpkg = Command::new("chroot");
        dpkg.arg(&root).args(["dpkg", "--install"]);
        for package in &packages {
            let name = package.file_name().context("a package without a name")?;
            copy(package, &root.join("tmp").join(name))?;
            dpkg.arg(Path::new("/tmp").join(name));
        }
        process::run_logged(
            "Installing the packages",
            &cache.log("machine-packages"),
            &mut dpkg,
        )?;
        stores_of(cache, &root)
    })();
    // What was changed is the tree; where it was laid is not needed any more.
    let unmounted = crate::mount::unmount(&root);
    install.and(unmounted)?;
    Ok(dir.join("changes"))
}

/// The emulators, by the names that NixOS has them by.
fn stores_of(cache: &Cache, root: &Path) -> Result<()> {
    let bin = root.join("usr/bin");
    copy(&stores::minio_program(cache)?, &bin.join("minio"))?;
    copy(&stores::gcs_program(cache)?, &bin.join("gcs-emulator"))?;
    let node = process::output(Command::new("node").args(["-p", "process.execPath"]))?;
    copy(Path::new(node.trim()), &bin.join("node"))?;
    let azurite = stores::azurite_program(cache)?;
    let modules = azurite
        .ancestors()
        .find(|path| path.ends_with("node_modules"));
    let modules = modules.context("Azurite is not among node's modules")?;
    let to = root.join(AZURITE);
    fs::create_dir_all(&to).with_context(|| format!("cannot create {}", to.display()))?;
    process::output(Command::new("cp").arg("-r").arg(modules).arg(&to))?;
    let script = Path::new(AZURITE)
        .join("node_modules")
        .join(azurite.strip_prefix(modules)?);
    let wrapper = format!("#!/bin/sh\nexec node /{} \"$@\"\n", script.display());
    write(&bin.join("azurite-blob"), &wrapper, 0o755)
}

/// A tree that lies over Debian's: for machines that read tables.
pub fn of_readers(cache: &Cache) -> Result<PathBuf> {
    let packages = interop::python_packages();
    let wanted = format!("{PYTHON}\n{}", packages.join("\n"));
    let dir = cache.root().join("machines/engines");
    let stamp = dir.join("packages");
    let tree = dir.join("tree");
    if fs::read_to_string(&stamp).is_ok_and(|present| present == wanted) {
        return Ok(tree);
    }
    remove_tree(&dir)?;
    let target = tree.join(format!("usr/local/lib/python{PYTHON}/dist-packages"));
    fs::create_dir_all(&target).with_context(|| format!("cannot create {}", target.display()))?;
    interop::install_engine(cache, "pyiceberg")?;
    let mut pip = Command::new(cache.venv().join("bin/pip"));
    pip.args([
        "install",
        "--quiet",
        "--disable-pip-version-check",
        "--only-binary=:all:",
    ]);
    pip.args(["--python-version", PYTHON, "--implementation", "cp"]);
    let architecture = std::env::consts::ARCH;
    for platform in ["manylinux2014", "manylinux_2_17", "manylinux_2_28"] {
        pip.arg(format!("--platform={platform}_{architecture}"));
    }
    pip.arg("--target").arg(&target).args(packages);
    let title = "Installing the engines of a machine";
    process::run_logged(title, &cache.log("machine-engines"), &mut pip)?;
    fs::write(&stamp, wanted).with_context(|| format!("cannot write {}", stamp.display()))?;
    Ok(tree)
}

/// What scripts name of the checkout's files, by paths in Nix's store.
pub fn put_store_files(script: &str, root: &Path) -> Result<()> {
    for word in script
        .split_whitespace()
        .filter(|word| word.starts_with("/nix/store/"))
    {
        let name = word
            .rsplit('/')
            .next()
            .and_then(|name| name.split_once('-'));
        let (_, name) = name.with_context(|| format!("{word} has no name"))?;
        let from = checkout::root().join("xtask/stores").join(name);
        copy(&from, &root.join(word.trim_start_matches('/')))?;
    }
    Ok(())
}

fn copy(from: &Path, to: &Path) -> Result<()> {
    let dir = to.parent().context("a file without a directory")?;
    fs::create_dir_all(dir)
        .and_then(|()| fs::copy(from, to))
        .with_context(|| format!("cannot copy {} to {}", from.display(), to.display()))?;
    Ok(())
}
