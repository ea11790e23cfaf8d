//! Files that expired snapshots and merges leave behind: removed on standbys too, and not while somebody reads them.

use super::{Server, expect, wait_for_answer};
use crate::crash::standby::{self, Standby};
use crate::psql;
use crate::wire::Session;
use anyhow::{Context, Result, bail};

/// Twenty files of rows, and a history of as many snapshots.
const FILL: &str = "DO $$ BEGIN FOR i IN 1..20 LOOP \
                    INSERT INTO kept SELECT 1000 * i + g, md5(g::text) FROM generate_series(1, 200) g; COMMIT; \
                    END LOOP; END $$";
const ROWS: &str = "SELECT count(*), sum(id), max(note) FROM kept";
const GARBAGE: &str = "SELECT count(*) > 0 FROM lakebase.garbage";

impl Server {
    fn create_kept(&self) -> Result<()> {
        self.execute("ALTER SYSTEM SET pg_iceberg_am.file_keep_time = 0")?;
        self.execute("SELECT pg_reload_conf()")?;
        self.script(&[
            "DROP TABLE IF EXISTS kept",
            "CREATE TABLE kept (id int, note text) USING iceberg WITH (autovacuum_enabled = off)",
            FILL,
        ])
    }

    /// Leaves nothing of what the table was made of before.
    fn make_superfluous(&self) -> Result<()> {
        self.script(&[
            "SELECT * FROM lakebase.compact('kept')",
            "SELECT lakebase.expire_snapshots('kept', '0')",
        ])
    }

    fn files_of_kept(&self) -> Result<String> {
        self.query(
            "SELECT count(*) FROM pg_ls_dir(lakebase.iceberg_location('kept') || '/data') WHERE pg_ls_dir LIKE '%.parquet'",
        )
    }

    fn drop_kept(&self) -> Result<()> {
        self.script(&[
            "DROP TABLE kept",
            "ALTER SYSTEM RESET pg_iceberg_am.file_keep_time",
            "SELECT pg_reload_conf()",
        ])
    }

    fn caught_up(&self, standby: &Standby) -> Result<()> {
        let target = standby::flushed(&self.primary.connection)?;
        standby::wait_replayed(&standby.cluster, &standby.connection, &target)
    }

    fn with_standby(&self, work: impl FnOnce(&Standby) -> Result<()>) -> Result<()> {
        let standby = self.make_standby()?;
        let done = work(&standby);
        standby.cluster.stop()?;
        self.drop_slot()?;
        done
    }
}

/// A query on a standby failed because it found no file. It is cancelled, as it is where VACUUM removes rows that it
/// needs, and until then it finds all its files.
pub fn queries_on_a_standby_are_cancelled(server: &mut Server) -> Result<()> {
    server.create_kept()?;
    server.execute("SELECT lakebase.publish('kept')")?;
    // Pruning of these would be in the reader's way first.
    server.execute("VACUUM lakebase.iceberg_pointer, lakebase.inline_commit, lakebase.garbage")?;
    server.with_standby(|standby| {
        server.caught_up(standby)?;
        let before = psql::query(&standby.connection, ROWS)?;
        let mut reader = Session::open(&standby.connection)?;
        reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        reader.query("SELECT 1 FROM pg_class LIMIT 1")?;
        server.make_superfluous()?;
        server.wait_for_answer(GARBAGE, "f")?;
        expect("data files", &server.files_of_kept()?, "1")?;
        server.caught_up(standby)?;
        // A session that was idle is ended, and cannot be told why.
        if reader.query(ROWS).is_ok() {
            bail!("the standby's query was not cancelled");
        }
        let conflicts = "SELECT sum(confl_snapshot) FROM pg_stat_database_conflicts";
        wait_for_answer(&standby.connection, conflicts, "1")?;
        expect(ROWS, &psql::query(&standby.connection, ROWS)?, &before)
    })?;
    server.drop_kept()
}

/// What a standby says that it sees is heeded.
pub fn a_standbys_feedback_keeps_files(server: &mut Server) -> Result<()> {
    server.create_kept()?;
    server.with_standby(|standby| {
        psql::execute(
            &standby.connection,
            "ALTER SYSTEM SET hot_standby_feedback = on",
        )?;
        psql::execute(
            &standby.connection,
            "ALTER SYSTEM SET wal_receiver_status_interval = '1s'",
        )?;
        psql::execute(&standby.connection, "SELECT pg_reload_conf()")?;
        server.caught_up(standby)?;
        let before = psql::query(&standby.connection, ROWS)?;
        let mut reader = Session::open(&standby.connection)?;
        reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        reader.query("SELECT 1 FROM pg_class LIMIT 1")?;
        let xmin =
            "SELECT xmin IS NOT NULL FROM pg_replication_slots WHERE slot_name = 'crash_standby'";
        server.wait_for_answer(xmin, "t")?;
        server.make_superfluous()?;
        // More than one look of the publisher's.
        server.script(&[FILL, "SELECT pg_sleep(3)"])?;
        server.expect(GARBAGE, "t")?;
        server.caught_up(standby)?;
        let (_, rows) = reader.query_rows(ROWS).context("the standby's query")?;
        let rows: Vec<String> = rows
            .iter()
            .flatten()
            .map(|value| value.clone().unwrap_or_default())
            .collect();
        expect(ROWS, &rows.join("|"), &before)?;
        reader.query("COMMIT")?;
        drop(reader);
        server.wait_for_answer(GARBAGE, "f")
    })?;
    server.drop_kept()
}

/// A server could be brought back to a point before a removal that it had replayed, and found no files there.
pub fn recovery_does_not_stop_before_a_removal(server: &mut Server) -> Result<()> {
    server.create_kept()?;
    server.with_standby(|standby| {
        let mut reader = Session::open(&server.primary.connection)?;
        reader.query("BEGIN ISOLATION LEVEL REPEATABLE READ")?;
        reader.query(ROWS)?;
        server.make_superfluous()?;
        server.caught_up(standby)?;
        // Pages that are written would move the point on.
        psql::execute(&standby.connection, "CHECKPOINT")?;
        let before = server.query("SELECT pg_current_wal_insert_lsn()")?;
        reader.query("COMMIT")?;
        drop(reader);
        server.wait_for_answer(GARBAGE, "f")?;
        server.caught_up(standby)?;
        let is_behind =
            format!("SELECT min_recovery_end_lsn > '{before}' FROM pg_control_recovery()");
        expect(
            &is_behind,
            &psql::query(&standby.connection, &is_behind)?,
            "t",
        )
    })?;
    server.drop_kept()
}

/// Files were removed, and the row that named them was not, or the other way round.
pub fn removal_goes_on_after_a_crash(server: &mut Server) -> Result<()> {
    if !server.primary.has_points() {
        return Ok(());
    }
    server.create_kept()?;
    server.execute("SELECT lakebase.publish('kept')")?;
    let rows = server.query(ROWS)?;
    server.execute("SELECT injection_points_attach('iceberg-garbage-removed', 'wait')")?;
    server.make_superfluous()?;
    server.wait_for_event("iceberg-garbage-removed")?;
    server.execute("CHECKPOINT")?;
    server.crash()?;
    server.expect(ROWS, &rows)?;
    server.wait_for_answer(GARBAGE, "f")?;
    expect("data files", &server.files_of_kept()?, "1")?;
    server.expect(
        "SELECT count(*) FROM lakebase.remove_orphan_files('kept', '0')",
        "0",
    )?;
    server.expect(ROWS, &rows)?;
    server.drop_kept()
}

/// Files were removed on the strength of a commit that was not in the log yet, and was undone.
pub fn what_makes_files_superfluous_is_not_undone(server: &mut Server) -> Result<()> {
    server.create_kept()?;
    server.script(&[
        "SELECT lakebase.publish('kept')",
        "ALTER SYSTEM SET wal_writer_delay = '10s'",
        "SELECT pg_reload_conf()",
        "CHECKPOINT",
    ])?;
    let rows = server.query(ROWS)?;
    server.make_superfluous()?;
    server.wait_for_answer(GARBAGE, "f")?;
    server.crash()?;
    server.expect(ROWS, &rows)?;
    server.make_superfluous()?;
    server.expect(ROWS, &rows)?;
    server.script(&[
        "ALTER SYSTEM RESET wal_writer_delay",
        "SELECT pg_reload_conf()",
    ])?;
    server.drop_kept()
}

/// Metadata are in the log as differences from those before, which had been removed when recovery came to them.
pub fn current_metadata_outlive_a_crash(server: &mut Server) -> Result<()> {
    server.create_kept()?;
    server.execute("CHECKPOINT")?;
    server.script(&[FILL, FILL])?;
    let before = server.query(ROWS)?;
    server.make_superfluous()?;
    server.wait_for_answer(GARBAGE, "f")?;
    server.script(&[
        "INSERT INTO kept VALUES (-1, 'last')",
        "SELECT lakebase.publish('kept')",
    ])?;
    let after = server.query(ROWS)?;
    if before == after {
        bail!("{ROWS} gave {before} before and after an insert");
    }
    server.crash()?;
    server.expect(ROWS, &after)?;
    server.make_superfluous()?;
    server.expect(ROWS, &after)?;
    server.drop_kept()
}
