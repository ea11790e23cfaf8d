//! Page checksums, which Iceberg files do not have.
//!
//! pg_checksums takes every file for one of pages. It must stop at the first Iceberg file rather than read it as
//! one, let alone write checksums into it.

use super::server::{Servers, create_fingerprint, fails_because, fingerprint, same};
use crate::process;
use crate::psql;
use anyhow::{Result, ensure};

const REASON: &str = "invalid segment number 0 in file name";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let mut server = servers.first(&[])?;
    let checksums = |server: &super::server::Server<'_>, mode: &str| {
        let mut command = server.program("pg_checksums");
        command.arg(mode).arg("--pgdata").arg(server.cluster.data());
        command
    };
    // The extension is no hindrance as long as there are no tables.
    server.start()?;
    server.cluster.stop()?;
    process::output(&mut checksums(&server, "--enable"))?;
    let connection = server.start()?;
    create_fingerprint(&connection)?;
    psql::execute(
        &connection,
        "CREATE TABLE t USING iceberg AS SELECT g AS id, md5(g::text) AS note FROM generate_series(1, 5000) g",
    )?;
    psql::execute(
        &connection,
        "INSERT INTO t VALUES (0, 'waits for metadata')",
    )?;
    let expected = fingerprint(&connection)?;
    // A base backup verifies the checksums of relations and leaves other files alone.
    let mut backup = connection.client("pg_basebackup");
    backup.args([
        "--format=tar",
        "--gzip",
        "--wal-method=none",
        "--checkpoint=fast",
    ]);
    let target = tempfile_dir(&server)?;
    backup.arg("--pgdata").arg(&target);
    process::output(&mut backup)?;
    crate::cache::remove_tree(&target)?;
    server.cluster.stop()?;

    fails_because(&mut checksums(&server, "--check"), REASON)?;
    process::output(&mut checksums(&server, "--disable"))?;
    fails_because(&mut checksums(&server, "--enable"), REASON)?;
    let connection = server.start()?;
    same("after pg_checksums", &fingerprint(&connection)?, &expected)?;
    let on = psql::query(&connection, "SHOW data_checksums")?;
    ensure!(on == "off", "pg_checksums failed and left checksums {on}");
    Ok(())
}

/// Where a backup goes that only its making matters of.
fn tempfile_dir(server: &super::server::Server<'_>) -> Result<std::path::PathBuf> {
    let path = server.cluster.dir().join("backup");
    crate::cache::remove_tree(&path)?;
    Ok(path)
}
