//! The run of a history on both sides, and the comparison of each step.

use super::side::{Outcome, Outcomes, Side};
use super::statement::{Generator, Kind, SessionState, Statement, TABLES};
use crate::cluster::Connection;
use anyhow::{Result, bail};
use std::collections::VecDeque;
use std::fmt::{self, Write as _};
use std::ops::AddAssign;

const SESSIONS: usize = 5;
/// How many of the last steps a failure shows.
const SHOWN: usize = 60;
/// How often the tables are compared as a whole.
const COMPARE_EVERY: u64 = 200;
/// SQLSTATE of a transaction that could not be serialized.
const SERIALIZATION_FAILURE: &str = "40001";
/// SQLSTATE of NOWAIT.
const LOCK_NOT_AVAILABLE: &str = "55P03";
const SERIALIZABLE: &str = "SERIALIZABLE";

pub struct History {
    heap: Side,
    iceberg: Side,
    generator: Generator,
    sessions: Vec<Session>,
    shown: VecDeque<String>,
    /// Whether a transaction was committed on Iceberg tables that heap tables have not let be: nothing can be compared any more.
    is_parted: bool,
    pub counts: Counts,
}

/// What has been done.
#[derive(Debug, Default)]
pub struct Counts {
    pub statements: u64,
    pub errors: u64,
    pub waits: u64,
    pub cancelled: u64,
    /// Serializable transactions that failed on Iceberg tables alone.
    pub serialization_failures: u64,
    /// Those that failed there later than on heap tables.
    pub late_failures: u64,
    /// Those that failed on heap tables for the sake of one that was rolled back.
    pub heap_failures: u64,
    /// Row locks that were to wait on heap tables alone.
    pub heap_waits: u64,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.statements += other.statements;
        self.errors += other.errors;
        self.waits += other.waits;
        self.cancelled += other.cancelled;
        self.serialization_failures += other.serialization_failures;
        self.late_failures += other.late_failures;
        self.heap_failures += other.heap_failures;
        self.heap_waits += other.heap_waits;
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} failed alike, {} waited, {} were cancelled, {} would have waited on heap tables alone; of serializable \
             transactions {} failed on Iceberg tables alone, {} later than on heap tables, and {} on heap tables alone, \
             beside one that was rolled back",
            self.errors,
            self.waits,
            self.cancelled,
            self.heap_waits,
            self.serialization_failures,
            self.late_failures,
            self.heap_failures
        )
    }
}

fn is_serialization_failure(outcome: Option<&Outcome>) -> bool {
    outcome.and_then(Outcome::sqlstate) == Some(SERIALIZATION_FAILURE)
}

#[derive(Default)]
struct Session {
    state: SessionState,
    /// The statement that has not ended.
    waiting: Option<Statement>,
    /// Whether it has been said that it waits.
    is_noted: bool,
    /// Whether another serializable transaction, or a part of this one, was rolled back during this one. Heap tables may have
    /// counted it as one that cannot be serialized with this one, which Iceberg tables do at the commit only.
    outlived_another: bool,
}

impl History {
    pub fn open(heap: &Connection, iceberg: &Connection, generator: Generator) -> Result<Self> {
        Ok(Self {
            heap: Side::open("heap", heap, SESSIONS)?,
            iceberg: Side::open("iceberg", iceberg, SESSIONS)?,
            generator,
            sessions: (0..SESSIONS).map(|_| Session::default()).collect(),
            shown: VecDeque::new(),
            is_parted: false,
            counts: Counts::default(),
        })
    }

    /// The last steps, for a report.
    pub fn last_steps(&self) -> String {
        self.shown.iter().fold(String::new(), |mut text, line| {
            let _ = writeln!(text, "{line}");
            text
        })
    }

    /// Does so many steps, or fewer where the sides have parted, then ends all transactions and compares the tables.
    pub fn run(&mut self, statements: u64, mut on_step: impl FnMut(u64)) -> Result<()> {
        while self.counts.statements < statements {
            self.step()?;
            on_step(self.counts.statements);
            if self.is_parted {
                return self.abandon();
            }
            if self.counts.statements.is_multiple_of(COMPARE_EVERY) {
                self.compare_tables()?;
            }
        }
        self.finish()?;
        self.compare_tables()
    }

    fn step(&mut self) -> Result<()> {
        let idle = self.indexes(|session| session.waiting.is_none());
        let waiting = self.indexes(|session| session.waiting.is_some());
        let give_up = idle.is_empty() || (!waiting.is_empty() && self.generator.random().chance(2));
        if give_up && let Some(session) = self.generator.random().pick(&waiting).copied() {
            return self.cancel(session);
        }
        let Some(session) = self.generator.random().pick(&idle).copied() else {
            return Ok(());
        };
        let somebody_waits = !waiting.is_empty();
        let statement = self
            .generator
            .next(&self.sessions[session].state, somebody_waits);
        self.counts.statements += 1;
        self.note(session, &statement.sql);
        self.give(session, statement)?;
        // Of two that go on at the same time either may be the first.
        if self.sessions[session].waiting.is_some() && !waiting.is_empty() {
            self.cancel(session)?;
        }
        Ok(())
    }

    /// Gives a statement to both sides, and compares what becomes of it and of those that wait.
    fn give(&mut self, session: usize, statement: Statement) -> Result<()> {
        // Iceberg first: where it alone cannot serialize, the heap's transaction has not been committed yet.
        self.iceberg.send(session, &statement.sql)?;
        let sql = statement.sql.clone();
        let may_fail = self.may_fail_alone(session) && statement.ends_block();
        let in_any_order = statement.kind == Kind::AnyOrder;
        self.sessions[session].waiting = Some(statement);
        let unfinished = self.indexes(|session| session.waiting.is_some());
        let mut ours = self.iceberg.settle(&unfinished)?;
        let failed = is_serialization_failure(ours.get(&session));
        let heap_sql = if may_fail && failed { "ROLLBACK" } else { &sql };
        self.heap.send(session, heap_sql)?;
        let mut theirs = self.heap.settle(&unfinished)?;
        if in_any_order {
            self.heap.give_up(session, &unfinished, &mut theirs)?;
            self.iceberg.give_up(session, &unfinished, &mut ours)?;
        }
        self.compare(&unfinished, &theirs, &ours)
    }

    /// Whether one side alone may fail to serialize a session's transaction, or later than the other.
    fn may_fail_alone(&self, session: usize) -> bool {
        let state = &self.sessions[session].state;
        state.block == Some(SERIALIZABLE) && !state.failed
    }

    /// Ends a serializable transaction that failed on one side alone, on both. Iceberg tables may fail where
    /// heap tables do not, and find later than they what cannot be serialized, but not after the commit.
    fn end_unserializable(
        &mut self,
        session: usize,
        heap: Option<&Outcome>,
        iceberg: Option<&Outcome>,
    ) -> Result<()> {
        self.note(
            session,
            &format!("not serializable on one side: heap {heap:?}, iceberg {iceberg:?}"),
        );
        let statement = self.sessions[session].waiting.as_ref();
        let ends_block = statement.is_some_and(Statement::ends_block);
        self.break_off(session, heap, iceberg)?;
        if is_serialization_failure(iceberg) {
            self.counts.serialization_failures += 1;
        } else if self.sessions[session].outlived_another {
            self.counts.heap_failures += 1;
            self.is_parted = matches!(iceberg, Some(Outcome::Done { .. })) && ends_block;
        } else if matches!(iceberg, Some(Outcome::Done { .. })) {
            self.iceberg.send(session, "COMMIT")?;
            let outcome = self.iceberg.wait_for_end(session)?;
            if !is_serialization_failure(Some(&outcome)) {
                bail!(
                    "session {session} could not be serialized on heap and was committed on iceberg: {outcome:?}"
                );
            }
            self.counts.late_failures += 1;
        }
        self.give(session, Statement::rollback())
    }

    /// Whether heap tables alone have a statement that locks rows wait. They do with NOWAIT and SKIP LOCKED, if somebody has
    /// a row's next version (`heap_lock_updated_tuple`); and behind another that waits for the row, though nobody
    /// who has it is in the way, if one of several who have it had updated it and was rolled back.
    fn waits_on_heap_alone(
        &mut self,
        session: usize,
        statement: &Statement,
        heap: Option<&Outcome>,
        iceberg: Option<&Outcome>,
    ) -> Result<bool> {
        let locks_a_row = statement.sql.starts_with("SELECT") && statement.sql.contains(" FOR ");
        let is_stricter = match heap {
            None => true,
            Some(Outcome::Failed { sqlstate, .. }) => sqlstate == LOCK_NOT_AVAILABLE,
            Some(Outcome::Done { .. }) => statement.sql.ends_with("SKIP LOCKED"),
        };
        if !locks_a_row || !is_stricter || !matches!(iceberg, Some(Outcome::Done { .. })) {
            return Ok(false);
        }
        if heap.is_none()
            && ["NOWAIT", "SKIP LOCKED"]
                .iter()
                .any(|wait| statement.sql.ends_with(wait))
        {
            return Ok(true);
        }
        let queue = self.indexes(|other| other.waiting.is_some());
        Ok(queue.iter().any(|other| *other != session) && self.heap.is_updated_in_vain()?)
    }

    /// Takes a statement back that has ended on one side, if on any.
    fn break_off(
        &mut self,
        session: usize,
        heap: Option<&Outcome>,
        iceberg: Option<&Outcome>,
    ) -> Result<()> {
        let statement = self.sessions[session].waiting.take();
        self.forget_prepared(statement.as_ref());
        self.sessions[session].is_noted = false;
        for (side, outcome) in [(&mut self.heap, heap), (&mut self.iceberg, iceberg)] {
            if outcome.is_none() {
                side.cancel(session)?;
                side.wait_for_end(session)?;
            }
        }
        Ok(())
    }

    /// Cancels what a session waits for.
    fn cancel(&mut self, session: usize) -> Result<()> {
        self.counts.cancelled += 1;
        self.note(session, "cancelled");
        let others = self.indexes(|other| other.waiting.is_some());
        let others: Vec<usize> = others
            .into_iter()
            .filter(|other| *other != session)
            .collect();
        let mut outcomes = Vec::new();
        for side in [&mut self.heap, &mut self.iceberg] {
            side.cancel(session)?;
            let outcome = side.wait_for_end(session)?;
            let mut all = side.settle(&others)?;
            all.insert(session, outcome);
            outcomes.push(all);
        }
        let unfinished: Vec<usize> = others.into_iter().chain([session]).collect();
        match outcomes.as_slice() {
            [theirs, ours] => self.compare(&unfinished, theirs, ours),
            _ => bail!("there are two sides"),
        }
    }

    /// Compares what has become of the statements of these sessions on both sides.
    fn compare(&mut self, unfinished: &[usize], theirs: &Outcomes, ours: &Outcomes) -> Result<()> {
        let (mut unserializable, mut broken_off) = (Vec::new(), Vec::new());
        let fail_alone: Vec<usize> = (unfinished.iter().copied())
            .filter(|session| {
                self.may_fail_alone(*session)
                    && is_serialization_failure(theirs.get(session))
                        != is_serialization_failure(ours.get(session))
            })
            .collect();
        let may_have_waited = |session| !fail_alone.is_empty() && !fail_alone.contains(&session);
        for &session in unfinished {
            let Some(statement) = self.sessions[session].waiting.clone() else {
                continue;
            };
            match (theirs.get(&session), ours.get(&session)) {
                (None, None) => {
                    if !std::mem::replace(&mut self.sessions[session].is_noted, true) {
                        self.counts.waits += 1;
                        self.note(session, "waits");
                    }
                }
                // It may have waited for what failed there alone: that is ended on the other side first.
                (Some(heap), None) if may_have_waited(session) => {
                    self.heap.keep(session, heap.clone());
                }
                (None, Some(iceberg)) if may_have_waited(session) => {
                    self.iceberg.keep(session, iceberg.clone());
                }
                (Some(heap), Some(iceberg)) if heap.agrees_with(iceberg) => {
                    self.end(session, &statement, heap);
                }
                // One came to a row first that it would have waited for, the other to one that made it fail.
                (Some(heap @ Outcome::Failed { .. }), Some(Outcome::Failed { .. }))
                    if statement.kind == Kind::AnyOrder =>
                {
                    self.end(session, &statement, heap);
                }
                (heap, iceberg) if fail_alone.contains(&session) => {
                    unserializable.push((session, heap, iceberg));
                }
                (heap, iceberg)
                    if self.waits_on_heap_alone(session, &statement, heap, iceberg)? =>
                {
                    self.note(session, "would have waited on heap alone");
                    self.counts.heap_waits += 1;
                    self.break_off(session, heap, iceberg)?;
                    broken_off.push(session);
                }
                _ => bail!(
                    "session {session} differs in: {}\nheap: {theirs:?}\niceberg: {ours:?}",
                    statement.sql
                ),
            }
        }
        for (session, heap, iceberg) in unserializable {
            self.end_unserializable(session, heap, iceberg)?;
        }
        for session in broken_off {
            self.give(session, Statement::rollback())?;
        }
        Ok(())
    }

    /// A statement has ended so, on both sides.
    fn end(&mut self, session: usize, statement: &Statement, outcome: &Outcome) {
        if std::mem::take(&mut self.sessions[session].is_noted) {
            self.note(session, "goes on");
        }
        let failed = outcome.sqlstate();
        if let Some(sqlstate) = failed {
            self.counts.errors += 1;
            self.note(session, &format!("failed: {sqlstate}"));
            self.forget_prepared(Some(statement));
        }
        let is_rolled_back = failed.is_some()
            || matches!(outcome, Outcome::Done { tag, .. } if tag == "ROLLBACK")
                && statement.ends_block();
        if is_rolled_back && self.sessions[session].state.block == Some(SERIALIZABLE) {
            for session in &mut self.sessions {
                session.outlived_another = true;
            }
        }
        let session = &mut self.sessions[session];
        session.waiting = None;
        session.state.after(statement, failed.is_none());
        if session.state.block.is_none() {
            session.outlived_another = false;
        }
    }

    /// A transaction that was not prepared cannot be committed later.
    fn forget_prepared(&mut self, statement: Option<&Statement>) {
        let name =
            statement.and_then(|statement| statement.sql.strip_prefix("PREPARE TRANSACTION "));
        if let Some(name) = name {
            let name = name.trim_matches('\'');
            self.generator.prepared.retain(|known| known != name);
        }
    }

    /// Ends every transaction, whatever becomes of it.
    fn abandon(&mut self) -> Result<()> {
        for side in [&mut self.heap, &mut self.iceberg] {
            side.end_all()?;
        }
        Ok(())
    }

    /// Ends every transaction.
    fn finish(&mut self) -> Result<()> {
        for session in 0..SESSIONS {
            if self.sessions[session].waiting.is_some() {
                self.cancel(session)?;
            }
            if self.sessions[session].state.block.is_some() {
                self.note(session, "ROLLBACK");
                self.give(session, Statement::rollback())?;
            }
        }
        for name in std::mem::take(&mut self.generator.prepared) {
            let sql = format!("ROLLBACK PREPARED '{name}'");
            let (heap, iceberg) = (self.heap.query(&sql)?, self.iceberg.query(&sql)?);
            if !heap.agrees_with(&iceberg) {
                bail!("differs in: {sql}\nheap: {heap:?}\niceberg: {iceberg:?}");
            }
        }
        Ok(())
    }

    /// Compares the committed rows of all tables.
    fn compare_tables(&mut self) -> Result<()> {
        for table in TABLES.iter().chain(&["h"]) {
            // A table that is locked is compared next time.
            let sql = format!("SET lock_timeout = '1ms'; SELECT * FROM {table}");
            let (heap, iceberg) = (self.heap.query(&sql)?, self.iceberg.query(&sql)?);
            if !heap.agrees_with(&iceberg) {
                bail!("table {table} differs\nheap: {heap:?}\niceberg: {iceberg:?}");
            }
        }
        Ok(())
    }

    fn indexes(&self, wanted: impl Fn(&Session) -> bool) -> Vec<usize> {
        (0..SESSIONS)
            .filter(|&index| wanted(&self.sessions[index]))
            .collect()
    }

    fn note(&mut self, session: usize, what: &str) {
        if self.shown.len() == SHOWN {
            self.shown.pop_front();
        }
        self.shown
            .push_back(format!("{:6} s{session}: {what}", self.counts.statements));
    }
}
