//! The command: which operations, and what each is called.

use super::server::Servers;
use super::{
    backup, checksums, copies, databases, leftovers, outage, probe, replication, service, standby,
    tablespaces, upgrade,
};
use crate::cache::Cache;
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::{Flavour, Installation};
use crate::progress::note;
use crate::setup;
use crate::tally::Tally;
use anyhow::{Context, Result, bail};

#[derive(clap::Args)]
pub struct Args {
    /// Only these operations
    #[arg(value_enum)]
    operations: Vec<Operation>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Operation {
    /// pg_upgrade, which does not know the directories of Iceberg tables
    Upgrade,
    /// Logical replication of all tables between servers with the extension
    Replication,
    /// pg_basebackup --incremental and pg_combinebackup
    Backup,
    /// pg_checksums, and checksums in general
    Checksums,
    /// Many databases, and few workers
    Databases,
    /// Dumps of tablespaces in object stores
    Tablespaces,
    /// The storage service, which the server runs
    Service,
    /// What CREATE TABLESPACE and ALTER TABLESPACE try of an object store
    Probe,
    /// Copies of a server with tables in an object store
    Copies,
    /// A standby of a server with tables in an object store, and its promotion beside it
    Standby,
    /// What is deleted of an object store, and when
    Leftovers,
    /// An object store that does not answer for a while
    Outage,
}

const OPERATIONS: [Operation; 12] = [
    Operation::Databases,
    Operation::Tablespaces,
    Operation::Service,
    Operation::Probe,
    Operation::Copies,
    Operation::Standby,
    Operation::Leftovers,
    Operation::Outage,
    Operation::Checksums,
    Operation::Backup,
    Operation::Replication,
    Operation::Upgrade,
];

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let operations = match args.operations.is_empty() {
        true => &OPERATIONS[..],
        false => &args.operations,
    };
    let tally = run_some(&cache, &installation, operations)?;
    println!("{tally}");
    if !tally.failures.is_empty() {
        bail!("failed: {}", tally.failures.join(", "));
    }
    Ok(())
}

/// Runs all of them and counts.
pub fn run_all(cache: &Cache, installation: &Installation) -> Result<Tally> {
    run_some(cache, installation, &OPERATIONS)
}

fn run_some(cache: &Cache, installation: &Installation, operations: &[Operation]) -> Result<Tally> {
    let _lock = cache.lock("operations")?;
    let library = extension::ensure(cache, installation)?;
    let mut tally = Tally::default();
    for &operation in operations {
        let servers = Servers::new(cache, installation, &library);
        let _guardian = Guardian::over(servers.directories())?;
        let run = match operation {
            Operation::Upgrade => upgrade::run,
            Operation::Replication => replication::run,
            Operation::Backup => backup::run,
            Operation::Checksums => checksums::run,
            Operation::Databases => databases::run,
            Operation::Tablespaces => tablespaces::run,
            Operation::Service => service::run,
            Operation::Probe => probe::run,
            Operation::Copies => copies::run,
            Operation::Standby => standby::run,
            Operation::Leftovers => leftovers::run,
            Operation::Outage => outage::run,
        };
        let result = servers
            .clear()
            .and_then(|()| run(&servers))
            .with_context(|| format!("{operation:?}"));
        // The servers of one that failed are kept to be looked at, and stopped all the same.
        let stopped = match result {
            Ok(()) => servers.clear(),
            Err(_) => servers.stop(),
        };
        match result.and(stopped) {
            Ok(()) => tally += Tally::passed(),
            Err(error) => {
                note(format!("{error:#}"));
                tally += Tally::failed(format!("{operation:?}"));
            }
        }
    }
    Ok(tally)
}
