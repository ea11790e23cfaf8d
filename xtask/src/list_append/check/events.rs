//! What must have been before what, of snapshots and commits, whatever the levels.
//!
//! A transaction is committed at a moment. At REPEATABLE READ and above it has a snapshot of an earlier moment, by which it
//! reads, and which has all that was committed to the rows that it changes. At READ COMMITTED each statement has a snapshot;
//! rows that it changes or locks have a moment each, at which it comes to them.
//!
//! So who read or overwrote a version did so after it was committed, and who read a version before the next was. What
//! was rolled back has read by the same rules.

use super::super::history::{Action, Fate, History, Key, Span, Transaction};
use super::anomaly::Anomaly;
use super::cycles;
use super::graph::{Because, Graph};
use super::replay::{Replay, Seen};
use super::versions::{self, Version, Versions};
use std::collections::BTreeMap;

/// Anomalies, and how many reads of overwritten versions there are.
pub fn check(
    history: &History,
    replays: &[Replay<'_>],
    versions: &Versions,
) -> (Vec<Anomaly>, usize) {
    let mut events = Events::default();
    for (number, (transaction, replay)) in history.transactions.iter().zip(replays).enumerate() {
        events.add_transaction(number, transaction, replay);
    }
    for (key, versions) in versions {
        events.add_writes(*key, versions);
    }
    let mut overwritten = 0;
    for (number, replay) in replays.iter().enumerate() {
        for seen in &replay.seen {
            overwritten += events.add_read(number, seen, versions);
        }
    }
    events.graph.add_real_time(&events.spans);
    let anomalies = cycles::find(&events.graph, cycles::name_of_snapshots);
    (anomalies, overwritten)
}

/// What a transaction comes to, one by one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    /// The snapshot of the transaction.
    Transaction,
    /// That of a statement.
    Statement(usize),
    /// A row that a statement changes or locks.
    Row(usize, Key),
}

#[derive(Default)]
struct Events {
    graph: Graph,
    spans: Vec<(usize, Span)>,
    commits: BTreeMap<usize, usize>,
    others: BTreeMap<(usize, Place), usize>,
    has_one_snapshot: Vec<bool>,
}

impl Events {
    fn add_transaction(&mut self, number: usize, transaction: &Transaction, replay: &Replay<'_>) {
        self.has_one_snapshot
            .push(transaction.level.has_one_snapshot());
        if transaction.fate == Fate::Committed {
            let commit = self.graph.node(number);
            self.spans.push((commit, transaction.commit));
            self.commits.insert(number, commit);
        }
        let reads = replay
            .seen
            .iter()
            .map(|seen| (seen.statement, seen.key, seen.by_snapshot));
        let appends = replay
            .appended
            .iter()
            .map(|appended| (appended.statement, appended.key, false));
        for (statement, key, by_snapshot) in reads.chain(appends) {
            let place = self.place(number, statement, key, by_snapshot);
            self.add_place(number, transaction, place);
        }
    }

    fn place(&self, number: usize, statement: usize, key: Key, by_snapshot: bool) -> Place {
        match (self.has_one_snapshot.get(number), by_snapshot) {
            (Some(true), _) => Place::Transaction,
            (_, true) => Place::Statement(statement),
            (_, false) => Place::Row(statement, key),
        }
    }

    fn add_place(&mut self, number: usize, transaction: &Transaction, place: Place) {
        if self.others.contains_key(&(number, place)) {
            return;
        }
        let span = match place {
            Place::Transaction => first_snapshot(transaction),
            Place::Statement(statement) | Place::Row(statement, _) => transaction
                .statements
                .get(statement)
                .map(|statement| statement.span),
        };
        let node = self.graph.node(number);
        self.spans.extend(span.map(|span| (node, span)));
        self.others.insert((number, place), node);
        if let Some(commit) = self.commits.get(&number) {
            self.graph.edge(node, Because::Program, *commit);
        }
    }

    fn add_writes(&mut self, key: Key, versions: &[Version]) {
        for pair in versions.windows(2) {
            let [before, after] = pair else {
                continue;
            };
            if before.transaction != after.transaction {
                let because = Because::WriteWrite(key, after.element);
                let place = self.place(after.transaction, after.statement, key, false);
                self.commit_before(before.transaction, because, (after.transaction, place));
            }
        }
    }

    /// Returns how many edges to those who overwrote what was read.
    fn add_read(&mut self, number: usize, seen: &Seen<'_>, versions: &Versions) -> usize {
        let place = self.place(number, seen.statement, seen.key, seen.by_snapshot);
        let Some((last, next)) = versions::around(versions, seen.key, seen.others) else {
            return 0;
        };
        if let Some(version) = last
            && version.transaction != number
        {
            let because = Because::WriteRead(seen.key, version.element);
            self.commit_before(version.transaction, because, (number, place));
        }
        let Some(next) = next else {
            return 0;
        };
        let nodes = (
            self.others.get(&(number, place)),
            self.commits.get(&next.transaction),
        );
        if let (Some(read), Some(commit)) = nodes
            && next.transaction != number
        {
            let because = Because::ReadWrite(seen.key, next.element);
            self.graph.edge(*read, because, *commit);
            return 1;
        }
        0
    }

    fn commit_before(&mut self, writer: usize, because: Because, later: (usize, Place)) {
        if let (Some(commit), Some(node)) = (self.commits.get(&writer), self.others.get(&later)) {
            self.graph.edge(*commit, because, *node);
        }
    }
}

/// When a transaction with one snapshot took it.
pub fn first_snapshot(transaction: &Transaction) -> Option<Span> {
    transaction
        .statements
        .iter()
        .find(|statement| matches!(statement.action, Action::Read { .. } | Action::Append(_)))
        .map(|statement| statement.span)
}
