//! Statements that name an object store try it: over a real one, over one that refuses, and over one that hangs.

use super::server::{Servers, wait_until};
use super::service::make_standby;
use crate::cluster::{Connection, processes};
use crate::guardian::Guardian;
use crate::progress::note;
use crate::psql;
use crate::stores::Lake;
use crate::wire::Session;
use anyhow::{Context, Result, ensure};
use rustix::process::Signal;
use std::fs::{self, File};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

const NAME: &str = "operations-probe";
const CANCELLED: Duration = Duration::from_secs(1);
const PROBING: &str =
    "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'LakebaseStoreProbe'";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let _guardian = Guardian::over([Lake::directory(servers.cache, NAME)])?;
    let lake = Lake::start(servers.cache, NAME)?;
    let result = probe(servers, &lake);
    lake.set_hung(false).and_then(|()| lake.stop()).and(result)
}

fn probe(servers: &Servers<'_>, lake: &Lake) -> Result<()> {
    let mut server = servers.first(&[("allow_in_place_tablespaces", "on")])?;
    let credentials = lake.settings(server.cluster.account(), server.cluster.dir())?;
    let path = server.cluster.dir().join("credentials");
    let mut file = File::options().append(true).open(&path)?;
    file.write_all(b"[stranger]\naccess_key_id = nobody\nsecret_access_key = nothing\n")?;
    server.set(&credentials);
    let connection = server.start()?;
    let good = lake.options();
    let mut standby = make_standby(servers, &server, &connection)?;
    standby.set(&credentials);
    let standby = standby.start()?;

    // The service is started for it.
    create(&connection, &good)?;
    psql::execute(
        &connection,
        "ALTER TABLESPACE lake SET (prefix = 'a/b', random_page_cost = 2)",
    )?;
    psql::execute(&connection, "ALTER TABLESPACE lake SET (probe = on)")?;
    is_empty(&lake.bucket())?;

    refused(
        "ALTER TABLESPACE lake SET (bucket = 'nowhere')",
        &[
            "could not write to the store of tablespace",
            "NoSuchBucket",
            "none is made",
        ],
        &connection,
    )?;
    refused(
        "ALTER TABLESPACE lake SET (credentials = 'unknown')",
        &["could not open the store of tablespace", "unknown"],
        &connection,
    )?;
    refused(
        "ALTER TABLESPACE lake RESET (credentials)",
        &[
            "could not write to the store of tablespace",
            "pg_lakebase.credentials_file",
        ],
        &connection,
    )?;
    refused(
        &format!(
            "CREATE TABLESPACE other LOCATION '' WITH ({})",
            good.replace("'minio'", "'stranger'")
        ),
        &[
            "could not write to the store of tablespace",
            "pg_lakebase.credentials_file",
        ],
        &connection,
    )?;
    // What was refused has left nothing, and what is not probed is not tried.
    psql::execute(
        &connection,
        "ALTER TABLESPACE lake SET (bucket = 'nowhere', probe = off)",
    )?;
    psql::execute(&connection, "DROP TABLESPACE lake")?;
    attempts_follow_one_another(&connection, &good)?;
    secrets_are_kept(&connection, &server.cluster.log())?;
    create(&connection, &good)?;
    let lakes = psql::query(
        &connection,
        "SELECT count(*) FROM pg_tablespace WHERE spcname IN ('lake', 'other')",
    )?;
    ensure!(lakes == "1", "{lakes} tablespaces");

    tables_are_counted(&connection)?;
    a_standby_has_the_service_when_it_needs_it(&standby)?;
    statements_survive_the_service(&connection)?;
    what_is_damaged_is_fetched_again(&connection, &server.cluster.data())?;
    psql::execute(&connection, "DROP TABLE t")?;
    a_hung_store_can_be_left(&connection, lake)?;
    psql::execute(&connection, "ALTER TABLESPACE lake SET (prefix = 'c')")?;
    what_nobody_deletes_any_more_is_told(&connection)?;
    server.cluster.stop().map(drop)
}

/// Without object tablespaces the service stops after each statement that failed, and that is not what the next one tells.
fn attempts_follow_one_another(connection: &Connection, good: &str) -> Result<()> {
    let options = good.replace("bucket = 'lakebase'", "bucket = 'nowhere'");
    let statement = format!("CREATE TABLESPACE other LOCATION '' WITH ({options})");
    (0..30).try_for_each(|_| refused(&statement, &["NoSuchBucket"], connection))
}

/// What stands in an endpoint before its host is refused, and the log does not have it.
fn secrets_are_kept(connection: &Connection, log: &Path) -> Result<()> {
    refused(
        "CREATE TABLESPACE other LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'https://me:hidden@host')",
        &["endpoint"],
        connection,
    )?;
    let log = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    ensure!(!log.contains("hidden"), "the log has a secret");
    Ok(())
}

/// Who looks for doubles in a store that hangs is in nobody's way who copies the database that he is connected to.
fn template0_is_copied(connection: &Connection) -> Result<()> {
    for _ in 0..3 {
        psql::execute(connection, "SELECT pg_reload_conf()")?;
    }
    wait_until(
        connection,
        "SELECT count(*) = 1 FROM pg_stat_activity WHERE datname = 'template0' AND wait_event = 'LakebaseStorageService'",
    )?;
    psql::execute(connection, "CREATE DATABASE copied TEMPLATE template0")?;
    psql::execute(connection, "DROP DATABASE copied")
}

/// The views show what is done for tables.
fn tables_are_counted(connection: &Connection) -> Result<()> {
    psql::execute(
        connection,
        "CREATE TABLE t (id int) USING iceberg TABLESPACE lake; INSERT INTO t SELECT generate_series(1, 1000)",
    )?;
    let sum = psql::query(connection, "SELECT sum(id) FROM t")?;
    ensure!(sum == "500500", "the sum is {sum}");
    for counted in [
        "SELECT requests > 0 AND errors = 0 AND bytes_written > 0 AND total_time > 0 AND cached_files > 0 AND store ~ 'lakebase'
           FROM lakebase.stores WHERE tablespace = 'lake'",
        "SELECT requests > 0 AND bytes > 0 FROM lakebase.store_operations WHERE tablespace = 'lake' AND operation = 'put'",
        "SELECT bytes > 0 AND files > 0 AND capacity > bytes FROM lakebase.cache",
    ] {
        let is_so = psql::query(connection, counted)?;
        ensure!(is_so == "t", "{counted}: {is_so}");
    }
    Ok(())
}

/// Objects that are still kept, when no tablespace leads to them any more.
fn what_nobody_deletes_any_more_is_told(connection: &Connection) -> Result<()> {
    psql::execute(
        connection,
        "ALTER SYSTEM SET pg_lakebase.object_retention = '1d'",
    )?;
    psql::execute(connection, "SELECT pg_reload_conf()")?;
    wait_until(
        connection,
        "SELECT setting = '86400' FROM pg_settings WHERE name = 'pg_lakebase.object_retention'",
    )?;
    for (statement, prefix) in [
        ("ALTER TABLESPACE lake SET (prefix = 'd')", "c"),
        ("DROP TABLESPACE lake", "d"),
    ] {
        ensure!(
            !warning_of(
                connection,
                "ALTER TABLESPACE lake SET (region = 'us-east-1')"
            )?
            .contains("WARNING"),
            "it is told of objects though they are led to"
        );
        psql::execute(
            connection,
            "CREATE TABLE kept (id int) USING iceberg TABLESPACE lake; INSERT INTO kept VALUES (1); DROP TABLE kept",
        )?;
        let said = warning_of(connection, statement)?;
        let expected =
            format!("objects of 1 table of this database are left in \"s3://lakebase/{prefix}\"");
        ensure!(said.contains(&expected), "{statement}\nsays\n{said}");
    }
    Ok(())
}

/// What a statement that succeeds says.
fn warning_of(connection: &Connection, statement: &str) -> Result<String> {
    let output = psql::psql(connection)
        .args(["--command", statement])
        .output()
        .context("cannot run psql")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{statement}\nfails:\n{said}");
    Ok(said)
}

/// The server starts it again, and they ask again.
fn statements_survive_the_service(connection: &Connection) -> Result<()> {
    for rows in 1001..=1008 {
        let service = psql::query(connection, "SELECT pid FROM lakebase.storage_service")?;
        processes::send(service.parse()?, Signal::KILL)?;
        psql::execute(connection, &format!("INSERT INTO t VALUES ({rows})"))?;
        let count = psql::query(connection, "SELECT count(*) FROM t")?;
        ensure!(
            count == rows.to_string(),
            "{count} rows, and {rows} are expected"
        );
        wait_until(
            connection,
            "SELECT status = 'running' FROM lakebase.storage_service",
        )?;
    }
    Ok(())
}

/// In the cache, after a session has read it.
fn what_is_damaged_is_fetched_again(connection: &Connection, data: &Path) -> Result<()> {
    const SUM: &str = "SELECT sum(id) FROM t";
    psql::execute(connection, "SELECT lakebase.publish('t')")?;
    let mut session = Session::open(connection)?;
    let (_, expected) = session.query_rows(SUM)?;
    let cache = data.join("pg_lakebase_cache/pgsql_tmp/data");
    let mut damaged = 0;
    for store in fs::read_dir(&cache)?.flatten() {
        for file in fs::read_dir(store.path())?.flatten() {
            File::options()
                .write(true)
                .open(file.path())?
                .write_all(&[0x5a; 4096])?;
            damaged += 1;
        }
    }
    ensure!(damaged > 0, "there is nothing in the cache");
    // The first time it may meet what it has looked at before.
    let _ = session.query_rows(SUM);
    let (_, found) = session.query_rows(SUM)?;
    ensure!(found == expected, "{found:?} instead of {expected:?}");
    Ok(())
}

/// It ran when there were no object tablespaces.
fn a_standby_has_the_service_when_it_needs_it(standby: &Connection) -> Result<()> {
    const STATUS: &str = "SELECT status FROM lakebase.storage_service";
    wait_until(standby, "SELECT to_regclass('t') IS NOT NULL")?;
    let before = psql::query(standby, STATUS)?;
    ensure!(before == "stopped", "the service is {before}");
    wait_until(standby, "SELECT sum(id) = 500500 FROM t")?;
    let after = psql::query(standby, STATUS)?;
    ensure!(after == "running", "the service is {after}");
    Ok(())
}

/// Both by a timeout and by another session.
fn a_hung_store_can_be_left(connection: &Connection, lake: &Lake) -> Result<()> {
    const ALTER: &str = "ALTER TABLESPACE lake SET (prefix = 'c')";
    lake.set_hung(true)?;
    template0_is_copied(connection)?;
    let began = Instant::now();
    let sql = format!("SET statement_timeout = '500ms'; {ALTER}");
    refused(
        &sql,
        &["canceling statement due to statement timeout"],
        connection,
    )?;
    let limit = CANCELLED + Duration::from_millis(500);
    ensure!(
        began.elapsed() < limit,
        "cancelled after {:?}",
        began.elapsed()
    );

    thread::scope(|scope| {
        let altering = scope.spawn(|| {
            refused(
                ALTER,
                &["canceling statement due to user request"],
                connection,
            )
        });
        wait_until(connection, PROBING)?;
        let began = Instant::now();
        psql::execute(
            connection,
            "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE wait_event = 'LakebaseStoreProbe'",
        )?;
        match altering.join() {
            Ok(refused) => refused?,
            Err(panic) => std::panic::resume_unwind(panic),
        }
        ensure!(
            began.elapsed() < CANCELLED,
            "cancelled after {:?}",
            began.elapsed()
        );
        note(format!(
            "a probe of a hung store was cancelled within {:?}",
            began.elapsed()
        ));
        Ok(())
    })?;
    // Nobody waits for ever.
    let began = Instant::now();
    refused(ALTER, &["could not", "the store of tablespace"], connection)?;
    let limit = Duration::from_secs(15);
    ensure!(
        began.elapsed() < limit,
        "given up after {:?}",
        began.elapsed()
    );
    lake.set_hung(false)
}

fn create(connection: &Connection, options: &str) -> Result<()> {
    let sql = format!("CREATE TABLESPACE lake LOCATION '' WITH ({options})");
    psql::execute(connection, &sql)
}

/// Fails unless the statement fails and says all of this.
fn refused(sql: &str, reasons: &[&str], connection: &Connection) -> Result<()> {
    let result = psql::execute(connection, sql);
    let said = result.err().map(|error| format!("{error:#}"));
    let said = said.with_context(|| format!("succeeds: {sql}"))?;
    for reason in reasons {
        ensure!(
            said.contains(reason),
            "{sql}\ndoes not say \"{reason}\":\n{said}"
        );
    }
    Ok(())
}

/// A MinIO keeps an object as a directory of its name.
fn is_empty(bucket: &Path) -> Result<()> {
    let left: Vec<_> = fs::read_dir(bucket)
        .with_context(|| format!("cannot read {}", bucket.display()))?
        .flatten()
        .map(|entry| entry.path())
        .collect();
    ensure!(left.is_empty(), "the probe has left {left:?}");
    Ok(())
}
