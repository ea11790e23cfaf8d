//! The distribution's packages that building needs. Root gets them installed; others get the
//! command to type.

use crate::cache::Cache;
use crate::process;
use crate::progress::note;
use anyhow::{Context, Result, bail};
use std::collections::HashSet;
use std::path::Path;
use std::process::Command;

/// A package of Debian and Ubuntu, and a program that proves it where there is no dpkg.
#[derive(Clone, Copy, Debug)]
pub struct Package {
    name: &'static str,
    program: Option<&'static str>,
}

const fn package(name: &'static str, program: Option<&'static str>) -> Package {
    Package { name, program }
}

const EXTENSION: [Package; 6] = [
    package("gcc", Some("cc")),
    package("libc6-dev", None),
    package("clang", Some("clang")),
    package("libclang-dev", None),
    package("pkg-config", Some("pkg-config")),
    package("libssl-dev", None),
];

const POSTGRES: [Package; 9] = [
    package("make", Some("make")),
    package("bison", Some("bison")),
    package("flex", Some("flex")),
    package("perl", Some("perl")),
    package("bzip2", Some("bzip2")),
    package("libreadline-dev", None),
    package("zlib1g-dev", None),
    package("liblz4-dev", None),
    package("libzstd-dev", None),
];

const PACKAGING: [Package; 3] = [
    package("dpkg-dev", Some("dpkg-buildpackage")),
    package("debhelper", Some("dh")),
    package("help2man", Some("help2man")),
];

const MACHINES: [Package; 6] = [
    package("lintian", Some("lintian")),
    package("mmdebstrap", Some("mmdebstrap")),
    package("systemd-container", Some("systemd-nspawn")),
    package("umoci", Some("umoci")),
    package("runc", Some("runc")),
    package("iproute2", Some("ip")),
];

const NIX: [Package; 2] = [
    package("nix-bin", Some("nix-instantiate")),
    package("systemd", Some("systemd-analyze")),
];

/// `cargo pgrx test --runas` steps down by sudo.
const ROOT: [Package; 1] = [package("sudo", Some("sudo"))];

/// What bindgen, cargo-pgrx and the extension's C dependencies need.
pub fn for_extension() -> Vec<Package> {
    let mut packages = EXTENSION.to_vec();
    if rustix::process::geteuid().is_root() {
        packages.extend(ROOT);
    }
    packages
}

/// What PostgreSQL's own build needs.
pub fn for_postgres() -> Vec<Package> {
    POSTGRES.to_vec()
}

/// What making Debian packages needs.
pub fn for_packages() -> Vec<Package> {
    PACKAGING.to_vec()
}

/// What trying them on machines of Debian 13 needs.
pub fn for_machines() -> Vec<Package> {
    MACHINES.to_vec()
}

/// What evaluating Nix code and looking at units needs.
pub fn for_nix() -> Vec<Package> {
    NIX.to_vec()
}

/// Those of `packages` that are not there.
pub fn missing(packages: &[Package]) -> Result<Vec<&'static str>> {
    if !Path::new("/var/lib/dpkg/status").exists() {
        return Ok(packages
            .iter()
            .filter(|package| package.program.is_some_and(|name| !on_path(name)))
            .map(|package| package.name)
            .collect());
    }
    let output = Command::new("dpkg-query")
        .args(["-W", "-f=${Package} ${db:Status-Abbrev} ${Provides}\n"])
        .output()
        .context("cannot run dpkg-query")?;
    let installed = parse_dpkg(&String::from_utf8_lossy(&output.stdout));
    Ok(packages
        .iter()
        .filter(|package| !installed.contains(package.name))
        .map(|package| package.name)
        .collect())
}

/// Installs what is missing, or stops with the command that does.
pub fn ensure(packages: &[Package]) -> Result<()> {
    let missing = missing(packages)?;
    if missing.is_empty() {
        Ok(())
    } else {
        install(&missing)
    }
}

/// `apt-get install`, as root; an error with the exact command otherwise.
pub fn install(names: &[&str]) -> Result<()> {
    let list = names.join(" ");
    if !on_path("apt-get") {
        bail!("these are needed and no apt-get is here to install them: {list}");
    }
    if !rustix::process::geteuid().is_root() {
        bail!(
            "packages are missing; type this and start again: \
             sudo apt-get install -y --no-install-recommends {list}"
        );
    }
    let log = Cache::open()?.log("apt-install");
    let apt = |args: &[&str]| {
        let mut command = Command::new("apt-get");
        command
            .env("DEBIAN_FRONTEND", "noninteractive")
            .arg("-y")
            .args(args);
        command
    };
    let mut wanted = vec!["install", "--no-install-recommends"];
    wanted.extend(names);
    let title = format!("Installing {list}");
    let status = process::status_logged(&title, &log, &mut apt(&wanted))?;
    if !status.success() {
        note("apt's lists may be old: updating them");
        process::run_logged("Updating apt's lists", &log, &mut apt(&["update"]))?;
        process::run_logged(&title, &log, &mut apt(&wanted))?;
    }
    Ok(())
}

pub fn on_path(program: &str) -> bool {
    std::env::var_os("PATH")
        .is_some_and(|path| std::env::split_paths(&path).any(|dir| dir.join(program).is_file()))
}

/// Names of the installed packages and of what they provide.
fn parse_dpkg(text: &str) -> HashSet<String> {
    let mut names = HashSet::new();
    for line in text.lines() {
        let mut fields = line.splitn(4, ' ').filter(|field| !field.is_empty());
        let (Some(name), Some(status)) = (fields.next(), fields.next()) else {
            continue;
        };
        if !status.starts_with("ii") {
            continue;
        }
        names.insert(name.to_owned());
        for provided in fields.flat_map(|rest| rest.split(',')) {
            if let Some(name) = provided.split_whitespace().next() {
                names.insert(name.to_owned());
            }
        }
    }
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn installed_and_provided_packages_count() {
        let text = "make ii  \nflex rc  \npkgconf ii  pkg-config (= 1.8.1-1), foo\n";
        let names = parse_dpkg(text);
        assert!(names.contains("make"));
        assert!(names.contains("pkg-config"));
        assert!(names.contains("foo"));
        assert!(!names.contains("flex"));
    }
}
