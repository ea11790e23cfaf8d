//! The order of each key's versions, from the longest list that was read of it, and what is wrong with lists by themselves.

use super::super::history::{Action, Element, Fate, History, Key, Transaction};
use super::anomaly::{Anomaly, Kind};
use super::replay::{Replay, Seen};
use std::collections::{BTreeMap, BTreeSet, HashMap};

/// Who appended an element, or tried to.
#[derive(Clone, Copy, Debug)]
pub struct Writer {
    pub transaction: usize,
    key: Key,
}

/// A version of a row: that which ends with this element.
#[derive(Clone, Copy, Debug)]
pub struct Version {
    pub element: Element,
    pub transaction: usize,
    /// The statement of that transaction that appended it.
    pub statement: usize,
}

/// Versions of each key, of committed transactions.
pub type Versions = BTreeMap<Key, Vec<Version>>;

/// The version that a list of others' elements is, if it has any, and the next one. `None` where something is wrong with the
/// list, which [`find`] tells.
pub fn around(
    versions: &Versions,
    key: Key,
    others: &[Element],
) -> Option<(Option<Version>, Option<Version>)> {
    let versions = versions.get(&key).map_or(&[][..], Vec::as_slice);
    let (before, after) = versions.split_at_checked(others.len())?;
    let mut pairs = before.iter().zip(others);
    let is_prefix = pairs.all(|(version, element)| version.element == *element);
    is_prefix.then(|| (before.last().copied(), after.first().copied()))
}

pub fn writers(history: &History) -> HashMap<Element, Writer> {
    let of = |(transaction, statements): (usize, &Transaction)| {
        let appends =
            statements
                .statements
                .iter()
                .filter_map(|statement| match &statement.action {
                    Action::Append(appends) => Some(appends.clone()),
                    _ => None,
                });
        appends
            .flatten()
            .map(move |(key, element)| (element, Writer { transaction, key }))
            .collect::<Vec<_>>()
    };
    history
        .transactions
        .iter()
        .enumerate()
        .flat_map(of)
        .collect()
}

/// A list, and who read it.
#[derive(Clone, Copy)]
struct Reading<'h> {
    list: &'h [Element],
    reader: usize,
}

/// Finds the order of versions, and tells what is wrong with lists.
pub fn find(history: &History, replays: &[Replay<'_>], anomalies: &mut Vec<Anomaly>) -> Versions {
    let committed = committed(history, replays);
    let readings = readings(replays, &committed);
    let orders = orders(&readings, anomalies);
    let mut lists = Lists {
        writers: writers(history),
        committed,
        orders,
        anomalies,
        told: BTreeSet::new(),
    };
    for (key, readings) in &readings {
        for reading in readings {
            lists.check(*key, *reading);
        }
    }
    if let Some(last) = history.last {
        lists.check_last(last, replays);
    }
    lists.versions()
}

/// Elements that count, with the transactions and statements that appended them.
fn committed(history: &History, replays: &[Replay<'_>]) -> HashMap<Element, (Key, Version)> {
    let pairs = history.transactions.iter().zip(replays).enumerate();
    pairs
        .filter(|(_, (transaction, _))| transaction.fate == Fate::Committed)
        .flat_map(|(number, (_, replay))| {
            replay.appended.iter().map(move |appended| {
                let version = Version {
                    element: appended.element,
                    transaction: number,
                    statement: appended.statement,
                };
                (appended.element, (appended.key, version))
            })
        })
        .collect()
}

/// All lists by key. What a transaction had appended itself counts where it was committed.
fn readings<'h>(
    replays: &[Replay<'h>],
    committed: &HashMap<Element, (Key, Version)>,
) -> BTreeMap<Key, Vec<Reading<'h>>> {
    let mut readings: BTreeMap<Key, Vec<Reading<'h>>> = BTreeMap::new();
    for (reader, replay) in replays.iter().enumerate() {
        for Seen {
            key, list, others, ..
        } in &replay.seen
        {
            let own = list.get(others.len()..).unwrap_or_default();
            let counts = own.iter().all(|element| committed.contains_key(element));
            let list = if counts { list } else { others };
            readings
                .entry(*key)
                .or_default()
                .push(Reading { list, reader });
        }
    }
    readings
}

fn orders<'h>(
    readings: &BTreeMap<Key, Vec<Reading<'h>>>,
    anomalies: &mut Vec<Anomaly>,
) -> BTreeMap<Key, &'h [Element]> {
    let mut orders = BTreeMap::new();
    for (key, readings) in readings {
        let Some(longest) = readings.iter().max_by_key(|reading| reading.list.len()) else {
            continue;
        };
        // One is enough of each key.
        let other = readings
            .iter()
            .find(|reading| !longest.list.starts_with(reading.list));
        if let Some(other) = other {
            let what = format!(
                "T{} reads {:?} in {key}, and T{} {:?}",
                longest.reader, longest.list, other.reader, other.list
            );
            let involved = [longest.reader, other.reader];
            anomalies.push(Anomaly::new(Kind::IncompatibleOrder, what, involved));
        }
        orders.insert(*key, longest.list);
    }
    orders
}

struct Lists<'h, 'a> {
    writers: HashMap<Element, Writer>,
    committed: HashMap<Element, (Key, Version)>,
    orders: BTreeMap<Key, &'h [Element]>,
    anomalies: &'a mut Vec<Anomaly>,
    /// What is wrong with an element is told once.
    told: BTreeSet<(Kind, Element)>,
}

impl Lists<'_, '_> {
    fn check(&mut self, key: Key, Reading { list, reader }: Reading<'_>) {
        let mut elements = BTreeSet::new();
        for element in list {
            if !elements.insert(element) {
                let what = format!("T{reader} reads {element} twice in {key}: {list:?}");
                self.tell(Kind::DoubleElement, *element, what, &[reader]);
            }
            match self.writers.get(element).copied() {
                Some(writer) if writer.key == key => {
                    if !self.committed.contains_key(element) {
                        let what = format!(
                            "T{reader} reads {element} in {key}, which T{} has rolled back: {list:?}",
                            writer.transaction
                        );
                        let involved = [reader, writer.transaction];
                        self.tell(Kind::G1a, *element, what, &involved);
                    }
                }
                _ => {
                    let what = format!(
                        "T{reader} reads {element} in {key}, which nobody appended there: {list:?}"
                    );
                    self.tell(Kind::UnknownElement, *element, what, &[reader]);
                }
            }
        }
        self.check_end(key, Reading { list, reader });
    }

    /// The version read has to be the last that its transaction made of the row.
    fn check_end(&mut self, key: Key, Reading { list, reader }: Reading<'_>) {
        let Some(last) = list.last() else {
            return;
        };
        let order = self.orders.get(&key).copied().unwrap_or_default();
        let (Some(next), Some((_, version))) = (order.get(list.len()), self.committed.get(last))
        else {
            return;
        };
        let writer = version.transaction;
        let goes_on = self.committed.get(next).map(|(_, next)| next.transaction) == Some(writer);
        if writer != reader && goes_on && order.starts_with(list) {
            let what = format!(
                "T{reader} reads {list:?} in {key}, where T{writer} has appended {next} as well"
            );
            self.tell(Kind::G1b, *last, what, &[reader, writer]);
        }
    }

    /// What was committed is there when all is over.
    fn check_last(&mut self, last: usize, replays: &[Replay<'_>]) {
        let seen = replays.get(last).map_or(&[][..], |replay| &replay.seen);
        let there: BTreeSet<(Key, Element)> = seen
            .iter()
            .flat_map(|seen| seen.list.iter().map(|element| (seen.key, *element)))
            .collect();
        let mut lost: Vec<(Key, Version)> = self
            .committed
            .values()
            .filter(|(key, version)| !there.contains(&(*key, version.element)))
            .copied()
            .collect();
        lost.sort_unstable_by_key(|(_, version)| version.element);
        for (key, version) in lost {
            let list = seen.iter().find(|seen| seen.key == key);
            let what = format!(
                "T{} has appended {} to {key} and was committed; T{last} reads {:?}",
                version.transaction,
                version.element,
                list.map_or(&[][..], |seen| seen.list)
            );
            let involved = [version.transaction];
            self.tell(Kind::LostAppend, version.element, what, &involved);
        }
    }

    fn tell(&mut self, kind: Kind, element: Element, what: String, involved: &[usize]) {
        if self.told.insert((kind, element)) {
            self.anomalies.push(Anomaly::new(kind, what, involved));
        }
    }

    fn versions(&self) -> Versions {
        let of = |(key, list): (&Key, &&[Element])| {
            let versions = list
                .iter()
                .filter_map(|element| self.committed.get(element))
                .filter(|(of, _)| of == key)
                .map(|(_, version)| *version)
                .collect();
            (*key, versions)
        };
        self.orders.iter().map(of).collect()
    }
}
