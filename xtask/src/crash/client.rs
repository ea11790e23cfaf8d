//! A client: carries out its plan, transaction by transaction, and writes down in its ledger what
//! was sent and what was answered.

use super::ledger::Ledger;
use super::load::Signals;
use super::points::{self, Hits};
use super::random::Random;
use super::transaction::{self, Afterwards, Ending, Statement, Targets, Transaction, Work};
use crate::cluster::Connection;
use crate::wire::{ServerError, Session, is_time_out};
use anyhow::{Context, Error, Result, bail};
use std::time::Duration;

/// Begins the application name of every client's session.
pub const APPLICATION: &str = "crash-client";
/// No answer for so long is a hang.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// A client leaves no more prepared transactions than this.
const PREPARED_MAX: usize = 3;
/// Deadlocks, lock time-outs and serialisation failures: what concurrent clients have to expect.
pub const EXPECTED: [&str; 3] = ["40P01", "55P03", "40001"];

#[derive(Clone, Copy, Debug, Default)]
pub struct Counts {
    pub committed: u64,
    pub rolled_back: u64,
    pub prepared: u64,
    /// Ended by an error that was to be expected.
    pub failed: u64,
}

pub struct Client {
    pub number: usize,
    pub ledger: Ledger,
    pub counts: Counts,
    seed: u64,
}

/// How an attempt ended.
enum Outcome {
    Done,
    /// The server refused, and nothing was changed.
    Refused,
    /// The server is gone.
    Lost,
}

/// A session with what judging its errors needs.
struct Server<'a> {
    session: Session,
    signals: &'a Signals,
    hits: &'a Hits,
}

impl Client {
    pub fn new(number: usize, seed: u64) -> Self {
        Self {
            number,
            ledger: Ledger::default(),
            counts: Counts::default(),
            seed,
        }
    }

    /// Begins the names of this client's prepared transactions.
    pub fn gid_prefix(&self) -> String {
        format!("crash-{}-", self.number)
    }

    /// Works until told to stop, or until the server is gone, which is an error unless it is about
    /// to be brought down.
    pub fn work(
        &mut self,
        iteration: u64,
        connection: &Connection,
        targets: &Targets,
        signals: &Signals,
        hits: &Hits,
    ) -> Result<()> {
        let mut random = Random::for_part(self.seed, &[1, iteration, self.number as u64]);
        // Some leave their files to the publisher, others wait for one another.
        let interval = if random.chance(50) { 100 } else { 0 };
        let session = match self.open(connection, interval) {
            Ok(session) => session,
            Err(_) if signals.is_breaking() => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut server = Server {
            session,
            signals,
            hits,
        };
        while !signals.is_stopped() {
            let outcome = if random.chance(15) {
                self.resolve_one(&mut random, &mut server)
            } else {
                match transaction::next(&mut random, targets) {
                    Work::Transaction(transaction) => self.transact(&transaction, &mut server),
                    Work::Rewrite(table) => server.run(&format!("VACUUM FULL {table}")),
                }
            };
            let outcome = outcome.with_context(|| format!("client {}", self.number))?;
            if let Outcome::Lost = outcome {
                break;
            }
        }
        Ok(())
    }

    fn open(&self, connection: &Connection, publish_interval: u32) -> Result<Session> {
        let mut session = Session::open(connection)?;
        session.set_time_limit(TIME_LIMIT)?;
        session.query(&format!(
            "SET application_name = '{APPLICATION}-{}'; SET lock_timeout = '300ms'; \
             SET pg_iceberg_am.publish_interval = {publish_interval}; \
             SET pg_iceberg_am.claim_rows_after = {}",
            self.number,
            // Some note rows one by one, others by sets.
            if self.number.is_multiple_of(2) {
                0
            } else {
                256
            },
        ))?;
        Ok(session)
    }

    fn transact(&mut self, transaction: &Transaction, server: &mut Server) -> Result<Outcome> {
        let sequence = self.ledger.begin();
        let client = self.number;
        let mut statements = vec![Statement::Sql(transaction.isolation.begin().to_owned())];
        for step in &transaction.steps {
            statements.extend(step.statements(transaction.isolation));
        }
        statements.push(Statement::Sql(format!(
            "INSERT INTO acks VALUES ({client}, {sequence})"
        )));
        for statement in &statements {
            let outcome = match statement {
                Statement::Sql(sql) => server.run(sql)?,
                Statement::Copy { sql, data } => server.copy(sql, data)?,
            };
            match outcome {
                Outcome::Done => {}
                Outcome::Refused => {
                    self.counts.failed += 1;
                    return server.run("ROLLBACK");
                }
                Outcome::Lost => return Ok(Outcome::Lost),
            }
        }
        match transaction.ending {
            Ending::Commit => self.commit(sequence, server),
            Ending::Rollback => {
                self.counts.rolled_back += 1;
                server.run("ROLLBACK")
            }
            Ending::Prepare(afterwards) => self.prepare(sequence, transaction, afterwards, server),
        }
    }

    fn commit(&mut self, sequence: i64, server: &mut Server) -> Result<Outcome> {
        self.ledger.committing(sequence);
        let outcome = server.run("COMMIT")?;
        match &outcome {
            Outcome::Done => {
                self.ledger.committed(sequence);
                self.counts.committed += 1;
            }
            Outcome::Refused => {
                self.ledger.not_committed(sequence);
                self.counts.failed += 1;
            }
            Outcome::Lost => {}
        }
        Ok(outcome)
    }

    fn prepare(
        &mut self,
        sequence: i64,
        transaction: &Transaction,
        afterwards: Afterwards,
        server: &mut Server,
    ) -> Result<Outcome> {
        let gid = format!("{}{sequence}", self.gid_prefix());
        self.ledger
            .preparing(&gid, sequence, transaction.is_exclusive());
        match server.run(&format!("PREPARE TRANSACTION '{gid}'"))? {
            Outcome::Lost => return Ok(Outcome::Lost),
            Outcome::Refused => {
                self.ledger.not_prepared(&gid);
                self.counts.failed += 1;
                // The refusal has ended the transaction; this makes sure of it.
                return server.run("ROLLBACK");
            }
            Outcome::Done => {}
        }
        self.ledger.is_prepared(&gid);
        self.counts.prepared += 1;
        let crowded = self.ledger.pending().count() > PREPARED_MAX;
        match afterwards {
            Afterwards::Leave if !crowded => Ok(Outcome::Done),
            Afterwards::Rollback => self.resolve(&gid, false, server),
            Afterwards::Commit | Afterwards::Leave => self.resolve(&gid, true, server),
        }
    }

    /// Commits or rolls back one of the transactions left prepared.
    fn resolve_one(&mut self, random: &mut Random, server: &mut Server) -> Result<Outcome> {
        let gids: Vec<String> = self
            .ledger
            .pending()
            .map(|(gid, _)| gid.to_owned())
            .collect();
        let commit = random.chance(60);
        match random.pick(&gids) {
            Some(gid) => self.resolve(gid, commit, server),
            None => Ok(Outcome::Done),
        }
    }

    fn resolve(&mut self, gid: &str, commit: bool, server: &mut Server) -> Result<Outcome> {
        let verb = if commit { "COMMIT" } else { "ROLLBACK" };
        self.ledger.resolving(gid, commit);
        let outcome = server.run(&format!("{verb} PREPARED '{gid}'"))?;
        match &outcome {
            Outcome::Done => {
                self.ledger.resolved(gid, commit);
                if commit {
                    self.counts.committed += 1;
                } else {
                    self.counts.rolled_back += 1;
                }
            }
            Outcome::Refused => {
                self.ledger.is_prepared(gid);
                self.counts.failed += 1;
            }
            Outcome::Lost => {}
        }
        Ok(outcome)
    }
}

impl Server<'_> {
    fn run(&mut self, sql: &str) -> Result<Outcome> {
        let result = self.session.query(sql).map(drop);
        self.judge(result)
    }

    fn copy(&mut self, sql: &str, data: &str) -> Result<Outcome> {
        let result = self.session.copy_in(sql, data.as_bytes()).map(drop);
        self.judge(result)
    }

    /// An error that was not to be expected is the run's failure.
    fn judge(&mut self, result: Result<()>) -> Result<Outcome> {
        for notice in self.session.take_notices() {
            self.hits.count_message(&notice);
        }
        let Err(error) = result else {
            return Ok(Outcome::Done);
        };
        let Some(answer) = error.downcast_ref::<ServerError>() else {
            return self.lost(error);
        };
        if answer.is_fatal() {
            return self.lost(error);
        }
        let state = answer.state.as_str();
        if points::is_injected(&answer.message) {
            self.hits.count_message(&answer.message);
            return Ok(Outcome::Refused);
        }
        let disk_full = ["53", "58"].iter().any(|class| state.starts_with(class));
        if EXPECTED.contains(&state) || (disk_full && self.signals.is_disk_full()) {
            return Ok(Outcome::Refused);
        }
        Err(error)
    }

    fn lost(&self, error: Error) -> Result<Outcome> {
        if is_time_out(&error) {
            bail!(error.context(format!(
                "no answer within {} s: the server hangs",
                TIME_LIMIT.as_secs()
            )));
        }
        if self.signals.is_breaking() {
            return Ok(Outcome::Lost);
        }
        Err(error.context("the server went down, and nobody had brought it down"))
    }
}
