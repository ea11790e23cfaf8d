//! Many databases, and few workers that write their tables' metadata.

use super::server::{Servers, wait_until};
use crate::cluster::Connection;
use crate::progress::note;
use crate::psql;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const DATABASES: usize = 20;
const WORKERS: usize = 2;
/// For each database, after the writers have begun, its turn has come by then.
const BOUND: Duration = Duration::from_secs(10);
const WRITING: Duration = Duration::from_secs(6);
const SETTINGS: [(&str, &str); 2] = [
    ("pg_iceberg_am.max_workers", "2"),
    ("max_connections", "100"),
];
const PUBLISHERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_iceberg publisher'";
const LAUNCHERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_iceberg launcher'";
const WAITING: &str =
    "SELECT count(*) FROM lakebase.inline_commit WHERE relfilenumber = pg_relation_filenode('t')";
/// Databases with a table whose files cannot be written: more than there are workers.
const BROKEN: usize = 4;
/// Failures of such a table while others are written to: after one second, two more, four more, and so on.
const FAILURES: usize = 8;

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let mut server = servers.first(&SETTINGS)?;
    let connection = server.start()?;
    let databases: Vec<Connection> = (0..DATABASES)
        .map(|number| {
            let name = format!("db{number}");
            psql::execute(&connection, &format!("CREATE DATABASE {name}"))?;
            let database = in_database(&connection, &name);
            psql::execute(
                &database,
                "CREATE EXTENSION pg_iceberg_am; CREATE TABLE t (id int) USING iceberg",
            )?;
            Ok(database)
        })
        .collect::<Result<_>>()?;
    let broken = &databases[..BROKEN];
    let directories = broken.iter().map(break_table).collect::<Result<Vec<_>>>()?;
    all_are_served(&connection, &databases)?;
    failures_are_few(&server.cluster.log(), &directories)?;
    directories
        .iter()
        .try_for_each(|directory| set_mode(directory, 0o700))?;
    for database in broken {
        wait_until(database, "SELECT count(*) = 0 FROM lakebase.inline_commit")?;
    }
    processes_are_replaced(&connection, &databases[0])?;
    databases_are_not_in_use(&connection)?;
    who_waits_for_a_lock_gets_it(&connection)?;
    server.cluster.stop()?;
    without_room(servers)
}

/// A publisher that was at a table for longer than it stays where there is nothing to do, and failed, left the rows to
/// nobody.
fn who_waits_for_a_lock_gets_it(connection: &Connection) -> Result<()> {
    const POINT: &str = "iceberg-pointer-locked";
    psql::execute(connection, "CREATE EXTENSION injection_points")?;
    psql::execute(
        connection,
        "CREATE TABLE t (id int) USING iceberg; INSERT INTO t VALUES (1)",
    )?;
    psql::execute(
        connection,
        &format!("SELECT injection_points_attach('{POINT}', 'wait')"),
    )?;
    psql::execute(
        connection,
        "SET pg_iceberg_am.publish_interval = '60s'; INSERT INTO t VALUES (2)",
    )?;
    wait_until(
        connection,
        &format!("SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = '{POINT}'"),
    )?;
    // The publisher tries again when it can have the table.
    psql::execute(
        connection,
        &format!(
            "SET deadlock_timeout = '2s'; SET lock_timeout = '20s';
             BEGIN; LOCK TABLE t; SELECT injection_points_detach('{POINT}'); COMMIT"
        ),
    )?;
    wait_until(connection, &format!("SELECT ({WAITING}) = 0"))
}

/// Rows waited for a publisher that `max_worker_processes` left no room for.
fn without_room(servers: &Servers<'_>) -> Result<()> {
    // Those of PostgreSQL's logical replication, the launcher and the two syncers are there from the start.
    let mut server = servers.second(&[("max_worker_processes", "4")])?;
    let connection = server.start()?;
    psql::execute(&connection, "CREATE TABLE t (id int) USING iceberg")?;
    for number in 0..5 {
        psql::execute(&connection, &format!("INSERT INTO t VALUES ({number})"))?;
        let left = psql::query(&connection, WAITING)?;
        ensure!(left == "0", "{left} inline commits wait for nobody");
    }
    let launchers = psql::query(&connection, LAUNCHERS)?;
    ensure!(launchers == "1", "{launchers} launchers run");
    server.cluster.stop().map(drop)
}

fn in_database(connection: &Connection, name: &str) -> Connection {
    Connection {
        database: name.to_owned(),
        ..connection.clone()
    }
}

/// Makes a table that has rows to be published and a directory that nobody can write to, which is returned.
fn break_table(database: &Connection) -> Result<PathBuf> {
    psql::execute(
        database,
        "CREATE TABLE broken (id int) USING iceberg; INSERT INTO broken VALUES (1)",
    )?;
    let directory = psql::query(database, "SELECT lakebase.iceberg_location('broken')")?;
    let directory = PathBuf::from(directory.trim_start_matches("file://"));
    set_mode(&directory, 0o500)?;
    psql::execute(
        database,
        "SET pg_iceberg_am.publish_interval = '60s'; INSERT INTO broken VALUES (2)",
    )?;
    Ok(directory)
}

fn set_mode(directory: &Path, mode: u32) -> Result<()> {
    for name in ["data", "metadata"] {
        let path = directory.join(name);
        fs::set_permissions(&path, fs::Permissions::from_mode(mode))
            .with_context(|| format!("cannot change the mode of {}", path.display()))?;
    }
    Ok(())
}

/// A table that could not be written was tried again each time that its database had a turn.
fn failures_are_few(log: &Path, directories: &[PathBuf]) -> Result<()> {
    let said = fs::read_to_string(log).with_context(|| format!("cannot read {}", log.display()))?;
    for directory in directories {
        // Relfilenumbers of databases may be equal.
        let name = directory.file_name().context("a directory has a name")?;
        let parent = directory.parent().and_then(Path::file_name);
        let parent = parent.context("a table's directory lies in a database's")?;
        let path = Path::new(parent).join(name);
        let path = path.to_string_lossy();
        let failures = said
            .lines()
            .filter(|line| line.contains("could not") && line.contains(&*path))
            .count();
        ensure!(
            (1..=FAILURES).contains(&failures),
            "{failures} failures to write to {path}"
        );
    }
    Ok(())
}

/// A database for which there was no worker had its rows published when somebody else's was idle, or never.
fn all_are_served(connection: &Connection, databases: &[Connection]) -> Result<()> {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        let writers: Vec<_> = databases
            .iter()
            .map(|database| scope.spawn(|| write(database, &is_over)))
            .collect();
        let watched = watch(connection, databases);
        is_over.store(true, Ordering::Relaxed);
        for writer in writers {
            match writer.join() {
                Ok(written) => written?,
                Err(panic) => std::panic::resume_unwind(panic),
            }
        }
        watched
    })?;
    for database in databases {
        wait_until(database, &format!("SELECT ({WAITING}) = 0"))?;
    }
    Ok(())
}

/// Transactions that follow one another closely.
fn write(database: &Connection, is_over: &AtomicBool) -> Result<()> {
    while !is_over.load(Ordering::Relaxed) {
        psql::script(database, |script| {
            (0..20).try_for_each(|number| {
                writeln!(
                    script,
                    "INSERT INTO t VALUES ({number}); SELECT pg_sleep(0.02);"
                )
            })
        })?;
    }
    Ok(())
}

/// Sees that no row waits for longer than the bound, and that there are not too many workers.
fn watch(connection: &Connection, databases: &[Connection]) -> Result<()> {
    let began = Instant::now();
    let mut longest = Duration::ZERO;
    while began.elapsed() < WRITING {
        for database in databases {
            let marked = Instant::now();
            psql::execute(database, "INSERT INTO t VALUES (-1)")?;
            let running: usize = psql::query(connection, PUBLISHERS)?.parse()?;
            ensure!(running <= WORKERS, "{running} publishers run");
            let oldest = psql::query(
                database,
                "SELECT max(xmin::text::int8) FROM lakebase.inline_commit
                 WHERE relfilenumber = pg_relation_filenode('t')",
            )?;
            if !oldest.is_empty() {
                wait_until(
                    database,
                    &format!(
                        "SELECT NOT EXISTS (SELECT FROM lakebase.inline_commit WHERE relfilenumber = pg_relation_filenode('t') AND xmin::text::int8 <= {oldest})"
                    ),
                )?;
            }
            let waited = marked.elapsed();
            longest = longest.max(waited);
            ensure!(
                waited < BOUND,
                "rows in {} waited for {waited:?}",
                database.database
            );
        }
    }
    note(format!(
        "{DATABASES} databases, {WORKERS} workers: published after {longest:?} at the latest"
    ));
    Ok(())
}

/// After a launcher, or a worker, was terminated nobody was served.
fn processes_are_replaced(connection: &Connection, database: &Connection) -> Result<()> {
    for kind in ["launcher", "publisher"] {
        psql::execute(
            database,
            "INSERT INTO t SELECT g FROM generate_series(1, 3) g; INSERT INTO t VALUES (1)",
        )?;
        psql::execute(
            connection,
            &format!(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_iceberg {kind}'"
            ),
        )?;
        wait_until(database, &format!("SELECT ({WAITING}) = 0"))?;
    }
    wait_until(connection, &format!("SELECT ({LAUNCHERS}) = 1"))
}

/// ALTER DATABASE, CREATE DATABASE and DROP DATABASE failed because a publisher was connected.
fn databases_are_not_in_use(connection: &Connection) -> Result<()> {
    for round in 0..5 {
        let [old, new] = [0, 1].map(|name| format!("renamed{}", round + name));
        if round == 0 {
            psql::execute(connection, "ALTER DATABASE db1 RENAME TO renamed0")?;
        }
        let database = in_database(connection, &old);
        psql::execute(&database, "INSERT INTO t VALUES (1)")?;
        psql::execute(&database, "INSERT INTO t VALUES (2)")?;
        psql::execute(connection, &format!("ALTER DATABASE {old} RENAME TO {new}"))?;
        // What it left is done afterwards.
        wait_until(
            &in_database(connection, &new),
            &format!("SELECT ({WAITING}) = 0"),
        )?;
    }
    // A worker stays for a minute where it cannot do what there is to do.
    let stuck = in_database(connection, "db11");
    let directory = break_table(&stuck)?;
    let name = "SELECT count(*) = 1 FROM pg_stat_activity WHERE backend_type = 'pg_iceberg publisher' AND datname = ";
    wait_until(connection, &format!("{name} 'db11'"))?;
    psql::execute(connection, "ALTER DATABASE db11 RENAME TO stuck")?;
    let stuck = in_database(connection, "stuck");
    wait_until(connection, &format!("{name} 'stuck'"))?;
    set_mode(&directory, 0o700)?;
    wait_until(&stuck, "SELECT count(*) = 0 FROM lakebase.inline_commit")?;
    // Or for a moment after the last table is gone.
    let template = in_database(connection, "db10");
    psql::execute(&template, "INSERT INTO t VALUES (1)")?;
    psql::execute(&template, "INSERT INTO t VALUES (2)")?;
    psql::execute(&template, "DROP TABLE t")?;
    psql::execute(connection, "CREATE DATABASE copy TEMPLATE db10")?;
    for number in 3..8 {
        let name = format!("db{number}");
        let database = in_database(connection, &name);
        psql::execute(&database, "INSERT INTO t VALUES (1)")?;
        psql::execute(&database, "INSERT INTO t VALUES (2)")?;
        psql::execute(connection, &format!("DROP DATABASE {name}"))?;
    }
    Ok(())
}
