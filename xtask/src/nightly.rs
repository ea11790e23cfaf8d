//! What is too long for `test-all`: a soak, and random campaigns against crashes, against heap tables and against what
//! isolation levels promise.
//!
//! A campaign that finds something prints its seed; what it found becomes a test with a fixed one.

use crate::progress::note;
use crate::tally::Tally;
use crate::{crash, list_append, soak, twin};
use anyhow::{Result, bail};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

#[derive(clap::Args)]
pub struct Args {
    /// Only these parts
    #[arg(value_enum)]
    parts: Vec<Part>,
    /// Of the whole lengths, in hundredths, how much is done
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=100))]
    percent: u64,
    /// What the campaigns draw depends on it alone; without it, on the clock
    #[arg(long)]
    seed: Option<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Part {
    /// 60 minutes of writing, on the optimised build, with all bounds
    Soak,
    /// 20 minutes of it with the tables in an object store
    SoakObjects,
    /// 200 crashes and stops
    Crash,
    /// 10 minutes of appending to lists, with kills
    ListAppend,
    /// 100,000 statements on both sides
    Twin,
    /// 20,000 with the Iceberg tables in an object store
    TwinObjects,
}

const PARTS: [Part; 6] = [
    Part::Twin,
    Part::TwinObjects,
    Part::ListAppend,
    Part::Crash,
    Part::Soak,
    Part::SoakObjects,
];

const SOAK_MINUTES: u64 = 60;
const OBJECT_SOAK_MINUTES: u64 = 20;
const LIST_SECONDS: u64 = 600;
const CRASHES: u64 = 200;
const STATEMENTS: u64 = 100_000;
const OBJECT_STATEMENTS: u64 = 20_000;

pub fn run(args: &Args) -> Result<()> {
    let seed = args.seed.unwrap_or_else(|| {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        now.map_or(1, |elapsed| elapsed.as_secs())
    });
    let parts = match args.parts.is_empty() {
        true => &PARTS[..],
        false => &args.parts,
    };
    let share = |whole: u64| (whole * args.percent / 100).max(1);
    let mut tally = Tally::default();
    let mut lines = Vec::new();
    for part in parts {
        note(format!("nightly: {part:?}, seed {seed}"));
        let began = Instant::now();
        let result = match part {
            Part::Soak => soak::run(&soak::Args::whole(share(SOAK_MINUTES))),
            Part::SoakObjects => {
                let args = soak::Args::whole(share(OBJECT_SOAK_MINUTES));
                soak::run(&args.in_object_store())
            }
            Part::ListAppend => {
                list_append::run(&list_append::Args::short(share(LIST_SECONDS), seed))
            }
            Part::Crash => crash::run(&crash::Args::short(share(CRASHES), seed)),
            Part::Twin => twin::run(&twin::Args::short(share(STATEMENTS), seed)),
            Part::TwinObjects => {
                let args = twin::Args::short(share(OBJECT_STATEMENTS), seed);
                twin::run(&args.in_object_store())
            }
        };
        let minutes = began.elapsed().as_secs_f64() / 60.0;
        match result {
            Ok(()) => {
                tally += Tally::passed();
                lines.push(format!("{part:?}: passed in {minutes:.1} minutes"));
            }
            // The others are run all the same.
            Err(error) => {
                tally += Tally::failed(format!("{part:?}"));
                lines.push(format!(
                    "{part:?}: failed after {minutes:.1} minutes: {error:#}"
                ));
            }
        }
    }
    println!("seed {seed}");
    for line in lines {
        println!("{line}");
    }
    println!("{tally}");
    if !tally.failures.is_empty() {
        bail!("failed: {}", tally.failures.join(", "));
    }
    Ok(())
}
