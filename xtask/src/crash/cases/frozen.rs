//! Rows of the catalog that are older than the log of transactions.

use super::Server;
use crate::cluster::SUPERUSER;
use crate::process;
use anyhow::{Context, Result};
use std::fs;

/// The first transaction of the fourth segment of `pg_xact`, which holds 32 pages of four transactions a byte.
const NEXT_XID: u32 = 3 * SEGMENT_XIDS;
const SEGMENT_XIDS: u32 = 32 * 8192 * 4;
const SEGMENT: &str = "0003";
const SEGMENT_BYTES: usize = 32 * 8192;

/// Orphan search and serializable transactions asked the log of transactions who had written a frozen row: "could
/// not access status of transaction".
pub fn writers_are_not_looked_up(server: &mut Server) -> Result<()> {
    server.hold_publishers_off()?;
    server.script(&[
        "CREATE TABLE old USING iceberg AS SELECT generate_series(1, 10) AS id",
        "INSERT INTO old VALUES (11)",
        "CREATE MATERIALIZED VIEW old_view USING iceberg AS SELECT 1 AS id",
        "UPDATE pg_database SET datallowconn = true WHERE datname = 'template0'",
    ])?;
    vacuum_freeze(server)?;
    server.primary.cluster.stop()?;
    let account = server.primary.cluster.account();
    let segment = server.primary.cluster.data().join("pg_xact").join(SEGMENT);
    fs::write(&segment, vec![0; SEGMENT_BYTES]).context("cannot write a segment of pg_xact")?;
    account.give(&segment)?;
    let mut command = account.command(
        server.installation.program("pg_resetwal"),
        server.primary.cluster.dir(),
    );
    command.arg(format!("--next-transaction-id={NEXT_XID}"));
    command.arg(server.primary.cluster.data());
    process::output(&mut command).context("cannot set the next transaction id")?;
    server.primary.start()?;
    vacuum_freeze(server)?;
    server.expect(
        "SELECT count(*) FROM pg_ls_dir('pg_xact') segment WHERE segment < '0003'",
        "0",
    )?;
    let all = "SELECT count(*), sum(id) FROM old";
    server.execute("SELECT * FROM lakebase.remove_orphan_files(NULL, interval '0')")?;
    server.expect(all, "11|66")?;
    server.script(&[
        "BEGIN ISOLATION LEVEL SERIALIZABLE",
        "SELECT count(*) FROM old",
        "SELECT count(*) FROM old_view",
        "INSERT INTO old VALUES (12)",
        "COMMIT",
    ])?;
    server.let_publishers_work()?;
    server.execute("SELECT lakebase.publish('old')")?;
    server.execute("SELECT * FROM lakebase.remove_orphan_files(NULL, interval '0')")?;
    server.expect(all, "12|78")
}

/// All databases, so that the log of transactions is cut off.
fn vacuum_freeze(server: &Server) -> Result<()> {
    let mut command = server.primary.connection.client("vacuumdb");
    command.args(["--all", "--freeze", "--quiet", "--username", SUPERUSER]);
    process::output(&mut command).context("cannot vacuum")?;
    Ok(())
}
