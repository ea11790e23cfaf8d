//! Who writes: sixteen sessions of small transactions, one of bulk loads, and one that does to a heap table what the
//! sixteen do.

use super::gate::Gate;
use super::tables::{EVENTS, FACTS, HEAP, TABLES};
use crate::cluster::Connection;
use crate::random::Random;
use crate::wire::Session;
use anyhow::{Context, Result};
use std::fmt::Write as _;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

pub const WRITERS: u64 = 16;
/// Begins the application name of the sessions that write to Iceberg tables.
pub const APPLICATION: &str = "soak-writer";
/// Rows of a bulk load, half of them counterparts.
const LOAD_ROWS: u64 = 50_000;
const LOAD_PAUSE: Duration = Duration::from_secs(5);
const HEAP_PAUSE: Duration = Duration::from_millis(50);
/// No answer for so long is a hang.
const TIME_LIMIT: Duration = Duration::from_secs(120);

/// What writers have done.
#[derive(Debug, Default)]
pub struct Written {
    /// Acknowledged rows of each table.
    pub rows: [AtomicU64; TABLES.len()],
    pub transactions: AtomicU64,
    /// The longest time, in microseconds, from sending a statement of a small transaction to its answer, and
    /// the same with the heap table.
    pub longest: AtomicU64,
    pub longest_heap: AtomicU64,
}

impl Written {
    pub fn add_rows(&self, table: usize, rows: u64) {
        if let Some(sum) = self.rows.get(table) {
            sum.fetch_add(rows, Ordering::Relaxed);
        }
    }
}

pub fn open(connection: &Connection, application: &str) -> Result<Session> {
    let mut session = Session::open(connection)?;
    session.set_time_limit(TIME_LIMIT)?;
    session.query(&format!("SET application_name = '{application}'"))?;
    Ok(session)
}

/// Two rows whose ids add up to zero.
pub fn insert(table: &str, id: u64) -> String {
    format!(
        "INSERT INTO {table} VALUES ({id}, {part}, 'note {id}'), (-{id}, {part}, NULL)",
        part = id % 100
    )
}

/// A session of small transactions.
pub fn write(number: u64, connection: &Connection, gate: &Gate, written: &Written) -> Result<()> {
    let mut random = Random::for_part(number, &[1]);
    let mut session = open(connection, &format!("{APPLICATION} {number}"))?;
    // Ids of different writers differ.
    let mut id = number << 40;
    while let Some(_pass) = gate.pass() {
        let index = if random.chance(90) { EVENTS } else { FACTS };
        let table = TABLES[index];
        let mut next = || {
            id += 1;
            insert(table, id)
        };
        let (statements, rows) = match random.between(1, 100) {
            1..=75 => (vec![next()], 2),
            76..=90 => (
                vec!["BEGIN".to_owned(), next(), next(), "COMMIT".to_owned()],
                4,
            ),
            91..=95 => (
                vec![
                    "BEGIN; SAVEPOINT s".to_owned(),
                    next(),
                    "ROLLBACK TO s".to_owned(),
                    next(),
                    "COMMIT".to_owned(),
                ],
                2,
            ),
            _ => (vec!["BEGIN".to_owned(), next(), "ROLLBACK".to_owned()], 0),
        };
        for statement in &statements {
            timed(&mut session, statement, &written.longest)?;
        }
        written.add_rows(index, rows);
        written.transactions.fetch_add(1, Ordering::Relaxed);
    }
    Ok(())
}

/// Runs a statement and remembers how long it took, if it is the longest so far.
fn timed(session: &mut Session, statement: &str, longest: &AtomicU64) -> Result<()> {
    let started = Instant::now();
    session.query(statement)?;
    let micros = u64::try_from(started.elapsed().as_micros()).unwrap_or(u64::MAX);
    longest.fetch_max(micros, Ordering::Relaxed);
    Ok(())
}

/// Bulk loads, by COPY and by INSERT in turn.
pub fn load(connection: &Connection, gate: &Gate, written: &Written) -> Result<()> {
    let mut session = open(connection, &format!("{APPLICATION} of bulk loads"))?;
    let table = TABLES[FACTS];
    let mut id = 1 << 60;
    for round in 0_u64.. {
        let Some(pass) = gate.pass() else { break };
        let first = id;
        id += LOAD_ROWS / 2;
        if round % 2 == 0 {
            let mut data = String::new();
            for id in first..id {
                let part = id % 100;
                let _ = write!(data, "{id}\t{part}\tloaded {id}\n-{id}\t{part}\t\\N\n");
            }
            session.copy_in(&format!("COPY {table} FROM STDIN"), data.as_bytes())
        } else {
            session.query(&format!(
                "INSERT INTO {table} SELECT sign * id, id % 100, 'loaded' FROM \
                 generate_series({first}, {}) id, (VALUES (1), (-1)) AS signs (sign)",
                id - 1
            ))
        }
        .context("in a bulk load")?;
        written.add_rows(FACTS, LOAD_ROWS);
        drop(pass);
        if !gate.sleep(LOAD_PAUSE) {
            break;
        }
    }
    Ok(())
}

/// Small transactions on the heap table, which wait for nothing but the machine.
pub fn write_heap(connection: &Connection, gate: &Gate, written: &Written) -> Result<()> {
    let mut session = open(connection, "soak-control")?;
    let mut id = 0;
    while let Some(pass) = gate.pass() {
        id += 1;
        timed(&mut session, &insert(HEAP, id), &written.longest_heap)?;
        drop(pass);
        gate.sleep(HEAP_PAUSE);
    }
    Ok(())
}
