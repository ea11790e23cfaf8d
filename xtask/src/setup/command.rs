//! The command itself: what is needed, in order.

use super::{build_packages, build_tools, find_postgres, postgres_build, server_headers};
use crate::cache::Cache;
use crate::installation::{Flavour, Installation};
use crate::progress::note;
use anyhow::Result;
use std::path::PathBuf;

#[derive(clap::Args)]
pub struct Args {
    /// Only the optimised PostgreSQL
    #[arg(long, conflicts_with = "assert_only")]
    release_only: bool,
    /// Only the PostgreSQL with assertions
    #[arg(long)]
    assert_only: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    for flavour in [Flavour::Release, Flavour::Assert] {
        let wanted = match flavour {
            Flavour::Release => !args.assert_only,
            Flavour::Assert => !args.release_only,
        };
        if wanted {
            let found = ensure(&cache, flavour)?;
            note(format!(
                "PostgreSQL {} ({flavour}): {}",
                found.version,
                found.pg_config.display()
            ));
        }
    }
    note(format!(
        "set-up is complete; everything lies in {}",
        cache.root().display()
    ));
    Ok(())
}

/// Everything needed to build the extension for `flavour`, made where it is missing.
pub fn ensure(cache: &Cache, flavour: Flavour) -> Result<Installation> {
    if let Some(ready) = find_postgres::find(cache, flavour)
        && build_packages::missing(&build_packages::for_extension())?.is_empty()
        && build_tools::ready(cache)
    {
        configure_pgrx(cache, &ready)?;
        return Ok(ready);
    }
    let _lock = cache.lock("setup")?;
    let found = find_postgres::find(cache, flavour);
    // All at once: nobody likes to be sent away twice.
    let mut packages = build_packages::for_extension();
    if found.is_none() {
        packages.extend(build_packages::for_postgres());
    }
    build_packages::ensure(&packages)?;
    let installation = match found {
        Some(found) => found,
        None => match find_postgres::install_package(cache, flavour)? {
            Some(installed) => installed,
            None => postgres_build::build(cache, flavour)?,
        },
    };
    build_tools::ensure_cargo_pgrx(cache)?;
    configure_pgrx(cache, &installation)?;
    Ok(installation)
}

fn configure_pgrx(cache: &Cache, installation: &Installation) -> Result<()> {
    let home = installation.pgrx_home(cache);
    build_tools::write_pgrx_configuration(&home, &installation.pg_config)
}

/// The headers of the distribution's PostgreSQL 17 and what makes packages for it. Returns the directory of pgrx's configuration
/// for it, and its `pg_config`.
pub fn ensure_packaging(cache: &Cache) -> Result<(PathBuf, PathBuf)> {
    let _lock = cache.lock("setup")?;
    let mut packages = build_packages::for_extension();
    packages.extend(build_packages::for_packages());
    build_packages::ensure(&packages)?;
    build_tools::ensure_cargo_pgrx(cache)?;
    let pg_config = server_headers::ensure(cache)?;
    let home = cache.root().join("pgrx-debian");
    build_tools::write_pgrx_configuration(&home, &pg_config)?;
    Ok((home, pg_config))
}
