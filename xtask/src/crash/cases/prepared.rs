//! Prepared transactions: what they drop and what they make goes or stays by their outcome alone, whoever decides
//! it and whatever happens before.

use super::{DIRECTORIES, ORPHANS, Server, expect};
use crate::psql;
use anyhow::{Result, bail};

impl Server {
    pub(super) fn expect_directories(&self, count: u64) -> Result<()> {
        let found = self.directories()?.to_string();
        expect("directories", &found, &count.to_string())
    }

    /// Waits until the publisher has cleared all garbage away.
    fn wait_cleared(&self) -> Result<()> {
        self.wait_for_answer("SELECT count(*) FROM lakebase.garbage", "0")
    }

    /// Waits until a session waits for `event`.
    pub(super) fn wait_for_event(&self, event: &str) -> Result<()> {
        let sql = format!("SELECT count(*) FROM pg_stat_activity WHERE wait_event = '{event}'");
        self.wait_for_answer(&sql, "1")
    }
}

/// A crash between the commit record and the removal left the directory for ever.
pub fn dropped_directories_go_after_a_crash(server: &mut Server) -> Result<()> {
    if !server.primary.has_points() {
        return Ok(());
    }
    server.script(&[
        "CREATE TABLE gone USING iceberg AS SELECT generate_series(1, 10) AS id",
        "CREATE TABLE emptied USING iceberg AS SELECT generate_series(1, 10) AS id",
    ])?;
    let before = server.directories()?;
    server.execute("SELECT injection_points_attach('iceberg-committed', 'wait')")?;
    let sql = "BEGIN; DROP TABLE gone; TRUNCATE emptied; COMMIT";
    let mut client = psql::psql(&server.primary.connection);
    let mut child = client
        .args(["--command", sql])
        .stderr(std::process::Stdio::null())
        .spawn()?;
    server.wait_for_event("iceberg-committed")?;
    server.crash()?;
    child.wait()?;
    server.wait_cleared()?;
    server.expect_directories(before - 1)?;
    server.expect("SELECT count(*) FROM emptied", "0")?;
    server.expect_no_orphans()?;
    server.execute("DROP TABLE emptied")
}

/// After a restart nobody knew what followed the outcome but a file, which base backups and pg_rewind confused.
pub fn outcomes_after_a_crash(server: &mut Server) -> Result<()> {
    let prepare = [
        "CREATE TABLE p_dropped USING iceberg AS SELECT generate_series(1, 10) AS id",
        "CREATE TABLE p_emptied USING iceberg AS SELECT generate_series(1, 10) AS id",
        "CREATE TABLE p_grown USING iceberg AS SELECT generate_series(1, 10) AS id",
        "BEGIN",
        "DROP TABLE p_dropped",
        "TRUNCATE p_emptied",
        "INSERT INTO p_emptied VALUES (1)",
        "INSERT INTO p_grown SELECT generate_series(1, 100000)",
        "CREATE TABLE p_made USING iceberg AS SELECT 1 AS id",
        "CREATE TABLE p_made_and_dropped USING iceberg AS SELECT 1 AS id",
        "DROP TABLE p_made_and_dropped",
        "PREPARE TRANSACTION 'outcome'",
    ];
    let before = server.directories()?;
    server.script(&prepare)?;
    server.crash()?;
    server.expect_no_orphans()?;
    server.execute("ROLLBACK PREPARED 'outcome'")?;
    server.expect_no_orphans()?;
    server.expect_directories(before + 3)?;
    let counts = "SELECT (SELECT count(*) FROM p_dropped), (SELECT count(*) FROM p_emptied), (SELECT count(*) FROM p_grown)";
    server.expect(counts, "10|10|10")?;
    server.execute("DROP TABLE p_dropped, p_emptied, p_grown")?;

    server.script(&prepare)?;
    server.crash()?;
    server.execute("COMMIT PREPARED 'outcome'")?;
    server.wait_cleared()?;
    server.expect_no_orphans()?;
    server.expect_directories(before + 3)?;
    let counts = "SELECT (SELECT count(*) FROM p_emptied), (SELECT count(*) FROM p_grown), (SELECT count(*) FROM p_made)";
    server.expect(counts, "1|100010|1")?;
    server.execute("DROP TABLE p_emptied, p_grown, p_made")
}

/// What follows the outcome was not known to standbys.
pub fn outcome_after_promotion(server: &mut Server) -> Result<()> {
    server.script(&[
        "CREATE TABLE p_dropped USING iceberg AS SELECT generate_series(1, 10) AS id",
        "CREATE TABLE p_kept USING iceberg AS SELECT generate_series(1, 10) AS id",
    ])?;
    let before = server.directories()?;
    // It is there before anything is prepared: only the log can tell it.
    let standby = server.make_standby()?;
    server.script(&[
        "BEGIN",
        "DROP TABLE p_dropped",
        "PREPARE TRANSACTION 'drop'",
        "BEGIN",
        "TRUNCATE p_kept",
        "PREPARE TRANSACTION 'truncate'",
    ])?;
    server.promote(&standby, |connection| {
        psql::execute(connection, "COMMIT PREPARED 'drop'")?;
        psql::execute(connection, "ROLLBACK PREPARED 'truncate'")?;
        expect(
            "directories of the promoted standby",
            &psql::query(connection, DIRECTORIES)?,
            &(before - 1).to_string(),
        )?;
        let count = "SELECT count(*) FROM p_kept";
        expect(count, &psql::query(connection, count)?, "10")?;
        expect(ORPHANS, &psql::query(connection, ORPHANS)?, "0")
    })?;
    server.execute("ROLLBACK PREPARED 'drop'")?;
    server.execute("ROLLBACK PREPARED 'truncate'")?;
    server.expect(
        "SELECT (SELECT count(*) FROM p_dropped), (SELECT count(*) FROM p_kept)",
        "10|10",
    )?;
    server.execute("DROP TABLE p_dropped, p_kept")
}

/// Files of a transaction that a crash cut off waited a day for being found.
pub fn files_of_crashed_transactions_are_known(server: &mut Server) -> Result<()> {
    server.script(&["CREATE TABLE grown USING iceberg AS SELECT generate_series(1, 10) AS id"])?;
    let before = server.directories()?;
    let mut client = psql::psql(&server.primary.connection);
    // As many rows as go into files before the commit.
    let sql = "BEGIN; CREATE TABLE made (id int) USING iceberg; \
               INSERT INTO made SELECT generate_series(1, 200000); \
               INSERT INTO grown SELECT generate_series(1, 200000); \
               SELECT pg_sleep(60)";
    let mut child = client
        .args(["--command", sql])
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()?;
    server.wait_for_event("PgSleep")?;
    server.expect_no_orphans()?;
    // What is written is in the log.
    server.execute("CHECKPOINT")?;
    server.crash()?;
    child.wait()?;
    let found: u64 = server
        .query("SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '1 day')")?
        .parse()?;
    // The publisher may have removed the file before.
    if found < 1 {
        bail!("the directory of a crashed transaction was not found");
    }
    let files = "SELECT count(*) FROM pg_ls_dir(lakebase.iceberg_location('grown') || '/data')";
    server.expect(files, "1")?;
    server.expect_no_orphans()?;
    server.expect_directories(before)?;
    server.expect("SELECT count(*) FROM grown", "10")?;
    server.execute("DROP TABLE grown")
}
