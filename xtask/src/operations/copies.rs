//! Copies of a server with tables in an object store: neither the copy nor the original deletes what both have.

use super::objects::{NO_GARBAGE, identities, objects, remove_orphans};
use super::server::{Server, Servers, same, wait_until};
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
/// How soon a server that is started looks for copies of it.
const LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(50);
const SUM: &str = "SELECT count(*), sum(id) FROM kept";
const ROWS: &str = "1000|500500";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    let _guardian = Guardian::over([Lake::directory(servers.cache, NAME)])?;
    let lake = Lake::start(servers.cache, NAME)?;
    let result = copies(servers, &lake);
    lake.stop().and(result)
}

fn copies(servers: &Servers<'_>, lake: &Lake) -> Result<()> {
    let mut original = servers.first(&[])?;
    let mut settings = lake.settings(original.cluster.account(), original.cluster.dir())?;
    settings.push(("pg_iceberg_am.file_keep_time".to_owned(), "0".to_owned()));
    original.set(&settings);
    let connection = original.start()?;
    lake.create_tablespace(&connection)?;
    psql::execute(
        &connection,
        "CREATE TABLE kept (id int) USING iceberg TABLESPACE lake",
    )?;
    psql::execute(
        &connection,
        "INSERT INTO kept SELECT generate_series(1, 1000)",
    )?;
    psql::execute(&connection, "SELECT lakebase.publish('kept')")?;
    original.cluster.stop()?;
    let [first] = identities(lake)?.try_into().map_err(|found| {
        anyhow::anyhow!("there should be one identity, and there are {found:?}")
    })?;

    // Of its files: they are others.
    let before = objects(lake, &first)?;
    ensure!(
        before.lines().count() >= 4,
        "the original has too few objects: {before}"
    );
    let mut copy = servers.second(&[])?;
    copy.set(&settings);
    copy_data(&original, &copy)?;
    original.start()?;
    let copied = copy.start()?;
    drop_all(&copied)?;
    same("the original's objects", &objects(lake, &first)?, &before)?;
    let others = identities(lake)?;
    ensure!(
        others.len() == 2,
        "the copy has no identity of its own: {others:?}"
    );
    for other in others.iter().filter(|other| **other != first) {
        same("what the copy has left", &objects(lake, other)?, "")?;
    }
    copy.cluster.stop()?;
    original.cluster.stop()?;

    // Of its volume: they are the same, and the copy is the first to write.
    copy_data(&original, &copy)?;
    make_identical(&copy.cluster.data())?;
    let copied = copy.start()?;
    psql::execute(
        &copied,
        "CREATE TABLE claims (id int) USING iceberg TABLESPACE lake",
    )?;
    psql::execute(&copied, "INSERT INTO claims VALUES (1)")?;
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
    let before = objects(lake, &first)?;
    drop_all(&copied)?;
    // The copy may have written there before it knew.
    let found = objects(lake, &first)?;
    if let Some(lost) = before
        .lines()
        .find(|object| !found.lines().any(|line| line == *object))
    {
        bail!("the copy has deleted {lost}, and has left:\n{found}");
    }
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    copy.cluster.stop()?;

    // The copy is gone, and somebody says so.
    let taken = psql::query(&connection, "SELECT lakebase.take_over('lake')")?;
    ensure!(
        taken.lines().any(|identity| identity == first),
        "{first} is not taken over, but: {taken}"
    );
    same("the original's rows", &psql::query(&connection, SUM)?, ROWS)?;
    psql::execute(&connection, "DROP TABLE kept")?;
    wait_until(&connection, NO_GARBAGE)?;
    // Twice: the first search may run under the number of a transaction of the copy's, whose objects seem in use then.
    remove_orphans(&connection)?;
    remove_orphans(&connection)?;
    same("what is left", &objects(lake, &first)?, "")?;
    original.cluster.stop().map(drop)
}

/// Drops all that the copy has, and has the publisher delete what it may.
fn drop_all(copied: &Connection) -> Result<()> {
    same("the copy's rows", &psql::query(copied, SUM)?, ROWS)?;
    for statement in [
        "CREATE TABLE own USING iceberg TABLESPACE lake AS SELECT * FROM kept",
        "TRUNCATE kept",
        "DROP TABLE kept, own",
    ] {
        psql::execute(copied, statement)?;
    }
    wait_until(copied, NO_GARBAGE)?;
    remove_orphans(copied)
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
