//! A store that does not answer for a while: what goes on without it, what can be left, and that all is right afterwards.

use super::server::{Servers, wait_until};
use crate::cluster::Connection;
use crate::guardian::Guardian;
use crate::progress::note;
use crate::psql;
use crate::stores::Lake;
use crate::wire::{ServerError, Session};
use anyhow::{Context, Result, bail, ensure};
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "operations-outage";
/// How soon a statement ends that is told to.
const LIMIT: Duration = Duration::from_secs(1);
/// How soon a server stops.
const SHUTDOWN: Duration = Duration::from_secs(4);
const TIMEOUT: Duration = Duration::from_millis(500);

/// In each table of the store there is what its heap twin has.
const TABLES: &str = "
    CREATE TABLE kept (id int, note text) USING iceberg TABLESPACE lake;
    CREATE TABLE kept_twin (LIKE kept) USING heap;
    INSERT INTO kept SELECT i, md5(i::text) FROM generate_series(1, 20000) i;
    INSERT INTO kept_twin SELECT * FROM kept;
    CREATE TABLE cold (id int, note text) USING iceberg TABLESPACE lake;
    INSERT INTO cold SELECT * FROM kept;
    CREATE TABLE going (id int) USING iceberg TABLESPACE lake;
    CREATE TABLE emptied (id int) USING iceberg TABLESPACE lake;
    INSERT INTO emptied VALUES (1);
    SELECT lakebase.publish(t) FROM unnest('{kept, cold, going, emptied}'::regclass[]) t;";
const DIFFERENCES: &str = "SELECT count(*) FROM (
    (TABLE kept EXCEPT ALL TABLE kept_twin) UNION ALL (TABLE kept_twin EXCEPT ALL TABLE kept)) d";

/// Statements that need the store, and what comes before them in their sessions.
const WAITING: [(&str, &str); 9] = [
    ("", "SELECT sum(id) FROM cold"),
    (
        "SET pg_iceberg_am.write_work_mem = '1MB'; SET pg_iceberg_am.target_file_size = '1MB'",
        "INSERT INTO kept SELECT i, md5(i::text) FROM generate_series(1, 200000) i",
    ),
    (
        "BEGIN; INSERT INTO kept SELECT i, md5(i::text) FROM generate_series(1, 30000) i",
        "COMMIT",
    ),
    (
        "BEGIN; INSERT INTO kept SELECT i, md5(i::text) FROM generate_series(1, 30000) i",
        "PREPARE TRANSACTION 'hung'",
    ),
    (
        "",
        "CREATE TABLE another (id int) USING iceberg TABLESPACE lake",
    ),
    ("", "ALTER TABLE cold SET TABLESPACE pg_default"),
    ("", "VACUUM FULL cold"),
    // These wait for the publisher, which waits for the store.
    ("", "VACUUM kept"),
    ("", "SELECT lakebase.publish('kept')"),
];

/// Statements that do not.
const GOING_ON: [&str; 7] = [
    "INSERT INTO kept VALUES (0, 'a row'); INSERT INTO kept_twin VALUES (0, 'a row')",
    "BEGIN; INSERT INTO kept VALUES (-1, 'rolled back'); SAVEPOINT s; INSERT INTO kept VALUES (-2, ''); ROLLBACK TO s; ROLLBACK",
    "SELECT count(*) FROM kept",
    "BEGIN; INSERT INTO kept SELECT i, md5(i::text) FROM generate_series(1, 30000) i; ROLLBACK",
    "DROP TABLE going",
    "ANALYZE kept",
    "BEGIN; TRUNCATE emptied; ROLLBACK",
];

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let _guardian = Guardian::over([Lake::directory(servers.cache, NAME)])?;
    let lake = Lake::start(servers.cache, NAME)?;
    let result = outage(servers, &lake);
    lake.set_hung(false).and_then(|()| lake.stop()).and(result)
}

fn outage(servers: &Servers<'_>, lake: &Lake) -> Result<()> {
    let mut server = servers.first(&[("max_prepared_transactions", "5")])?;
    let settings = lake.settings(server.cluster.account(), server.cluster.dir())?;
    server.set(&settings);
    // As by default: small transactions are left to the publisher.
    server.set(&[(
        "pg_lakebase.object_publish_interval".to_owned(),
        "1s".to_owned(),
    )]);
    let connection = server.start()?;
    lake.create_tablespace(&connection)?;
    psql::execute(&connection, TABLES)?;
    // No row of `cold` is cached then, and all of `kept`. The publisher may look at metadata meanwhile.
    let service = psql::query(&connection, "SELECT pid FROM lakebase.storage_service")?;
    psql::execute(
        &connection,
        "ALTER SYSTEM SET pg_lakebase.cache_directory = 'another_cache'",
    )?;
    psql::execute(&connection, "SELECT pg_reload_conf()")?;
    wait_until(
        &connection,
        &format!(
            "SELECT coalesce(status = 'running' AND pid <> {service}, false) FROM lakebase.storage_service"
        ),
    )?;
    ensure!(
        psql::query(&connection, DIFFERENCES)? == "0",
        "twins differ"
    );

    lake.set_hung(true)?;
    for sql in GOING_ON {
        let began = Instant::now();
        let mut session = Session::open(&connection)?;
        session.set_time_limit(LIMIT * 10)?;
        for statement in sql.split("; ") {
            session.query(statement)?;
        }
        ensure!(
            began.elapsed() < LIMIT,
            "{sql} took {:?} without the store",
            began.elapsed()
        );
    }
    for (before, sql) in WAITING {
        for end in [End::Cancel, End::Timeout, End::Terminate] {
            left(&connection, before, sql, end)?;
        }
    }
    // What failed has left nothing behind, and the rest is there.
    ensure!(
        psql::query(&connection, DIFFERENCES)? == "0",
        "twins differ"
    );
    let count = psql::query(&connection, "SELECT count(*) FROM pg_prepared_xacts")?;
    ensure!(count == "0", "{count} transactions are prepared");
    lake.set_hung(false)?;

    psql::execute(&connection, "SELECT lakebase.publish('kept')")?;
    ensure!(
        psql::query(&connection, DIFFERENCES)? == "0",
        "twins differ"
    );
    time_counts_from_the_wait(&connection)?;
    let rest = psql::query(
        &connection,
        "SELECT (SELECT count(*) FROM cold), (SELECT count(*) FROM emptied), to_regclass('going')",
    )?;
    ensure!(rest == "20000|1|", "there is {rest}");
    for (before, sql) in WAITING {
        if sql.starts_with("PREPARE") {
            continue;
        }
        let mut session = Session::open(&connection)?;
        for statement in before.split("; ").filter(|statement| !statement.is_empty()) {
            session.query(statement)?;
        }
        session.query(sql)?;
    }
    let count = psql::query(&connection, "SELECT count(*) FROM kept")?;
    ensure!(count == "250001", "{count} rows");

    // A publisher that waits for the store does not keep the server from stopping, and what it was to write is there afterwards.
    lake.set_hung(true)?;
    psql::execute(
        &connection,
        "INSERT INTO kept VALUES (-3, 'left to the publisher')",
    )?;
    wait_until(
        &connection,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE backend_type <> 'client backend' AND wait_event = 'LakebaseStorageService')",
    )?;
    let began = Instant::now();
    server.cluster.stop()?;
    ensure!(
        began.elapsed() < SHUTDOWN,
        "the server took {:?} to stop beside the store",
        began.elapsed()
    );
    lake.set_hung(false)?;
    let connection = server.start()?;
    psql::execute(&connection, "SELECT lakebase.publish('kept')")?;
    let count = psql::query(&connection, "SELECT count(*) FROM kept")?;
    ensure!(count == "250002", "{count} rows");
    server.cluster.stop().map(drop)
}

/// What a session asked a store for long ago does not count as the time of its next statement.
fn time_counts_from_the_wait(connection: &Connection) -> Result<()> {
    let mut session = Session::open(connection)?;
    session.query(&format!("SET statement_timeout = {}", TIMEOUT.as_millis()))?;
    session.query("SELECT sum(id) FROM cold")?;
    thread::sleep(TIMEOUT * 2);
    session.query("ALTER TABLESPACE lake SET (probe = on)")?;
    Ok(())
}

/// How a statement ends that the store keeps waiting.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    Cancel,
    Timeout,
    Terminate,
}

/// Fails unless the statement waits for the store, and ends at once when it is told to.
fn left(connection: &Connection, before: &str, sql: &str, end: End) -> Result<()> {
    let mut session = Session::open(connection)?;
    session.set_time_limit(Duration::from_secs(60))?;
    for statement in before.split("; ").filter(|statement| !statement.is_empty()) {
        session.query(statement)?;
    }
    if end == End::Timeout {
        let milliseconds = TIMEOUT.as_millis();
        session.query(&format!("SET statement_timeout = {milliseconds}"))?;
    }
    let pid = session.backend();
    let (result, took) = thread::scope(|scope| {
        let waiting = scope.spawn(move || {
            let result = session.query(sql);
            (result, Instant::now())
        });
        let began = match end {
            End::Timeout => Instant::now() + TIMEOUT,
            End::Cancel | End::Terminate => {
                wait_until(
                    connection,
                    &format!(
                        "SELECT count(*) = 1 FROM pg_stat_activity WHERE pid = {pid} AND state = 'active' AND clock_timestamp() - query_start > '300ms'"
                    ),
                )
                .with_context(|| format!("{sql} does not wait for the store"))?;
                let function = match end {
                    End::Terminate => "pg_terminate_backend",
                    _ => "pg_cancel_backend",
                };
                let began = Instant::now();
                psql::execute(connection, &format!("SELECT {function}({pid})"))?;
                began
            }
        };
        let (result, ended) = waiting
            .join()
            .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        anyhow::Ok((result, ended.saturating_duration_since(began)))
    })?;
    let Err(error) = result else {
        bail!("{sql} succeeded without the store");
    };
    let said = error
        .downcast_ref::<ServerError>()
        .with_context(|| format!("{sql}, {end:?}: {error:#}"))?;
    let state = match end {
        End::Terminate => "57P01",
        End::Cancel | End::Timeout => "57014",
    };
    ensure!(said.state == state, "{sql}, {end:?}: {said}");
    ensure!(took < LIMIT, "{sql}, {end:?}: ended after {took:?}");
    note(format!("{sql}, {end:?}: ended after {took:?}"));
    Ok(())
}
