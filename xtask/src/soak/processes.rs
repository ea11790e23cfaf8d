//! How much processor time the server's processes take, by what they are.

use super::gate::Gate;
use super::writers::{APPLICATION, open};
use crate::cluster::Connection;
use anyhow::Result;
use std::collections::BTreeMap;
use std::fs;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// What a process that ends takes after the last look is not known.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Of the clock that Linux tells processor time by, whatever its own.
const TICKS_A_SECOND: f64 = 100.0;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Writer,
    /// The launcher and publishers, which do the upkeep too.
    Worker,
    Syncer,
}

/// Processor time in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    pub writers: f64,
    pub workers: f64,
    pub syncers: f64,
}

/// The ticks of every process seen, by its id and when it started.
#[derive(Debug, Default)]
pub struct Processes(Mutex<BTreeMap<(i32, u64), (Kind, u64)>>);

impl Processes {
    pub fn used(&self) -> Used {
        let mut used = Used::default();
        for (kind, ticks) in self
            .0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .values()
        {
            let sum = match kind {
                Kind::Writer => &mut used.writers,
                Kind::Worker => &mut used.workers,
                Kind::Syncer => &mut used.syncers,
            };
            *sum += *ticks as f64 / TICKS_A_SECOND;
        }
        used
    }

    /// Looks again and again until work ends.
    pub fn watch(&self, connection: &Connection, gate: &Gate) -> Result<()> {
        let mut session = open(connection, "soak-watch")?;
        let sql = format!(
            "SELECT pid, backend_type, application_name FROM pg_stat_activity \
             WHERE backend_type LIKE 'pg_iceberg%' OR application_name LIKE '{APPLICATION}%'"
        );
        loop {
            let (_, rows) = session.query_rows(&sql)?;
            for row in rows {
                let mut values = row.into_iter().flatten();
                let Some(pid) = values.next().and_then(|pid| pid.parse().ok()) else {
                    continue;
                };
                let kind = kind_of(&values.next().unwrap_or_default());
                if let Some((started, ticks)) = times(pid) {
                    self.0
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .insert((pid, started), (kind, ticks));
                }
            }
            if !gate.sleep(LOOK_EVERY) {
                return Ok(());
            }
        }
    }
}

fn kind_of(backend_type: &str) -> Kind {
    if backend_type.starts_with("pg_iceberg syncer") {
        Kind::Syncer
    } else if backend_type.starts_with("pg_iceberg") {
        Kind::Worker
    } else {
        Kind::Writer
    }
}

/// When a process started and the processor time it has taken with all its threads, in ticks.
fn times(pid: i32) -> Option<(u64, u64)> {
    parse_stat(&fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// See `proc(5)`: `utime` and `stime` are the fields 14 and 15, `starttime` is 22. The name, field 2, may hold anything.
fn parse_stat(text: &str) -> Option<(u64, u64)> {
    let (_, after_name) = text.rsplit_once(')')?;
    let fields: Vec<&str> = after_name.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(22)?, field(14)? + field(15)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_is_read_behind_any_name() {
        let text =
            "7 (postgres: a) b) S 1 7 7 0 -1 4194560 100 0 0 0 250 50 0 0 20 0 3 0 123456 1 2 3";
        assert_eq!(parse_stat(text), Some((123_456, 300)));
        assert!(times(i32::try_from(std::process::id()).unwrap_or(0)).is_some());
    }

    #[test]
    fn kinds_are_told_by_the_type_of_backend() {
        assert_eq!(kind_of("pg_iceberg syncer"), Kind::Syncer);
        assert_eq!(kind_of("pg_iceberg publisher"), Kind::Worker);
        assert_eq!(kind_of("client backend"), Kind::Writer);
    }
}
