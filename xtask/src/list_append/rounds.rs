//! A run: rounds in which sessions work until the server is killed, and the reading of everything at the end.

use super::client::{APPLICATION, Client, Shared};
use super::history::{Action, Fate, History, Outcome, Span, Statement, TABLES, Transaction};
use super::level::Level;
use super::plan::{self, Mixture};
use crate::cluster::processes;
use crate::crash::{Primary, Signals};
use crate::progress::Progress;
use crate::random::Random;
use crate::wire::Session;
use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use std::time::{Duration, Instant};

/// How long sessions work until the server is killed, in milliseconds.
const ROUND: (u64, u64) = (1_500, 7_000);
const POLL: Duration = Duration::from_millis(20);

pub struct Run<'a> {
    pub primary: &'a mut Primary,
    pub shared: Shared,
    pub clients: Vec<Client>,
    pub kills: u64,
    pub backends_killed: u64,
}

/// How the server is brought down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kill {
    /// The postmaster and all that it has started.
    Server,
    /// One session's backend, whereupon the postmaster restarts everything.
    Backend,
}

impl Run<'_> {
    /// Works for so long, and kills the server at the end of each round.
    pub fn work(&mut self, time: Duration) -> Result<()> {
        let started = Instant::now();
        let mut progress = Progress::start("Appending to lists");
        for round in 0.. {
            if started.elapsed() >= time {
                break;
            }
            let result = self.round(round, &mut progress);
            // Who lost his connection does not know why.
            let result = match (result, self.primary.log.check()) {
                (Err(error), Err(alarm)) => Err(error.context(alarm)),
                (result, checked) => result.and(checked),
            };
            if let Err(error) = result {
                progress.fail();
                return Err(error).with_context(|| format!("round {round}"));
            }
        }
        progress.finish();
        Ok(())
    }

    fn round(&mut self, round: u64, progress: &mut Progress) -> Result<()> {
        self.make_keys()?;
        let mut random = Random::for_part(self.shared.seed, &[2, round]);
        let mixture = Mixture::draw(&mut random);
        let kill = match random.chance(75) {
            true => Kill::Server,
            false => Kill::Backend,
        };
        let length = Duration::from_millis(random.between(ROUND.0, ROUND.1));
        let signals = Signals::default();
        let connection = self.primary.connection.clone();
        let (shared, primary) = (&self.shared, &*self.primary);
        let work = |client: &mut Client| {
            let result = client.work(round, mixture, &connection, &signals, shared);
            result.inspect_err(|_| signals.stop())
        };
        let work = &work;
        std::thread::scope(|scope| {
            let threads: Vec<_> = self
                .clients
                .iter_mut()
                .map(|client| scope.spawn(move || work(client)))
                .collect();
            let upkeep = scope.spawn(|| vacuum(primary, &signals, random.clone()));
            let began = Instant::now();
            while began.elapsed() < length && !signals.is_stopped() {
                std::thread::sleep(POLL);
                progress.tick(|| format!("round {round}"));
            }
            signals.set_breaking();
            let mut result = strike(primary, kill);
            signals.stop();
            for thread in threads.into_iter().chain([upkeep]) {
                let Ok(worked) = thread.join() else {
                    bail!("a thread has panicked");
                };
                result = result.and(worked);
            }
            result
        })?;
        match kill {
            Kill::Server => {
                self.kills += 1;
                self.primary.start()?;
            }
            Kill::Backend => {
                self.backends_killed += 1;
                self.primary.wait_restarted()?;
            }
        }
        self.settle_prepared()
    }

    /// Rows for the keys that sessions come to in a round.
    fn make_keys(&self) -> Result<()> {
        for (table, name) in TABLES.iter().enumerate() {
            let (from, to) = self.shared.keys.make(table);
            if from < to {
                self.primary.execute(&format!(
                    "INSERT INTO {name} SELECT g, '{{}}' FROM generate_series({from}, {to} - 1) g"
                ))?;
            }
        }
        Ok(())
    }

    fn settle_prepared(&mut self) -> Result<()> {
        for client in &mut self.clients {
            let present = self.primary.prepared(&client.gid_prefix())?;
            client.ledger.settle_prepared(&present)?;
            client.is_back(self.shared.clock.now());
        }
        Ok(())
    }

    /// Ends what is prepared, reads all lists, and returns the whole history.
    pub fn finish(mut self) -> Result<History> {
        let mut history = History::default();
        for mut client in std::mem::take(&mut self.clients) {
            let pending = client.ledger.pending();
            let gids: Vec<String> = pending.map(|(gid, _)| gid.to_owned()).collect();
            for gid in gids {
                client.ledger.resolving(&gid, true);
                let sent = self.shared.clock.now();
                self.primary
                    .execute_alone(&format!("COMMIT PREPARED '{gid}'"))?;
                let answered = Some(self.shared.clock.now());
                client.ledger.resolved(&gid, true);
                client.note_commit(&gid, Span { sent, answered });
            }
            client.settle();
            history.transactions.append(&mut client.transactions);
        }
        history.last = Some(history.transactions.len());
        history.transactions.push(self.read_all()?);
        Ok(history)
    }

    fn read_all(&self) -> Result<Transaction> {
        let keys = self.shared.keys.all();
        let sql = plan::select(&keys, "");
        let mut session = Session::open(&self.primary.connection)?;
        let sent = self.shared.clock.now();
        let (_, rows) = session.query_rows(&sql)?;
        let span = Span {
            sent,
            answered: Some(self.shared.clock.now()),
        };
        let rows = super::client::read_rows(&rows).context("the last lists cannot be read")?;
        Ok(Transaction {
            session: 0,
            level: Level::RepeatableRead,
            statements: vec![Statement {
                // All keys are of no interest.
                sql: "all lists, at the end".to_owned(),
                action: Action::Read { keys, locks: false },
                span,
                outcome: Outcome::Rows(rows),
            }],
            fate: Fate::Committed,
            commit: span,
            ending: "COMMIT".to_owned(),
        })
    }
}

fn strike(primary: &Primary, kill: Kill) -> Result<()> {
    if kill == Kill::Server {
        return primary.kill();
    }
    let pid = primary.query(&format!(
        "SELECT pid FROM pg_stat_activity WHERE application_name = '{APPLICATION}' \
         ORDER BY random() LIMIT 1"
    ))?;
    let pid = pid.parse().context("no session is connected")?;
    processes::send(pid, Signal::KILL)
}

/// Has small files merged all the time.
fn vacuum(primary: &Primary, signals: &Signals, mut random: Random) -> Result<()> {
    while !signals.is_stopped() {
        std::thread::sleep(Duration::from_millis(random.between(100, 1_000)));
        let table = random.pick(&TABLES).copied().unwrap_or(TABLES[0]);
        let result = primary.execute_alone(&format!("VACUUM {table}"));
        if result.is_err() && !signals.is_breaking() {
            return result.context("upkeep");
        }
    }
    Ok(())
}
