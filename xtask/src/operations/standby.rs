//! A streaming standby of a server with tables in an object store: what it reads, what becomes of it and of its primary when it
//! is promoted and that one lives on, and how a dropped table comes back from an archive.

use super::objects::{NO_GARBAGE, contents, identities, remove_orphans};
use super::server::{
    Server, Servers, create_fingerprint, fails_because, fingerprint, same, wait_until,
};
use super::service::make_standby;
use crate::cluster::Connection;
use crate::guardian::Guardian;
use crate::psql;
use crate::stores::Lake;
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const NAME: &str = "operations-standby";
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
/// Reads a table's first rows, and after a while the others.
const READ_SLOWLY: &str = "
CREATE FUNCTION read_slowly(relation regclass, seconds int) RETURNS bigint LANGUAGE plpgsql AS $$
DECLARE
    one record;
    count bigint := 0;
BEGIN
    FOR one IN EXECUTE format('SELECT * FROM %s', relation) LOOP
        count := count + 1;
        IF count = 1 THEN PERFORM pg_sleep(seconds); END IF;
    END LOOP;
    RETURN count;
END $$";
/// What both servers do to a table that they have.
const ROUNDS: i32 = 6;

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let _guardian = Guardian::over([Lake::directory(servers.cache, NAME)])?;
    let lake = Lake::start(servers.cache, NAME)?;
    let result = standby(servers, &lake);
    lake.stop().and(result)
}

fn standby(servers: &Servers<'_>, lake: &Lake) -> Result<()> {
    let mut primary = servers.first(&[])?;
    let archive = primary.cluster.dir().join("archive");
    primary.cluster.account().make_private_dir(&archive)?;
    primary.set(&lake.settings(primary.cluster.account(), primary.cluster.dir())?);
    let own = [
        ("archive_mode", "on".to_owned()),
        (
            "archive_command",
            format!("cp \"%p\" \"{}/%f\"", archive.display()),
        ),
        ("pg_iceberg_am.file_keep_time", "0".to_owned()),
        // Inline commits stay until somebody publishes.
        ("pg_lakebase.object_publish_interval", "1h".to_owned()),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value));
    primary.set(&own);
    let connection = primary.start()?;
    create_fingerprint(&connection)?;
    psql::execute(&connection, READ_SLOWLY)?;

    // It has been copied before the primary wrote anything to a store, and knows of its identity by the log.
    let mut follower = make_standby(servers, &primary, &connection)?;
    follower.set(&lake.settings(follower.cluster.account(), follower.cluster.dir())?);
    follower.set(&own[2..]);
    follower.set(
        &[
            ("hot_standby_feedback", "on"),
            ("wal_receiver_status_interval", "1s"),
            // Replay waits for queries.
            ("max_standby_streaming_delay", "-1"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let following = follower.start()?;
    lake.create_tablespace(&connection)?;
    follows(&connection, &following)?;
    queries_outlive_tables(&connection, &following)?;
    queries_end_with_objects(&connection, &following)?;
    is_promoted(&mut primary, &mut follower, lake)?;
    comes_back(servers, &mut primary, lake, &archive)
}

/// A standby reads what is committed, by a service of its own, and sees what becomes of tables.
fn follows(primary: &Connection, standby: &Connection) -> Result<()> {
    for table in ["uploaded", "emptied", "gone", "leaves"] {
        create(primary, table, "lake", 20_000)?;
    }
    create(primary, "arrives", "pg_default", 20_000)?;
    for table in ["uploaded", "emptied"] {
        insert(primary, table, "SELECT -1, 'inlined'")?;
    }
    replayed(primary, standby)?;
    let inlined = psql::query(standby, "SELECT count(*) > 0 FROM lakebase.inline_commit")?;
    ensure!(inlined == "t", "nothing was inlined");
    let tables = twins(primary)?;
    ensure!(tables.len() == 5, "the tables are {tables:?}");
    same_tables("the standby", &twins(standby)?, &tables)?;
    let service = "SELECT pid FROM lakebase.storage_service";
    ensure!(
        psql::query(primary, service)? != psql::query(standby, service)?,
        "the standby uses the primary's service"
    );

    for statement in [
        "DROP TABLE gone, gone_twin",
        "TRUNCATE emptied, emptied_twin",
        "ALTER TABLE leaves SET TABLESPACE pg_default",
        "ALTER TABLE arrives SET TABLESPACE lake",
    ] {
        psql::execute(primary, statement)?;
    }
    for table in ["emptied", "leaves", "arrives"] {
        insert(
            primary,
            table,
            "SELECT g, 'later' FROM generate_series(1, 3) g",
        )?;
    }
    replayed(primary, standby)?;
    let tables = twins(primary)?;
    ensure!(tables.len() == 4, "the tables are {tables:?}");
    same_tables("the standby", &twins(standby)?, &tables)?;
    let told = psql::query(standby, "SELECT * FROM lakebase.identities('lake')");
    ensure!(
        (told.as_ref()).is_err_and(|error| format!("{error:#}").contains("server in recovery")),
        "a standby tells identities: {told:?}"
    );
    wait_until(primary, NO_GARBAGE)
}

/// A query of a standby that tells the primary what it sees reads all of a table that is dropped meanwhile, though objects are
/// kept for no time.
fn queries_outlive_tables(primary: &Connection, standby: &Connection) -> Result<()> {
    create_files(primary, "read")?;
    replayed(primary, standby)?;
    let reader = read_slowly(standby, "read", 8)?;
    wait_until(
        primary,
        "SELECT count(*) = 1 AND bool_and(backend_xmin IS NOT NULL) FROM pg_stat_replication",
    )?;
    psql::execute(primary, "DROP TABLE read")?;
    psql::execute(primary, "SELECT pg_sleep(2)")?;
    ensure!(
        psql::query(primary, NO_GARBAGE)? == "f",
        "the primary does not wait for the standby"
    );
    let output = reader.wait_with_output().context("cannot wait for psql")?;
    let rows = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && rows.trim() == "12000",
        "the query on the standby gave \"{rows}\": {said}"
    );
    wait_until(primary, NO_GARBAGE)?;
    replayed(primary, standby)
}

/// One of a standby that does not tell fails, and says why.
fn queries_end_with_objects(primary: &Connection, standby: &Connection) -> Result<()> {
    create_files(primary, "read")?;
    set(standby, "hot_standby_feedback", "off")?;
    wait_until(
        primary,
        "SELECT count(*) = 1 AND bool_and(backend_xmin IS NULL) FROM pg_stat_replication",
    )?;
    replayed(primary, standby)?;
    let mut reader = slow_reader(standby, "read", 8);
    reader.args(["--set", "VERBOSITY=verbose"]);
    let started = Instant::now();
    std::thread::scope(|scope| {
        let failed = scope.spawn(|| fails_because(&mut reader, "pg_lakebase.object_retention"));
        wait_until(standby, IS_READING)?;
        psql::execute(primary, "DROP TABLE read")?;
        wait_until(primary, NO_GARBAGE)?;
        ensure!(
            started.elapsed() < Duration::from_secs(7),
            "the objects were deleted too late"
        );
        match failed.join() {
            Ok(failed) => failed,
            Err(_) => bail!("the reader panicked"),
        }
    })?;
    set(standby, "hot_standby_feedback", "on")?;
    replayed(primary, standby)
}

/// Both servers go on, with tables that both have. Neither deletes what the other one may need.
fn is_promoted(primary: &mut Server<'_>, follower: &mut Server<'_>, lake: &Lake) -> Result<()> {
    let connection = primary.start()?;
    let following = follower.start()?;
    for table in ["kept", "dropped", "dropped_here", "dropped_there"] {
        create_files(&connection, table)?;
        twin(&connection, table)?;
    }
    insert(&connection, "kept", "SELECT -1, 'inlined'")?;
    remove_orphans(&connection)?;
    replayed(&connection, &following)?;
    let [first] = identities(lake)?.try_into().map_err(|found| {
        anyhow::anyhow!("there should be one identity, and there are {found:?}")
    })?;
    let shared = contents(lake, &first)?;
    ensure!(shared.len() > 100, "there are too few objects: {shared:?}");
    psql::execute(&following, "SELECT pg_promote()")?;
    // It writes nothing, and says all the same that it has what the primary has.
    let owners = lake.bucket().join(&first);
    let started = Instant::now();
    while !is_said_to_be_shared(&owners)? {
        ensure!(
            started.elapsed() < LIMIT,
            "a promoted server does not say that it has its primary's objects"
        );
        std::thread::sleep(POLL);
    }

    let servers = [(&connection, "here"), (&following, "there")];
    for (server, name) in servers {
        psql::execute(server, "DROP TABLE dropped, dropped_twin")?;
        psql::execute(
            server,
            &format!("DROP TABLE dropped_{name}, dropped_{name}_twin"),
        )?;
        create_files(server, "passing")?;
    }
    for round in 0..ROUNDS {
        for (server, name) in servers {
            let rows = format!("SELECT g, '{name} {round}' FROM generate_series(1, 3000) g");
            insert(server, "kept", &rows)?;
            psql::execute(server, "SELECT lakebase.publish('kept')")?;
            insert(server, "uploaded", "SELECT -2, 'inlined'")?;
        }
    }
    for (server, _) in servers {
        for statement in [
            "DROP TABLE passing",
            "VACUUM (FULL) leaves",
            "VACUUM kept",
            "SELECT lakebase.publish('uploaded')",
            "TRUNCATE arrives, arrives_twin",
        ] {
            psql::execute(server, statement)?;
        }
        wait_until(server, NO_GARBAGE)?;
        remove_orphans(server)?;
        remove_orphans(server)?;
    }
    unchanged(&shared, &contents(lake, &first)?)?;
    let others = identities(lake)?;
    ensure!(others.len() == 3, "the identities are {others:?}");
    let mut expected = Vec::new();
    for (server, name) in servers {
        let tables = twins(server)?;
        ensure!(tables.len() == 6, "{name}, the tables are {tables:?}");
        let merged = "SELECT count(*) < 12 FROM lakebase.iceberg_files('kept')";
        same(name, &psql::query(server, merged)?, "t")?;
        expected.push(tables);
    }

    reads_from_the_store(primary, &expected[0])?;
    reads_from_the_store(follower, &expected[1])?;
    unchanged(&shared, &contents(lake, &first)?)?;
    follower.cluster.stop().map(drop)
}

/// What is not in the cache is still there.
fn reads_from_the_store(
    server: &mut Server<'_>,
    expected: &BTreeMap<String, String>,
) -> Result<()> {
    server.cluster.stop()?;
    crate::cache::remove_tree(&server.cluster.data().join("pg_lakebase_cache"))?;
    let connection = server.start()?;
    same_tables("after a restart", &twins(&connection)?, expected)
}

/// A server that is restored to a time before a table was dropped has it, with its rows.
fn comes_back(
    servers: &Servers<'_>,
    primary: &mut Server<'_>,
    lake: &Lake,
    archive: &Path,
) -> Result<()> {
    let connection = primary.start()?;
    set(&connection, "pg_lakebase.object_retention", "1h")?;
    servers.second(&[])?.cluster.renew()?;
    let mut restored = make_standby(servers, primary, &connection)?;
    create(&connection, "back", "lake", 20_000)?;
    insert(&connection, "back", "SELECT -1, 'inlined'")?;
    let before = twins(&connection)?;
    psql::execute(&connection, "SELECT pg_create_restore_point('before')")?;
    psql::execute(&connection, "DROP TABLE back, back_twin")?;
    insert(&connection, "kept", "SELECT -2, 'too late'")?;
    psql::execute(&connection, "VACUUM kept")?;
    let last = psql::query(&connection, "SELECT pg_walfile_name(pg_switch_wal())")?;
    let started = Instant::now();
    while !archive.join(&last).exists() {
        ensure!(started.elapsed() < LIMIT, "{last} is not archived");
        std::thread::sleep(POLL);
    }
    wait_until(
        &connection,
        "SELECT bool_or(objects IS NOT NULL AND not_before > now() + interval '50 min') FROM lakebase.garbage",
    )?;

    let data = restored.cluster.data();
    let signal = data.join("recovery.signal");
    fs::rename(data.join("standby.signal"), &signal).context("cannot have it recover")?;
    restored.set(&lake.settings(restored.cluster.account(), restored.cluster.dir())?);
    restored.set(
        &[
            (
                "restore_command",
                format!("cp \"{}/%f\" \"%p\"", archive.display()),
            ),
            ("recovery_target_name", "before".to_owned()),
            ("recovery_target_action", "promote".to_owned()),
        ]
        .map(|(name, value)| (name.to_owned(), value)),
    );
    let target = restored.start()?;
    wait_until(&target, "SELECT NOT pg_is_in_recovery()")?;
    same_tables("what is restored", &twins(&target)?, &before)?;
    insert(
        &target,
        "back",
        "SELECT g, 'goes on' FROM generate_series(1, 3000) g",
    )?;
    psql::execute(&target, "SELECT lakebase.publish('back')")?;
    ensure!(
        twins(&target)?
            .get("back")
            .is_some_and(|rows| rows.starts_with("23001|")),
        "the restored table does not go on"
    );
    restored.cluster.stop()?;
    primary.cluster.stop().map(drop)
}

/// Makes a table with rows, and a heap table with the same.
fn create(server: &Connection, table: &str, tablespace: &str, rows: u32) -> Result<()> {
    let create = format!(
        "CREATE TABLE {table} USING iceberg TABLESPACE {tablespace} AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, {rows}) g"
    );
    psql::execute(server, &create)?;
    twin(server, table)
}

fn twin(server: &Connection, table: &str) -> Result<()> {
    let create = format!("CREATE TABLE {table}_twin USING heap AS TABLE {table}");
    psql::execute(server, &create)
}

/// Makes a table of many files.
fn create_files(server: &Connection, table: &str) -> Result<()> {
    let create = format!(
        "CREATE TABLE {table} (id int, note text) USING iceberg WITH (autovacuum_enabled = false) TABLESPACE lake"
    );
    psql::execute(server, &create)?;
    for _ in 0..12 {
        let insert =
            format!("INSERT INTO {table} SELECT g, md5(g::text) FROM generate_series(1, 1000) g");
        psql::execute(server, &insert)?;
        psql::execute(server, &format!("SELECT lakebase.publish('{table}')"))?;
    }
    Ok(())
}

/// Inserts the rows of a query into a table and its twin.
fn insert(server: &Connection, table: &str, rows: &str) -> Result<()> {
    let insert = format!("INSERT INTO {table} {rows}; INSERT INTO {table}_twin {rows}");
    psql::execute(server, &insert)
}

/// What the Iceberg tables hold, by name, each of which holds the same as its twin.
fn twins(server: &Connection) -> Result<BTreeMap<String, String>> {
    let found = fingerprint(server)?;
    let mut all: BTreeMap<String, String> = found
        .lines()
        .filter_map(|line| line.split_once('|'))
        .map(|(table, rows)| (table.to_owned(), rows.to_owned()))
        .collect();
    let tables: Vec<String> = (all.keys())
        .filter_map(|table| table.strip_suffix("_twin"))
        .map(str::to_owned)
        .collect();
    for table in tables {
        let twin = all.remove(&format!("{table}_twin")).unwrap_or_default();
        let rows = all.get(&table).map_or("", String::as_str);
        same(&table, rows, &twin)?;
    }
    Ok(all)
}

fn same_tables(
    place: &str,
    found: &BTreeMap<String, String>,
    expected: &BTreeMap<String, String>,
) -> Result<()> {
    same(place, &format!("{found:#?}"), &format!("{expected:#?}"))
}

/// Waits until a standby has replayed what is committed.
fn replayed(primary: &Connection, standby: &Connection) -> Result<()> {
    psql::query(
        primary,
        "SELECT pg_logical_emit_message(true, 'operations', 'flush')",
    )?;
    let position = psql::query(primary, "SELECT pg_current_wal_flush_lsn()")?;
    wait_until(
        standby,
        &format!("SELECT pg_last_wal_replay_lsn() >= '{position}'"),
    )
}

const IS_READING: &str = "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND query LIKE '%read_slowly%'";

fn slow_reader(server: &Connection, table: &str, seconds: u32) -> Command {
    let mut command = psql::psql(server);
    command.args(["--no-align", "--tuples-only", "--command"]);
    command.arg(format!("SELECT read_slowly('{table}', {seconds})"));
    command
}

/// Begins to read a table.
fn read_slowly(server: &Connection, table: &str, seconds: u32) -> Result<Child> {
    let child = slow_reader(server, table, seconds)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run psql")?;
    wait_until(server, IS_READING)?;
    Ok(child)
}

fn set(server: &Connection, name: &str, value: &str) -> Result<()> {
    psql::execute(server, &format!("ALTER SYSTEM SET {name} = '{value}'"))?;
    psql::execute(server, "SELECT pg_reload_conf()")
}

/// Whether somebody has said in any tablespace that an identity has several owners.
fn is_said_to_be_shared(identity: &Path) -> Result<bool> {
    for tablespace in fs::read_dir(identity)?.flatten() {
        let owners = fs::read_dir(tablespace.path().join("owner"));
        if (owners.into_iter().flatten().flatten())
            .any(|entry| entry.file_name().to_string_lossy().starts_with("shared-"))
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Fails unless all objects are as they were.
fn unchanged(before: &BTreeMap<String, u64>, found: &BTreeMap<String, u64>) -> Result<()> {
    for (object, content) in before {
        match found.get(object) {
            None => bail!("{object} is deleted"),
            Some(now) if now != content => bail!("{object} is another one"),
            Some(_) => {}
        }
    }
    Ok(())
}
