//! `cargo xtask`: the maintenance commands of pg-lakebase.
//!
//! This file only dispatches: every command has a file or a folder of its own. What they share:
//! [`cache`] knows where things lie, [`account`] steps down from root, [`process`] runs programs
//! with a log and progress, [`cluster`] keeps private PostgreSQL clusters.

mod account;
mod bench;
mod cache;
mod checkout;
mod cluster;
mod crash;
mod dataset;
mod engines;
mod extension;
mod guardian;
mod installation;
mod interop;
mod isolation;
mod list_append;
mod machine;
mod mount;
mod nightly;
mod nix_check;
mod nixos;
mod operations;
mod package;
mod postgres_tests;
mod process;
mod progress;
mod psql;
mod quickstart;
mod random;
mod regress;
mod setup;
mod soak;
mod stores;
mod svg;
mod tally;
mod test_all;
mod tpch;
mod twin;
mod wire;

use clap::{Parser, Subcommand};
use std::process::ExitCode;

/// Maintenance commands of pg-lakebase.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Find or build PostgreSQL 17 and install the build tools
    Setup(setup::Args),
    /// From nothing to queries on Iceberg tables holding TPC-H data and the chemical elements
    Quickstart(quickstart::Args),
    /// Keep a private PostgreSQL cluster with the extension in database `lakebase`
    Cluster(cluster::Args),
    /// Formatting, lints and every test
    TestAll(test_all::Args),
    /// Concurrency tests, by PostgreSQL's isolation tester
    Isolation(isolation::Args),
    /// PostgreSQL's own regression tests, over Iceberg and over heap tables
    PostgresTests(postgres_tests::Args),
    /// Compare tables with what PyIceberg, DuckDB and Spark read
    Interop(interop::Args),
    /// Kill the server again and again under load, and check what is left
    Crash(crash::Args),
    /// Run random concurrent transactions over Iceberg tables and over heap tables, and compare
    Twin(twin::Args),
    /// Append to lists while the server is killed again and again, and look for what isolation levels forbid
    ListAppend(list_append::Args),
    /// Upgrade, back up incrementally, checksum and replicate clusters, and check what is left
    Operations(operations::Args),
    /// Write to Iceberg tables for a long time, and see whether anything grows that should not
    Soak(soak::Args),
    /// Keep object stores on this machine, of S3's, GCS' and Azure's protocols, and let them fail
    Stores(stores::Args),
    /// Debian packages, and trying them on a machine of Debian 13
    Package(package::Args),
    /// Evaluate the flake and the NixOS module, without nixpkgs
    NixCheck(nix_check::Args),
    /// Run the scenarios of `vm-tests` on machines of Debian 13 with the units that the NixOS module makes
    Nixos(nixos::Args),
    /// What is too long for test-all: a soak of an hour, and random campaigns
    Nightly(nightly::Args),
    /// Measure Iceberg tables against heap tables
    Bench(bench::Args),
    /// End what works in clusters when standard input ends: see `guardian.rs`
    #[command(name = guardian::COMMAND, hide = true)]
    GuardServers(guardian::Args),
}

fn main() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Setup(args) => setup::run(&args),
        Command::Quickstart(args) => quickstart::run(&args),
        Command::Cluster(args) => cluster::run(&args),
        Command::TestAll(args) => test_all::run(&args),
        Command::Isolation(args) => isolation::run(&args),
        Command::PostgresTests(args) => postgres_tests::run(&args),
        Command::Interop(args) => interop::run(&args),
        Command::Crash(args) => crash::run(&args),
        Command::Twin(args) => twin::run(&args),
        Command::ListAppend(args) => list_append::run(&args),
        Command::Operations(args) => operations::run(&args),
        Command::Soak(args) => soak::run(&args),
        Command::Stores(args) => stores::run(&args),
        Command::Package(args) => package::run(&args),
        Command::Nixos(args) => nixos::run(&args),
        Command::NixCheck(args) => nix_check::run(&args),
        Command::Nightly(args) => nightly::run(&args),
        Command::Bench(args) => bench::run(&args),
        Command::GuardServers(args) => guardian::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}
