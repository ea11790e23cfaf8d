//! PostgreSQL's source package from the mirror that apt is configured with, by private apt
//! state: the system's own sources and lists are neither changed nor needed, and no root is.
//!
//! The system is never upgraded to the suite the source comes from: only one tar file is taken.

use crate::cache::Cache;
use crate::installation::MAJOR;
use crate::process;
use crate::progress::note;
use anyhow::{Context, Result, bail};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

/// A release known to be in the pool of Debian's mirrors, with its SHA-256 as in the `.dsc` that its
/// Debian maintainer signed. Mirrors list a new release before they hand it out.
const KNOWN: (&str, &str) = (
    "17.11",
    "dd27f2b3c59e73ed14aa3324901242bf69a032a6347805f274e6260322d42979",
);
/// Suites known to carry PostgreSQL 17, per distribution.
const SUITES: [(&str, &[&str]); 2] = [("debian", &["trixie"]), ("ubuntu", &["questing", "plucky"])];

/// Returns the upstream tar file of the newest PostgreSQL 17 that can be had.
pub fn fetch(cache: &Cache) -> Result<PathBuf> {
    if let Some(tar) = newest_tar(&cache.src()) {
        return Ok(tar);
    }
    let sources = source_lines()?;
    let log = cache.log("postgresql-source");
    // Shown only if none of them leads anywhere.
    let mut failures = Vec::new();
    for source in &sources {
        note(format!(
            "looking for the source package postgresql-{MAJOR} in {}",
            source.suite
        ));
        match fetch_from(cache, source, &log) {
            Ok(()) => {
                return newest_tar(&cache.src())
                    .with_context(|| format!("no tar file came; see {}", log.display()));
            }
            Err(error) => failures.push(error),
        }
    }
    if let Some(source) = sources.first() {
        match fetch_known(cache, source, &log) {
            Ok(tar) => return Ok(tar),
            Err(error) => failures.push(error),
        }
    }
    for failure in failures {
        note(format!("{failure:#}"));
    }
    bail!(
        "no source package of PostgreSQL {MAJOR} found; install PostgreSQL {MAJOR} with its \
         server headers and set PG_CONFIG, or put postgresql-{MAJOR}_<version>.orig.tar.bz2 into {}",
        cache.src().display()
    )
}

/// Downloads a binary package of the suite that the source package is looked for in, into `dir`.
pub fn download(cache: &Cache, package: &str, dir: &Path) -> Result<PathBuf> {
    let log = cache.log("postgresql-source");
    let mut failures = Vec::new();
    for source in source_lines()? {
        let apt = Apt::new(cache, &source.line("deb"), dir)?;
        let title = format!("Downloading {package} of {}", source.suite);
        let downloaded = process::try_logged(
            "Reading the package index",
            &log,
            apt.command().arg("update"),
        )
        .and_then(|()| {
            process::try_logged(&title, &log, apt.command().args(["download", package]))
        });
        match downloaded {
            Ok(()) => {
                let entries =
                    fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
                let name = format!("{package}_");
                return entries
                    .flatten()
                    .find(|entry| entry.file_name().to_string_lossy().starts_with(&name))
                    .map(|entry| entry.path())
                    .with_context(|| format!("{package} did not come; see {}", log.display()));
            }
            Err(error) => failures.push(error),
        }
    }
    for failure in failures {
        note(format!("{failure:#}"));
    }
    bail!("the package {package} cannot be had; see {}", log.display())
}

fn fetch_from(cache: &Cache, source: &Source, log: &Path) -> Result<()> {
    let apt = Apt::new(cache, &source.line("deb-src"), &cache.src())?;
    process::try_logged("Reading the source index", log, apt.command().arg("update"))?;
    let package = format!("postgresql-{MAJOR}");
    let title = format!("Downloading the source of {package}");
    process::try_logged(
        &title,
        log,
        apt.command().args(["source", "--download-only", &package]),
    )
}

/// apt with state of our own, which reads one line of sources and downloads into one directory.
struct Apt {
    state: PathBuf,
    dir: PathBuf,
}

impl Apt {
    fn new(cache: &Cache, line: &str, dir: &Path) -> Result<Self> {
        let state = cache.apt();
        for dir in ["lists/partial", "cache/archives/partial", "etc"] {
            let dir = state.join(dir);
            fs::create_dir_all(&dir).with_context(|| format!("cannot create {}", dir.display()))?;
        }
        fs::create_dir_all(dir).with_context(|| format!("cannot create {}", dir.display()))?;
        let apt = Self {
            state,
            dir: dir.to_owned(),
        };
        let list = apt.list();
        fs::write(&list, line).with_context(|| format!("cannot write {}", list.display()))?;
        Ok(apt)
    }

    fn list(&self) -> PathBuf {
        self.state.join("etc/sources.list")
    }

    fn command(&self) -> Command {
        let mut command = Command::new("apt-get");
        command.current_dir(&self.dir);
        for (option, path) in [
            ("Dir::State::lists", self.state.join("lists")),
            ("Dir::Cache", self.state.join("cache")),
            ("Dir::Etc::sourcelist", self.list()),
            ("Dir::Etc::sourceparts", PathBuf::from("-")),
        ] {
            command
                .arg("-o")
                .arg(format!("{option}={}", path.display()));
        }
        command
    }
}

/// The release [`KNOWN`] from the mirror's pool, where releases stay for a while after a newer one
/// has taken their place in the index.
fn fetch_known(cache: &Cache, source: &Source, log: &Path) -> Result<PathBuf> {
    let (version, sha256) = KNOWN;
    let package = format!("postgresql-{MAJOR}");
    let name = format!("{package}_{version}.orig.tar.bz2");
    let tar = cache.src().join(&name);
    let mut helper = Command::new("/usr/lib/apt/apt-helper");
    helper
        .arg("download-file")
        .arg(format!("{}/pool/main/p/{package}/{name}", source.site))
        .arg(&tar)
        .arg(format!("SHA256:{sha256}"));
    let title = format!("Downloading the source of PostgreSQL {version}");
    process::try_logged(&title, log, &mut helper)?;
    Ok(tar)
}

/// The mirror that apt is configured with.
pub fn mirror() -> Result<String> {
    let sources = source_lines()?;
    let first = sources.into_iter().next();
    first
        .map(|source| source.site)
        .context("apt is configured with no mirror")
}

#[derive(Debug, PartialEq, Eq)]
struct Source {
    site: String,
    suite: String,
    keyring: Option<PathBuf>,
}

impl Source {
    /// A line of `sources.list` for packages of a type.
    fn line(&self, kind: &str) -> String {
        let signed_by = self.keyring.as_ref().map_or_else(String::new, |path| {
            format!("[signed-by={}] ", path.display())
        });
        format!("{kind} {signed_by}{} {} main\n", self.site, self.suite)
    }
}

/// Where to look, best first: the system's own suite, then those known to have it.
fn source_lines() -> Result<Vec<Source>> {
    let arch = process::output(Command::new("dpkg").arg("--print-architecture"))
        .context("PostgreSQL's source is taken from a Debian or Ubuntu mirror")?;
    let targets = process::output(Command::new("apt-get").args([
        "indextargets",
        "--format",
        "$(SITE) $(CODENAME)",
        &format!("MetaKey: main/binary-{}/Packages", arch.trim()),
    ]))?;
    let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
    let distribution = distribution(&release);
    let (site, codename) = main_target(&targets)
        .context("apt is configured with no mirror: run `apt-get update` as root first")?;
    let keyring = PathBuf::from(format!(
        "/usr/share/keyrings/{distribution}-archive-keyring.gpg"
    ));
    let keyring = keyring.exists().then_some(keyring);
    Ok(suites(distribution, &codename)
        .into_iter()
        .map(|suite| Source {
            site: site.clone(),
            suite,
            keyring: keyring.clone(),
        })
        .collect())
}

/// `debian` or `ubuntu`, derivatives counted with what they derive from.
fn distribution(os_release: &str) -> &'static str {
    let ubuntu = os_release.lines().any(|line| {
        line.split_once('=').is_some_and(|(key, value)| {
            matches!(key, "ID" | "ID_LIKE")
                && value
                    .trim_matches('"')
                    .split_whitespace()
                    .any(|id| id == "ubuntu")
        })
    });
    if ubuntu { "ubuntu" } else { "debian" }
}

/// Site and codename of the first target that is neither an update nor a security pocket.
fn main_target(targets: &str) -> Option<(String, String)> {
    targets.lines().find_map(|line| {
        let (site, codename) = line.trim().split_once(' ')?;
        let pocket = codename.contains('-') || codename.is_empty();
        (!pocket).then(|| (site.to_owned(), codename.to_owned()))
    })
}

fn suites(distribution: &str, own: &str) -> Vec<String> {
    let known = SUITES
        .iter()
        .find(|(name, _)| *name == distribution)
        .map_or(&[][..], |(_, s)| *s);
    let newer = known.iter().map(|suite| (*suite).to_owned());
    if known.contains(&own) {
        let own = own.to_owned();
        return std::iter::once(own.clone())
            .chain(newer.filter(|suite| *suite != own))
            .collect();
    }
    newer.collect()
}

/// `postgresql-17_<version>.orig.tar.*` of the highest version in `dir`.
fn newest_tar(dir: &Path) -> Option<PathBuf> {
    fs::read_dir(dir)
        .ok()?
        .flatten()
        .filter_map(|entry| Some((tar_version(entry.file_name().to_str()?)?, entry.path())))
        .max()
        .map(|(_, path)| path)
}

/// The version in the name of an upstream tar file, as numbers: `[17, 11]`.
pub fn tar_version(name: &str) -> Option<Vec<u32>> {
    let rest = name.strip_prefix(&format!("postgresql-{MAJOR}_"))?;
    let (version, kind) = rest.split_once(".orig.tar.")?;
    if !matches!(kind, "bz2" | "gz" | "xz") {
        return None;
    }
    version.split('.').map(|part| part.parse().ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_main_target_is_no_pocket() {
        let targets = "http://m/debian-security bookworm-security\nhttp://m/debian bookworm\n";
        let expected = Some(("http://m/debian".to_owned(), "bookworm".to_owned()));
        assert_eq!(main_target(targets), expected);
        assert_eq!(main_target("http://m/debian bookworm-updates\n"), None);
    }

    #[test]
    fn the_systems_own_suite_is_tried_first_where_it_has_the_version() {
        assert_eq!(suites("debian", "bookworm"), ["trixie"]);
        assert_eq!(suites("debian", "trixie"), ["trixie"]);
        assert_eq!(suites("ubuntu", "plucky"), ["plucky", "questing"]);
        assert_eq!(suites("ubuntu", "noble"), ["questing", "plucky"]);
    }

    #[test]
    fn derivatives_count_as_their_parent() {
        assert_eq!(distribution("ID=debian\n"), "debian");
        assert_eq!(
            distribution("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"),
            "ubuntu"
        );
    }

    #[test]
    fn only_upstream_tars_of_seventeen_have_a_version() {
        assert_eq!(
            tar_version("postgresql-17_17.11.orig.tar.bz2"),
            Some(vec![17, 11])
        );
        assert_eq!(
            tar_version("postgresql-17_17.11-0+deb13u1.debian.tar.xz"),
            None
        );
        assert_eq!(tar_version("postgresql-17_17.11.orig.tar.bz2.asc"), None);
        assert_eq!(tar_version("postgresql-16_16.2.orig.tar.gz"), None);
    }
}
