//! Objects of what never was are deleted, though no table has ever led to them; those of what was are kept from the commit on.

use super::objects::{NO_GARBAGE, identities, objects, remove_orphans};
use super::server::{Servers, same, wait_until};
use crate::cluster::Connection;
use crate::guardian::Guardian;
use crate::psql;
use crate::stores::Lake;
use anyhow::{Context, Result, ensure};

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
    server.cluster.stop().map(drop)
}

fn run_script(connection: &Connection, statements: &str) -> Result<()> {
    psql::script(connection, |to| to.write_all(statements.as_bytes()))
}
