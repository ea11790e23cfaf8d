//! Histories as tests write them down: a line for each statement, in the order in which they are sent and answered.
//!
//! A line names a transaction, with its level (`rc`, `rr`, `ser`) where it begins, and what it does:
//! `read a.1=10,11 a.2=` (a row without `=` is not found), `lock` the same with row locks, `append a.1+12` and
//! `append a.1+12=10,11,12` with the list returned, `miss a.1+12` where no row was found, `fail a.1+12`, `savepoint`, `back`, `release`,
//! `commit`, `abort`, `lost` for a COMMIT without an answer, and `last`: a read by which the history ends.

use super::super::history::{
    Action, Element, Fate, History, Key, Outcome, Row, Span, Statement, TABLES, Transaction,
};
use super::super::level::Level;
use std::collections::BTreeMap;

pub fn history(text: &str) -> History {
    let mut history = History::default();
    let mut places: BTreeMap<String, usize> = BTreeMap::new();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    for (number, line) in lines.enumerate() {
        let mut words = line.split_whitespace().peekable();
        let name = words.next().unwrap().to_owned();
        let level = level(words.peek().unwrap());
        if level.is_some() {
            words.next();
        }
        let place = *places.entry(name).or_insert_with(|| {
            history.transactions.push(Transaction {
                session: 0,
                level: level.unwrap(),
                statements: Vec::new(),
                fate: Fate::Aborted,
                commit: Span::default(),
                ending: String::new(),
            });
            history.transactions.len() - 1
        });
        let sent = number as u64 * 10;
        let span = Span {
            sent,
            answered: Some(sent + 5),
        };
        let verb = words.next().unwrap();
        if verb == "last" {
            history.last = Some(place);
        }
        let transaction = &mut history.transactions[place];
        let fate = match verb {
            "commit" | "last" => Some(Fate::Committed),
            "abort" => Some(Fate::Aborted),
            "lost" => Some(Fate::Unknown),
            _ => None,
        };
        if let Some(fate) = fate {
            transaction.fate = fate;
            transaction.commit = span;
            transaction.ending = verb.to_owned();
            if fate == Fate::Unknown {
                transaction.commit.answered = None;
            }
        }
        let (action, outcome) = statement(verb, &words.collect::<Vec<_>>());
        if let Some(action) = action {
            transaction.statements.push(Statement {
                sql: line.to_owned(),
                action,
                span,
                outcome,
            });
        }
    }
    history
}

fn level(word: &str) -> Option<Level> {
    match word {
        "rc" => Some(Level::ReadCommitted),
        "rr" => Some(Level::RepeatableRead),
        "ser" => Some(Level::Serializable),
        _ => None,
    }
}

fn statement(verb: &str, words: &[&str]) -> (Option<Action>, Outcome) {
    let rows: Vec<Row> = words.iter().filter_map(|word| row(word)).collect();
    let keys = words.iter().map(|word| key(word)).collect();
    let appends = || {
        Action::Append(
            words
                .iter()
                .map(|word| (key(word), element(word)))
                .collect(),
        )
    };
    let nothing = Outcome::Rows(Vec::new());
    match verb {
        "read" | "last" => (
            Some(Action::Read { keys, locks: false }),
            Outcome::Rows(rows),
        ),
        "lock" => (
            Some(Action::Read { keys, locks: true }),
            Outcome::Rows(rows),
        ),
        "append" => (Some(appends()), Outcome::Rows(rows)),
        "miss" => (Some(appends()), nothing),
        "fail" => (Some(appends()), Outcome::Failed("40001".to_owned())),
        "savepoint" => (Some(Action::Savepoint), nothing),
        "back" => (Some(Action::RollBack), nothing),
        "release" => (Some(Action::Release), nothing),
        _ => (None, nothing),
    }
}

fn key(word: &str) -> Key {
    let (table, rest) = word.split_once('.').unwrap();
    let number = rest.split(['+', '=']).next().unwrap();
    Key {
        table: TABLES.iter().position(|name| *name == table).unwrap(),
        number: number.parse().unwrap(),
    }
}

fn element(word: &str) -> Element {
    let (_, rest) = word.split_once('+').unwrap();
    rest.split('=').next().unwrap().parse().unwrap()
}

/// The row that a word tells of; what was appended to is one with or without its list.
fn row(word: &str) -> Option<Row> {
    let list = word.split_once('=').map(|(_, list)| {
        let elements = list.split(',').filter(|text| !text.is_empty());
        elements.map(|text| text.parse().unwrap()).collect()
    });
    (list.is_some() || word.contains('+')).then(|| Row {
        key: key(word),
        list,
    })
}
