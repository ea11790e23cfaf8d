//! Serializable transactions among themselves: which had to come before which, if they came one by one.
//!
//! PostgreSQL looks after two of them where one has read just the version that the other has overwritten. Where a
//! transaction of another level wrote in between it promises nothing, and nothing is demanded.

use super::super::history::{Fate, History, Span, Transaction};
use super::super::level::Level;
use super::anomaly::{Anomaly, Kind};
use super::cycles;
use super::events::first_snapshot;
use super::graph::{Because, Graph};
use super::replay::Replay;
use super::versions::{self, Versions};
use std::collections::BTreeMap;

/// Anomalies, and how many reads of overwritten versions there are.
pub fn check(
    history: &History,
    replays: &[Replay<'_>],
    versions: &Versions,
) -> (Vec<Anomaly>, usize) {
    let mut graph = Graph::default();
    let mut nodes = BTreeMap::new();
    let mut spans = Vec::new();
    for (number, transaction) in history.transactions.iter().enumerate() {
        if transaction.level == Level::Serializable && transaction.fate == Fate::Committed {
            let node = graph.node(number);
            nodes.insert(number, node);
            spans.extend(whole(transaction).map(|span| (node, span)));
        }
    }
    let mut overwritten = 0;
    let mut edge = |from: usize, because: Because, to: usize| {
        let both = (nodes.get(&from), nodes.get(&to));
        if let (Some(one), Some(other)) = both
            && one != other
        {
            overwritten += usize::from(matches!(because, Because::ReadWrite(..)));
            graph.edge(*one, because, *other);
        }
    };
    for (key, versions) in versions {
        for pair in versions.windows(2) {
            if let [before, after] = pair {
                let because = Because::WriteWrite(*key, after.element);
                edge(before.transaction, because, after.transaction);
            }
        }
    }
    for (number, replay) in replays.iter().enumerate() {
        for seen in &replay.seen {
            let Some((last, next)) = versions::around(versions, seen.key, seen.others) else {
                continue;
            };
            if let Some(version) = last {
                let because = Because::WriteRead(seen.key, version.element);
                edge(version.transaction, because, number);
            }
            if let Some(version) = next {
                let because = Because::ReadWrite(seen.key, version.element);
                edge(number, because, version.transaction);
            }
        }
    }
    graph.add_real_time(&spans);
    (cycles::find(&graph, |_| Kind::G2), overwritten)
}

/// From the snapshot to the commit.
fn whole(transaction: &Transaction) -> Option<Span> {
    Some(Span {
        sent: first_snapshot(transaction)?.sent,
        answered: transaction.commit.answered,
    })
}
