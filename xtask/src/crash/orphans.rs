//! Files that no table names: what a crash leaves behind has to be found and removed, and nothing else.

use crate::cluster::Connection;
use crate::progress::note;
use crate::psql;
use anyhow::{Context, Result, bail};

/// Removing orphans, as far as the extension can.
#[derive(Debug, Default)]
pub struct Orphans {
    removed: u64,
    missing: bool,
}

impl Orphans {
    /// How many were removed; `None` where they cannot be.
    pub fn counted(&self) -> Option<u64> {
        (!self.missing).then_some(self.removed)
    }

    /// Lists orphans, removes them, and lists them again: now there must be none.
    pub fn remove(&mut self, connection: &Connection) -> Result<()> {
        if self.missing {
            return Ok(());
        }
        let known = psql::query(
            connection,
            "SELECT count(*) FROM pg_proc \
             WHERE proname = 'remove_orphan_files' AND pronamespace = 'lakebase'::regnamespace",
        )?;
        if known == "0" {
            self.missing = true;
            note("lakebase.remove_orphan_files does not exist: orphans are not checked");
            return Ok(());
        }
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
