//! An installed PostgreSQL 17 and what it was built for.

use crate::cache::Cache;
use crate::process;
use anyhow::{Context, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Command;

pub const MAJOR: &str = "17";

/// What a build is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Flavour {
    /// Assertions, injection points and the isolation tester: for tests.
    Assert,
    /// Optimised: for quickstart, `--release` and bench.
    Release,
}

impl fmt::Display for Flavour {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Assert => "assert",
            Self::Release => "release",
        })
    }
}

/// An installed PostgreSQL, as its `pg_config` describes it.
#[derive(Clone, Debug)]
pub struct Installation {
    pub flavour: Flavour,
    pub version: String,
    pub pg_config: PathBuf,
    pub bindir: PathBuf,
    pub pkglibdir: PathBuf,
    pub sharedir: PathBuf,
    pub includedir_server: PathBuf,
    pub pgxs: PathBuf,
    pub configure: String,
}

impl Installation {
    /// Asks `pg_config`; says nothing about fitness.
    pub fn describe(flavour: Flavour, pg_config: &Path) -> Result<Self> {
        let text = process::output(&mut Command::new(pg_config))?;
        let field = |name: &str| {
            pg_config_field(&text, name)
                .with_context(|| format!("{} does not tell {name}", pg_config.display()))
        };
        Ok(Self {
            flavour,
            version: field("VERSION")?
                .split_whitespace()
                .nth(1)
                .context("pg_config tells no version number")?
                .to_owned(),
            pg_config: pg_config.to_path_buf(),
            bindir: field("BINDIR")?.into(),
            pkglibdir: field("PKGLIBDIR")?.into(),
            sharedir: field("SHAREDIR")?.into(),
            includedir_server: field("INCLUDEDIR-SERVER")?.into(),
            pgxs: field("PGXS")?.into(),
            configure: field("CONFIGURE")?.to_owned(),
        })
    }

    pub fn program(&self, name: &str) -> PathBuf {
        self.bindir.join(name)
    }

    /// A test driver that PostgreSQL installs beside its extension build system, as
    /// `src/test/regress/pg_regress`.
    pub fn test_driver(&self, path: &str) -> PathBuf {
        // PGXS is <pgxsdir>/src/makefiles/pgxs.mk.
        let pgxsdir = self.pgxs.ancestors().nth(3).unwrap_or(&self.pgxs);
        pgxsdir.join(path)
    }

    /// Where pgrx's configuration naming this installation lies.
    pub fn pgrx_home(&self, cache: &Cache) -> PathBuf {
        cache.root().join(match self.flavour {
            Flavour::Assert => "pgrx",
            Flavour::Release => "pgrx-release",
        })
    }

    /// Why this installation cannot serve its flavour, if it cannot.
    pub fn unfit(&self) -> Option<String> {
        if !is_major_17(&self.version) {
            return Some(format!("it is PostgreSQL {}, not {MAJOR}", self.version));
        }
        let mut needed = vec![self.includedir_server.join("postgres.h")];
        let programs = [
            "postgres", "initdb", "pg_ctl", "psql", "pgbench", "createdb",
        ];
        needed.extend(programs.iter().map(|name| self.program(name)));
        let assertions = self.configure.contains("--enable-cassert");
        match self.flavour {
            Flavour::Release if assertions => {
                return Some("it is built with assertions".to_owned());
            }
            Flavour::Release => {}
            Flavour::Assert if !assertions => {
                return Some("it is built without assertions".to_owned());
            }
            Flavour::Assert => {
                let extension = self.sharedir.join("extension");
                needed.push(extension.join("injection_points.control"));
                needed.push(extension.join("amcheck.control"));
                needed.push(self.test_driver("src/test/isolation/isolationtester"));
                needed.push(self.test_driver("src/test/isolation/pg_isolation_regress"));
                needed.push(self.test_driver("src/test/regress/pg_regress"));
            }
        }
        if let Some(path) = needed.iter().find(|path| !path.exists()) {
            return Some(format!("{} is missing", path.display()));
        }
        let targets = [
            self.pkglibdir.clone(),
            self.sharedir.join("extension"),
            self.bindir.clone(),
        ];
        targets.iter().find(|dir| !writable(dir)).map(|dir| {
            format!(
                "extensions cannot be installed: {} is not writable",
                dir.display()
            )
        })
    }
}

fn writable(dir: &Path) -> bool {
    rustix::fs::access(dir, rustix::fs::Access::WRITE_OK).is_ok()
}

fn is_major_17(version: &str) -> bool {
    version.split(|c: char| !c.is_ascii_digit()).next() == Some(MAJOR)
}

fn pg_config_field<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    text.lines().find_map(|line| {
        let (key, value) = line.split_once(" = ")?;
        (key.trim() == name).then(|| value.trim())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_of_pg_config_are_found() {
        let text = "BINDIR = /p/bin\nCONFIGURE =  '--prefix=/p' 'CFLAGS=-O2 -g = x'\n\
                    VERSION = PostgreSQL 17.11 (Debian 17.11-0+deb13u1)\n";
        assert_eq!(pg_config_field(text, "BINDIR"), Some("/p/bin"));
        let configure = pg_config_field(text, "CONFIGURE");
        assert_eq!(configure, Some("'--prefix=/p' 'CFLAGS=-O2 -g = x'"));
        assert_eq!(pg_config_field(text, "PGXS"), None);
    }

    #[test]
    fn only_seventeen_is_seventeen() {
        assert!(is_major_17("17.11"));
        assert!(is_major_17("17beta1"));
        assert!(!is_major_17("15.18"));
        assert!(!is_major_17("170"));
    }
}
