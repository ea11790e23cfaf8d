//! What is found, and how it is told: what is wrong, and the transactions with their statements.

use super::super::history::History;
use std::fmt;

/// Adya's and Elle's names, where they have one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// A row is not there, or has no list.
    MissingRow,
    DoubleRow,
    /// A list has an element twice.
    DoubleElement,
    /// A list has what nobody appended.
    UnknownElement,
    IncompatibleOrder,
    /// What was committed is gone.
    LostAppend,
    G1a,
    G1b,
    Internal,
    /// A version was read that was committed after the reader's snapshot, or before COMMIT was sent.
    EarlyRead,
    /// The same with a version that was written over: the first committer has to win.
    EarlyWrite,
    G0,
    G1c,
    LostUpdate,
    GSingle,
    GNonadjacent,
    G2,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::MissingRow => "missing row",
            Self::DoubleRow => "a row twice",
            Self::DoubleElement => "an element twice",
            Self::UnknownElement => "an element that nobody appended",
            Self::IncompatibleOrder => "incompatible orders",
            Self::LostAppend => "lost append",
            Self::G1a => "G1a (aborted read)",
            Self::G1b => "G1b (intermediate read)",
            Self::Internal => "internal inconsistency",
            Self::EarlyRead => "a read of what was committed later",
            Self::EarlyWrite => "a write over what was committed later",
            Self::G0 => "G0 (write cycle)",
            Self::G1c => "G1c (circular information flow)",
            Self::LostUpdate => "lost update (G-single)",
            Self::GSingle => "G-single (read skew)",
            Self::GNonadjacent => "G-nonadjacent (no snapshots make it)",
            Self::G2 => "G2 (not serializable)",
        })
    }
}

#[derive(Clone, Debug)]
pub struct Anomaly {
    pub kind: Kind,
    /// Whether it takes real time to see it: what was answered before something else was sent.
    pub needs_real_time: bool,
    pub what: String,
    /// Those involved, by their places in the history.
    pub transactions: Vec<usize>,
}

impl Anomaly {
    pub fn new(kind: Kind, what: String, transactions: impl Into<Vec<usize>>) -> Self {
        let mut transactions = transactions.into();
        let mut known = std::collections::BTreeSet::new();
        transactions.retain(|transaction| known.insert(*transaction));
        Self {
            kind,
            needs_real_time: false,
            what,
            transactions,
        }
    }

    /// All that there is to say, in several lines.
    pub fn report(&self, history: &History) -> String {
        let real_time = match self.needs_real_time {
            true => ", by the order in which answers came",
            false => "",
        };
        let mut text = format!("{}{real_time}: {}\n", self.kind, self.what);
        for &number in &self.transactions {
            if let Some(transaction) = history.transactions.get(number) {
                text += &transaction.text(number);
            }
        }
        text
    }
}
