//! What is said to the proxy while it runs: `POST /-/control`, a line for each order. CONTRIBUTING.md lists them ("Stores
//! that fail").
//!
//! A fault that cannot be met, as `alter` by an answer without a body, is used up but not counted.

use super::counts::Counts;
use super::faults::{Faults, parse_fault, parse_span, parse_time};
use super::kind::Kind;
use super::link::{Link, Settings, lock};
use anyhow::{Context, Result, bail};
use std::num::NonZeroU64;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

/// What connections look at, and orders change.
#[derive(Debug)]
pub struct State {
    pub link: Link,
    pub faults: Mutex<Faults>,
    pub counts: Mutex<Counts>,
    /// How often everything was cleared.
    clearings: AtomicU64,
}

impl State {
    pub fn new() -> Self {
        Self {
            link: Link::new(),
            faults: Mutex::default(),
            counts: Mutex::default(),
            clearings: AtomicU64::new(0),
        }
    }

    pub fn clearings(&self) -> u64 {
        self.clearings.load(Ordering::Relaxed)
    }

    /// Does what the lines say, up to one that cannot be done.
    pub fn obey(&self, lines: &str) -> Result<String> {
        let mut told = String::new();
        for line in lines.lines().filter(|line| !line.trim().is_empty()) {
            self.obey_one(line, &mut told)
                .with_context(|| format!("order {line:?}"))?;
        }
        Ok(told)
    }

    fn obey_one(&self, line: &str, told: &mut String) -> Result<()> {
        let words: Vec<_> = line.split_whitespace().collect();
        match words.as_slice() {
            ["latency", time] => {
                let latency = parse_time(time).context("not a time, as 30ms or 2s")?;
                self.link.set(|settings| settings.latency = latency);
            }
            ["bandwidth", bytes] => {
                let bytes = bytes.parse().context("not a number of bytes a second")?;
                self.link
                    .set(|settings| settings.bandwidth = NonZeroU64::new(bytes));
            }
            ["black-hole", state @ ("on" | "off")] => {
                let is_on = *state == "on";
                self.link.set(|settings| settings.is_black_hole = is_on);
            }
            ["skew", seconds] => {
                let skew: i32 = seconds.parse().context("not a number of seconds")?;
                self.link.set(|settings| settings.skew = i64::from(skew));
            }
            ["fault", kind, what, span @ ..] if span.len() < 2 => {
                let kind = match *kind {
                    "*" => None,
                    name => Some(Kind::named(name).context("no such kind of request")?),
                };
                let fault = parse_fault(what).context("no such fault")?;
                let span = span.first().copied().unwrap_or("1");
                let span = parse_span(span, Instant::now())
                    .context("neither a number of requests, nor a time, nor always")?;
                lock(&self.faults).add(kind, fault, span);
            }
            ["clear"] => {
                lock(&self.faults).clear();
                self.link.set(|settings| *settings = Settings::default());
                self.clearings.fetch_add(1, Ordering::Relaxed);
            }
            ["counts"] => told.push_str(&lock(&self.counts).to_string()),
            ["forget"] => lock(&self.counts).forget(),
            _ => bail!(
                "not one of latency, bandwidth, black-hole, skew, fault, clear, counts, forget"
            ),
        }
        Ok(())
    }
}
