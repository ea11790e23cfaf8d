//! What a server's log must never say, whoever was killed: that an assertion failed, that it gave up
//! by itself, that a process ran into memory not its own.

use crate::process;
use anyhow::{Context, Result, bail};
use std::fs::File;
use std::io::{BufRead, BufReader, Seek, SeekFrom};
use std::path::{Path, PathBuf};

const ALARMS: [&str; 5] = [
    "TRAP: ",
    " PANIC: ",
    "terminated by signal 6",
    "terminated by signal 7",
    "terminated by signal 11",
];

/// A log, read once from front to back as it grows.
pub struct ServerLog {
    path: PathBuf,
    read: u64,
}

impl ServerLog {
    /// Begins at the present end.
    pub fn watch(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            read: process::log_length(path),
        }
    }

    /// Begins at the beginning.
    pub fn from_start(path: &Path) -> Self {
        Self {
            path: path.to_path_buf(),
            read: 0,
        }
    }

    /// How far it has been read, in bytes.
    pub fn position(&self) -> u64 {
        self.read
    }

    /// Fails if what was added since the last time holds an alarm.
    pub fn check(&mut self) -> Result<()> {
        self.read_on(|_| {})
    }

    /// As [`Self::check`], and shows every line that is no alarm.
    pub fn read_on(&mut self, mut show: impl FnMut(&str)) -> Result<()> {
        let open = || -> std::io::Result<File> {
            let mut file = File::open(&self.path)?;
            file.seek(SeekFrom::Start(self.read))?;
            Ok(file)
        };
        let file = open().with_context(|| format!("cannot read {}", self.path.display()))?;
        for line in BufReader::new(file).split(b'\n') {
            let line = line.with_context(|| format!("cannot read {}", self.path.display()))?;
            self.read += line.len() as u64 + 1;
            let line = String::from_utf8_lossy(&line);
            if is_alarm(&line) {
                bail!("{} says: {}", self.path.display(), line.trim());
            }
            show(&line);
        }
        Ok(())
    }
}

/// What a process says that is told to exit while it waits at an injection point behind its commit
/// record, or behind its transaction's abort, where nothing that waits belongs.
const WAITED_TOO_LATE: [&str; 2] = [
    "PANIC:  cannot abort transaction ",
    "TRAP: failed Assert(\"TransactionIdIsValid(proc->xid)\")",
];

fn is_alarm(line: &str) -> bool {
    ALARMS.iter().any(|alarm| line.contains(alarm))
        && !WAITED_TOO_LATE
            .iter()
            .any(|harmless| line.contains(harmless))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn an_alarm_is_told_once() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        std::fs::write(&path, "2026 PANIC:  before\n").unwrap();
        let mut log = ServerLog::watch(&path);
        log.check().unwrap();
        let mut file = File::options().append(true).open(&path).unwrap();
        writeln!(file, "x LOG:  server process was terminated by signal 9").unwrap();
        log.check().unwrap();
        writeln!(file, "TRAP: failed Assert(\"x\")").unwrap();
        assert!(log.check().is_err());
        log.check().unwrap();
    }
}
