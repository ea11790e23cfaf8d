//! The headers of the distribution's PostgreSQL 17, for packages that go with it: from its package, without installing anything.

use super::apt_source;
use crate::cache::{Cache, remove_tree};
use crate::installation::MAJOR;
use crate::process;
use anyhow::{Context, Result};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Unpacks them where they are not there yet; returns a program that tells of that PostgreSQL what its `pg_config` does.
pub fn ensure(cache: &Cache) -> Result<PathBuf> {
    let dir = cache.root().join("debian/server-headers");
    let pg_config = dir.join("pg_config");
    if pg_config.exists() {
        return Ok(pg_config);
    }
    remove_tree(&dir)?;
    let package = apt_source::download(cache, &format!("postgresql-server-dev-{MAJOR}"), &dir)?;
    process::output(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&dir))?;
    let version = process::output(
        Command::new("dpkg-deb")
            .arg("-f")
            .arg(&package)
            .arg("Version"),
    )?;
    let library =
        process::output(Command::new("dpkg-architecture").args(["-q", "DEB_HOST_MULTIARCH"]))?;
    let new = dir.join("pg_config.new");
    fs::write(&new, script(&dir, version.trim(), library.trim()))
        .and_then(|()| fs::set_permissions(&new, fs::Permissions::from_mode(0o755)))
        .and_then(|()| fs::rename(&new, &pg_config))
        .with_context(|| format!("cannot write {}", pg_config.display()))?;
    Ok(pg_config)
}

/// Programs and libraries lie where the package installs them, headers below `dir`.
fn script(dir: &Path, version: &str, multiarch: &str) -> String {
    let upstream = version.split(['-', '+']).next().unwrap_or(version);
    let headers = process::shell_quote(&format!("{}/usr/include/postgresql", dir.display()));
    format!(
        "#!/bin/sh\n\
         case $1 in\n\
         --version) echo 'PostgreSQL {upstream} (Debian {version})' ;;\n\
         --bindir) echo /usr/lib/postgresql/{MAJOR}/bin ;;\n\
         --libdir) echo /usr/lib/{multiarch} ;;\n\
         --pkglibdir) echo /usr/lib/postgresql/{MAJOR}/lib ;;\n\
         --sharedir) echo /usr/share/postgresql/{MAJOR} ;;\n\
         --includedir | --pkgincludedir) echo {headers} ;;\n\
         --includedir-server) echo {headers}/{MAJOR}/server ;;\n\
         --configure | --cppflags | --cflags | --ldflags | --libs) echo ;;\n\
         *) echo \"pg_config: $1 is not known here\" >&2; exit 1 ;;\n\
         esac\n"
    )
}
