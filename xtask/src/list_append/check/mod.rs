//! Finds in a history what the levels of its transactions forbid.
//!
//! 1. [`replay`] goes through each transaction by itself: what it read of others, which of its appends count, and whether it
//!    read its own and, where nobody else may change a row, the same again.
//! 2. [`versions`] takes the longest list read of each key for the order of its versions. Every other list has to be a prefix
//!    of it, without elements of transactions that were rolled back, and not ending amid those of one transaction; what was
//!    committed has to be there at the end.
//! 3. [`events`] asks whether snapshots and commits can have happened in any order at all: a graph of what must have been
//!    before what, in which a cycle is an anomaly. G0 and G1c, which all levels forbid, are such cycles. Snapshots forbid
//!    those with one read of an overwritten version (G-single: read skew, lost update), and with several of which no two
//!    follow each other.
//! 4. [`serializable`] asks whether serializable transactions, among themselves, can have happened one by one: G2.
//!
//! What was answered before something else was sent was before it, which both graphs know as well: PostgreSQL's snapshots have all that
//! was committed before, and its serializable transactions keep that order too, since what they fail by (two consecutive reads of
//! overwritten versions, the last writer of which committed first) is part of every cycle with such edges as well.
//!
//! At READ COMMITTED a statement has a snapshot of its own, and so an event. Statements that change or lock rows go on with
//! the latest version of each row: an event for each.

mod anomaly;
mod cycles;
mod events;
mod graph;
mod replay;
mod serializable;
mod versions;

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod notation;
#[cfg(test)]
mod tests;

pub use anomaly::Anomaly;

use super::history::{Fate, History};

/// What was found, and how much there was to look at.
#[derive(Debug, Default)]
pub struct Findings {
    pub anomalies: Vec<Anomaly>,
    /// Lists that were read of others.
    pub reads: usize,
    /// Reads of versions that another transaction has overwritten.
    pub overwritten: usize,
    /// The same among serializable transactions alone.
    pub serializable_overwritten: usize,
}

/// Checks a history. Transactions of unknown fate get theirs: committed if anybody has read what they appended.
pub fn check(history: &mut History) -> Findings {
    settle(history);
    let mut anomalies = Vec::new();
    let replays = replay::all(history, &mut anomalies);
    let versions = versions::find(history, &replays, &mut anomalies);
    let (found, overwritten) = events::check(history, &replays, &versions);
    anomalies.extend(found);
    let (found, serializable_overwritten) = serializable::check(history, &replays, &versions);
    anomalies.extend(found);
    Findings {
        anomalies,
        reads: replays.iter().map(|replay| replay.seen.len()).sum(),
        overwritten,
        serializable_overwritten,
    }
}

fn settle(history: &mut History) {
    let replays = replay::all(history, &mut Vec::new());
    let writers = versions::writers(history);
    let seen: std::collections::BTreeSet<usize> = replays
        .iter()
        .flat_map(|replay| &replay.seen)
        .flat_map(|seen| seen.others)
        .filter_map(|element| Some(writers.get(element)?.transaction))
        .collect();
    let visible: Vec<bool> = (0..history.transactions.len())
        .map(|number| seen.contains(&number))
        .collect();
    for (transaction, visible) in history.transactions.iter_mut().zip(visible) {
        if transaction.fate == Fate::Unknown {
            transaction.fate = match visible {
                true => Fate::Committed,
                false => Fate::Aborted,
            };
        }
    }
}
