//! `cargo xtask isolation pg17`: the extension's isolation specs.

use crate::cache::Cache;
use crate::installation::Flavour;
use crate::regress::{self, Selection, Suite, Where};
use crate::setup;
use crate::test_all::PgVersion;
use anyhow::{Result, bail};

#[derive(clap::Args)]
pub struct Args {
    /// PostgreSQL version
    #[arg(value_enum, default_value_t)]
    version: PgVersion,
    /// Only these specs
    specs: Vec<String>,
    /// Take what comes out as expected from now on
    #[arg(long)]
    accept: bool,
    /// With Iceberg tables in an object store
    #[arg(long, conflicts_with = "accept")]
    object_store: bool,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let tally = regress::run(
        &cache,
        &installation,
        Selection {
            suite: Suite::Isolation,
            tables: match args.object_store {
                true => Where::ObjectStore,
                false => Where::Local,
            },
            only: &args.specs,
            accept: args.accept,
        },
    )?;
    println!("{tally}");
    if tally.failed > 0 {
        bail!("{} isolation tests failed", tally.failed);
    }
    Ok(())
}
