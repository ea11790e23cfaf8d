//! Unlogged tables: recovery empties them. What is committed and not in their metadata are logged heap rows,
//! which recovery brings back.

use super::{Server, expect};
use crate::psql;
use crate::wire::Session;
use anyhow::Result;

/// Both kinds of tables, for statements that name `u`.
const KINDS: [&str; 2] = ["u", "u_heap"];
const SAME: &str = "SELECT (SELECT count(*) FROM (TABLE u EXCEPT ALL TABLE u_heap) x) + \
                    (SELECT count(*) FROM (TABLE u_heap EXCEPT ALL TABLE u) x)";
const COUNTS: &str = "SELECT (SELECT count(*) FROM u), (SELECT count(*) FROM u_heap)";

impl Server {
    fn create_unlogged(&self) -> Result<()> {
        self.hold_publishers_off()?;
        self.script(&[
            "DROP TABLE IF EXISTS u, u_heap",
            "CREATE UNLOGGED TABLE u (id int) USING iceberg",
            "CREATE UNLOGGED TABLE u_heap (id int) USING heap",
        ])
    }

    /// Has every statement, which names `u`, done to both tables, in the same transaction if it prepares one.
    fn both(&self, statements: &[&str]) -> Result<()> {
        let doubled: Vec<String> = statements
            .iter()
            .flat_map(|statement| match statement.contains(" u ") {
                true => KINDS
                    .iter()
                    .map(|kind| statement.replace(" u ", &format!(" {kind} ")))
                    .collect(),
                false => vec![(*statement).to_owned()],
            })
            .collect();
        let doubled: Vec<&str> = doubled.iter().map(String::as_str).collect();
        self.script(&doubled)
    }

    /// Whatever looks at the table and whatever works on it finds it as the heap table is.
    fn compare_unlogged(&self) -> Result<()> {
        self.expect(SAME, "0")?;
        self.execute("SELECT lakebase.publish('u')")?;
        self.expect(SAME, "0")?;
        self.execute("SELECT * FROM lakebase.remove_orphan_files(NULL, interval '0')")?;
        self.expect(SAME, "0")?;
        self.expect(
            "SELECT row_count - (SELECT count(*) FROM u_heap), unpublished_rows \
             FROM lakebase.iceberg_tables WHERE relation = 'u'::regclass",
            "0|0",
        )
    }

    fn work_on_and_drop(&self) -> Result<()> {
        self.both(&[
            "INSERT INTO u SELECT generate_series(11, 20)",
            "INSERT INTO u VALUES (21)",
        ])?;
        self.compare_unlogged()?;
        self.script(&["DROP TABLE u, u_heap"])?;
        self.let_publishers_work()
    }
}

/// The publisher folded inline commits whose files recovery had removed.
pub fn inline_commits_do_not_outlive_a_crash(server: &mut Server) -> Result<()> {
    server.create_unlogged()?;
    server.both(&[
        "INSERT INTO u VALUES (1)",
        "INSERT INTO u SELECT generate_series(1, 100000)",
        "INSERT INTO u VALUES (2)",
    ])?;
    server.crash()?;
    server.expect(COUNTS, "0|0")?;
    server.compare_unlogged()?;
    server.work_on_and_drop()
}

/// What COMMIT PREPARED makes visible belongs to a table that recovery has emptied since.
pub fn prepared_inline_commits_do_not_outlive_a_crash(server: &mut Server) -> Result<()> {
    server.create_unlogged()?;
    server.both(&[
        "INSERT INTO u VALUES (1)",
        "BEGIN",
        "INSERT INTO u VALUES (2)",
        "PREPARE TRANSACTION 'few'",
        "BEGIN",
        "INSERT INTO u SELECT generate_series(1, 100000)",
        "PREPARE TRANSACTION 'many'",
    ])?;
    server.crash()?;
    server.both(&["INSERT INTO u VALUES (3)", "INSERT INTO u VALUES (4)"])?;
    server.both(&["COMMIT PREPARED 'few'", "COMMIT PREPARED 'many'"])?;
    server.expect(COUNTS, "2|2")?;
    server.compare_unlogged()?;
    server.work_on_and_drop()
}

pub fn whole_after_a_clean_restart(server: &mut Server) -> Result<()> {
    server.create_unlogged()?;
    server.both(&[
        "INSERT INTO u SELECT generate_series(1, 10000)",
        "INSERT INTO u VALUES (1)",
    ])?;
    server.primary.cluster.stop()?;
    server.primary.start()?;
    server.expect(COUNTS, "10001|10001")?;
    server.compare_unlogged()?;
    server.work_on_and_drop()
}

/// Of the rows, some are in files when the standby is made, others are written afterwards.
pub fn empty_after_promotion(server: &mut Server) -> Result<()> {
    server.create_unlogged()?;
    server.both(&[
        "INSERT INTO u VALUES (1)",
        "INSERT INTO u SELECT generate_series(1, 100000)",
    ])?;
    let standby = server.make_standby()?;
    server.both(&[
        "INSERT INTO u SELECT generate_series(1, 100000)",
        "INSERT INTO u VALUES (2)",
    ])?;
    server.promote(&standby, |connection| {
        expect(COUNTS, &psql::query(connection, COUNTS)?, "0|0")?;
        psql::execute(connection, "SELECT lakebase.publish('u')")?;
        psql::execute(
            connection,
            "SELECT * FROM lakebase.remove_orphan_files(NULL, interval '0')",
        )?;
        expect(COUNTS, &psql::query(connection, COUNTS)?, "0|0")?;
        psql::execute(connection, "INSERT INTO u VALUES (5)")?;
        expect(COUNTS, &psql::query(connection, COUNTS)?, "1|0")
    })?;
    server.work_on_and_drop()
}

/// Of a transaction that made unlogged tables, the log tells that they were made and not that it was rolled back: their
/// files come back, and heap's keep the server from starting at first.
pub fn rolled_back_before_a_crash(server: &mut Server) -> Result<()> {
    let relations = "SELECT count(*) FROM pg_class WHERE relname LIKE 'made%'";
    let before = server.directories()?;
    server.execute("ALTER SYSTEM SET wal_writer_delay = '10s'")?;
    server.execute("SELECT pg_reload_conf()")?;
    let mut session = Session::open(&server.primary.connection)?;
    for statement in [
        "BEGIN",
        "CREATE UNLOGGED TABLE made (id int) USING iceberg",
        "CREATE UNLOGGED TABLE made_heap (id int) USING heap",
        "INSERT INTO made SELECT generate_series(1, 100000)",
        "INSERT INTO made_heap SELECT generate_series(1, 100000)",
    ] {
        session.query(statement)?;
    }
    // The log as far as that is flushed with another transaction's commit.
    server.execute("SELECT pg_logical_emit_message(true, 'case', 'flush')")?;
    session.query("ROLLBACK")?;
    server.crash()?;
    server.expect(relations, "0")?;
    server.execute("SELECT * FROM lakebase.remove_orphan_files(NULL, interval '0')")?;
    server.expect_no_orphans()?;
    server.expect_directories(before)?;
    server.execute("ALTER SYSTEM RESET wal_writer_delay")?;
    server.execute("SELECT pg_reload_conf()")
}
