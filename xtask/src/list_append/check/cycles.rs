//! Cycles as anomalies: their names, and what is said of them.

use super::anomaly::{Anomaly, Kind};
use super::graph::{Because, Edges, Graph, Step};
use std::collections::BTreeSet;

/// Which edges are looked at, one after the other, so that a cycle gets the strongest name that it deserves.
const STAGES: [Edges; 6] = [
    stage(false, false, false),
    stage(true, false, false),
    stage(true, true, false),
    stage(false, false, true),
    stage(true, false, true),
    stage(true, true, true),
];

const fn stage(reads: bool, overwritten: bool, real_time: bool) -> Edges {
    Edges {
        reads,
        overwritten,
        real_time,
    }
}

/// Names a cycle by its edges.
type Name = fn(&[Step]) -> Kind;

/// One anomaly for each component of the graph, each set of transactions once.
pub fn find(graph: &Graph, name: Name) -> Vec<Anomaly> {
    let mut known: Vec<BTreeSet<usize>> = Vec::new();
    let mut anomalies = Vec::new();
    for edges in STAGES {
        for cycle in graph.cycles(edges) {
            let steps = between_transactions(&cycle);
            let involved: Vec<usize> = steps
                .iter()
                .flat_map(|step| [step.from, step.to])
                .flatten()
                .collect();
            let set: BTreeSet<usize> = involved.iter().copied().collect();
            if known.iter().any(|known| known.is_subset(&set)) {
                continue;
            }
            known.push(set);
            let what: Vec<String> = steps.iter().map(step_text).collect();
            let mut anomaly = Anomaly::new(name(&steps), what.join("; "), involved);
            let is_real = |step: &Step| step.because == Because::RealTime;
            anomaly.needs_real_time = steps.iter().any(is_real);
            anomalies.push(anomaly);
        }
    }
    anomalies
}

/// How many edges are reads of overwritten versions.
fn overwritten(steps: &[Step]) -> usize {
    let is_overwritten = |step: &&Step| matches!(step.because, Because::ReadWrite(..));
    steps.iter().filter(is_overwritten).count()
}

/// What a history of snapshots cannot have.
pub fn name_of_snapshots(steps: &[Step]) -> Kind {
    let has_reads = steps
        .iter()
        .any(|step| matches!(step.because, Because::WriteRead(..)));
    let has_real_time = steps.iter().any(|step| step.because == Because::RealTime);
    match overwritten(steps) {
        0 if has_real_time && has_reads => Kind::EarlyRead,
        0 if has_real_time => Kind::EarlyWrite,
        0 if has_reads => Kind::G1c,
        0 => Kind::G0,
        1 if is_lost_update(steps) => Kind::LostUpdate,
        1 => Kind::GSingle,
        _ => Kind::GNonadjacent,
    }
}

/// Whether a transaction has read a version, and written over another's that came after it.
fn is_lost_update(steps: &[Step]) -> bool {
    let key = |step: &Step| match step.because {
        Because::WriteWrite(key, _) | Because::ReadWrite(key, _) => Some(key),
        _ => None,
    };
    let first = steps.first().and_then(key);
    first.is_some() && steps.iter().all(|step| key(step) == first)
}

/// Leaves out the steps within a transaction, and makes one of those over moments.
fn between_transactions(cycle: &[Step]) -> Vec<Step> {
    // Begins where a transaction is left.
    let begin = cycle
        .iter()
        .position(|step| step.from.is_some() && step.because != Because::Program)
        .unwrap_or(0);
    let (before, after) = cycle.split_at(begin);
    let mut steps: Vec<Step> = Vec::new();
    for step in after.iter().chain(before) {
        match (step.because, step.from, steps.last_mut()) {
            (Because::Program, ..) => {}
            (Because::RealTime, None, Some(last)) => last.to = step.to,
            _ => steps.push(*step),
        }
    }
    // Of moments alone nothing is to be told.
    steps.retain(|step| step.because != Because::RealTime || step.from != step.to);
    steps
}

fn step_text(step: &Step) -> String {
    let name = |transaction: Option<usize>| {
        transaction.map_or_else(|| "?".to_owned(), |number| format!("T{number}"))
    };
    let (from, to) = (name(step.from), name(step.to));
    match step.because {
        Because::Program => format!("{from} is {to}"),
        Because::WriteWrite(key, element) => {
            format!("{to} has written {key} after {from}, with {element}")
        }
        Because::WriteRead(key, element) => {
            format!("{to} has read {element} in {key}, which {from} appended")
        }
        Because::ReadWrite(key, element) => {
            format!("{from} has read {key} without {element}, which {to} appended")
        }
        Because::RealTime => format!("{from} was answered before {to} was sent"),
    }
}
