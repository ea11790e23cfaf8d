//! `cargo xtask test-all pg17`: formatting, lints and every test, with a list of times at the end
//! and, as the last line, what passed and what failed.

use crate::account::Account;
use crate::cache::{Cache, remove_tree};
use crate::checkout;
use crate::crash;
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::{Flavour, Installation};
use crate::interop;
use crate::list_append;
use crate::machine;
use crate::nix_check;
use crate::nixos;
use crate::operations;
use crate::package;
use crate::postgres_tests;
use crate::process;
use crate::progress::{format_elapsed, note};
use crate::regress::{self, Selection, Suite, Where};
use crate::setup;
use crate::soak;
use crate::stores::{Running, STORES, Store};
use crate::tally::Tally;
use crate::twin;
use anyhow::{Context, Result, bail};
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

/// PostgreSQL versions there are tests for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum PgVersion {
    #[default]
    Pg17,
}

impl PgVersion {
    fn feature(self) -> &'static str {
        match self {
            Self::Pg17 => "pg17",
        }
    }
}

#[derive(clap::Args)]
pub struct Args {
    /// PostgreSQL version
    #[arg(value_enum, default_value_t)]
    version: PgVersion,
    /// Only these steps
    #[arg(long, value_enum, value_delimiter = ',')]
    only: Vec<Step>,
    /// Of the SQL regression tests, only these
    #[arg(long = "sql", value_delimiter = ',')]
    sql: Vec<String>,
    /// Of the object stores that tables are tried in, only these
    #[arg(long = "store", value_enum, value_delimiter = ',')]
    stores: Vec<Store>,
    /// Take what the SQL regression tests print as expected from now on
    #[arg(long)]
    accept: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Step {
    Fmt,
    Nix,
    Clippy,
    Unit,
    PgTest,
    Regression,
    Isolation,
    Postgres,
    Stores,
    Objects,
    Twin,
    Interop,
    Operations,
    Crash,
    Soak,
    Packages,
    Nixos,
}

/// In this order: what fails soonest first.
const STEPS: [Step; 17] = [
    Step::Fmt,
    Step::Nix,
    Step::Clippy,
    Step::Unit,
    Step::Regression,
    Step::Isolation,
    Step::Postgres,
    Step::Stores,
    Step::Objects,
    Step::Twin,
    Step::PgTest,
    Step::Interop,
    Step::Operations,
    Step::Crash,
    Step::Soak,
    Step::Packages,
    Step::Nixos,
];

/// Crates whose tests need no server.
const UNIT: [&str; 4] = ["iceberg-lite", "pg-lakebase-macros", STORAGE, "xtask"];
const STORAGE: &str = "pg-lakebase-storage";
/// Of its tests, those that need object stores: what each has to do, and what the service does where one fails.
const STORES_TESTS: [&str; 2] = ["stores", "stores_failing"];
/// Crates whose tests run inside one.
const PG_TEST: [&str; 2] = ["pg-backend-tests", extension::PACKAGE];

/// The SQL regression tests that run with tables in each kind of store; in S3's, all do.
const IN_EACH_STORE: [&str; 11] = [
    "copy",
    "drop",
    "insert",
    "lakebase_views",
    "lost_rows",
    "publish",
    "pruning",
    "row_ids",
    "sizes",
    "transactions",
    "truncate",
];

/// How often the server is brought down, and the plan for it; `cargo xtask crash` does it more often, by
/// other plans, and where one of those has found something, its seed is added here.
const CRASHES: u64 = 8;
const CRASH_SEED: u64 = 2026;

/// How many statements are compared with heap tables, and by which histories; as for crashes.
const TWIN_STATEMENTS: u64 = 2000;
const TWIN_SEED: u64 = 2026;
/// With Iceberg tables in an object store.
const TWIN_OBJECT_STATEMENTS: u64 = 1000;

/// How long lists are appended to, with a kill or two, and what is drawn.
const LIST_SECONDS: u64 = 12;
const LIST_SEED: u64 = 2026;

/// How long tables are written to. A longer run is worth more: `cargo xtask soak`.
const SOAK_MINUTES: u64 = 2;

struct Outcome {
    step: Step,
    tally: Tally,
    elapsed: Duration,
    error: Option<String>,
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let mut outcomes = Vec::new();
    for step in STEPS
        .into_iter()
        .filter(|step| args.only.is_empty() || args.only.contains(step))
    {
        let started = Instant::now();
        let (tally, error) = match run_step(step, args, &cache, &installation) {
            Ok(tally) => (tally, None),
            Err(error) => (Tally::failed(describe(step)), Some(format!("{error:#}"))),
        };
        if let Some(error) = &error {
            note(format!("{}: {error}", describe(step)));
        }
        outcomes.push(Outcome {
            step,
            tally,
            elapsed: started.elapsed(),
            error,
        });
    }
    report(outcomes)
}

fn report(outcomes: Vec<Outcome>) -> Result<()> {
    let mut total = Tally::default();
    println!();
    for outcome in outcomes {
        let verdict = if outcome.tally.failures.is_empty() {
            "ok"
        } else {
            "FAILED"
        };
        println!(
            "{verdict:<8}{:<28}{:>12}  {}",
            describe(outcome.step),
            format_elapsed(outcome.elapsed),
            outcome.error.unwrap_or_else(|| outcome.tally.to_string())
        );
        total += outcome.tally;
    }
    println!("{total}");
    if !total.failures.is_empty() {
        bail!("failed: {}", total.failures.join(", "));
    }
    Ok(())
}

fn describe(step: Step) -> &'static str {
    match step {
        Step::Fmt => "formatting",
        Step::Nix => "Nix code",
        Step::Clippy => "lints",
        Step::Unit => "unit and property tests",
        Step::PgTest => "tests inside the server",
        Step::Regression => Suite::Regression.name(),
        Step::Isolation => Suite::Isolation.name(),
        Step::Postgres => "PostgreSQL's own tests",
        Step::Stores => "object stores",
        Step::Objects => "tables in an object store",
        Step::Twin => "histories",
        Step::Interop => "other engines",
        Step::Operations => "operations",
        Step::Crash => "crashes",
        Step::Soak => "whatever grows",
        Step::Packages => "packages",
        Step::Nixos => "scenarios of NixOS",
    }
}

fn run_step(step: Step, args: &Args, cache: &Cache, installation: &Installation) -> Result<Tally> {
    let cargo = |args: &[&str]| {
        let mut command = checkout::cargo_pgrx(cache, installation);
        command.args(args);
        command
    };
    match step {
        Step::Fmt => program(cache, step, &mut cargo(&["fmt", "--all", "--check"])),
        Step::Clippy => {
            let lints = ["--workspace", "--all-targets", "--", "-D", "warnings"];
            let mut command = cargo(&["clippy"]);
            command.args(lints);
            program(cache, step, &mut command)
        }
        Step::Unit => {
            let mut command = cargo(&["test", "--no-fail-fast"]);
            for package in UNIT {
                command.args(["--package", package]);
            }
            program(cache, step, &mut command)
        }
        Step::PgTest => pg_tests(args.version, cache, installation),
        Step::Regression => regress::run(
            cache,
            installation,
            Selection {
                suite: Suite::Regression,
                tables: Where::Local,
                only: &args.sql,
                accept: args.accept,
            },
        ),
        Step::Isolation => regress::run(
            cache,
            installation,
            Selection {
                suite: Suite::Isolation,
                tables: Where::Local,
                only: &[],
                accept: false,
            },
        ),
        Step::Postgres => postgres_tests::compare(cache, &[], false),
        Step::Stores => {
            let stores = Running::start(cache)?;
            let mut command = cargo(&["test", "--no-fail-fast", "--package", STORAGE]);
            for test in STORES_TESTS {
                command.args(["--test", test]);
            }
            command.args(["--", "--ignored"]);
            program(cache, step, command.envs(stores.variables()?))
        }
        Step::Objects => objects(args, cache, installation),
        Step::Twin => {
            twin::run(&twin::Args::short(TWIN_STATEMENTS, TWIN_SEED))?;
            let there = twin::Args::short(TWIN_OBJECT_STATEMENTS, TWIN_SEED).in_object_store();
            twin::run(&there)?;
            list_append::run(&list_append::Args::short(LIST_SECONDS, LIST_SEED))?;
            Ok(Tally::passed())
        }
        Step::Interop => {
            let mut skipped = interop::compare(cache, Flavour::Assert, &[], &[])?;
            skipped.extend(interop::compare_in_store(cache, Flavour::Assert, &[], &[])?);
            for engine in &skipped {
                note(format!("skipped: {engine}"));
            }
            Ok(Tally::passed())
        }
        Step::Operations => operations::run_all(cache, installation),
        Step::Crash => {
            crash::run(&crash::Args::short(CRASHES, CRASH_SEED))?;
            Ok(Tally::passed())
        }
        Step::Soak => {
            soak::run(&soak::Args::short(SOAK_MINUTES))?;
            Ok(Tally::passed())
        }
        Step::Packages => unless_skipped(step, machine::missing(), || package::run_check(cache)),
        Step::Nixos => unless_skipped(step, nixos::missing(), || nixos::run_all(cache)),
        Step::Nix => unless_skipped(step, nix_check::missing(), || nix_check::run_check(cache)),
    }
}

/// Runs a step that not every machine can run.
fn unless_skipped(
    step: Step,
    reason: Option<&str>,
    run: impl FnOnce() -> Result<Tally>,
) -> Result<Tally> {
    match reason {
        Some(reason) => {
            note(format!("skipped: {}: {reason}", describe(step)));
            Ok(Tally::default())
        }
        None => run(),
    }
}

/// The tests with tables in object stores: all of them in one, some in the others.
fn objects(args: &Args, cache: &Cache, installation: &Installation) -> Result<Tally> {
    let some = IN_EACH_STORE.map(str::to_owned);
    let mut tally = Tally::default();
    for store in STORES {
        if !args.stores.is_empty() && !args.stores.contains(&store) {
            continue;
        }
        let suites: &[(Suite, &[String])] = match store {
            Store::S3 => &[(Suite::Regression, &args.sql), (Suite::Isolation, &[])],
            _ if args.sql.is_empty() => &[(Suite::Regression, &some)],
            _ => &[(Suite::Regression, &args.sql)],
        };
        for &(suite, only) in suites {
            let selection = Selection {
                suite,
                tables: Where::ObjectStore(store),
                only,
                accept: false,
            };
            note(format!("{} in {store}", suite.name()));
            tally += regress::run(cache, installation, selection)?;
        }
    }
    Ok(tally)
}

/// `cargo pgrx test`, which runs a server of its own; as root by sudo under the other account.
fn pg_tests(version: PgVersion, cache: &Cache, installation: &Installation) -> Result<Tally> {
    let account = Account::current()?;
    let mut sum = Tally::default();
    for package in PG_TEST {
        let dir = cache.cluster(&format!("pgrx-{package}"));
        account.make_private_dir(&dir)?;
        let _guardian = Guardian::over([dir.clone()])?;
        let data = dir.join("data");
        remove_tree(&data)?;
        let mut command = checkout::cargo_pgrx(cache, installation);
        command.args([
            "pgrx",
            "test",
            version.feature(),
            "--package",
            package,
            "--pgdata",
        ]);
        command.arg(&data);
        if let Some(user) = account.run_as() {
            command.args(["--runas", user]);
        }
        sum += program(cache, Step::PgTest, &mut command)?;
    }
    // The library that was installed for these tests holds the tests: it is not the one to keep.
    extension::forget(cache, installation)?;
    Ok(sum)
}

/// Runs a program and counts the tests it reports. One that fails shows the end of its output.
fn program(cache: &Cache, step: Step, command: &mut Command) -> Result<Tally> {
    let log = cache.log(&format!("test-{}", describe(step).replace(' ', "-")));
    let start = process::log_length(&log);
    let status = process::status_logged(&format!("Running {}", describe(step)), &log, command)?;
    let all = fs::read(&log).with_context(|| format!("cannot read {}", log.display()))?;
    let from = usize::try_from(start).unwrap_or(0);
    let output = String::from_utf8_lossy(all.get(from..).unwrap_or_default());
    let tally = Tally::of_program(
        describe(step),
        Tally::from_libtest(&output),
        status.success(),
    );
    if !status.success() {
        eprint!("{}", process::tail(&log, start, 60));
        note(format!(
            "{}: {}; see {}",
            describe(step),
            process::describe(status),
            log.display()
        ));
    }
    Ok(tally)
}
