//! Files that no table names: what a crash leaves behind has to be found and removed, and nothing else.

use crate::cluster::Connection;
use crate::psql;
use anyhow::{Context, Result, bail};

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

    /// Lists orphans, removes them, and lists them again: now there must be none.
    pub fn remove(&mut self, connection: &Connection) -> Result<()> {
        let listed = call(connection, true)?;
        let removed = call(connection, false)?;
        let left = call(connection, true)?;
        if let Some(path) = left.first() {
            bail!(
                "{} of {} orphans are still there after they were removed, such as {path}",
                left.len(),
                listed.len()
            );
        }
        // Nothing else happens meanwhile: what was listed is what was removed.
        if let Some(path) = listed.iter().find(|path| !removed.contains(path)) {
            bail!("{path} was listed as an orphan and not removed");
        }
        self.removed += removed.len() as u64;
        Ok(())
    }
}

fn call(connection: &Connection, dry_run: bool) -> Result<Vec<String>> {
    let text = psql::query(connection, &format!(
            "SELECT path FROM lakebase.remove_orphan_files(NULL, interval '0', {dry_run}) ORDER BY 1"
        ))
        .context("cannot look for orphans")?;
    Ok(text.lines().map(str::to_owned).collect())
}
