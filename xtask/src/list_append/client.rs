//! A session: carries out its plans, and writes down what it sent, what was answered, and when.

use super::history::{
    Action, Clock, Element, Fate, Key, Outcome, Row, Span, Statement, TABLES, Time, Transaction,
};
use super::keys::{Keys, Place};
use super::level::Level;
use super::plan::{self, Afterwards, Ending, Mixture, Plan, Step, Way};
use crate::cluster::Connection;
use crate::crash::{self, EXPECTED, Ledger, Signals};
use crate::random::Random;
use crate::wire::{ServerError, Session, is_time_out};
use anyhow::{Context, Result, bail};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

/// The application name of every session.
pub const APPLICATION: &str = "list-append";
/// No answer for so long is a hang.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// A session leaves no more prepared transactions than this, which others wait for.
const PREPARED_MAX: usize = 1;

/// What all sessions of a run share.
pub struct Shared {
    pub clock: Clock,
    pub keys: Keys,
    pub elements: AtomicU32,
    /// No transaction is run at a higher level, whatever it is held to.
    pub at_most: Option<Level>,
    pub seed: u64,
}

pub struct Client {
    pub number: usize,
    pub transactions: Vec<Transaction>,
    /// Knows a transaction by its place, counted from 1.
    pub ledger: Ledger,
}

/// How an attempt ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Done,
    /// The server refused, as it may.
    Refused,
    /// The server is gone.
    Lost,
}

/// What came back.
enum Answer {
    Rows(Vec<Vec<Option<String>>>),
    Refused(String),
    Lost,
}

impl Answer {
    fn state(&self) -> State {
        match self {
            Self::Rows(_) => State::Done,
            Self::Refused(_) => State::Refused,
            Self::Lost => State::Lost,
        }
    }
}

struct Server<'a> {
    session: Session,
    signals: &'a Signals,
    shared: &'a Shared,
}

impl Client {
    pub fn new(number: usize) -> Self {
        Self {
            number,
            transactions: Vec::new(),
            ledger: Ledger::default(),
        }
    }

    /// Begins the names of this session's prepared transactions.
    pub fn gid_prefix(&self) -> String {
        format!("list-append-{}-", self.number)
    }

    /// Works until told to stop, or until the server is gone, which is an error unless it is about to be killed.
    pub fn work(
        &mut self,
        round: u64,
        mixture: Mixture,
        connection: &Connection,
        signals: &Signals,
        shared: &Shared,
    ) -> Result<()> {
        let mut random = Random::for_part(shared.seed, &[1, round, self.number as u64]);
        let interval = random.pick(&[0, 20, 100, 1000]).copied().unwrap_or(100);
        let session = match Session::open(connection) {
            Ok(session) => session,
            Err(_) if signals.is_breaking() => return Ok(()),
            Err(error) => return Err(error),
        };
        session.set_time_limit(TIME_LIMIT)?;
        let mut server = Server {
            session,
            signals,
            shared,
        };
        let settings = format!(
            "SET application_name = '{APPLICATION}'; SET lock_timeout = '150ms'; \
             SET pg_iceberg_am.publish_interval = {interval}; SET pg_iceberg_am.claim_rows_after = {}",
            // Some claim rows in shared memory, others note them one by one.
            if self.number.is_multiple_of(2) {
                256
            } else {
                0
            },
        );
        let mut state = server.run(&settings)?.state();
        while state != State::Lost && !signals.is_stopped() {
            state = if self.ledger.pending().next().is_some() && random.chance(40) {
                self.resolve_one(&mut random, &mut server)
            } else {
                self.transact(&Plan::draw(&mut random, mixture), &mut server)
            }
            .with_context(|| format!("session {}", self.number))?;
        }
        Ok(())
    }

    /// What is known of transactions once the server is back and no prepared one is left.
    pub fn settle(&mut self) {
        for (sequence, transaction) in (1..).zip(&mut self.transactions) {
            transaction.fate = match self.ledger.ending(sequence) {
                crash::Ending::Committed => Fate::Committed,
                crash::Ending::InDoubt => Fate::Unknown,
                crash::Ending::NotCommitted => Fate::Aborted,
            };
        }
    }

    /// A commit that was not answered happened before the server was back, if it did.
    pub fn is_back(&mut self, at: Time) {
        for transaction in &mut self.transactions {
            let commit = &mut transaction.commit;
            if commit.sent > 0 && commit.answered.is_none() {
                commit.answered = Some(at);
            }
        }
    }

    /// Notes when a prepared transaction is committed.
    pub fn note_commit(&mut self, gid: &str, span: Span) {
        let number = gid.strip_prefix(&self.gid_prefix());
        let place = number.and_then(|number| number.parse::<usize>().ok()?.checked_sub(1));
        if let Some(transaction) = place.and_then(|place| self.transactions.get_mut(place)) {
            transaction.commit = span;
        }
    }

    fn transact(&mut self, plan: &Plan, server: &mut Server<'_>) -> Result<State> {
        let sequence = self.ledger.begin();
        self.transactions.push(Transaction {
            session: self.number,
            level: plan.level,
            statements: Vec::new(),
            fate: Fate::Unknown,
            commit: Span::default(),
            ending: "ROLLBACK".to_owned(),
        });
        let at_most = server.shared.at_most;
        let level = at_most.map_or(plan.level, |most| most.min(plan.level));
        let read_only = if plan.read_only { " READ ONLY" } else { "" };
        let mut state = server
            .run(&format!("BEGIN ISOLATION LEVEL {level}{read_only}"))?
            .state();
        if state == State::Done {
            state = self.steps(&plan.steps, server)?;
        }
        match (state, plan.ending) {
            (State::Done, Ending::Commit) => self.commit(sequence, server),
            (State::Done, Ending::Prepare(afterwards)) => {
                self.prepare(sequence, afterwards, server)
            }
            (State::Done, Ending::RollBack) | (State::Refused, _) => {
                Ok(server.run("ROLLBACK")?.state())
            }
            (State::Lost, _) => Ok(State::Lost),
        }
    }

    fn steps(&mut self, steps: &[Step], server: &mut Server<'_>) -> Result<State> {
        for step in steps {
            let state = match step {
                Step::Pause(milliseconds) => {
                    std::thread::sleep(Duration::from_millis(*milliseconds));
                    State::Done
                }
                Step::Read { places, lock } => {
                    let keys = server.shared.keys.at(places);
                    let sql = plan::select(&keys, lock);
                    let locks = !lock.is_empty();
                    self.run(sql, Action::Read { keys, locks }, server)?
                }
                Step::Append {
                    places,
                    way,
                    returning,
                } => {
                    let appends = server.elements(places);
                    let moves = appends.iter().all(|(key, _)| key.moves());
                    let way = match way {
                        Way::Move if !moves => Way::Update,
                        way => *way,
                    };
                    let sql = plan::append_sql(&appends, way, *returning);
                    self.run(sql, Action::Append(appends), server)?
                }
                Step::Savepoint { steps, keep } => self.savepoint(steps, *keep, server)?,
            };
            if state != State::Done {
                return Ok(state);
            }
        }
        Ok(State::Done)
    }

    /// What is to be rolled back may fail as well.
    fn savepoint(&mut self, steps: &[Step], keep: bool, server: &mut Server<'_>) -> Result<State> {
        let mut state = self.run("SAVEPOINT s".to_owned(), Action::Savepoint, server)?;
        if state == State::Done {
            state = self.steps(steps, server)?;
        }
        match (state, keep) {
            (State::Done, true) => {
                self.run("RELEASE SAVEPOINT s".to_owned(), Action::Release, server)
            }
            (State::Done | State::Refused, false) => {
                let sql = "ROLLBACK TO SAVEPOINT s; RELEASE SAVEPOINT s".to_owned();
                self.run(sql, Action::RollBack, server)
            }
            _ => Ok(state),
        }
    }

    fn run(&mut self, sql: String, action: Action, server: &mut Server<'_>) -> Result<State> {
        let mut span = server.begin();
        let answer = server.run(&sql)?;
        let state = answer.state();
        let outcome = match answer {
            // What manages savepoints returns nothing.
            Answer::Rows(rows) => Outcome::Rows(
                read_rows(&rows).with_context(|| format!("no rows of lists came, in: {sql}"))?,
            ),
            Answer::Refused(state) => Outcome::Failed(state),
            Answer::Lost => Outcome::Lost,
        };
        if state != State::Lost {
            server.end(&mut span);
        }
        if let Some(transaction) = self.transactions.last_mut() {
            transaction.statements.push(Statement {
                sql,
                action,
                span,
                outcome,
            });
        }
        Ok(state)
    }

    fn commit(&mut self, sequence: i64, server: &mut Server<'_>) -> Result<State> {
        self.ledger.committing(sequence);
        let mut span = server.begin();
        let state = server.run("COMMIT")?.state();
        match state {
            State::Done => {
                server.end(&mut span);
                self.ledger.committed(sequence);
            }
            State::Refused => self.ledger.not_committed(sequence),
            State::Lost => {}
        }
        if let Some(transaction) = self.transactions.last_mut() {
            transaction.commit = span;
            "COMMIT".clone_into(&mut transaction.ending);
        }
        Ok(state)
    }

    fn prepare(
        &mut self,
        sequence: i64,
        afterwards: Afterwards,
        server: &mut Server<'_>,
    ) -> Result<State> {
        let gid = format!("{}{sequence}", self.gid_prefix());
        self.ledger.preparing(&gid, sequence, false);
        if let Some(transaction) = self.transactions.last_mut() {
            transaction.ending = format!("prepared as {gid}");
        }
        match server.run(&format!("PREPARE TRANSACTION '{gid}'"))?.state() {
            State::Lost => return Ok(State::Lost),
            State::Refused => {
                self.ledger.not_prepared(&gid);
                return Ok(server.run("ROLLBACK")?.state());
            }
            State::Done => self.ledger.is_prepared(&gid),
        }
        let crowded = self.ledger.pending().count() > PREPARED_MAX;
        match afterwards {
            Afterwards::Leave if !crowded => Ok(State::Done),
            Afterwards::RollBack => self.resolve(&gid, false, server),
            Afterwards::Commit | Afterwards::Leave => self.resolve(&gid, true, server),
        }
    }

    /// Commits or rolls back one of the transactions left prepared.
    fn resolve_one(&mut self, random: &mut Random, server: &mut Server<'_>) -> Result<State> {
        let pending = self.ledger.pending();
        let gids: Vec<String> = pending.map(|(gid, _)| gid.to_owned()).collect();
        let commit = random.chance(70);
        match random.pick(&gids) {
            Some(gid) => self.resolve(gid, commit, server),
            None => Ok(State::Done),
        }
    }

    fn resolve(&mut self, gid: &str, commit: bool, server: &mut Server<'_>) -> Result<State> {
        let verb = if commit { "COMMIT" } else { "ROLLBACK" };
        self.ledger.resolving(gid, commit);
        let mut span = server.begin();
        let state = server.run(&format!("{verb} PREPARED '{gid}'"))?.state();
        match state {
            State::Done => {
                server.end(&mut span);
                self.ledger.resolved(gid, commit);
            }
            State::Refused => self.ledger.is_prepared(gid),
            State::Lost => {}
        }
        if commit && state != State::Refused {
            self.note_commit(gid, span);
        }
        Ok(state)
    }
}

impl Server<'_> {
    fn begin(&self) -> Span {
        Span {
            sent: self.shared.clock.now(),
            answered: None,
        }
    }

    fn end(&self, span: &mut Span) {
        span.answered = Some(self.shared.clock.now());
    }

    /// New elements for keys in use.
    fn elements(&self, places: &[Place]) -> Vec<(Key, Element)> {
        let elements = &self.shared.elements;
        let keys = self.shared.keys.append(places);
        keys.into_iter()
            .map(|key| (key, elements.fetch_add(1, Ordering::SeqCst)))
            .collect()
    }

    /// An error that was not to be expected is the run's failure.
    fn run(&mut self, sql: &str) -> Result<Answer> {
        let error = match self.session.query_rows(sql) {
            Ok((_, rows)) => return Ok(Answer::Rows(rows)),
            Err(error) => error,
        };
        match error.downcast_ref::<ServerError>() {
            Some(answer) if EXPECTED.contains(&answer.state.as_str()) && !answer.is_fatal() => {
                return Ok(Answer::Refused(answer.state.clone()));
            }
            Some(answer) if !answer.is_fatal() => return Err(error),
            _ => {}
        }
        if is_time_out(&error) {
            let seconds = TIME_LIMIT.as_secs();
            bail!(error.context(format!("no answer within {seconds} s: the server hangs")));
        }
        if self.signals.is_breaking() {
            return Ok(Answer::Lost);
        }
        Err(error.context("the server went down, and nobody had brought it down"))
    }
}

/// Rows of the columns table, key and list.
pub fn read_rows(rows: &[Vec<Option<String>>]) -> Option<Vec<Row>> {
    rows.iter().map(|row| read_row(row)).collect()
}

fn read_row(columns: &[Option<String>]) -> Option<Row> {
    let [Some(table), Some(number), list] = columns else {
        return None;
    };
    let key = Key {
        table: TABLES.iter().position(|name| name == table)?,
        number: number.parse().ok()?,
    };
    let list = match list {
        Some(text) => Some(read_list(text)?),
        None => None,
    };
    Some(Row { key, list })
}

/// An array of numbers, as PostgreSQL prints it.
fn read_list(text: &str) -> Option<Vec<Element>> {
    let elements = text.strip_prefix('{')?.strip_suffix('}')?;
    elements
        .split(',')
        .filter(|element| !element.is_empty())
        .map(|element| element.parse().ok())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_lists_are_read_and_nothing_else() {
        let text = |text: &str| Some(text.to_owned());
        let key = Key {
            table: 1,
            number: 7,
        };
        let row = |list| Some(Row { key, list });
        let read = |list| read_row(&[text("b"), text("7"), list]);
        assert_eq!(read(text("{1,23}")), row(Some(vec![1, 23])));
        assert_eq!(read(text("{}")), row(Some(vec![])));
        assert_eq!(read(None), row(None));
        assert_eq!(read(text("{1,NULL}")), None);
        assert_eq!(read_row(&[text("c"), text("7"), None]), None);
    }
}
