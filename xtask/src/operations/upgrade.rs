//! pg_upgrade between two clusters of the same version, which is all that there is: it treats them as it would
//! any two.

use super::server::{Server, Servers, create_fingerprint, fails_because, fingerprint, same};
use crate::cluster::{Connection, SUPERUSER};
use crate::process;
use crate::psql;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

/// Rows wait for their metadata when the old server is shut down.
const SETTINGS: [(&str, &str); 1] = [("pg_iceberg_am.publish_interval", "1min")];
const OTHER: &str = "other";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let mut old = servers.first(&SETTINGS)?;
    let mut new = servers.second(&SETTINGS)?;
    let connection = old.start()?;
    fill(&connection)?;
    psql::execute(&connection, &format!("CREATE DATABASE {OTHER}"))?;
    let other = connection.with_database(OTHER);
    psql::execute(&other, "CREATE EXTENSION pg_iceberg_am")?;
    fill(&other)?;
    let expected = contents(&connection)?;
    old.cluster.stop()?;

    // Without the library, and without being told where the tables are: before anything is done to the old cluster.
    let mut plain = servers.second(&[])?.plain();
    plain.prepare()?;
    let check = ["--check"];
    fails_because(
        &mut pg_upgrade(&old, &plain, &check),
        "loadable libraries that are missing",
    )?;
    new.prepare()?;
    process::output(&mut pg_upgrade(&old, &new, &check)).context("pg_upgrade --check")?;
    // What went wrong is in the log of the database whose tables could not be made.
    fails_because(
        &mut pg_upgrade(&old, &new, &["--copy", "--jobs=2"]),
        "Failure, exiting",
    )?;
    said(
        &new,
        "cannot upgrade Iceberg tables without the data directory of the old cluster",
    )?;
    let connection = old.start()?;
    same(
        "the old cluster after a refusal",
        &contents(&connection)?,
        &expected,
    )?;
    old.cluster.stop()?;

    let from = format!(
        "-c pg_iceberg_am.upgrade_from={}",
        old.cluster.data().display()
    );
    upgrade(&old, &mut new, &["--copy", "--new-options", &from])?;
    let connection = new.start()?;
    same("upgraded", &contents(&connection)?, &expected)?;
    goes_on(&connection)?;
    goes_on(&connection.with_database(OTHER))?;
    group_may_read(&new.cluster.data().join("base"), false)?;
    let changed = contents(&connection)?;
    new.cluster.stop()?;
    let connection = new.start()?;
    same(
        "upgraded, and started again",
        &contents(&connection)?,
        &changed,
    )?;
    new.cluster.stop()?;

    // The old cluster was copied: it can still be gone back to.
    let connection = old.start()?;
    same(
        "the old cluster after the upgrade",
        &contents(&connection)?,
        &expected,
    )?;
    old.cluster.stop()?;

    let from = format!("{from} -c pg_iceberg_am.upgrade_transfer=link");
    upgrade(&old, &mut new, &["--link", "--new-options", &from])?;
    let connection = new.start()?;
    same("upgraded by links", &contents(&connection)?, &expected)?;
    goes_on(&connection)?;
    goes_on(&connection.with_database(OTHER))
}

/// Tables of all kinds, with rows in data files and, since there is an interval, rows that wait.
fn fill(connection: &Connection) -> Result<()> {
    create_fingerprint(connection)?;
    let execute = |sql: &str| psql::execute(connection, sql);
    execute(
        "CREATE TABLE large USING iceberg AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 20000) g",
    )?;
    execute("CREATE TABLE small (id int, note text NOT NULL DEFAULT 'none') USING iceberg")?;
    execute("CREATE TABLE empty (id int) USING iceberg")?;
    execute("CREATE TABLE emptied USING iceberg AS SELECT 1 AS id")?;
    execute("TRUNCATE emptied")?;
    execute(
        "CREATE UNLOGGED TABLE unlogged USING iceberg AS SELECT g AS id FROM generate_series(1, 10) g",
    )?;
    execute("CREATE MATERIALIZED VIEW matview USING iceberg AS SELECT count(*) FROM large")?;
    execute("CREATE TABLE parted (id int, note text) PARTITION BY RANGE (id)")?;
    execute(
        "CREATE TABLE parted_low PARTITION OF parted FOR VALUES FROM (0) TO (100) USING iceberg",
    )?;
    execute(
        "CREATE TABLE parted_high PARTITION OF parted FOR VALUES FROM (100) TO (200) USING heap",
    )?;
    execute("INSERT INTO parted SELECT g, 'parted' FROM generate_series(1, 150) g")?;
    execute("CREATE TABLE converted (id int, gone text, kept text) USING heap")?;
    execute("INSERT INTO converted SELECT g, 'gone', 'kept' FROM generate_series(1, 100) g")?;
    execute("ALTER TABLE converted DROP COLUMN gone")?;
    execute("ALTER TABLE converted SET ACCESS METHOD iceberg")?;
    execute(
        "CREATE TABLE rewritten USING iceberg AS SELECT g AS id FROM generate_series(1, 100) g",
    )?;
    execute("VACUUM FULL rewritten")?;
    execute("CREATE TYPE changed_type AS (x int, y text, z int)")?;
    execute("CREATE TABLE changed (a int, b text, c int, s changed_type) USING iceberg")?;
    execute(
        "INSERT INTO changed SELECT g, 'gone', -g, (g, 'gone', -g)::changed_type FROM generate_series(1, 50) g",
    )?;
    execute("ALTER TABLE changed DROP COLUMN b")?;
    execute("ALTER TABLE changed RENAME COLUMN c TO d")?;
    execute("ALTER TYPE changed_type DROP ATTRIBUTE y")?;
    // Kept in forms of their own.
    execute("CREATE TYPE mood AS ENUM ('glad', 'sad')")?;
    execute("CREATE TYPE pair AS (a int, b text)")?;
    execute(
        "CREATE TABLE typed (i interval, m mood, n numeric, p pair, a inet[], r int4range) USING iceberg",
    )?;
    execute(
        "INSERT INTO typed SELECT make_interval(days => g), 'sad', g / 4.0, (g, 'b'::text)::pair, ARRAY['10.0.0.1'::inet], int4range(g, g + 1) FROM generate_series(1, 50) g",
    )?;
    for number in 1..10 {
        execute(&format!("INSERT INTO small VALUES ({number})"))?;
    }
    execute("INSERT INTO large VALUES (0, 'waits')")
}

/// What both databases hold, and how what belongs to the extension is set.
fn contents(connection: &Connection) -> Result<String> {
    let own = "SELECT tgrelid::regclass, tgname, tgenabled FROM pg_trigger WHERE tgname ~ '^keep_.*_out$' ORDER BY 1, 2";
    let waiting = "SELECT relation, row_count, unpublished_rows FROM lakebase.iceberg_tables ORDER BY relation::text";
    let mut all = Vec::new();
    for connection in [connection, &connection.with_database(OTHER)] {
        all.push(fingerprint(connection)?);
        all.push(psql::query(connection, own)?);
        all.push(psql::query(connection, waiting)?);
    }
    Ok(all.join("\n"))
}

/// Everything that is done with tables can be done with these.
fn goes_on(connection: &Connection) -> Result<()> {
    let orphans = "SELECT count(*) FROM lakebase.remove_orphan_files(NULL, interval '0')";
    same("orphans", &psql::query(connection, orphans)?, "0")?;
    psql::execute(
        connection,
        "INSERT INTO large VALUES (-1, 'new'); INSERT INTO small VALUES (-1); INSERT INTO empty VALUES (1);
         INSERT INTO emptied VALUES (1); INSERT INTO unlogged VALUES (11); INSERT INTO parted VALUES (0, 'new');
         INSERT INTO converted VALUES (0, 'new'); INSERT INTO rewritten VALUES (0);
         INSERT INTO changed VALUES (0, 0, (0, 0));
         INSERT INTO typed VALUES ('1 hour', 'glad', 0.5, (1, 'x'), '{::1}', '[1,5)');
         REFRESH MATERIALIZED VIEW matview; CREATE TABLE new USING iceberg AS TABLE small",
    )?;
    let counts = "SELECT (SELECT count(*) FROM large), (SELECT count(*) FROM small), (SELECT count(*) FROM empty),
        (SELECT count(*) FROM emptied), (SELECT count(*) FROM unlogged), (SELECT count(*) FROM parted),
        (SELECT count(*) FROM converted), (SELECT count(*) FROM rewritten), (SELECT count(*) FROM changed WHERE a = -d AND (s).x = -(s).z), (SELECT count(*) FROM typed WHERE m >= 'glad' AND n > 0), (TABLE matview), (SELECT count(*) FROM new)";
    let found = psql::query(connection, counts)?;
    same(
        "going on",
        &found,
        "20002|10|1|1|11|151|101|101|51|51|20002|10",
    )?;
    let published =
        "SELECT bool_and(lakebase.publish(relation) IS NOT NULL) FROM lakebase.iceberg_tables";
    same("published", &psql::query(connection, published)?, "t")?;
    psql::execute(connection, "VACUUM FULL large")?;
    psql::execute(connection, "TRUNCATE converted; DROP TABLE rewritten")?;
    let left = psql::query(connection, "SELECT count(*) FROM large")?;
    same("after VACUUM FULL", &left, "20002")
}

/// Fails unless the group may read, and nobody else, whatever is at and below the directories of Iceberg tables:
/// files that are copied must not keep the modes that they have in the old cluster.
fn group_may_read(directory: &Path, in_table: bool) -> Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let in_table = in_table || entry.file_name().to_string_lossy().starts_with("iceberg_");
        let is_directory = entry.file_type()?.is_dir();
        let mode = entry.metadata()?.permissions().mode() & 0o777;
        let expected = if is_directory { 0o750 } else { 0o640 };
        ensure!(
            !in_table || mode == expected,
            "{} has mode {mode:o}, not {expected:o}",
            entry.path().display()
        );
        if is_directory {
            group_may_read(&entry.path(), in_table)?;
        }
    }
    Ok(())
}

/// Upgrades to a new cluster whose group may read its files, whatever there was before.
fn upgrade(old: &Server<'_>, new: &mut Server<'_>, options: &[&str]) -> Result<()> {
    new.cluster.renew()?;
    new.prepare()?;
    // Servers and programs go by the mode of the data directory.
    fs::set_permissions(new.cluster.data(), fs::Permissions::from_mode(0o750))?;
    process::output(&mut pg_upgrade(old, new, options))
        .map(drop)
        .with_context(|| format!("pg_upgrade {}", options.join(" ")))
}

fn pg_upgrade(old: &Server<'_>, new: &Server<'_>, options: &[&str]) -> Command {
    let mut command = new.program("pg_upgrade");
    command.arg("--old-datadir").arg(old.cluster.data());
    command.arg("--new-datadir").arg(new.cluster.data());
    command.arg("--old-bindir").arg(old.bindir());
    command.arg("--new-bindir").arg(new.bindir());
    command
        .args(["--username", SUPERUSER, "--no-sync"])
        .args(options);
    command
}

/// Fails unless pg_upgrade has left `message` in one of its logs.
fn said(new: &Server<'_>, message: &str) -> Result<()> {
    let output = new.cluster.data().join("pg_upgrade_output.d");
    let mut grep = Command::new("grep");
    grep.args([
        "--recursive",
        "--files-with-matches",
        "--fixed-strings",
        message,
    ]);
    process::output(grep.arg(&output))
        .map(drop)
        .with_context(|| format!("pg_upgrade does not say \"{message}\""))
}
