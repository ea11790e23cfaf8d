//! Prepared transactions that are left when the server has come back: each has to be there if it was
//! acknowledged, and is resolved one way or the other.

use super::client::{Client, EXPECTED};
use super::primary::Primary;
use super::random::Random;
use super::tables::mirror;
use crate::wire::{ServerError, Session};
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Which of the prepared transactions are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those that lock readers out, and would keep tables from being compared.
    Exclusive,
}

/// The name of the harness's own prepared transaction.
const OWN: &str = "crash-own";

/// Prepares an insert into a table and its mirror, so that every fault finds one. `false` if somebody has locked the
/// tables.
pub fn prepare_own(primary: &Primary, table: &str) -> Result<bool> {
    let mut session = Session::open(&primary.connection)?;
    session.query("SET lock_timeout = '300ms'")?;
    let inserts = [table, &mirror(table)]
        .map(|table| format!("INSERT INTO {table} VALUES (0, 0, 'prepared')"));
    for statement in ["BEGIN", &inserts[0], &inserts[1]] {
        let Err(error) = session.query(statement) else {
            continue;
        };
        let answer = error.downcast_ref::<ServerError>();
        if answer.is_some_and(|answer| EXPECTED.contains(&answer.state.as_str())) {
            return Ok(false);
        }
        return Err(error);
    }
    session.query(&format!("PREPARE TRANSACTION '{OWN}'"))?;
    Ok(true)
}

/// Commits what [`prepare_own`] has prepared.
pub fn commit_own(primary: &Primary) -> Result<()> {
    primary
        .execute_alone(&format!("COMMIT PREPARED '{OWN}'"))
        .context("the harness's own prepared transaction cannot be committed")
}

/// Settles every client's doubts about what it prepared.
pub fn settle(primary: &Primary, clients: &mut [Client]) -> Result<()> {
    for client in clients {
        let present = primary.prepared(&client.gid_prefix())?;
        client.ledger.settle_prepared(&present)?;
    }
    Ok(())
}

/// Commits or rolls back, at random. Returns how many.
pub fn resolve(
    primary: &Primary,
    clients: &mut [Client],
    which: Which,
    random: &mut Random,
) -> Result<u64> {
    let mut resolved = 0;
    for client in clients {
        let gids: Vec<String> = client
            .ledger
            .pending()
            .filter(|(_, prepared)| which == Which::All || prepared.exclusive)
            .map(|(gid, _)| gid.to_owned())
            .collect();
        for gid in gids {
            let commit = random.chance(60);
            let verb = if commit { "COMMIT" } else { "ROLLBACK" };
            primary
                .execute_alone(&format!("{verb} PREPARED '{gid}'"))
                .with_context(|| format!("prepared transaction {gid} cannot be resolved"))?;
            client.ledger.resolved(&gid, commit);
            resolved += 1;
        }
    }
    Ok(resolved)
}

/// Compares the table `acks` with what each client knows.
pub fn check_acknowledged(primary: &Primary, clients: &mut [Client]) -> Result<()> {
    let text = primary.query("SELECT client, seq FROM acks")?;
    let mut found: Vec<BTreeSet<i64>> = clients.iter().map(|_| BTreeSet::new()).collect();
    for line in text.lines() {
        let row = line.split_once('|').and_then(|(client, sequence)| {
            Some((client.parse::<usize>().ok()?, sequence.parse().ok()?))
        });
        let (client, sequence) = row.with_context(|| format!("psql printed {line}"))?;
        found
            .get_mut(client)
            .with_context(|| format!("acks has client {client}, whom nobody knows"))?
            .insert(sequence);
    }
    for (client, found) in clients.iter_mut().zip(&found) {
        client.ledger.check(client.number, found)?;
    }
    Ok(())
}
