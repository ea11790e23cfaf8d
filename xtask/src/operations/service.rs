//! The storage service: the server runs it while there are object tablespaces, and it does not outlive the server.

use super::server::{Server, Servers, wait_until};
use crate::cluster::{Connection, processes};
use crate::extension;
use crate::process;
use crate::psql;
use anyhow::{Context, Result, bail, ensure};
use rustix::process::Signal;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// How long the service may outlive the server.
const END: Duration = Duration::from_secs(1);
/// How long it may take to begin.
const START: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(10);
const WORKERS: &str =
    "SELECT count(*) FROM pg_stat_activity WHERE backend_type = 'pg_lakebase storage service'";
const IS_RUNNING: &str = "SELECT status = 'running' FROM lakebase.storage_service";
const IS_STOPPED: &str = "SELECT status = 'stopped' FROM lakebase.storage_service";
const SETTINGS: [(&str, &str); 1] = [("allow_in_place_tablespaces", "on")];
/// No service answers at the endpoint.
const TABLESPACE: &str = "CREATE TABLESPACE lake LOCATION '' WITH (protocol = 's3', bucket = 'b', endpoint = 'https://localhost:1', probe = off)";

pub fn run(servers: &Servers<'_>) -> Result<()> {
    without_room(servers)?;
    let mut server = servers.first(&SETTINGS)?;
    let connection = server.start()?;
    is_there_while_it_is_needed(&connection)?;
    psql::execute(&connection, TABLESPACE)?;
    wait_until(&connection, IS_RUNNING)?;
    inherits_nothing(&server, &connection)?;
    is_started_again(&connection)?;
    goes_by_the_configuration(&connection)?;
    serves_metrics(&server, &connection)?;
    standbys_have_one(servers, &server, &connection)?;
    ends_with_the_server(&mut server)?;
    another_one_is_used(&mut server)
}

/// Servers without object tablespaces have neither the service nor its worker.
fn is_there_while_it_is_needed(connection: &Connection) -> Result<()> {
    wait_until(connection, &format!("SELECT ({WORKERS}) = 0"))?;
    wait_until(connection, IS_STOPPED)?;
    psql::execute(connection, TABLESPACE)?;
    wait_until(connection, IS_RUNNING)?;
    psql::execute(
        connection,
        "ALTER TABLESPACE lake RESET (protocol, bucket, endpoint, probe)",
    )?;
    wait_until(connection, IS_STOPPED)?;
    wait_until(connection, &format!("SELECT ({WORKERS}) = 0"))?;
    psql::execute(
        connection,
        "ALTER TABLESPACE lake SET (protocol = 'gcs', bucket = 'b', probe = off)",
    )?;
    wait_until(connection, IS_RUNNING)?;
    psql::execute(
        connection,
        "BEGIN; ALTER TABLESPACE lake RESET (protocol, bucket, probe); ROLLBACK",
    )?;
    wait_until(connection, IS_RUNNING)?;
    psql::execute(connection, "DROP TABLESPACE lake")?;
    wait_until(connection, IS_STOPPED)?;
    what_is_undone_leaves_none(connection)
}

/// A service that was started for a transaction that failed stayed.
fn what_is_undone_leaves_none(connection: &Connection) -> Result<()> {
    psql::execute(connection, "CREATE TABLESPACE plain LOCATION ''")?;
    psql::script(connection, |script| {
        writeln!(
            script,
            "BEGIN; ALTER TABLESPACE plain SET (protocol = 'gcs', bucket = 'b', probe = off);"
        )?;
        writeln!(
            script,
            "DO $$ BEGIN WHILE (SELECT status <> 'running' FROM lakebase.storage_service) LOOP PERFORM pg_sleep(0.05); END LOOP; END $$;"
        )?;
        writeln!(script, "ROLLBACK;")
    })?;
    wait_until(connection, IS_STOPPED)?;
    psql::execute(connection, "DROP TABLESPACE plain")
}

fn is_stopped(connection: &Connection) -> Result<bool> {
    Ok(psql::query(connection, IS_STOPPED)? == "t")
}

/// Whoever needs the service where `max_worker_processes` leave no room for it is told so.
fn without_room(servers: &Servers<'_>) -> Result<()> {
    // Those of PostgreSQL's logical replication, the launcher and the two syncers are there from the start.
    let mut server = servers.second(&[SETTINGS[0], ("max_worker_processes", "4")])?;
    let connection = server.start()?;
    let with_probe = TABLESPACE.replace(", probe = off", "");
    let said = psql::execute(&connection, &with_probe).err();
    let said = said.map(|error| format!("{error:#}"));
    ensure!(
        (said.as_ref()).is_some_and(|said| said.contains("No background worker is left")),
        "{said:?}"
    );
    psql::execute(&connection, TABLESPACE)?;
    ensure!(is_stopped(&connection)?, "the service runs");
    server.cluster.stop()?;
    server.cluster.renew()
}

/// Of the server's descriptors the service has none, and no signal is ignored or blocked, but SIGPIPE, which Rust ignores.
fn inherits_nothing(server: &Server<'_>, connection: &Connection) -> Result<()> {
    let own = Path::new("/proc").join(service(connection)?.to_string());
    let data = server.cluster.data();
    let beside = |path: &Path| {
        path.starts_with(&data)
            && !path.starts_with(data.join("pg_lakebase_service"))
            && !path.starts_with(data.join("pg_lakebase_cache"))
    };
    for entry in fs::read_dir(own.join("fd"))?.flatten() {
        let file = fs::read_link(entry.path()).unwrap_or_default();
        ensure!(!beside(&file), "the service has {} open", file.display());
    }
    let status = fs::read_to_string(own.join("status"))?;
    for (name, expected) in [
        ("SigBlk:", 0),
        ("SigIgn:", 1 << (Signal::PIPE.as_raw() - 1)),
    ] {
        let value = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .with_context(|| format!("no {name}"))?;
        let value = u64::from_str_radix(value.trim(), 16)?;
        ensure!(value == expected, "{name} {value:x}");
    }
    Ok(())
}

fn is_started_again(connection: &Connection) -> Result<()> {
    for _ in 0..3 {
        let killed = service(connection)?;
        processes::send(killed, Signal::KILL)?;
        let again = format!(
            "SELECT status = 'running' AND pid <> {killed} AND restarts > 0 AND last_error ~ 'signal 9' FROM lakebase.storage_service"
        );
        wait_until(connection, &again)?;
    }
    // Its worker as well, and all of the server when a backend crashes.
    let before = service(connection)?;
    psql::execute(
        connection,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE backend_type = 'pg_lakebase storage service'",
    )?;
    wait_until(
        connection,
        &format!("SELECT status = 'running' AND pid <> {before} FROM lakebase.storage_service"),
    )?;
    wait_gone(before)?;
    let before = service(connection)?;
    let launcher = psql::query(
        connection,
        "SELECT pid FROM pg_stat_activity WHERE backend_type = 'pg_iceberg launcher'",
    )?;
    processes::send(launcher.parse()?, Signal::KILL)?;
    wait_gone(before)?;
    let began = Instant::now();
    while !psql::query(connection, IS_RUNNING).is_ok_and(|is_running| is_running == "t") {
        ensure!(
            began.elapsed() < START,
            "the service does not run after a crash"
        );
        std::thread::sleep(POLL);
    }
    Ok(())
}

fn goes_by_the_configuration(connection: &Connection) -> Result<()> {
    let before = service(connection)?;
    set(
        connection,
        "pg_lakebase.storage_program",
        "/nonexistent/program",
    )?;
    wait_until(
        connection,
        "SELECT status = 'failed' AND pid IS NULL AND last_error ~ '/nonexistent/program' FROM lakebase.storage_service",
    )?;
    wait_gone(before)?;
    reset(connection, "pg_lakebase.storage_program")?;
    wait_until(connection, IS_RUNNING)?;
    // It tells why it does not start.
    set(
        connection,
        "pg_lakebase.credentials_file",
        "/nonexistent/file",
    )?;
    wait_until(
        connection,
        "SELECT status = 'failed' AND last_error ~ 'status 1: .*/nonexistent/file' FROM lakebase.storage_service",
    )?;
    reset(connection, "pg_lakebase.credentials_file")?;
    wait_until(connection, IS_RUNNING)?;
    // What does not concern it leaves it alone.
    let before = service(connection)?;
    set(connection, "log_checkpoints", "off")?;
    set(connection, "pg_lakebase.storage_service", "off")?;
    wait_until(
        connection,
        "SELECT status = 'off' FROM lakebase.storage_service",
    )?;
    wait_gone(before)?;
    reset(connection, "pg_lakebase.storage_service")?;
    wait_until(connection, IS_RUNNING)
}

/// To Prometheus, where the configuration says.
fn serves_metrics(server: &Server<'_>, connection: &Connection) -> Result<()> {
    let socket = server.cluster.dir().join("metrics.socket");
    set(
        connection,
        "pg_lakebase.metrics",
        &socket.display().to_string(),
    )?;
    let began = Instant::now();
    let page = loop {
        match scrape(&socket) {
            Ok(page) => break page,
            Err(error) if began.elapsed() > START => return Err(error).context("no metrics"),
            Err(_) => std::thread::sleep(POLL),
        }
    };
    ensure!(
        page.contains("\npg_lakebase_storage_"),
        "the metrics are {page}"
    );
    reset(connection, "pg_lakebase.metrics")?;
    wait_until(connection, IS_RUNNING)
}

fn scrape(socket: &Path) -> Result<String> {
    let mut stream = UnixStream::connect(socket)?;
    stream.set_read_timeout(Some(START))?;
    stream.write_all(b"GET /metrics HTTP/1.0\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

/// Base backups leave its cache and socket out, and a standby runs one of its own.
fn standbys_have_one(
    servers: &Servers<'_>,
    server: &Server<'_>,
    connection: &Connection,
) -> Result<()> {
    let mut standby = make_standby(servers, server, connection)?;
    let data = standby.cluster.data();
    for name in ["pg_lakebase_service", "pg_lakebase_cache"] {
        let directory = data.join(name);
        let mut entries = fs::read_dir(&directory).context(name)?;
        if let Some(entry) = entries.next() {
            bail!("the backup has {}", entry?.path().display());
        }
    }
    let standby_connection = standby.start()?;
    wait_until(
        &standby_connection,
        "SELECT pg_is_in_recovery() AND status = 'running' FROM lakebase.storage_service",
    )?;
    let [own, other] = [service(connection)?, service(&standby_connection)?];
    ensure!(own != other, "the standby uses the primary's service");
    psql::execute(&standby_connection, "SELECT pg_promote()")?;
    ensure!(
        service(&standby_connection)? == other,
        "the service was started anew at promotion"
    );
    standby.cluster.stop()?;
    standby.cluster.renew()?;

    // One that it does not need any more it keeps as long as it is a standby.
    let mut standby = make_standby(servers, server, connection)?;
    let standby_connection = standby.start()?;
    wait_until(&standby_connection, IS_RUNNING)?;
    psql::execute(connection, "DROP TABLESPACE lake")?;
    let gone = "SELECT NOT EXISTS (SELECT FROM pg_tablespace WHERE spcname = 'lake')";
    wait_until(&standby_connection, gone)?;
    psql::execute(&standby_connection, "SELECT pg_promote()")?;
    wait_until(&standby_connection, IS_STOPPED)?;
    standby.cluster.stop()?;
    psql::execute(connection, TABLESPACE)?;
    wait_until(connection, IS_RUNNING)
}

/// A standby that is not started yet.
pub fn make_standby<'a>(
    servers: &'a Servers<'_>,
    server: &Server<'_>,
    connection: &Connection,
) -> Result<Server<'a>> {
    // It has the primary's extension, and cannot be given one.
    let preloads = ("shared_preload_libraries", extension::NAME);
    let standby = servers.second(&[SETTINGS[0], preloads])?.plain();
    let data = standby.cluster.data();
    let mut backup = server.program("pg_basebackup");
    connection.set_env(&mut backup);
    backup.args(["--checkpoint=fast", "--no-sync", "--write-recovery-conf"]);
    let output = backup
        .arg("--pgdata")
        .arg(&data)
        .output()
        .context("cannot run pg_basebackup")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success() && said.is_empty(),
        "pg_basebackup: {said}"
    );
    Ok(standby)
}

/// Whatever ends the server ends the service.
fn ends_with_the_server(server: &mut Server<'_>) -> Result<()> {
    for how in ["fast", "immediate", "killed"] {
        let connection = server.start()?;
        wait_until(&connection, IS_RUNNING)?;
        let pid = service(&connection)?;
        if how == "killed" {
            let postmaster = server.cluster.pid().context("the server does not run")?;
            processes::send(postmaster, Signal::KILL)?;
        } else {
            let mut pg_ctl = server.program("pg_ctl");
            pg_ctl.args(["stop", "--wait", "--mode", how, "--pgdata"]);
            process::output(pg_ctl.arg(server.cluster.data()))?;
        }
        wait_gone(pid).with_context(|| format!("the server was {how}"))?;
    }
    processes::wait_gone(&server.cluster.data(), processes::KILL_LIMIT)
}

/// With a socket of somebody else's the server runs no service.
fn another_one_is_used(server: &mut Server<'_>) -> Result<()> {
    let connection = server.start()?;
    wait_until(&connection, IS_RUNNING)?;
    let own = service(&connection)?;
    let directory = server.cluster.dir();
    let socket = directory.join("external.socket");
    let mut command = server
        .cluster
        .account()
        .command(server.bindir().join(extension::SERVICE), directory);
    command.arg("--socket").arg(&socket);
    command
        .arg("--cache-dir")
        .arg(directory.join("external-cache"));
    let mut other = command
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .context("cannot run the service")?;
    let used = uses(&connection, own, &socket);
    // It is killed whatever has become of the test.
    other.kill().and_then(|()| other.wait()).map(drop)?;
    used
}

fn uses(connection: &Connection, own: i32, socket: &Path) -> Result<()> {
    let long = format!("/{}", "x".repeat(107));
    let refused = set(connection, "pg_lakebase.storage_socket", &long);
    let said = refused.err().map(|error| format!("{error:#}"));
    ensure!(
        said.as_ref().is_some_and(|said| said.contains("108 bytes")),
        "a path that is too long: {said:?}"
    );
    set(
        connection,
        "pg_lakebase.storage_socket",
        &socket.display().to_string(),
    )?;
    wait_until(
        connection,
        &format!(
            "SELECT status = 'external' AND pid IS NULL AND socket = '{}' AND version IS NOT NULL AND started < clock_timestamp() FROM lakebase.storage_service",
            socket.display()
        ),
    )?;
    wait_gone(own)?;
    // One that is not there is told as well.
    set(
        connection,
        "pg_lakebase.storage_socket",
        "/nonexistent/socket",
    )?;
    wait_until(
        connection,
        "SELECT status = 'unreachable' AND version IS NULL AND last_error ~ '/nonexistent/socket' FROM lakebase.storage_service",
    )?;
    wait_until(connection, &format!("SELECT ({WORKERS}) = 0"))
}

/// The service's process.
fn service(connection: &Connection) -> Result<i32> {
    let pid = psql::query(connection, "SELECT pid FROM lakebase.storage_service")?;
    pid.parse().with_context(|| format!("no process: {pid}"))
}

fn set(connection: &Connection, name: &str, value: &str) -> Result<()> {
    psql::execute(connection, &format!("ALTER SYSTEM SET {name} = '{value}'"))?;
    psql::execute(connection, "SELECT pg_reload_conf()")
}

fn reset(connection: &Connection, name: &str) -> Result<()> {
    psql::execute(connection, &format!("ALTER SYSTEM RESET {name}"))?;
    psql::execute(connection, "SELECT pg_reload_conf()")
}

fn wait_gone(pid: i32) -> Result<()> {
    let began = Instant::now();
    // One that is dead and that nobody has waited for has no working directory any more.
    let works_in = Path::new("/proc").join(pid.to_string()).join("cwd");
    while fs::read_link(&works_in).is_ok() {
        ensure!(
            began.elapsed() < END,
            "the service, process {pid}, is still there after {END:?}"
        );
        std::thread::sleep(POLL);
    }
    Ok(())
}
