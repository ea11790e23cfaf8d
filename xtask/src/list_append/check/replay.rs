//! Goes through a transaction by itself: what it has read of others' elements, which of its own appends count, and whether
//! it has read what it had to.

use super::super::history::{Action, Element, History, Key, Outcome, Row, Statement, Transaction};
use super::anomaly::{Anomaly, Kind};
use std::collections::BTreeMap;

/// A list that was read.
#[derive(Clone, Copy, Debug)]
pub struct Seen<'h> {
    /// The statement's place in its transaction.
    pub statement: usize,
    pub key: Key,
    /// All of it.
    pub list: &'h [Element],
    /// What it has before the elements that the transaction had appended to it itself by then.
    pub others: &'h [Element],
    /// Whether the statement's snapshot chose the version. Otherwise it is the latest one of its row.
    pub by_snapshot: bool,
}

/// An append that counts if its transaction does.
#[derive(Clone, Copy, Debug)]
pub struct Appended {
    pub statement: usize,
    pub key: Key,
    pub element: Element,
}

#[derive(Debug, Default)]
pub struct Replay<'h> {
    pub seen: Vec<Seen<'h>>,
    pub appended: Vec<Appended>,
}

/// What is known of rows at a point of a transaction.
#[derive(Clone, Debug, Default)]
struct Known<'h> {
    /// Elements that the transaction has appended.
    own: BTreeMap<Key, Vec<Element>>,
    /// What others have appended, where that cannot change any more.
    others: BTreeMap<Key, &'h [Element]>,
    /// How many appends count.
    appended: usize,
}

pub fn all<'h>(history: &'h History, anomalies: &mut Vec<Anomaly>) -> Vec<Replay<'h>> {
    history
        .transactions
        .iter()
        .enumerate()
        .map(|(number, transaction)| replay(number, transaction, anomalies))
        .collect()
}

fn replay<'h>(
    number: usize,
    transaction: &'h Transaction,
    anomalies: &mut Vec<Anomaly>,
) -> Replay<'h> {
    let mut course = Course {
        number,
        has_one_snapshot: transaction.level.has_one_snapshot(),
        known: Known::default(),
        savepoints: Vec::new(),
        replay: Replay::default(),
        anomalies,
    };
    for (place, statement) in transaction.statements.iter().enumerate() {
        course.go_on(place, statement);
    }
    course.replay
}

struct Course<'h, 'a> {
    number: usize,
    has_one_snapshot: bool,
    known: Known<'h>,
    savepoints: Vec<Known<'h>>,
    replay: Replay<'h>,
    anomalies: &'a mut Vec<Anomaly>,
}

impl<'h> Course<'h, '_> {
    fn go_on(&mut self, place: usize, statement: &'h Statement) {
        let Outcome::Rows(rows) = &statement.outcome else {
            return;
        };
        match &statement.action {
            Action::Read { keys, locks } => {
                self.check_rows(keys, rows, *locks);
                for row in rows {
                    self.read(place, row, *locks);
                }
            }
            Action::Append(appends) => {
                let keys: Vec<Key> = appends.iter().map(|(key, _)| *key).collect();
                self.check_rows(&keys, rows, true);
                for row in rows {
                    let append = appends.iter().find(|(key, _)| *key == row.key);
                    if let Some((key, element)) = append {
                        self.append(place, *key, *element);
                    }
                    if row.list.is_some() {
                        self.read(place, row, true);
                    }
                }
            }
            Action::Savepoint => {
                self.known.appended = self.replay.appended.len();
                self.savepoints.push(self.known.clone());
            }
            Action::Release => drop(self.savepoints.pop()),
            Action::RollBack => self.roll_back(),
        }
    }

    fn roll_back(&mut self) {
        let Some(before) = self.savepoints.pop() else {
            return;
        };
        self.replay.appended.truncate(before.appended);
        self.known.own = before.own;
        // Locks are released; a snapshot stays as it is.
        if !self.has_one_snapshot {
            self.known.others = before.others;
        }
    }

    fn append(&mut self, statement: usize, key: Key, element: Element) {
        self.known.own.entry(key).or_default().push(element);
        self.replay.appended.push(Appended {
            statement,
            key,
            element,
        });
    }

    /// Every row has to be there, once. A statement that waits for a row that is deleted meanwhile finds none at READ COMMITTED.
    fn check_rows(&mut self, keys: &[Key], rows: &[Row], locks: bool) {
        for key in keys {
            let found = rows.iter().filter(|row| row.key == *key).count();
            let is_ours = self.known.own.contains_key(key) || self.known.others.contains_key(key);
            let may_miss = locks && key.moves() && !self.has_one_snapshot && !is_ours;
            let kind = match found {
                0 if !may_miss => Kind::MissingRow,
                0 | 1 => continue,
                _ => Kind::DoubleRow,
            };
            self.tell(
                kind,
                format!("T{} finds {found} rows of {key}", self.number),
            );
        }
    }

    fn read(&mut self, statement: usize, row: &'h Row, locks: bool) {
        let key = row.key;
        let Some(list) = &row.list else {
            let what = format!("T{} finds no list in {key}", self.number);
            return self.tell(Kind::MissingRow, what);
        };
        let own = self.known.own.get(&key).map_or(&[][..], Vec::as_slice);
        let Some(others) = list.strip_suffix(own) else {
            let what = format!(
                "T{} has appended {own:?} to {key}, and reads {list:?}",
                self.number
            );
            return self.tell(Kind::Internal, what);
        };
        let has_appended = !own.is_empty();
        if let Some(known) = self.known.others.get(&key)
            && *known != others
        {
            let what = format!(
                "T{} reads {others:?} of others in {key}, where it had read {known:?}",
                self.number
            );
            self.tell(Kind::Internal, what);
        }
        if self.has_one_snapshot || locks || has_appended {
            self.known.others.insert(key, others);
        }
        self.replay.seen.push(Seen {
            statement,
            key,
            list,
            others,
            by_snapshot: self.has_one_snapshot || !locks,
        });
    }

    fn tell(&mut self, kind: Kind, what: String) {
        self.anomalies.push(Anomaly::new(kind, what, [self.number]));
    }
}
