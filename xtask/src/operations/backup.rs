//! Incremental backups: of Iceberg files those are taken whole that are there, and none comes back that is gone.

use super::server::{Servers, create_fingerprint, fingerprint, same, wait_until};
use crate::cluster::Connection;
use crate::process;
use crate::psql;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let mut server = servers.first(&[
        ("summarize_wal", "on"),
        ("pg_iceberg_am.publish_interval", "1min"),
    ])?;
    let connection = server.start()?;
    let execute = |sql: &str| psql::execute(&connection, sql);
    create_fingerprint(&connection)?;
    let directory = server.cluster.dir().to_path_buf();
    let space = directory.join("space");
    server.cluster.account().make_private_dir(&space)?;
    execute(&format!(
        "CREATE TABLESPACE space LOCATION '{}'",
        space.display()
    ))?;
    execute(
        "CREATE TABLE elsewhere USING iceberg TABLESPACE space AS SELECT g AS id, 'elsewhere' AS note FROM generate_series(1, 3000) g",
    )?;
    for table in ["kept", "grown", "emptied", "dropped", "rewritten"] {
        execute(&format!(
            "CREATE TABLE {table} USING iceberg AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 3000) g"
        ))?;
        execute(&format!("INSERT INTO {table} VALUES (0, 'waits')"))?;
    }
    execute(
        "CREATE UNLOGGED TABLE unlogged USING iceberg AS SELECT g AS id, 'gone' AS note FROM generate_series(1, 10) g",
    )?;

    let [full, increment, second, whole] =
        ["full", "increment", "second-increment", "whole"].map(|name| directory.join(name));
    let backup = |target: &Path, earlier: Option<&Path>| {
        // Written by the server's account, which reads it again.
        let mut command = server.program("pg_basebackup");
        connection.set_env(&mut command);
        command
            .args(["--checkpoint=fast", "--no-sync", "--pgdata"])
            .arg(target);
        command.args(moved(&space, &space_of(target)));
        if let Some(earlier) = earlier {
            command
                .arg("--incremental")
                .arg(earlier.join("backup_manifest"));
        }
        process::output(&mut command)
    };
    backup(&full, None).context("the full backup")?;
    execute("INSERT INTO grown SELECT g, 'later' FROM generate_series(1, 30000) g")?;
    execute("INSERT INTO grown VALUES (-1, 'waits')")?;
    execute("TRUNCATE emptied")?;
    execute("DROP TABLE dropped")?;
    backup(&increment, Some(&full)).context("the first increment")?;
    execute("INSERT INTO elsewhere VALUES (0, 'later')")?;
    execute("VACUUM FULL rewritten")?;
    execute(
        "CREATE TABLE new USING iceberg AS SELECT g AS id, 'new' AS note FROM generate_series(1, 3000) g",
    )?;
    execute("SELECT lakebase.publish('grown')")?;
    execute("INSERT INTO grown VALUES (-2, 'waits')")?;
    let expected = fingerprint(&connection)?;
    backup(&second, Some(&increment)).context("the second increment")?;
    server.cluster.stop()?;

    let mut combine = server.program("pg_combinebackup");
    combine.arg("--no-sync").args([&full, &increment, &second]);
    combine.args(moved(&space_of(&second), &space_of(&whole)));
    process::output(combine.arg("--output").arg(&whole)).context("pg_combinebackup")?;
    for made in [&increment, &second, &whole] {
        let mut verify = server.program("pg_verifybackup");
        // The log between them is in each of them.
        process::output(verify.arg(made))
            .with_context(|| format!("pg_verifybackup of {}", made.display()))?;
    }

    let mut restored = servers.second(&[])?;
    std::fs::rename(&whole, restored.cluster.data()).context("cannot move the backup")?;
    let restored_connection = restored.start()?;
    let found = fingerprint(&restored_connection)?;
    // Recovery empties unlogged tables.
    let expected: Vec<&str> = expected
        .lines()
        .filter(|line| !line.starts_with("unlogged|"))
        .collect();
    let found: Vec<&str> = found
        .lines()
        .filter(|line| !line.starts_with("unlogged|"))
        .collect();
    same("restored", &found.join("\n"), &expected.join("\n"))?;
    let unlogged = psql::query(&restored_connection, "SELECT count(*) FROM unlogged")?;
    same("restored, unlogged", &unlogged, "0")?;
    goes_on(&restored_connection)
}

/// Where the tablespace is of the backup in `directory`.
fn space_of(directory: &Path) -> PathBuf {
    directory.with_extension("space")
}

/// The option that has a tablespace put elsewhere.
fn moved(from: &Path, to: &Path) -> [String; 2] {
    let mapping = format!("{}={}", from.display(), to.display());
    ["--tablespace-mapping".to_owned(), mapping]
}

/// Another directory than the one that the files were written in is as good.
fn goes_on(connection: &Connection) -> Result<()> {
    // The publisher is at work since recovery ended.
    wait_until(
        connection,
        "SELECT count(*) = 0 FROM lakebase.inline_commit",
    )?;
    for _ in 0..2 {
        let orphans = psql::query(
            connection,
            "SELECT count(*) FROM lakebase.iceberg_tables t, lakebase.remove_orphan_files(t.relation, interval '0') WHERE t.relation <> 'unlogged'::regclass",
        )?;
        same("orphans in what is restored", &orphans, "0")?;
        psql::execute(connection, "INSERT INTO grown VALUES (-3, 'goes on')")?;
        let published = psql::query(connection, "SELECT lakebase.publish('grown')")?;
        let known = psql::query(
            connection,
            "SELECT metadata_location FROM lakebase.iceberg_tables WHERE relation = 'grown'::regclass AND metadata_location LIKE location || '/metadata/%'",
        )?;
        same("the metadata of what is restored", &published, &known)?;
    }
    let rows = psql::query(connection, "SELECT count(*) FROM grown")?;
    same("going on", &rows, "33005")
}
