//! Rows of the catalog that are older than the log of transactions.

use super::Server;
use crate::cluster::SUPERUSER;
use crate::process;
use anyhow::{Context, Result};
use std::fs;

/// A segment of `pg_xact` holds 32 pages of four transactions a byte.
const SEGMENT_XIDS: u32 = 32 * 8192 * 4;
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
    advance(server, 3)?;
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

/// Beyond the middle of an epoch COMMIT PREPARED and ROLLBACK PREPARED did not find the transaction.
pub fn prepared_transactions_are_found_by_large_ids(server: &mut Server) -> Result<()> {
    server.script(&["CREATE TABLE late USING iceberg AS SELECT 1 AS id"])?;
    // No transaction may seem to be of the future.
    for segment in [1000, 2000, 2500] {
        advance(server, segment)?;
    }
    server.script(&[
        "BEGIN",
        "INSERT INTO late SELECT generate_series(1, 50000)",
        "PREPARE TRANSACTION 'late'",
        "ROLLBACK PREPARED 'late'",
    ])?;
    server.expect(
        "SELECT count(*) FROM lakebase.remove_orphan_files('late', interval '0', true)",
        "0",
    )?;
    server.script(&[
        "BEGIN",
        "INSERT INTO late VALUES (2)",
        "PREPARE TRANSACTION 'late'",
        "COMMIT PREPARED 'late'",
    ])?;
    server.expect("SELECT count(*), sum(id) FROM late", "2|3")?;
    server.execute("DROP TABLE late")
}

/// Freezes everything, and has the next transaction be the first of a segment of `pg_xact`.
fn advance(server: &mut Server, segment: u32) -> Result<()> {
    vacuum_freeze(server)?;
    server.primary.cluster.stop()?;
    let account = server.primary.cluster.account();
    let name = format!("{segment:04X}");
    let path = server.primary.cluster.data().join("pg_xact").join(name);
    fs::write(&path, vec![0; SEGMENT_BYTES]).context("cannot write a segment of pg_xact")?;
    account.give(&path)?;
    let mut command = account.command(
        server.installation.program("pg_resetwal"),
        server.primary.cluster.dir(),
    );
    let next = segment * SEGMENT_XIDS;
    command.arg(format!("--next-transaction-id={next}"));
    command.arg(server.primary.cluster.data());
    process::output(&mut command).context("cannot set the next transaction id")?;
    server.primary.start()?;
    vacuum_freeze(server)
}

/// All databases, so that the log of transactions is cut off.
fn vacuum_freeze(server: &Server) -> Result<()> {
    let mut command = server.primary.connection.client("vacuumdb");
    command.args(["--all", "--freeze", "--quiet", "--username", SUPERUSER]);
    process::output(&mut command).context("cannot vacuum")?;
    Ok(())
}
