//! Files that no table names: what a crash leaves behind has to be found and removed, and nothing else.

use crate::cluster::Connection;
use crate::psql;
use anyhow::{Context, Result, bail};
use std::time::{Duration, Instant};

/// How long a table may be in the way.
const PATIENCE: Duration = Duration::from_secs(60);

/// Removing orphans.
#[derive(Debug, Default)]
pub struct Orphans {
    removed: u64,
}

impl Orphans {
    /// How many were removed.
    pub fn removed(&self) -> u64 {
        self.removed
    }

    /// Removes orphans of the tables that nobody holds: prepared transactions do hold some.
    pub fn remove_some(&mut self, connection: &Connection) -> Result<()> {
        self.removed += call(connection, false)?.len() as u64;
        Ok(())
    }

    /// Lists orphans, removes them, and lists them again: now there must be none.
    pub fn remove(&mut self, connection: &Connection) -> Result<()> {
        wait_for_publisher(connection)?;
        let listed = call(connection, true)?;
        let mut removed = call(connection, false)?;
        // A table that autovacuum has in hand is left out, with a notice.
        let started = Instant::now();
        let left = loop {
            let left = call(connection, true)?;
            if left.is_empty() || started.elapsed() > PATIENCE {
                break left;
            }
            removed.extend(call(connection, false)?);
        };
        if let Some(path) = left.first() {
            bail!("orphans are still there after they were removed, such as {path}");
        }
        // What was listed is what was removed, unless a publisher came first.
        for path in listed.iter().filter(|path| !removed.contains(path)) {
            let is_there = format!("SELECT pg_stat_file('{path}', true) IS NOT NULL");
            if psql::query(connection, &is_there)? == "t" {
                bail!("{path} was listed as an orphan and not removed");
            }
        }
        self.removed += removed.len() as u64;
        Ok(())
    }
}

/// Waits until the publisher has removed what committed transactions have dropped, which would be among the orphans.
fn wait_for_publisher(connection: &Connection) -> Result<()> {
    let started = Instant::now();
    while psql::query(connection, "SELECT count(*) FROM lakebase.garbage")? != "0" {
        if started.elapsed() > PATIENCE {
            bail!("what was dropped is not removed");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    Ok(())
}

fn call(connection: &Connection, dry_run: bool) -> Result<Vec<String>> {
    let text = psql::query(connection, &format!(
            "SELECT path FROM lakebase.remove_orphan_files(NULL, interval '0', {dry_run}) ORDER BY 1"
        ))
        .context("cannot look for orphans")?;
    Ok(text.lines().map(str::to_owned).collect())
}
