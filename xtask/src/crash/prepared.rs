//! Prepared transactions that are left when the server has come back: each has to be there if it was
//! acknowledged, and is resolved one way or the other.

use super::client::Client;
use super::primary::Primary;
use super::random::Random;
use anyhow::{Context, Result};
use std::collections::BTreeSet;

/// Which of the prepared transactions are resolved.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    All,
    /// Those that lock readers out, and would keep tables from being compared.
    Exclusive,
}

/// Settles every client's doubts about what it prepared.
pub fn settle(primary: &Primary, clients: &mut [Client]) -> Result<()> {
    let text = primary.query("SELECT gid FROM pg_prepared_xacts")?;
    for client in clients {
        let prefix = client.gid_prefix();
        let present: BTreeSet<String> = text
            .lines()
            .filter(|gid| gid.starts_with(&prefix))
            .map(str::to_owned)
            .collect();
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
