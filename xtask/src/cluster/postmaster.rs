//! Whether a server runs in a data directory, told from `postmaster.pid` and `/proc` alone: after
//! a reboot the process id in the file may belong to somebody else by now.

use anyhow::{Context, Result};
use std::fs;
use std::path::Path;

#[derive(Debug, PartialEq, Eq)]
pub enum State {
    Stopped,
    Running(i32),
    /// The file is there and its server is not.
    Stale,
}

pub fn state(data: &Path) -> State {
    let Ok(text) = fs::read_to_string(data.join("postmaster.pid")) else {
        return State::Stopped;
    };
    match text
        .lines()
        .next()
        .and_then(|line| line.trim().parse::<i32>().ok())
    {
        Some(pid) if pid > 0 && is_postmaster(pid, data) => State::Running(pid),
        _ => State::Stale,
    }
}

/// Removes what a server that was killed, or went down with the machine, left behind.
pub fn clear_stale(data: &Path, socket: &Path, port: u16) -> Result<()> {
    let name = format!(".s.PGSQL.{port}");
    for path in [
        data.join("postmaster.pid"),
        socket.join(format!("{name}.lock")),
        socket.join(&name),
    ] {
        match fs::remove_file(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error).with_context(|| format!("cannot remove {}", path.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

/// A postmaster makes its data directory its working directory.
fn is_postmaster(pid: i32, data: &Path) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let works_there = fs::read_link(process.join("cwd")).is_ok_and(|cwd| cwd == data);
    let is_postgres =
        fs::read_to_string(process.join("comm")).is_ok_and(|name| name.trim() == "postgres");
    works_there && is_postgres
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn a_pid_file_of_another_process_is_stale() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(state(dir.path()), State::Stopped);
        let own = std::process::id();
        fs::write(dir.path().join("postmaster.pid"), format!("{own}\n/x\n")).unwrap();
        assert_eq!(state(dir.path()), State::Stale);
        fs::write(dir.path().join("postmaster.pid"), "").unwrap();
        assert_eq!(state(dir.path()), State::Stale);
        clear_stale(dir.path(), dir.path(), 5432).unwrap();
        assert_eq!(state(dir.path()), State::Stopped);
    }
}
