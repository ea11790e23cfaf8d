//! SQL through psql: one statement's result, or a script with rows streamed into COPY.

use crate::cluster::Connection;
use anyhow::{Context, Result, bail};
use std::io::{BufWriter, Write};
use std::process::{Command, Stdio};

/// psql for `connection`: quiet, without the user's start-up file, stopping at the first error.
pub fn psql(connection: &Connection) -> Command {
    let mut command = connection.client("psql");
    command.args(["--no-psqlrc", "--quiet", "--set", "ON_ERROR_STOP=1"]);
    command
}

/// Runs `sql` and returns its rows, columns separated by `|`.
pub fn query(connection: &Connection, sql: &str) -> Result<String> {
    let mut command = psql(connection);
    command.args(["--no-align", "--tuples-only", "--command", sql]);
    let text = checked(&mut command)?;
    Ok(text.trim_end().to_owned())
}

/// Runs `sql` for its effect.
pub fn execute(connection: &Connection, sql: &str) -> Result<()> {
    checked(psql(connection).args(["--output", "/dev/null", "--command", sql])).map(drop)
}

/// Runs `sql` and returns what psql would show a person, with the time it took.
pub fn table(connection: &Connection, sql: &str) -> Result<String> {
    let mut command = psql(connection);
    command.args([
        "--pset",
        "footer=off",
        "--command",
        r"\timing on",
        "--command",
        sql,
    ]);
    checked(&mut command)
}

/// Runs the script that `write` produces, COPY data included, as psql reads it from a file.
pub fn script(
    connection: &Connection,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<()> {
    let mut child = psql(connection)
        .args(["--file", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run psql")?;
    let stdin = child.stdin.take().context("psql has no standard input")?;
    let mut rows = BufWriter::with_capacity(1 << 16, stdin);
    let written = write(&mut rows).and_then(|()| rows.flush());
    drop(rows);
    let output = child.wait_with_output().context("cannot wait for psql")?;
    if !output.status.success() {
        // The server's message, not the broken pipe it caused.
        bail!("{}", message(&output.stderr));
    }
    written.context("cannot feed psql")
}

fn checked(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .context("cannot run psql")?;
    if !output.status.success() {
        bail!("{}", message(&output.stderr));
    }
    String::from_utf8(output.stdout).context("psql wrote something else than UTF-8")
}

fn message(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    format!(
        "psql: {}",
        text.trim().strip_prefix("psql: ").unwrap_or(text.trim())
    )
}
