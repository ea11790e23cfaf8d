//! One of the two databases: its sessions, each on a thread of its own, and who of them waits.

use super::statement::TABLES;
use crate::cluster::Connection;
use crate::wire::{Answer, Row, ServerError, Session};
use anyhow::{Context, Result, bail};
use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::{Duration, Instant};

/// How long a statement may neither end nor wait for a session.
const LIMIT: Duration = Duration::from_secs(60);
/// How soon it is looked whether a statement waits.
const POLL: Duration = Duration::from_millis(2);

/// What stands for the side's name in a statement.
pub const SIDE: &str = "@side";

/// How a statement ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    Done {
        tag: String,
        /// Sorted.
        rows: Vec<Row>,
    },
    Failed {
        sqlstate: String,
        message: String,
    },
}

impl Outcome {
    /// Whether both mean the same: messages may name different things.
    pub fn agrees_with(&self, other: &Self) -> bool {
        match (self, other) {
            (
                Self::Failed { sqlstate, .. },
                Self::Failed {
                    sqlstate: other, ..
                },
            ) => sqlstate == other,
            _ => self == other,
        }
    }

    pub fn sqlstate(&self) -> Option<&str> {
        match self {
            Self::Done { .. } => None,
            Self::Failed { sqlstate, .. } => Some(sqlstate),
        }
    }
}

/// How statements ended, by session.
pub type Outcomes = BTreeMap<usize, Outcome>;

/// One of the databases, with its sessions.
pub struct Side {
    pub name: &'static str,
    control: Session,
    sessions: Vec<Worker>,
    /// Outcomes that are to be told again.
    kept: Outcomes,
    /// The sessions' backends, as an array in SQL.
    backends: String,
}

struct Worker {
    backend: i32,
    statements: Sender<String>,
    outcomes: Receiver<Result<Outcome>>,
}

impl Side {
    /// Opens so many sessions, and one that looks who waits.
    pub fn open(name: &'static str, connection: &Connection, sessions: usize) -> Result<Self> {
        let control = Session::open(connection)?;
        let sessions = (0..sessions)
            .map(|_| Worker::start(connection))
            .collect::<Result<Vec<_>>>()?;
        let backends: Vec<String> = sessions
            .iter()
            .map(|worker| worker.backend.to_string())
            .collect();
        Ok(Self {
            name,
            control,
            kept: Outcomes::new(),
            backends: format!("ARRAY[{}]", backends.join(",")),
            sessions,
        })
    }

    /// Gives a statement to a session that has ended the one before.
    pub fn send(&self, session: usize, sql: &str) -> Result<()> {
        self.worker(session)?
            .statements
            .send(self.spell(sql))
            .context("a session has ended")
    }

    /// Waits until of these sessions' statements each has ended or waits for another session, and returns
    /// the outcomes of those that have ended.
    ///
    /// A session that waits for one that is still at work is not looked at alone: the other may be about to
    /// let it go on. Nothing moves only when nobody is at work.
    pub fn settle(&mut self, sessions: &[usize]) -> Result<Outcomes> {
        let started = Instant::now();
        let (mut outcomes, kept) = std::mem::take(&mut self.kept)
            .into_iter()
            .partition::<Outcomes, _>(|(session, _)| sessions.contains(session));
        self.kept = kept;
        loop {
            let mut at_work = false;
            for &session in sessions {
                if outcomes.contains_key(&session) {
                    continue;
                }
                let worker = self.worker(session)?;
                let backend = worker.backend;
                match worker.outcomes.recv_timeout(POLL) {
                    Ok(outcome) => {
                        outcomes.insert(session, outcome?);
                        at_work = true;
                    }
                    Err(RecvTimeoutError::Disconnected) => bail!("a session has ended"),
                    Err(RecvTimeoutError::Timeout) => at_work |= !self.is_blocked(backend)?,
                }
            }
            if !at_work {
                return Ok(outcomes);
            }
            if started.elapsed() > LIMIT {
                bail!(
                    "a statement neither ends nor waits for another session on {}",
                    self.name
                );
            }
        }
    }

    /// Has an outcome told again by what is asked for next.
    pub fn keep(&mut self, session: usize, outcome: Outcome) {
        self.kept.insert(session, outcome);
    }

    /// Waits until a session's statement has ended.
    pub fn wait_for_end(&mut self, session: usize) -> Result<Outcome> {
        if let Some(outcome) = self.kept.remove(&session) {
            return Ok(outcome);
        }
        self.worker(session)?
            .outcomes
            .recv_timeout(LIMIT)
            .with_context(|| format!("a statement that was cancelled goes on on {}", self.name))?
    }

    /// Cancels what a session waits for.
    pub fn cancel(&mut self, session: usize) -> Result<()> {
        let backend = self.worker(session)?.backend;
        self.control
            .query(&format!("SELECT pg_cancel_backend({backend})"))
            .map(drop)
    }

    /// Cancels what a session waits for, if it does, and adds what becomes of it and of those that waited for it.
    pub fn give_up(
        &mut self,
        session: usize,
        unfinished: &[usize],
        outcomes: &mut Outcomes,
    ) -> Result<()> {
        if outcomes.contains_key(&session) {
            return Ok(());
        }
        self.cancel(session)?;
        outcomes.insert(session, self.wait_for_end(session)?);
        let others: Vec<usize> = unfinished
            .iter()
            .copied()
            .filter(|other| !outcomes.contains_key(other))
            .collect();
        outcomes.extend(self.settle(&others)?);
        Ok(())
    }

    /// Runs a statement outside of all sessions.
    pub fn query(&mut self, sql: &str) -> Result<Outcome> {
        let sql = self.spell(sql);
        run(&mut self.control, &sql)
    }

    /// Ends all sessions, and rolls back what is prepared.
    pub fn end_all(&mut self) -> Result<()> {
        self.query(&format!(
            "SELECT pg_terminate_backend(pid, 60000) FROM unnest({}) pid",
            self.backends
        ))?;
        let sql = "SELECT gid FROM pg_prepared_xacts WHERE database = current_database()";
        if let Outcome::Done { rows, .. } = self.query(sql)? {
            for gid in rows.into_iter().flatten().flatten() {
                self.query(&format!("ROLLBACK PREPARED '{gid}'"))?;
            }
        }
        Ok(())
    }

    /// Whether any row of the tables under test, which are heap tables, is held by several, one of whom had updated it and was
    /// rolled back.
    pub fn is_updated_in_vain(&mut self) -> Result<bool> {
        let rows = TABLES.map(|table| format!("SELECT xmax FROM {table} WHERE xmax <> '0'"));
        let sql = format!(
            "SET lock_timeout = '1ms'; \
             CREATE OR REPLACE FUNCTION pg_temp.is_updated_in_vain() RETURNS bool LANGUAGE plpgsql AS $$ \
             DECLARE row record; \
             BEGIN \
                 FOR row IN {} LOOP \
                     BEGIN \
                         IF EXISTS (SELECT FROM pg_get_multixact_members(row.xmax) m WHERE m.mode IN ('nokeyupd', 'upd') \
                                    AND pg_xact_status(m.xid::text::xid8) = 'aborted') THEN \
                             RETURN true; \
                         END IF; \
                     EXCEPTION WHEN invalid_parameter_value OR internal_error THEN \
                         CONTINUE; \
                     END; \
                 END LOOP; \
                 RETURN false; \
             END $$; \
             SELECT pg_temp.is_updated_in_vain()",
            rows.join(" UNION ALL ")
        );
        match self.query(&sql)? {
            Outcome::Done { rows, .. } => Ok(rows == [[Some("t".to_owned())]]),
            Outcome::Failed { sqlstate, message } => bail!("{sqlstate}: {message}"),
        }
    }

    /// Names of prepared transactions are the cluster's, which both sides share.
    fn spell(&self, sql: &str) -> String {
        sql.replace(SIDE, self.name)
    }

    fn worker(&self, session: usize) -> Result<&Worker> {
        self.sessions
            .get(session)
            .context("there is no such session")
    }

    fn is_blocked(&mut self, backend: i32) -> Result<bool> {
        // A prepared transaction that blocks has no process: it is told as 0.
        let sql = format!(
            "SELECT pg_isolation_test_session_is_blocked({backend}, {}) \
                 OR 0 = ANY (pg_blocking_pids({backend}))",
            self.backends
        );
        Ok(self.control.query(&sql)?.first.as_deref() == Some("t"))
    }
}

impl Worker {
    fn start(connection: &Connection) -> Result<Self> {
        let mut session = Session::open(connection)?;
        let backend = session.backend();
        let (statements, to_run) = channel::<String>();
        let (ended, outcomes) = channel();
        std::thread::spawn(move || {
            for sql in to_run {
                if ended.send(run(&mut session, &sql)).is_err() {
                    break;
                }
            }
        });
        Ok(Self {
            backend,
            statements,
            outcomes,
        })
    }
}

/// Runs a statement; an error of the server's that leaves the session is an outcome.
fn run(session: &mut Session, sql: &str) -> Result<Outcome> {
    match session.query_rows(sql) {
        Ok((Answer { tag, .. }, mut rows)) => {
            rows.sort();
            Ok(Outcome::Done { tag, rows })
        }
        Err(error) => match error.downcast_ref::<ServerError>() {
            Some(failure) if !failure.is_fatal() => Ok(Outcome::Failed {
                sqlstate: failure.state.clone(),
                message: failure.message.clone(),
            }),
            _ => Err(error),
        },
    }
}
