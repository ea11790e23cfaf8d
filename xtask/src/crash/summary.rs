//! What a run tells: a line for each iteration, and at the end what it did.

use super::client::Client;
use super::plan::{Iteration, Kind};
use super::points::{Hits, POINTS};
use super::tables::Fingerprints;
use crate::progress::format_elapsed;
use anyhow::{Result, bail};
use std::collections::BTreeMap;
use std::time::Duration;

#[derive(Debug, Default)]
pub struct Summary {
    iterations: u64,
    by_kind: BTreeMap<Kind, u64>,
    /// Of these, those whose injection point nobody came to, or that had no disk to fill.
    missed: BTreeMap<Kind, u64>,
    pub restored: Option<String>,
    pub promoted: bool,
    pub rewound: bool,
}

impl Summary {
    pub fn iteration(
        &mut self,
        iteration: &Iteration,
        as_planned: bool,
        clients: &[Client],
        tables: &Fingerprints,
        elapsed: Duration,
    ) {
        self.iterations += 1;
        let kind = iteration.fault.kind();
        *self.by_kind.entry(kind).or_default() += 1;
        let mut missed = "";
        if !as_planned {
            *self.missed.entry(kind).or_default() += 1;
            missed = match kind {
                Kind::FullDisk => " (left out)",
                _ => " (not reached)",
            };
        }
        let committed: u64 = clients.iter().map(|client| client.counts.committed).sum();
        let rows: u64 = tables.values().map(|table| table.rows).sum();
        println!(
            "iteration {:>3}: {}{missed}, {committed} transactions committed so far, {} tables with \
             {rows} rows ({})",
            iteration.number,
            iteration.fault,
            tables.len(),
            format_elapsed(elapsed)
        );
    }

    /// Prints the summary. A point never hit in a long run is a failure.
    pub fn report(
        &self,
        clients: &[Client],
        hits: &Hits,
        orphans: u64,
        judge_points: bool,
    ) -> Result<()> {
        let sum = |of: &dyn Fn(&Client) -> u64| clients.iter().map(of).sum::<u64>();
        println!();
        println!("iterations: {}", self.iterations);
        println!(
            "transactions: {} committed, {} rolled back, {} ended by an error, {} prepared",
            sum(&|client| client.counts.committed),
            sum(&|client| client.counts.rolled_back),
            sum(&|client| client.counts.failed),
            sum(&|client| client.counts.prepared)
        );
        println!("faults: {}", listed(&self.by_kind));
        if !self.missed.is_empty() {
            println!("of these not reached or left out: {}", listed(&self.missed));
        }
        println!("injection points (passed, of these with a kill or an error):");
        for (name, passed, struck) in hits.all() {
            if passed == 0 {
                println!("  {name:<28}never hit");
            } else {
                println!("  {name:<28}{passed:>8}{struck:>6}");
            }
        }
        println!("orphans removed: {orphans}");
        let yes_or_no = |done| if done { "yes" } else { "no" };
        println!(
            "standby promoted: {}; former primary rewound: {}; restored with: {}",
            yes_or_no(self.promoted),
            yes_or_no(self.rewound),
            self.restored.as_deref().unwrap_or("nothing")
        );
        let missed = hits.never_hit();
        if judge_points && self.iterations >= 2 * POINTS.len() as u64 && !missed.is_empty() {
            bail!(
                "{} injection points were never hit: {}",
                missed.len(),
                missed.join(", ")
            );
        }
        Ok(())
    }
}

fn listed(counts: &BTreeMap<Kind, u64>) -> String {
    let parts: Vec<String> = counts
        .iter()
        .map(|(kind, count)| format!("{kind} {count}"))
        .collect();
    parts.join(", ")
}
