//! `cargo xtask isolation pg17`: the extension's isolation specs.

use crate::cache::Cache;
use crate::installation::Flavour;
use crate::regress::{self, Selection, Suite, Where};
use crate::setup;
use crate::stores::Store;
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
    /// With Iceberg tables in an object store: `--object-store`, or `--object-store=gcs`
    #[arg(
        long,
        value_enum,
        value_name = "STORE",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "s3",
        conflicts_with = "accept"
    )]
    object_store: Option<Store>,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let tally = regress::run(
        &cache,
        &installation,
        Selection {
            suite: Suite::Isolation,
            tables: args.object_store.map_or(Where::Local, Where::ObjectStore),
            only: &args.specs,
            accept: args.accept,
        },
    )?;
    println!("{tally}");
    if !tally.failures.is_empty() {
        bail!("failed: {}", tally.failures.join(", "));
    }
    Ok(())
}
