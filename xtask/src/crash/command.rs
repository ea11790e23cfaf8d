//! The command: the plan, the run, and what is said when it fails.

use super::cases;
use super::harness::{Harness, Parts};
use super::plan::{self, Kind};
use super::primary;
use crate::cache::Cache;
use crate::extension;
use crate::guardian::Guardian;
use crate::installation::Flavour;
use crate::progress::note;
use crate::setup;
use anyhow::{Context, Result};
use std::time::{SystemTime, UNIX_EPOCH};

#[derive(clap::Args)]
pub struct Args {
    /// How often the server is brought down
    #[arg(long, default_value_t = 20, value_parser = clap::value_parser!(u64).range(1..))]
    iterations: u64,
    /// Makes the plan; without it, the clock does
    #[arg(long)]
    seed: Option<u64>,
    /// Only faults of this kind
    #[arg(long, value_enum, value_name = "KIND")]
    step: Option<Kind>,
    /// Without a standby
    #[arg(long, hide = true)]
    no_standby: bool,
    /// Without recovery to a point in time
    #[arg(long, hide = true)]
    no_restore: bool,
    /// Without a small disk that runs full
    #[arg(long, hide = true)]
    no_small_disk: bool,
    /// With the extension as it is installed, whatever the sources are now
    #[arg(long, hide = true)]
    no_build: bool,
    /// Only the cases that are the same every time
    #[arg(long)]
    cases: bool,
    /// Without DuckDB and PyIceberg
    #[arg(long, hide = true)]
    no_engines: bool,
}

impl Args {
    /// A run of all parts.
    pub fn short(iterations: u64, seed: u64) -> Self {
        Self {
            iterations,
            seed: Some(seed),
            step: None,
            no_standby: false,
            no_restore: false,
            no_small_disk: false,
            no_build: false,
            no_engines: false,
            cases: false,
        }
    }

    fn parts(&self) -> Parts {
        Parts {
            standby: !self.no_standby,
            restore: !self.no_restore,
            small_disk: !self.no_small_disk,
            engines: !self.no_engines,
        }
    }

    /// The command that makes the same plan as far as `iterations`.
    fn replay(&self, seed: u64, iterations: u64) -> String {
        let mut command = format!("cargo xtask crash --seed {seed} --iterations {iterations}");
        if let Some(kind) = self.step {
            command += &format!(" --step {kind}");
        }
        for (given, flag) in [
            (self.no_standby, " --no-standby"),
            (self.no_restore, " --no-restore"),
            (self.no_small_disk, " --no-small-disk"),
            (self.no_engines, " --no-engines"),
        ] {
            if given {
                command += flag;
            }
        }
        command
    }
}

pub fn run(args: &Args) -> Result<()> {
    let cache = Cache::open()?;
    let _lock = cache.lock("crash")?;
    let installation = setup::ensure(&cache, Flavour::Assert)?;
    let library = if args.no_build {
        extension::library_mark(&installation).context("the extension is not installed")?
    } else {
        extension::ensure(&cache, &installation)?
    };
    let _guardian = Guardian::over(
        primary::directories(&cache)
            .into_iter()
            .chain(cases::stores(&cache)),
    )?;
    if let Err(error) = cases::run(&cache, &installation, &library, !args.no_engines) {
        primary::stop_all(&cache)?;
        return Err(error);
    }
    if args.cases {
        return primary::clear_all(&cache);
    }
    let seed = args.seed.unwrap_or_else(seed_from_clock);
    note(format!("seed {seed}"));
    let ready = Harness::set_up(&cache, &installation, &library, seed, args.parts());
    if ready.is_err() {
        // What had been started by then is nobody's any more.
        primary::stop_all(&cache)?;
    }
    let mut harness =
        ready.with_context(|| format!("setting up; again: {}", args.replay(seed, 1)))?;
    let result = iterate(args, seed, &mut harness);
    let stopped = harness.shut_down(result.is_err());
    if result.is_err() {
        let kept = primary::directories(&cache).map(|dir| dir.display().to_string());
        note(format!("kept: {}", kept.join(", ")));
    }
    result.and(stopped)?;
    primary::clear_all(&cache)
}

fn iterate(args: &Args, seed: u64, harness: &mut Harness) -> Result<()> {
    for iteration in plan::iterations(seed, args.iterations, args.step) {
        let mut result = harness.iterate(&iteration);
        if let Err(error) = result {
            // The cause, where a client only saw its connection go.
            result = Err(match harness.alarm() {
                Some(alarm) => error.context(alarm),
                None => error,
            });
        }
        result.with_context(|| {
            format!(
                "seed {seed}, iteration {}, {}, {}; again: {}",
                iteration.number,
                iteration.fault,
                harness.step(),
                args.replay(seed, iteration.number)
            )
        })?;
    }
    let result = harness.finish();
    result.with_context(|| {
        format!(
            "seed {seed}, after {} iterations, {}; again: {}",
            args.iterations,
            harness.step(),
            args.replay(seed, args.iterations)
        )
    })
}

/// Short enough to be typed.
fn seed_from_clock() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(1, |since| since.as_millis() as u64 % 1_000_000)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn parse(line: &str) -> Result<Args, clap::Error> {
        Line::try_parse_from(line.split(' ').skip(2)).map(|line| line.args)
    }

    #[test]
    fn the_command_to_replay_parses_to_what_was_asked() {
        let args = parse("cargo xtask crash --step full-disk --seed 7 --no-restore").unwrap();
        assert_eq!((args.iterations, args.seed), (20, Some(7)));
        assert_eq!(args.step, Some(Kind::FullDisk));
        let replay = args.replay(7, 3);
        assert_eq!(
            replay,
            "cargo xtask crash --seed 7 --iterations 3 --step full-disk --no-restore"
        );
        let again = parse(&replay).unwrap();
        assert_eq!(again.replay(7, 3), replay);
        assert_eq!(again.iterations, 3);
    }

    #[test]
    fn unknown_kinds_and_no_iterations_are_refused() {
        assert!(parse("cargo xtask crash --step flood").is_err());
        assert!(parse("cargo xtask crash --iterations 0").is_err());
        assert!(parse("cargo xtask crash --seed x").is_err());
    }
}
