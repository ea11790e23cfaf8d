//! `pg_rewind`: the former primary, which went on for a while, follows the promoted standby.

use super::primary::Primary;
use super::standby::{SLOT, Standby, flushed, wait_replayed};
use super::tables::{self, Fingerprints};
use crate::cluster::SUPERUSER;
use crate::installation::Installation;
use crate::process;
use crate::psql;
use anyhow::{Context, Result};

/// Lets the primary do what the promoted `standby` does not have, rewinds it, and compares it with that.
pub fn check(
    primary: &mut Primary,
    standby: &Standby,
    expected: &Fingerprints,
    installation: &Installation,
) -> Result<()> {
    let all = tables::list(&primary.connection, tables::Which::Readable)?;
    tables::add_a_row(&primary.connection, &all, u64::from(u32::MAX) + 1)?;
    tables::create(&primary.connection, "t999", None)?;
    // Of a logged one it shows afterwards whether that was undone.
    if let Some(first) = all.iter().find(|table| table.starts_with('t')) {
        let mirror = tables::mirror(first);
        primary.execute(&format!("TRUNCATE {first}, {mirror}"))?;
    }
    primary.cluster.stop()?;
    // The slot that the settings name, which come with the rest.
    let source = &standby.connection;
    psql::execute(
        source,
        &format!("SELECT pg_create_physical_replication_slot('{SLOT}', true); CHECKPOINT"),
    )?;
    let account = primary.cluster.account();
    let mut command = account.command(installation.program("pg_rewind"), primary.cluster.dir());
    command.arg("--target-pgdata").arg(primary.cluster.data());
    command.arg("--source-server").arg(format!(
        "host={} port={} user={SUPERUSER} dbname={}",
        source.host.display(),
        source.port,
        source.database
    ));
    command.arg("--write-recovery-conf");
    process::output(&mut command).context("cannot rewind the former primary")?;
    primary.follow()?;
    wait_replayed(&primary.cluster, &primary.connection, &flushed(source)?)?;
    let found = tables::check(&primary.connection).context("on the former primary")?;
    tables::same("the former primary", &found, &tables::logged(expected))
}
