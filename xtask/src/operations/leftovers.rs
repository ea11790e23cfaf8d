//! Objects of what never was are deleted, though no table has ever led to them; those of what was are kept from the commit on.

use super::objects::{NO_GARBAGE, identities, objects, remove_orphans};
use super::server::{Server, Servers, fails_because, same, wait_until};
use crate::cluster::Connection;
use crate::guardian::Guardian;
use crate::psql;
use crate::stores::Lake;
use crate::wire::Session;
use anyhow::{Context, Result, ensure};
use std::time::Duration;

const NAME: &str = "operations-leftovers";
/// How long objects are kept, `object_retention` being 0: longer than it takes to look at them.
const KEEP_TIME: &str = "4s";
/// So many small files, for so little memory, that some are handed over before the end of the transaction.
const LOAD: &str = "CREATE TABLE undone (id int, filler text) USING iceberg
     WITH (\"write.target-file-size-bytes\" = 1048576) TABLESPACE lake;
     INSERT INTO undone SELECT g, (sha512(g::text::bytea) || sha512((-g)::text::bytea))::text FROM generate_series(1, 100000) g;";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let _guardian = Guardian::over([Lake::directory(servers.cache, NAME)])?;
    let lake = Lake::start(servers.cache, NAME)?;
    let result = leftovers(servers, &lake);
    lake.stop().and(result)
}

fn leftovers(servers: &Servers<'_>, lake: &Lake) -> Result<()> {
    let mut server = servers.first(&[("max_prepared_transactions", "2")])?;
    server.set(&lake.settings(server.cluster.account(), server.cluster.dir())?);
    let own = [
        ("pg_iceberg_am.file_keep_time", KEEP_TIME),
        ("pg_iceberg_am.write_work_mem", "2MB"),
    ];
    server.set(&own.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let connection = server.start()?;
    // It comes before the other one, and who looks for orphans in all of them goes on.
    psql::execute(
        &connection,
        "CREATE TABLESPACE dead LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'https://s3.invalid', credentials = 'nobody', probe = off)",
    )?;
    lake.create_tablespace(&connection)?;
    for statement in [
        "CREATE TABLE own (id int) USING iceberg TABLESPACE lake",
        "INSERT INTO own VALUES (1)",
        "SELECT lakebase.publish('own')",
    ] {
        psql::execute(&connection, statement)?;
    }
    wait_until(&connection, NO_GARBAGE)?;
    let [identity] = identities(lake)?.try_into().map_err(|found| {
        anyhow::anyhow!("there should be one identity, and there are {found:?}")
    })?;
    let own = objects(lake, &identity)?;
    ensure!(!own.is_empty(), "the table has no objects");

    for end in [
        "DROP TABLE undone; COMMIT",
        "ROLLBACK TO s; COMMIT",
        "ROLLBACK TO s; PREPARE TRANSACTION 'p'; COMMIT PREPARED 'p'",
        "PREPARE TRANSACTION 'p'; ROLLBACK PREPARED 'p'",
        "ROLLBACK",
    ] {
        let transaction = format!("BEGIN; SAVEPOINT s; {LOAD} {end};");
        run_script(&connection, &transaction).with_context(|| format!("before {end}"))?;
        ensure!(
            objects(lake, &identity)? != own,
            "nothing was handed over before {end}"
        );
        if end == "ROLLBACK" {
            // Nobody can write down what it has left.
            remove_orphans(&connection)?;
        }
        wait_until(&connection, NO_GARBAGE)?;
        let found = objects(lake, &identity)?;
        same(&format!("objects after {end}"), &found, &own)?;
    }

    moved_meanwhile(&connection, lake)?;

    run_script(
        &connection,
        "BEGIN; DROP TABLE own; SELECT pg_sleep(5); COMMIT;",
    )?;
    // The transaction took longer than objects are kept. A publisher looks twice a second.
    psql::execute(&connection, "SELECT pg_sleep(2)")?;
    let found = objects(lake, &identity)?;
    same("objects soon after the commit", &found, &own)?;
    wait_until(&connection, NO_GARBAGE)?;
    same("objects in the end", &objects(lake, &identity)?, "")?;
    of_last_tables(&mut server, lake, &identity)?;
    of_dropped_databases(&mut server, lake, &identity)?;
    server.cluster.stop().map(drop)
}

/// A database whose last table is dropped deletes what that had, also if the server is started again before it is time.
fn of_last_tables(server: &mut Server<'_>, lake: &Lake, identity: &str) -> Result<()> {
    let connection = server.start()?;
    psql::execute(
        &connection,
        "CREATE TABLE last USING iceberg TABLESPACE lake AS SELECT 1 AS id",
    )?;
    psql::execute(&connection, "DROP TABLE last")?;
    server.cluster.stop()?;
    ensure!(
        !objects(lake, identity)?.is_empty(),
        "the objects were not kept"
    );
    let connection = server.start()?;
    wait_until(&connection, NO_GARBAGE)?;
    same("objects of the last", &objects(lake, identity)?, "")
}

/// What DROP DATABASE leaves is found by another database, and kept from then on; copies of a database would share its objects, and
/// are refused.
fn of_dropped_databases(server: &mut Server<'_>, lake: &Lake, identity: &str) -> Result<()> {
    let connection = server.start()?;
    psql::execute(
        &connection,
        "CREATE TABLE own USING iceberg TABLESPACE lake AS SELECT 1 AS id",
    )?;
    remove_orphans(&connection)?;
    let own = objects(lake, identity)?;
    for is_found_by_itself in [false, true] {
        psql::execute(&connection, "CREATE DATABASE passing")?;
        let passing = connection.with_database("passing");
        for statement in [
            "CREATE EXTENSION pg_iceberg_am",
            "CREATE TABLE lasts USING iceberg TABLESPACE lake AS SELECT generate_series(1, 1000) AS id",
            "CREATE TABLE garbage USING iceberg TABLESPACE lake AS SELECT 1 AS id",
            "DROP TABLE garbage",
        ] {
            psql::execute(&passing, statement)?;
        }
        for strategy in ["wal_log", "file_copy"] {
            let copy = format!("CREATE DATABASE copy TEMPLATE passing STRATEGY {strategy}");
            fails_because(
                psql::psql(&connection).args(["--command", &copy]),
                "cannot copy a database with Iceberg tables",
            )?;
        }
        let before = objects(lake, identity)?;
        remove_orphans(&connection)?;
        same(
            "objects of another database",
            &objects(lake, identity)?,
            &before,
        )?;
        let said = notices(&connection, "DROP DATABASE passing")?;
        ensure!(
            said.contains("objects of database \"passing\" are left in \"s3://"),
            "DROP DATABASE says: {said}"
        );
        let left = objects(lake, identity)?;
        ensure!(left.len() > own.len(), "nothing is left: {left}");
        if is_found_by_itself {
            server.cluster.stop()?;
            server.start()?;
            wait_until(&connection, "SELECT EXISTS (SELECT FROM lakebase.garbage)")?;
        } else {
            let listed = "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '0', dry_run => true)";
            let count = left.lines().count() - own.lines().count();
            same(
                "a dry run",
                &psql::query(&connection, listed)?,
                &count.to_string(),
            )?;
            same("objects after it", &objects(lake, identity)?, &left)?;
            psql::execute(
                &connection,
                "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '0')",
            )?;
        }
        same("objects that are kept", &objects(lake, identity)?, &left)?;
        wait_until(&connection, NO_GARBAGE)?;
        same("objects that stay", &objects(lake, identity)?, &own)?;
    }
    of_a_dropped_extension(&connection, lake, identity, &own)?;
    let said = notices(&connection, "CREATE DATABASE empty")?;
    let said = said + &notices(&connection, "DROP DATABASE empty")?;
    same("of a database without objects", &said, "")
}

/// DROP EXTENSION tells what it leaves; it is found when the extension is created again.
fn of_a_dropped_extension(
    connection: &Connection,
    lake: &Lake,
    identity: &str,
    own: &str,
) -> Result<()> {
    psql::execute(connection, "CREATE DATABASE again")?;
    let again = connection.with_database("again");
    let create = "CREATE EXTENSION pg_iceberg_am";
    psql::execute(&again, create)?;
    let said = notices(&again, "DROP EXTENSION pg_iceberg_am")?;
    same("DROP EXTENSION of a database without objects", &said, "")?;
    psql::execute(&again, create)?;
    psql::execute(
        &again,
        "CREATE TABLE lasts USING iceberg TABLESPACE lake AS SELECT generate_series(1, 1000) AS id",
    )?;
    let said = notices(&again, "DROP EXTENSION pg_iceberg_am CASCADE")?;
    ensure!(
        said.contains("objects of Iceberg tables of this database are left in \"s3://"),
        "DROP EXTENSION says: {said}"
    );
    ensure!(
        objects(lake, identity)?.len() > own.len(),
        "nothing is left"
    );
    psql::execute(&again, create)?;
    psql::execute(
        &again,
        "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '0')",
    )?;
    wait_until(&again, NO_GARBAGE)?;
    same("objects that stay", &objects(lake, identity)?, own)?;
    psql::execute(connection, "DROP DATABASE again")
}

/// What a statement has told beside its result.
fn notices(connection: &Connection, statement: &str) -> Result<String> {
    let output = psql::psql(connection)
        .args(["--command", statement])
        .output()
        .context("cannot run psql")?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.success(), "{statement}: {said}");
    Ok(said)
}

/// What a savepoint undoes together with the change of where the tablespace leads, and what it has undone before such a change:
/// nothing leads to either place.
fn moved_meanwhile(connection: &Connection, lake: &Lake) -> Result<()> {
    let options = lake.options();
    psql::execute(
        connection,
        &format!("CREATE TABLESPACE moving LOCATION '' WITH ({options}, prefix = 'first')"),
    )?;
    let load = LOAD.replace("TABLESPACE lake", "TABLESPACE moving");
    let move_it = "ALTER TABLESPACE moving SET (prefix = 'elsewhere')";
    let below = |prefix: &str| -> Result<String> {
        let found = lake.objects()?;
        let found = (found.into_iter()).filter(|name| name.starts_with(prefix));
        Ok(found.collect::<Vec<_>>().join("\n"))
    };
    for (before, after, prefix) in [
        (&*format!("{move_it}; {load}"), "", "elsewhere/"),
        (&load, &*format!("{move_it}; "), "first/"),
    ] {
        let mut session = Session::open(connection)?;
        session.set_time_limit(Duration::from_secs(60))?;
        session.query("BEGIN")?;
        session.query("SAVEPOINT s")?;
        for statement in before.split(';').filter(|text| !text.trim().is_empty()) {
            session.query(statement)?;
        }
        ensure!(
            !below(prefix)?.is_empty(),
            "nothing was handed over below {prefix}"
        );
        session.query("ROLLBACK TO s")?;
        for statement in after.split("; ").filter(|text| !text.is_empty()) {
            session.query(statement)?;
        }
        session.query("COMMIT")?;
        wait_until(connection, NO_GARBAGE)?;
        same(&format!("objects below {prefix}"), &below(prefix)?, "")?;
    }
    psql::execute(connection, "DROP TABLESPACE moving")
}

fn run_script(connection: &Connection, statements: &str) -> Result<()> {
    psql::script(connection, |to| to.write_all(statements.as_bytes()))
}
