//! Copies of a server with tables in an object store: neither the copy nor the original deletes what both have.

use super::objects::{NO_GARBAGE, identities, objects, remove_orphans};
use super::server::{Server, Servers, fails_because, same, wait_until};
use crate::cluster::Connection;
use crate::guardian::Guardian;
use crate::process;
use crate::psql;
use crate::stores::Lake;
use anyhow::{Context, Result, bail, ensure};
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant, UNIX_EPOCH};

const NAME: &str = "operations-copies";
/// A store that does not always answer.
const FAR: &str = "operations-copies-far";
/// How long a write takes at most that has to do with a store that answers.
const SOON: Duration = Duration::from_secs(5);
/// How soon a server that is started looks for copies of it.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const SUM: &str = "SELECT count(*), sum(id) FROM all_kept";
const ROWS: &str = "1000|500500";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let _guardian = Guardian::over([NAME, FAR].map(|name| Lake::directory(servers.cache, name)))?;
    let lake = Lake::start(servers.cache, NAME)?;
    let result = Lake::start(servers.cache, FAR).and_then(|far| {
        let result = copies(servers, &lake, &far);
        far.set_hung(false).and_then(|()| far.stop()).and(result)
    });
    lake.stop().and(result)
}

fn copies(servers: &Servers<'_>, lake: &Lake, far: &Lake) -> Result<()> {
    let mut original = servers.first(&[("max_prepared_transactions", "1")])?;
    let mut copy = servers.second(&[("max_prepared_transactions", "1")])?;
    let mut settings = lake.settings(original.cluster.account(), original.cluster.dir())?;
    settings.push(("pg_iceberg_am.file_keep_time".to_owned(), "0".to_owned()));
    original.set(&settings);
    copy.set(&settings);
    let connection = original.start()?;
    // Before the others, so that it is looked at before them.
    psql::execute(
        &connection,
        &format!("CREATE TABLESPACE far LOCATION '' WITH ({})", far.options()),
    )?;
    lake.create_tablespace(&connection)?;
    // Of one place, which is no other cluster's.
    let options = lake.options();
    for statement in [
        &*format!("CREATE TABLESPACE same_lake LOCATION '' WITH ({options})"),
        "CREATE TABLE kept USING iceberg TABLESPACE lake AS SELECT generate_series(1, 500) AS id",
        "CREATE TABLE also_kept USING iceberg TABLESPACE same_lake AS SELECT generate_series(501, 1000) AS id",
        "CREATE TABLE garbage USING iceberg TABLESPACE lake AS SELECT 1 AS id",
        "CREATE TABLE local (id int) USING heap",
        "CREATE VIEW all_kept AS SELECT * FROM kept UNION ALL SELECT * FROM also_kept",
    ] {
        psql::execute(&connection, statement)?;
    }
    remove_orphans(&connection)?;
    original.cluster.stop()?;
    let [first] = identities(lake)?.try_into().map_err(|found| {
        anyhow::anyhow!("there should be one identity, and there are {found:?}")
    })?;
    let before = objects(lake, &first)?;
    ensure!(
        before.lines().count() >= 12,
        "the original has too few objects: {before}"
    );

    let mut third = servers.third(&[("max_prepared_transactions", "1")])?;
    third.set(&settings);
    of_copy(&mut original, &mut copy, &mut third, lake, &first)?;
    of_files(&mut original, &mut copy, lake, &first)?;
    of_volume(&mut original, &mut copy, lake, &first)?;
    after_take_over(&mut original, &mut copy, lake, &first)?;
    of_primary(&mut original, &mut copy, lake)?;
    beside_a_store_that_hangs(&mut original, &mut copy, lake, far)
}

/// A copy of a copy, which uses the original's storage service, as that one does.
fn of_copy(
    original: &mut Server<'_>,
    copy: &mut Server<'_>,
    third: &mut Server<'_>,
    lake: &Lake,
    first: &str,
) -> Result<()> {
    let make = "CREATE TABLE of_copy USING iceberg TABLESPACE lake AS SELECT 7 AS id";
    let rows_of_copy = "SELECT * FROM of_copy";
    copy_data(original, copy)?;
    let connection = copy.start()?;
    psql::execute(&connection, make)?;
    psql::execute(&connection, "INSERT INTO kept SELECT WHERE false")?;
    copy.cluster.stop()?;
    copy_data(copy, third)?;
    let connection = original.start()?;
    let socket = original
        .cluster
        .data()
        .join("pg_lakebase_service/pgsql_tmp.socket");
    third.set(&[(
        "pg_lakebase.storage_socket".to_owned(),
        socket.display().to_string(),
    )]);
    let copied = copy.start()?;
    let copied_again = third.start()?;
    let status = "SELECT status FROM lakebase.storage_service";
    same(
        "the service of the copy's copy",
        &psql::query(&copied_again, status)?,
        "external",
    )?;
    remove_orphans(&copied)?;
    let of_copy = objects_of_others(lake, &[first])?;
    ensure!(of_copy.len() == 1, "the copies have objects: {of_copy:?}");
    let before = [(first.to_owned(), objects(lake, first)?)];
    let before = before.into_iter().chain(of_copy);
    let before: Vec<(String, String)> = before.collect();
    same(
        "the copy's row",
        &psql::query(&copied_again, rows_of_copy)?,
        "7",
    )?;
    psql::execute(&copied_again, "DROP TABLE of_copy")?;
    drop_all(&copied_again)?;
    for (identity, before) in &before {
        nothing_lost(before, &objects(lake, identity)?)?;
    }
    ensure!(
        identities(lake)?.len() == 3,
        "the copy's copy has no identity of its own"
    );
    for server in [&connection, &copied] {
        same("the rows", &psql::query(server, SUM)?, ROWS)?;
    }
    same("the copy's row", &psql::query(&copied, rows_of_copy)?, "7")?;
    psql::execute(&copied, "DROP TABLE of_copy")?;
    drop_all(&copied)?;
    // What it has made itself is gone then.
    let left = objects_of_others(lake, &[first])?;
    ensure!(left.is_empty(), "the copies have left {left:?}");
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    third.cluster.stop()?;
    copy.cluster.stop()?;
    original.cluster.stop().map(drop)
}

/// The objects below all other identities that have any.
fn objects_of_others(lake: &Lake, identity: &[&str]) -> Result<Vec<(String, String)>> {
    let mut found = Vec::new();
    for other in identities(lake)? {
        let objects = objects(lake, &other)?;
        if !identity.contains(&&*other) && !objects.is_empty() {
            found.push((other, objects));
        }
    }
    Ok(found)
}

/// A copy of its files: they are others.
fn of_files(
    original: &mut Server<'_>,
    copy: &mut Server<'_>,
    lake: &Lake,
    first: &str,
) -> Result<()> {
    let before = objects(lake, first)?;
    let before_others = identities(lake)?.len();
    copy_data(original, copy)?;
    let connection = original.start()?;
    let copied = copy.start()?;
    drop_all(&copied)?;
    same("the original's objects", &objects(lake, first)?, &before)?;
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    let others = identities(lake)?;
    ensure!(
        others.len() == before_others + 1,
        "the copy has no identity of its own: {others:?}"
    );
    for other in others.iter().filter(|other| *other != first) {
        same("what the copy has left", &objects(lake, other)?, "")?;
    }
    copy.cluster.stop()?;
    // It writes, so that it has claimed its identity in this life.
    psql::execute(&connection, "INSERT INTO kept SELECT WHERE false")?;
    original.cluster.stop().map(drop)
}

/// A copy of its volume: they are the same, and the copy is the first to write, to one of the tablespaces.
fn of_volume(
    original: &mut Server<'_>,
    copy: &mut Server<'_>,
    lake: &Lake,
    first: &str,
) -> Result<()> {
    let connection = original.start()?;
    let statements = b"BEGIN; INSERT INTO local VALUES (1); PREPARE TRANSACTION 'holds';
        DROP TABLE garbage; SELECT pg_sleep(2);";
    psql::script(&connection, |to| to.write_all(statements))?;
    same(
        "garbage",
        &psql::query(
            &connection,
            "SELECT count(*) FROM lakebase.garbage WHERE not_before < now()",
        )?,
        "1",
    )?;
    original.cluster.stop()?;
    let before = objects(lake, first)?;
    copy_data(original, copy)?;
    make_identical(&copy.cluster.data())?;
    // Shorter than the original takes to look again: that is waited for all the same.
    copy.set(&[("pg_lakebase.object_retention".to_owned(), "1s".to_owned())]);
    let copied = copy.start()?;
    same(
        "the copy's retention",
        &psql::query(&copied, "SHOW pg_lakebase.object_retention")?,
        "1s",
    )?;
    for statement in [
        "CREATE TABLE claims (id int) USING iceberg TABLESPACE lake",
        "INSERT INTO claims VALUES (1)",
        "ROLLBACK PREPARED 'holds'",
        "SELECT pg_sleep(3)",
    ] {
        psql::execute(&copied, statement)?;
    }
    // Nobody here needs it, and it was due before the copy was made.
    nothing_lost(&before, &objects(lake, first)?)?;
    // The original writes nothing, and notices all the same.
    let connection = original.start()?;
    let left = original
        .cluster
        .data()
        .join(format!("pg_lakebase/identity.00000001.{first}"));
    let started = Instant::now();
    while !left.exists() {
        ensure!(
            started.elapsed() < LIMIT,
            "the original has not noticed its copy"
        );
        std::thread::sleep(POLL);
    }
    copy.set(&[("pg_lakebase.object_retention".to_owned(), "0".to_owned())]);
    copy.cluster.stop()?;
    let copied = copy.start()?;
    drop_all(&copied)?;
    // The copy may have written there before it knew.
    nothing_lost(&before, &objects(lake, first)?)?;
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    psql::execute(&connection, "ROLLBACK PREPARED 'holds'")?;
    copy.cluster.stop()?;
    original.cluster.stop().map(drop)
}

/// The copies are gone, and somebody says so; and then there is another one.
fn after_take_over(
    original: &mut Server<'_>,
    copy: &mut Server<'_>,
    lake: &Lake,
    first: &str,
) -> Result<()> {
    let connection = original.start()?;
    let known = psql::query(
        &connection,
        "SELECT identity, is_own, is_taken_over, last_used > now() - interval '1 hour' FROM lakebase.identities('lake')",
    )?;
    ensure!(
        known.lines().any(|row| row == format!("{first}|f|f|t")),
        "{first} is not among the identities:\n{known}"
    );
    let refused = format!("SELECT lakebase.take_over('lake', '{first}')");
    fails_because(
        psql::psql(&connection).args(["--command", &refused]),
        "has been used of late",
    )?;
    // It is told first how much that is.
    let dry_run =
        format!("SELECT lakebase.take_over('lake', '{first}', force => true, dry_run => true)");
    let output = psql::psql(&connection)
        .args(["--command", &dry_run])
        .output()
        .context("cannot run psql")?;
    let said = String::from_utf8_lossy(&output.stderr);
    let number = "SELECT oid FROM pg_tablespace WHERE spcname = 'lake'";
    let number = format!("{}/", psql::query(&connection, number)?);
    let all = objects(lake, first)?;
    let count = all.lines().filter(|line| line.starts_with(&number)).count();
    ensure!(
        said.contains(&format!("there are {count} objects of ")),
        "of {count} objects: {said}"
    );
    let known = psql::query(
        &connection,
        "SELECT bool_or(is_taken_over) FROM lakebase.identities('lake')",
    )?;
    same("what a dry run has taken over", &known, "f")?;
    for tablespace in ["lake", "same_lake"] {
        let take_over =
            format!("SELECT lakebase.take_over('{tablespace}', '{first}', force => true)");
        psql::execute(&connection, &take_over)?;
    }
    original.cluster.stop()?;
    let before = objects(lake, first)?;
    copy_data(original, copy)?;
    let copied = copy.start()?;
    drop_all(&copied)?;
    nothing_lost(&before, &objects(lake, first)?)?;
    copy.cluster.stop()?;

    let connection = original.start()?;
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    psql::execute(&connection, "DROP VIEW all_kept")?;
    psql::execute(&connection, "DROP TABLE kept, also_kept")?;
    wait_until(&connection, NO_GARBAGE)?;
    // Twice: the first search may run under the number of a transaction of the copy's, whose objects seem in use then.
    remove_orphans(&connection)?;
    remove_orphans(&connection)?;
    same("what is left", &objects(lake, first)?, "")?;
    original.cluster.stop().map(drop)
}

/// A server that was promoted to a new timeline while the one lives on that it followed.
fn of_primary(original: &mut Server<'_>, copy: &mut Server<'_>, lake: &Lake) -> Result<()> {
    let connection = original.start()?;
    for statement in [
        "CREATE TABLE kept USING iceberg TABLESPACE lake AS SELECT generate_series(1, 500) AS id",
        "CREATE TABLE also_kept USING iceberg TABLESPACE same_lake AS SELECT generate_series(501, 1000) AS id",
        "CREATE VIEW all_kept AS SELECT * FROM kept UNION ALL SELECT * FROM also_kept",
    ] {
        psql::execute(&connection, statement)?;
    }
    remove_orphans(&connection)?;
    original.cluster.stop()?;
    copy_data(original, copy)?;
    let signal = copy.cluster.data().join("recovery.signal");
    fs::write(&signal, "").with_context(|| format!("cannot write {}", signal.display()))?;
    copy.cluster.account().give(&signal)?;
    // There is no more log: it gets a timeline of its own at once.
    copy.set(
        &[("restore_command", "false"), ("hot_standby", "off")]
            .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    let started = Instant::now();
    let promoted = loop {
        let start = copy.start().and_then(|connection| {
            psql::query(&connection, "SELECT 1")?;
            Ok(connection)
        });
        match start {
            // Recovery may take a moment longer than the server takes to start.
            Err(_) if started.elapsed() < LIMIT => std::thread::sleep(POLL),
            result => break result?,
        }
    };
    for table in ["kept", "also_kept"] {
        psql::execute(
            &promoted,
            &format!("INSERT INTO {table} SELECT WHERE false"),
        )?;
        let write = format!("CREATE TABLE of_{table} (LIKE {table}) USING iceberg TABLESPACE lake");
        psql::execute(&promoted, &write)?;
    }
    psql::execute(
        &promoted,
        "CREATE TABLE more USING iceberg TABLESPACE same_lake AS SELECT 1 AS id",
    )?;

    let connection = original.start()?;
    let mut before = Vec::new();
    for identity in identities(lake)? {
        let objects = objects(lake, &identity)?;
        if !objects.is_empty() {
            before.push((identity, objects));
        }
    }
    ensure!(
        before.len() >= 2,
        "the new primary shares its identity: {before:?}"
    );
    drop_all(&connection)?;
    for (identity, before) in before {
        nothing_lost(&before, &objects(lake, &identity)?)?;
    }
    same(
        "the new primary's rows",
        &psql::query(&promoted, SUM)?,
        ROWS,
    )?;
    copy.cluster.stop()?;
    original.cluster.stop().map(drop)
}

/// One of the stores does not answer when the original finds that it has a double: it goes on with the other one, and tells the
/// first one later.
fn beside_a_store_that_hangs(
    original: &mut Server<'_>,
    copy: &mut Server<'_>,
    lake: &Lake,
    far: &Lake,
) -> Result<()> {
    let connection = original.start()?;
    for statement in [
        "CREATE TABLE kept USING iceberg TABLESPACE lake AS SELECT generate_series(1, 500) AS id",
        "CREATE TABLE also_kept USING iceberg TABLESPACE far AS SELECT generate_series(501, 1000) AS id",
        "CREATE TABLE going USING iceberg TABLESPACE lake AS SELECT 1 AS id",
        "CREATE VIEW all_kept AS SELECT * FROM kept UNION ALL SELECT * FROM also_kept",
    ] {
        psql::execute(&connection, statement)?;
    }
    let own = "SELECT DISTINCT identity FROM lakebase.identities('lake') WHERE is_own";
    let shared = psql::query(&connection, own)?;
    original.cluster.stop()?;
    let (near_before, far_before) = (objects(lake, &shared)?, objects(far, &shared)?);
    copy_data(original, copy)?;
    make_identical(&copy.cluster.data())?;
    let copied = copy.start()?;
    for tablespace in ["lake", "far"] {
        let write = format!(
            "CREATE TABLE of_copy_in_{tablespace} USING iceberg TABLESPACE {tablespace} AS SELECT 1 AS id"
        );
        psql::execute(&copied, &write)?;
    }
    copy.cluster.stop()?;

    far.set_hung(true)?;
    let connection = original.start()?;
    let started = Instant::now();
    psql::execute(
        &connection,
        "CREATE TABLE more USING iceberg TABLESPACE lake AS SELECT 2 AS id",
    )?;
    ensure!(
        started.elapsed() < SOON,
        "a write took {:?} beside a store that hangs",
        started.elapsed()
    );
    ensure!(
        psql::query(&connection, own)? != shared,
        "the original has not noticed its copy"
    );
    psql::execute(&connection, "DROP TABLE going, more")?;
    let oid = "SELECT oid FROM pg_tablespace WHERE spcname = 'far'";
    let oid = psql::query(&connection, oid)?;
    ensure!(
        is_untold(original, &oid)?,
        "it is not known what is still to be told"
    );
    // It is known to the next life as well.
    original.cluster.stop()?;
    original.start()?;
    ensure!(
        is_untold(original, &oid)?,
        "what is to be told is forgotten"
    );
    original.cluster.stop()?;
    far.set_hung(false)?;
    let connection = original.start()?;
    let started = Instant::now();
    while is_untold(original, &oid)? {
        ensure!(
            started.elapsed() < LIMIT,
            "the store is not told that its objects are shared"
        );
        std::thread::sleep(POLL);
    }
    wait_until(&connection, NO_GARBAGE)?;
    nothing_lost(&near_before, &objects(lake, &shared)?)?;
    // The copy deletes nothing of it in either store.
    let copied = copy.start()?;
    psql::execute(&copied, "DROP VIEW all_kept")?;
    psql::execute(
        &copied,
        "DROP TABLE kept, also_kept, going, of_copy_in_lake, of_copy_in_far",
    )?;
    wait_until(&copied, NO_GARBAGE)?;
    remove_orphans(&copied)?;
    nothing_lost(&far_before, &objects(far, &shared)?)?;
    nothing_lost(&near_before, &objects(lake, &shared)?)?;
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    copy.cluster.stop()?;
    original.cluster.stop().map(drop)
}

/// Whether the server has still to tell a tablespace's store.
fn is_untold(server: &Server<'_>, tablespace: &str) -> Result<bool> {
    let entries = fs::read_dir(server.cluster.data().join("pg_lakebase"))?;
    let of = format!(".{tablespace}.");
    Ok(entries.flatten().any(|entry| {
        let name = entry.file_name().to_string_lossy().into_owned();
        name.starts_with("untold.") && name.contains(&of)
    }))
}

fn nothing_lost(before: &str, found: &str) -> Result<()> {
    ensure!(!before.is_empty(), "there was nothing to be lost");
    for object in before.lines() {
        ensure!(
            found.lines().any(|line| line == object),
            "{object} is deleted, and there is:\n{found}"
        );
    }
    Ok(())
}

/// Drops all that the server has, and has the publisher delete what it may.
fn drop_all(connection: &Connection) -> Result<()> {
    same("rows", &psql::query(connection, SUM)?, ROWS)?;
    for statement in [
        "DROP VIEW all_kept",
        "CREATE TABLE own USING iceberg TABLESPACE lake AS SELECT * FROM kept",
        "TRUNCATE kept",
        "DROP TABLE kept, also_kept, own",
    ] {
        psql::execute(connection, statement)?;
    }
    wait_until(connection, NO_GARBAGE)?;
    remove_orphans(connection)
}

fn copy_data(from: &Server<'_>, to: &Server<'_>) -> Result<()> {
    crate::cache::remove_tree(&to.cluster.data())?;
    let mut command = to.cluster.account().command("cp", to.cluster.dir());
    command.arg("--archive");
    command.arg(from.cluster.data()).arg(to.cluster.data());
    process::output(&mut command).map(drop)
}

/// Has the file that holds the identity say that it is the file that it is, as in a copy of a volume.
fn make_identical(data: &Path) -> Result<()> {
    for entry in fs::read_dir(data.join("pg_lakebase"))?.flatten() {
        let path = entry.path();
        if !entry.file_name().to_string_lossy().starts_with("identity.") {
            continue;
        }
        let text = fs::read_to_string(&path)?;
        let words: Vec<&str> = text.split_whitespace().collect();
        let [name, _, _, machine] = *words else {
            bail!("{} holds \"{text}\"", path.display());
        };
        let metadata = fs::metadata(&path)?;
        let created = metadata.created()?.duration_since(UNIX_EPOCH)?.as_nanos();
        let inode = metadata.ino();
        fs::write(&path, format!("{name} {inode} {created} {machine}\n"))
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    Ok(())
}
