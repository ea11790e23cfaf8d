//! Tablespaces in object stores are dumped and restored.
//!
//! pg_dumpall writes their options unquoted, and pg_upgrade has the same text executed by a server that runs for it.
//! (pg_upgrade itself takes tablespaces only to another version of PostgreSQL's catalogs.)

use super::server::{Server, Servers, same};
use crate::cluster::Connection;
use crate::process;
use crate::psql;
use anyhow::{Context, Result, ensure};
use std::fs;
use std::path::Path;

const OPTIONS: &str = "SELECT spcname, pg_get_userbyid(spcowner), spcacl, spcoptions FROM pg_tablespace WHERE spcname ~ '^lake' ORDER BY 1";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let mut first = servers.first(&[])?;
    let mut second = servers.second(&[])?;
    let connection = first.start()?;
    let locations = ["one", "two"].map(|name| first.cluster.dir().join("tablespaces").join(name));
    make(&first, &locations)?;
    let [one, two] = locations.each_ref().map(|path| path.display());
    for statement in [
        "CREATE ROLE keeper".to_owned(),
        format!(
            "CREATE TABLESPACE lake_s3 OWNER keeper LOCATION '{one}' WITH (protocol = 's3', bucket = 'it''s, a \"bucket\"', prefix = 'a\\b=c', random_page_cost = 1.25, probe = off)"
        ),
        format!("CREATE TABLESPACE \"lake GCS\" LOCATION '{two}'"),
        "ALTER TABLESPACE \"lake GCS\" SET (protocol = 'gcs', bucket = 'b', skip_signature = true, probe = off)".to_owned(),
        "GRANT CREATE ON TABLESPACE \"lake GCS\" TO keeper".to_owned(),
        "CREATE DATABASE other".to_owned(),
    ] {
        psql::execute(&connection, &statement)?;
    }
    let expected = psql::query(&connection, OPTIONS)?;
    let dump = dump(&first, &connection, "dump.sql", &[])?;
    let for_upgrade = dump_for_upgrade(&first, &connection)?;
    first.cluster.stop()?;

    // The roles that the second cluster has as well are in the dump, and cannot be made again.
    make(&first, &locations)?;
    let connection = second.start()?;
    restore(&connection, &dump)?;
    let restored = psql::query(&connection, OPTIONS)?;
    same("restored", &restored, &expected)?;
    second.cluster.stop()?;
    second.cluster.renew()?;

    make(&first, &locations)?;
    second.start()?;
    second.cluster.stop()?;
    let mut pg_ctl = second.program("pg_ctl");
    pg_ctl.args(["start", "--wait", "--options=-b", "--pgdata"]);
    pg_ctl.arg(second.cluster.data());
    pg_ctl.arg("--log").arg(second.cluster.log());
    process::output(&mut pg_ctl)?;
    restore(&connection, &for_upgrade)?;
    let upgraded = psql::query(&connection, OPTIONS)?;
    same("restored as pg_upgrade does", &upgraded, &expected)?;
    second.cluster.stop().map(drop)
}

/// Makes the directories of the tablespaces anew.
fn make(server: &Server<'_>, locations: &[std::path::PathBuf]) -> Result<()> {
    for location in locations {
        crate::cache::remove_tree(location)?;
        if let Some(parent) = location.parent() {
            server.cluster.account().make_private_dir(parent)?;
        }
        server.cluster.account().make_private_dir(location)?;
    }
    Ok(())
}

/// A dump of the whole cluster, without what each cluster has by itself.
fn dump(
    server: &Server<'_>,
    connection: &Connection,
    name: &str,
    options: &[&str],
) -> Result<std::path::PathBuf> {
    let path = server.cluster.dir().join(name);
    let mut command = connection.client("pg_dumpall");
    command.args(options).arg("--file").arg(&path);
    process::output(&mut command)?;
    let text = fs::read_to_string(&path).with_context(|| format!("cannot read {name}"))?;
    ensure!(
        text.contains("ALTER TABLESPACE lake_s3 SET ("),
        "{name} does not set the options of tablespaces"
    );
    let own = |line: &&str| {
        let of_superuser = line.starts_with("CREATE ROLE postgres;");
        let of_database = *line
            == "CREATE DATABASE lakebase WITH TEMPLATE = template0 ENCODING = 'UTF8' LOCALE_PROVIDER = libc LOCALE = 'C';"
            || line.starts_with("CREATE DATABASE lakebase ");
        !(of_superuser || of_database)
    };
    let text: Vec<_> = text.lines().filter(own).collect();
    fs::write(&path, text.join("\n"))?;
    Ok(path)
}

fn dump_for_upgrade(server: &Server<'_>, connection: &Connection) -> Result<std::path::PathBuf> {
    // As pg_upgrade calls it (`generate_old_dump`).
    dump(
        server,
        connection,
        "globals.sql",
        &["--globals-only", "--binary-upgrade"],
    )
}

fn restore(connection: &Connection, dump: &Path) -> Result<()> {
    let mut command = connection.client("psql");
    command.args(["--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", "--file"]);
    process::output(command.arg(dump)).map(drop)
}
