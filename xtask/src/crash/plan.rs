//! What each iteration does to the server, from the seed alone.

use super::points::{AFTER_COMMIT, POINTS};
use super::random::Random;
use std::fmt;
use std::time::Duration;

/// The kinds of faults, as `--step` names them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Kind {
    /// SIGKILL to the postmaster, then to all that is left of the server
    Postmaster,
    /// SIGKILL to one backend; the postmaster restarts by itself
    Backend,
    /// Immediate shutdown
    Immediate,
    /// Fast shutdown, as it should be
    Clean,
    /// SIGKILL to all, and what was not synced is lost
    Power,
    /// SIGKILL to all while a backend waits at an injection point
    Point,
    /// An error at an injection point
    Error,
    /// No space left where one of the tables lies
    FullDisk,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Postmaster => "postmaster",
            Self::Backend => "backend",
            Self::Immediate => "immediate",
            Self::Clean => "clean",
            Self::Power => "power",
            Self::Point => "point",
            Self::Error => "error",
            Self::FullDisk => "full-disk",
        })
    }
}

/// One round: the kinds in the shares they get.
const ROUND: [Kind; 11] = [
    Kind::Postmaster,
    Kind::Backend,
    Kind::Immediate,
    Kind::Clean,
    Kind::Power,
    Kind::Point,
    Kind::Point,
    Kind::Point,
    Kind::Error,
    Kind::Error,
    Kind::FullDisk,
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    KillPostmaster,
    KillBackend,
    Immediate,
    CleanStop,
    PowerFailure,
    KillAt(&'static str),
    ErrorAt(&'static str),
    FullDisk,
}

impl Fault {
    pub fn kind(self) -> Kind {
        match self {
            Self::KillPostmaster => Kind::Postmaster,
            Self::KillBackend => Kind::Backend,
            Self::Immediate => Kind::Immediate,
            Self::CleanStop => Kind::Clean,
            Self::PowerFailure => Kind::Power,
            Self::KillAt(_) => Kind::Point,
            Self::ErrorAt(_) => Kind::Error,
            Self::FullDisk => Kind::FullDisk,
        }
    }

    /// Whether the server goes down by this fault, and its clients with it.
    pub fn breaks_connections(self) -> bool {
        !matches!(self, Self::ErrorAt(_) | Self::FullDisk)
    }

    /// Whether recovery follows, which empties unlogged tables.
    pub fn empties_unlogged(self) -> bool {
        self.breaks_connections() && self != Self::CleanStop
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::KillPostmaster => f.write_str("postmaster killed"),
            Self::KillBackend => f.write_str("backend killed"),
            Self::Immediate => f.write_str("immediate shutdown"),
            Self::CleanStop => f.write_str("clean shutdown"),
            Self::PowerFailure => f.write_str("power failure"),
            Self::KillAt(point) => write!(f, "killed at {point}"),
            Self::ErrorAt(point) => write!(f, "error at {point}"),
            Self::FullDisk => f.write_str("full disk"),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Iteration {
    /// From 1.
    pub number: u64,
    pub fault: Fault,
    /// How long clients work before the fault.
    pub before: Duration,
    /// How long a backend waits at its injection point before the server is killed, and how long
    /// an error or a full disk lasts beyond its least.
    pub hold: Duration,
    /// Whether all prepared transactions are resolved before the tables are compared, or those
    /// that lock nobody out only afterwards.
    pub resolve_first: bool,
}

/// The iterations of a run. Those of a shorter run with the same seed are its beginning.
pub fn iterations(seed: u64, count: u64, only: Option<Kind>) -> Vec<Iteration> {
    let mut random = Random::for_part(seed, &[0]);
    let mut kinds: Vec<Kind> = Vec::new();
    let mut kill_points = Deck::new(&POINTS);
    let mut error_points = Deck::new(&POINTS);
    error_points
        .names
        .retain(|point| !AFTER_COMMIT.contains(point));
    (1..=count)
        .map(|number| {
            if kinds.is_empty() {
                kinds = ROUND.to_vec();
                random.shuffle(&mut kinds);
            }
            let drawn = kinds.pop().unwrap_or(Kind::Postmaster);
            let fault = match only.unwrap_or(drawn) {
                Kind::Postmaster => Fault::KillPostmaster,
                Kind::Backend => Fault::KillBackend,
                Kind::Immediate => Fault::Immediate,
                Kind::Clean => Fault::CleanStop,
                Kind::Power => Fault::PowerFailure,
                Kind::Point => kill_points
                    .draw(&mut random)
                    .map_or(Fault::KillPostmaster, Fault::KillAt),
                Kind::Error => error_points
                    .draw(&mut random)
                    .map_or(Fault::KillPostmaster, Fault::ErrorAt),
                Kind::FullDisk => Fault::FullDisk,
            };
            Iteration {
                number,
                fault,
                before: Duration::from_millis(random.between(400, 2500)),
                hold: Duration::from_millis(random.between(0, 200)),
                resolve_first: random.chance(50),
            }
        })
        .collect()
}

/// Points drawn without repetition until all were, then anew.
struct Deck {
    names: Vec<&'static str>,
    left: Vec<&'static str>,
}

impl Deck {
    fn new(names: &[&'static str]) -> Self {
        Self {
            names: names.to_vec(),
            left: Vec::new(),
        }
    }

    fn draw(&mut self, random: &mut Random) -> Option<&'static str> {
        if self.left.is_empty() {
            self.left = self.names.clone();
            random.shuffle(&mut self.left);
        }
        self.left.pop()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn a_seed_makes_one_plan_and_a_shorter_run_its_beginning() {
        let long = iterations(42, 40, None);
        assert_eq!(long, iterations(42, 40, None));
        assert_eq!(long.get(..7), Some(iterations(42, 7, None).as_slice()));
        assert_ne!(long, iterations(43, 40, None));
    }

    #[test]
    fn a_round_holds_every_kind() {
        let kinds: BTreeSet<Kind> = iterations(1, ROUND.len() as u64, None)
            .iter()
            .map(|iteration| iteration.fault.kind())
            .collect();
        assert_eq!(kinds.len(), 8);
    }

    #[test]
    fn recovery_follows_what_brings_the_server_down_but_a_clean_shutdown() {
        let emptying: BTreeSet<Kind> = iterations(1, ROUND.len() as u64, None)
            .iter()
            .filter(|iteration| iteration.fault.empties_unlogged())
            .map(|iteration| iteration.fault.kind())
            .collect();
        let expected = [
            Kind::Postmaster,
            Kind::Backend,
            Kind::Immediate,
            Kind::Power,
            Kind::Point,
        ];
        assert_eq!(emptying, expected.into());
    }

    #[test]
    fn every_point_has_its_turn_and_errors_only_before_commit() {
        let killed: BTreeSet<String> = iterations(9, POINTS.len() as u64, Some(Kind::Point))
            .iter()
            .map(|iteration| iteration.fault.to_string())
            .collect();
        assert_eq!(killed.len(), POINTS.len());
        for iteration in iterations(9, 50, Some(Kind::Error)) {
            assert!(
                matches!(iteration.fault, Fault::ErrorAt(point) if !AFTER_COMMIT.contains(&point))
            );
        }
    }
}
