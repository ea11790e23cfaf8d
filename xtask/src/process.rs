//! Running programs: quietly into a log with progress, or for their output.

use crate::progress::Progress;
use anyhow::{Context, Result, bail};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Duration;

const POLL: Duration = Duration::from_millis(100);
/// How much of a log is shown when its program failed.
const TAIL_LINES: usize = 30;
const TAIL_BYTES: u64 = 16 * 1024;

/// Runs `command` with its output appended to `log`, showing progress under `title`. A failure
/// shows the end of the log and is an error that names it.
pub fn run_logged(title: &str, log: &Path, command: &mut Command) -> Result<()> {
    let start = log_length(log);
    try_logged(title, log, command).inspect_err(|_| eprint!("{}", tail(log, start, TAIL_LINES)))
}

/// Like [`run_logged`], for one of several ways to something: a failure is told by the error alone.
pub fn try_logged(title: &str, log: &Path, command: &mut Command) -> Result<()> {
    let status = status_logged(title, log, command)?;
    if !status.success() {
        bail!(
            "{title}: {} {}; see {}",
            program(command),
            describe(status),
            log.display()
        );
    }
    Ok(())
}

/// Like [`run_logged`], but a non-zero exit is the caller's to judge.
pub fn status_logged(title: &str, log: &Path, command: &mut Command) -> Result<ExitStatus> {
    if let Some(parent) = log.parent() {
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot create directory {}", parent.display()))?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(log)
        .with_context(|| format!("cannot open log {}", log.display()))?;
    writeln!(file, "$ {}", command_line(command))?;
    let clone = |file: &File| {
        file.try_clone()
            .context("cannot duplicate the log's descriptor")
    };
    let mut child = command
        .stdin(Stdio::null())
        .stdout(clone(&file)?)
        .stderr(clone(&file)?)
        .spawn()
        .with_context(|| format!("cannot run {}", program(command)))?;
    let mut progress = Progress::start(title);
    loop {
        if let Some(status) = child
            .try_wait()
            .context("cannot wait for a child process")?
        {
            if status.success() {
                progress.finish();
            } else {
                progress.fail();
            }
            return Ok(status);
        }
        progress.tick(|| last_line(log));
        std::thread::sleep(POLL);
    }
}

/// This program, also where its file is another one by now: Cargo may have linked it anew.
pub fn itself() -> Command {
    let mut command = Command::new("/proc/self/exe");
    command.arg0(env!("CARGO_PKG_NAME"));
    command
}

/// Runs `command` and returns its standard output; a failure carries its standard error.
pub fn output(command: &mut Command) -> Result<String> {
    let output = command
        .stdin(Stdio::null())
        .output()
        .with_context(|| format!("cannot run {}", program(command)))?;
    if !output.status.success() {
        bail!(
            "{} {}: {}",
            program(command),
            describe(output.status),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{} wrote something else than UTF-8", program(command)))
}

/// `exited with status 2` or `was ended by signal 9`.
pub fn describe(status: ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt;
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exited with status {code}"),
        (None, Some(signal)) => format!("was ended by signal {signal}"),
        (None, None) => "ended for an unknown reason".to_owned(),
    }
}

/// The last `lines` lines of `log` written after byte `start`.
pub fn tail(log: &Path, start: u64, lines: usize) -> String {
    let Ok(bytes) = read_end(log, start) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    let all: Vec<&str> = text.lines().collect();
    let mut shown = all
        .get(all.len().saturating_sub(lines)..)
        .unwrap_or_default()
        .join("\n");
    if !shown.is_empty() {
        shown.push('\n');
    }
    shown
}

/// The present length of `log`, 0 when there is none.
pub fn log_length(log: &Path) -> u64 {
    fs::metadata(log).map_or(0, |meta| meta.len())
}

fn last_line(log: &Path) -> String {
    let Ok(bytes) = read_end(log, 0) else {
        return String::new();
    };
    let text = String::from_utf8_lossy(&bytes);
    text.rsplit(['\n', '\r'])
        .find(|line| !line.trim().is_empty())
        .unwrap_or("")
        .to_owned()
}

fn read_end(log: &Path, start: u64) -> std::io::Result<Vec<u8>> {
    let mut file = File::open(log)?;
    let length = file.metadata()?.len();
    file.seek(SeekFrom::Start(
        start.max(length.saturating_sub(TAIL_BYTES)),
    ))?;
    let mut bytes = Vec::new();
    file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn program(command: &Command) -> String {
    command.get_program().to_string_lossy().into_owned()
}

fn command_line(command: &Command) -> String {
    let mut line = program(command);
    for arg in command.get_args() {
        line.push(' ');
        line.push_str(&shell_quote(&arg.to_string_lossy()));
    }
    line
}

/// `text` as one word of a POSIX shell.
pub fn shell_quote(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,+@%".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        text.to_owned()
    } else {
        format!("'{}'", text.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn quoting_survives_a_shell() {
        for text in [
            "plain/path-1.0",
            "",
            "two words",
            "it's",
            "$HOME `x` \"y\" \\",
            "a\nb",
        ] {
            let script = format!("printf %s {}", shell_quote(text));
            let out = Command::new("sh").arg("-c").arg(script).output().unwrap();
            assert_eq!(String::from_utf8(out.stdout).unwrap(), text);
        }
    }

    #[test]
    fn a_failure_names_the_log_and_keeps_the_output() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("logs/step.log");
        let error = run_logged(
            "Failing",
            &log,
            Command::new("sh").args(["-c", "echo why; exit 3"]),
        )
        .unwrap_err()
        .to_string();
        assert!(error.contains("exited with status 3"), "{error}");
        assert!(error.contains(&log.display().to_string()), "{error}");
        assert!(tail(&log, 0, 5).contains("\nwhy\n"));
    }

    #[test]
    fn a_tail_begins_after_what_was_there_before() {
        let dir = tempfile::tempdir().unwrap();
        let log = dir.path().join("log");
        fs::write(&log, "old\n").unwrap();
        let start = log_length(&log);
        fs::write(&log, "old\na\nb\nc\n").unwrap();
        assert_eq!(tail(&log, start, 2), "b\nc\n");
        assert_eq!(tail(&log, start, 20), "a\nb\nc\n");
    }
}
