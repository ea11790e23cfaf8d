//! Who reads in PostgreSQL: sessions that hold a snapshot and a cursor for a while, and one on the standby.

use super::gate::Gate;
use super::tables::{EVENTS, TABLES};
use super::writers::open;
use crate::cluster::Connection;
use crate::wire::{ServerError, Session};
use anyhow::{Context, Result, bail};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

pub const READERS: u32 = 2;
const FETCHED: u64 = 1000;
const STANDBY_PAUSE: Duration = Duration::from_secs(1);
/// What a standby cancels a query with that is in the way of replay: 40001, or 57014 where it waits for a buffer.
const CONFLICTS: [&str; 2] = ["40001", "57014"];

/// What readers have done.
#[derive(Debug, Default)]
pub struct Read {
    pub snapshots_held: AtomicU64,
    pub on_standby: AtomicU64,
    /// Queries that the standby cancelled, for being in the way of replay.
    pub cancelled: AtomicU64,
}

/// The rows of every table, once their ids have been found to add up to zero.
pub fn count(session: &mut Session) -> Result<[u64; TABLES.len()]> {
    let columns = TABLES.map(|table| {
        format!("(SELECT count(*) FROM {table}), (SELECT coalesce(sum(id), 0) FROM {table})")
    });
    let (_, rows) = session.query_rows(&format!("SELECT {}", columns.join(", ")))?;
    let mut values = rows.into_iter().flatten().flatten();
    let mut counts = [0; TABLES.len()];
    for (count, table) in counts.iter_mut().zip(TABLES) {
        *count = values.next().context("no count")?.parse()?;
        let sum = values.next().context("no sum")?;
        if sum != "0" {
            bail!(
                "the ids of {table}, of {count} rows, add up to {sum}: a part of a transaction is missing"
            );
        }
    }
    Ok(counts)
}

/// Holds snapshots, each for `hold`, under which nothing may change.
pub fn hold_snapshots(
    number: u32,
    connection: &Connection,
    hold: Duration,
    gate: &Gate,
    read: &Read,
) -> Result<()> {
    let mut session = open(connection, &format!("soak-reader {number}"))?;
    let events = TABLES[EVENTS];
    // So that one of them always holds a snapshot of some age.
    gate.sleep(hold * (number - 1) / READERS);
    while let Some(pass) = gate.pass() {
        session.query("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        let before = count(&mut session)?;
        session.query(&format!("DECLARE rows CURSOR FOR SELECT id FROM {events}"))?;
        let fetched = session.query(&format!("FETCH {FETCHED} FROM rows"))?.rows;
        drop(pass);
        let goes_on = gate.sleep(hold);
        let pass = if goes_on { gate.pass() } else { None };
        let after = count(&mut session)?;
        if after != before {
            bail!("a snapshot saw {before:?} rows of {TABLES:?}, and later {after:?}");
        }
        let tag = session.query("MOVE FORWARD ALL FROM rows")?.tag;
        let moved: u64 = tag
            .strip_prefix("MOVE ")
            .and_then(|number| number.parse().ok())
            .with_context(|| format!("the server answers {tag}"))?;
        if fetched + moved != before[EVENTS] {
            bail!(
                "a cursor found {fetched} and {moved} rows of {events}, which has {}",
                before[EVENTS]
            );
        }
        session.query("COMMIT")?;
        read.snapshots_held.fetch_add(1, Ordering::Relaxed);
        drop(pass);
    }
    Ok(())
}

/// Reads on the standby, where replay may cancel a query and nothing else goes wrong.
pub fn read_standby(connection: &Connection, gate: &Gate, read: &Read) -> Result<()> {
    let mut session = open(connection, "soak-standby-reader")?;
    while let Some(pass) = gate.pass() {
        match count(&mut session) {
            Ok(_) => read.on_standby.fetch_add(1, Ordering::Relaxed),
            Err(error) if is_conflict(&error) => {
                // The whole session may have been ended.
                session = open(connection, "soak-standby-reader")?;
                read.cancelled.fetch_add(1, Ordering::Relaxed)
            }
            Err(error) => return Err(error.context("on the standby")),
        };
        drop(pass);
        gate.sleep(STANDBY_PAUSE);
    }
    Ok(())
}

fn is_conflict(error: &anyhow::Error) -> bool {
    error.downcast_ref::<ServerError>().is_some_and(|error| {
        CONFLICTS.contains(&error.state.as_str())
            && error.message.contains("conflict with recovery")
    })
}
