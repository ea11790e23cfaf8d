//! What sessions have sent and what was answered, and when.

use super::level::Level;
use std::fmt::{self, Write as _};
use std::time::Instant;

/// Appended once in a run.
pub type Element = u32;

/// Nanoseconds since the run began.
pub type Time = u64;

/// The tables that lists are in.
pub const TABLES: [&str; 2] = ["a", "b"];

/// A row: the place of its table in [`TABLES`], and the column `key`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    pub table: usize,
    pub number: u32,
}

impl Key {
    pub fn table_name(self) -> &'static str {
        TABLES.get(self.table).copied().unwrap_or_default()
    }

    /// Whether the row may be deleted and inserted again. A statement at READ COMMITTED that waits for such a row may find
    /// none.
    pub fn moves(self) -> bool {
        self.number.is_multiple_of(4)
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.table_name(), self.number)
    }
}

/// The clock that times of a run are told by.
#[derive(Clone, Copy, Debug)]
pub struct Clock(Instant);

impl Clock {
    pub fn start() -> Self {
        Self(Instant::now())
    }

    pub fn now(self) -> Time {
        u64::try_from(self.0.elapsed().as_nanos()).unwrap_or(Time::MAX)
    }
}

/// What happened, happened after this was sent, and before it was answered.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    pub sent: Time,
    pub answered: Option<Time>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// `locks`: with FOR UPDATE or a weaker one that keeps writers away.
    Read {
        keys: Vec<Key>,
        locks: bool,
    },
    Append(Vec<(Key, Element)>),
    Savepoint,
    /// To the savepoint, which is then released.
    RollBack,
    Release,
}

/// A row that was read, or that an element was appended to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Row {
    pub key: Key,
    /// Not told by every append.
    pub list: Option<Vec<Element>>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Rows(Vec<Row>),
    /// With this SQLSTATE.
    Failed(String),
    /// The connection was lost.
    Lost,
}

#[derive(Clone, Debug)]
pub struct Statement {
    pub sql: String,
    pub action: Action,
    pub span: Span,
    pub outcome: Outcome,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    Committed,
    Aborted,
    /// COMMIT was sent, and not answered.
    Unknown,
}

#[derive(Clone, Debug)]
pub struct Transaction {
    pub session: usize,
    /// What it is held to.
    pub level: Level,
    pub statements: Vec<Statement>,
    pub fate: Fate,
    /// When it was committed, if it was.
    pub commit: Span,
    /// How it ended, for a report.
    pub ending: String,
}

/// All transactions, in any order.
#[derive(Clone, Debug, Default)]
pub struct History {
    pub transactions: Vec<Transaction>,
    /// The one that reads all keys when everything else is over.
    pub last: Option<usize>,
}

/// More rows of a statement are counted only.
const SHOWN: usize = 20;

impl History {
    /// All of it, as it is told in reports.
    pub fn text(&self) -> String {
        let all = self.transactions.iter().enumerate();
        all.map(|(number, transaction)| transaction.text(number))
            .collect()
    }
}

impl Transaction {
    /// The transaction with its statements. Times are milliseconds since the run began.
    pub fn text(&self, number: usize) -> String {
        let fate = match self.fate {
            Fate::Committed => "committed",
            Fate::Aborted => "aborted",
            Fate::Unknown => "unknown",
        };
        let (session, level) = (self.session, self.level);
        let mut text = format!("  T{number}, session {session}, {level}, {fate}\n");
        for statement in &self.statements {
            let _ = writeln!(text, "    {} {}", statement.span, statement.sql);
            let _ = match &statement.outcome {
                Outcome::Rows(rows) if rows.is_empty() => Ok(()),
                Outcome::Rows(rows) if rows.len() > SHOWN => {
                    writeln!(text, "      -> {} rows", rows.len())
                }
                Outcome::Rows(rows) => writeln!(text, "      -> {}", rows_text(rows)),
                Outcome::Failed(state) => writeln!(text, "      -> SQLSTATE {state}"),
                Outcome::Lost => writeln!(text, "      -> no answer"),
            };
        }
        let _ = writeln!(text, "    {} {}", self.commit, self.ending);
        text
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let milliseconds = |time: Time| format!("{:.3}", time as f64 / 1e6);
        let answered = self.answered.map_or_else(|| "-".to_owned(), milliseconds);
        write!(f, "{:>11} {answered:>11}", milliseconds(self.sent))
    }
}

fn rows_text(rows: &[Row]) -> String {
    let texts: Vec<String> = rows
        .iter()
        .map(|row| match &row.list {
            Some(list) => format!("{} {list:?}", row.key),
            None => row.key.to_string(),
        })
        .collect();
    texts.join(", ")
}
