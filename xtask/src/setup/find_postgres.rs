//! Looking for a PostgreSQL 17 that is on the machine or that apt offers.

use super::build_packages;
use crate::cache::Cache;
use crate::installation::{Flavour, Installation, MAJOR};
use crate::progress::note;
use anyhow::Result;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const PACKAGES: [&str; 2] = ["postgresql-17", "postgresql-server-dev-17"];

/// The first fit installation: for release use wherever it may be, for tests one that we built.
pub fn find(cache: &Cache, flavour: Flavour) -> Option<Installation> {
    let elsewhere = match flavour {
        Flavour::Release => candidates(),
        Flavour::Assert => Vec::new(),
    };
    elsewhere
        .into_iter()
        .chain(built(&cache.postgresql(), flavour))
        .find_map(|pg_config| {
            let found = Installation::describe(flavour, &pg_config).ok()?;
            found.unfit().is_none().then_some(found)
        })
}

/// `pg_config` programs in the order of preference. Whether they serve is not decided here.
fn candidates() -> Vec<PathBuf> {
    let mut found: Vec<PathBuf> = Vec::new();
    if let Some(named) = std::env::var_os("PG_CONFIG") {
        found.push(named.into());
    }
    if let Some(path) = std::env::var_os("PATH") {
        found.extend(std::env::split_paths(&path).map(|dir| dir.join("pg_config")));
    }
    found.extend(pgrx_home().and_then(|home| pgrx_configured(&home)));
    found.push(PathBuf::from(format!(
        "/usr/lib/postgresql/{MAJOR}/bin/pg_config"
    )));
    found.push(PathBuf::from(format!("/usr/pgsql-{MAJOR}/bin/pg_config")));
    found.retain(|path| path.is_file());
    found
}

fn pgrx_home() -> Option<PathBuf> {
    std::env::var_os("PGRX_HOME")
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".pgrx")))
}

fn pgrx_configured(home: &Path) -> Option<PathBuf> {
    parse_pgrx_configuration(&fs::read_to_string(home.join("config.toml")).ok()?)
}

/// The value of `pg17` in pgrx's `config.toml`, a table of quoted paths.
fn parse_pgrx_configuration(text: &str) -> Option<PathBuf> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        (key.trim() == format!("pg{MAJOR}")).then(|| PathBuf::from(value))
    })
}

/// Builds of ours, newest version first.
fn built(dir: &Path, flavour: Flavour) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(dir) else {
        return Vec::new();
    };
    let suffix = format!("-{flavour}");
    let mut builds: Vec<(Vec<u32>, PathBuf)> = entries
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let version = name.strip_suffix(&suffix)?;
            let numbers = version
                .split('.')
                .map(str::parse)
                .collect::<Result<_, _>>()
                .ok()?;
            Some((numbers, entry.path().join("bin/pg_config")))
        })
        .collect();
    builds.sort_by(|a, b| b.0.cmp(&a.0));
    builds.into_iter().map(|(_, pg_config)| pg_config).collect()
}

/// Installs the distribution's PostgreSQL 17 for release use, where apt offers one and we are
/// root. Others are told of it, and build their own.
pub fn install_package(cache: &Cache, flavour: Flavour) -> Result<Option<Installation>> {
    if flavour == Flavour::Assert || !offered() {
        return Ok(None);
    }
    if !rustix::process::geteuid().is_root() {
        note(
            "apt offers PostgreSQL 17, but extensions can only be installed into it by root: \
             building one in the cache",
        );
        return Ok(None);
    }
    build_packages::install(&PACKAGES)?;
    let found = find(cache, flavour);
    if found.is_none() {
        note("the packages of PostgreSQL 17 do not serve; building from source");
    }
    Ok(found)
}

fn offered() -> bool {
    let Ok(output) = Command::new("apt-cache")
        .arg("policy")
        .args(PACKAGES)
        .output()
    else {
        return false;
    };
    candidates_in_policy(&String::from_utf8_lossy(&output.stdout)) == PACKAGES.len()
}

/// How many packages in the output of `apt-cache policy` can be installed.
fn candidates_in_policy(text: &str) -> usize {
    text.lines()
        .filter_map(|line| line.trim().strip_prefix("Candidate:"))
        .filter(|candidate| candidate.trim() != "(none)")
        .count()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn pgrx_configuration_names_the_version_asked_for() {
        let text = "[configs]\npg16 = \"/a/pg_config\"\npg17 = \"/b/pg_config\"\n";
        assert_eq!(
            parse_pgrx_configuration(text),
            Some(PathBuf::from("/b/pg_config"))
        );
        assert_eq!(parse_pgrx_configuration("[configs]\n"), None);
    }

    #[test]
    fn apt_policy_without_candidate_is_no_offer() {
        let none = "postgresql-17:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(candidates_in_policy(none), 0);
        let one = "postgresql-17:\n  Installed: (none)\n  Candidate: 17.4-1\n  Version table:\n";
        assert_eq!(candidates_in_policy(one), 1);
    }

    #[test]
    fn the_newest_build_comes_first() {
        let dir = tempfile::tempdir().unwrap();
        for name in [
            "17.9-assert",
            "17.11-assert",
            "17.10-release",
            "17.12-assert.partial",
        ] {
            fs::create_dir_all(dir.path().join(name)).unwrap();
        }
        let versions = |flavour| -> Vec<PathBuf> {
            built(dir.path(), flavour)
                .iter()
                .map(|path| path.strip_prefix(dir.path()).unwrap().to_path_buf())
                .collect()
        };
        let config = |name: &str| Path::new(name).join("bin/pg_config");
        assert_eq!(
            versions(Flavour::Assert),
            [config("17.11-assert"), config("17.9-assert")]
        );
        assert_eq!(versions(Flavour::Release), [config("17.10-release")]);
    }
}
