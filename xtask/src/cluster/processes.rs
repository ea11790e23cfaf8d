//! The processes of a server, told by their working directory: every process of PostgreSQL, and what
//! it runs for archiving, works in the data directory. A killed postmaster leaves them behind, and
//! no new one may start beside them.

use super::Cluster;
use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

const POLL: Duration = Duration::from_millis(20);
/// How long killed processes may take to go.
pub const KILL_LIMIT: Duration = Duration::from_secs(20);

/// Sends `signal`; that the process is gone already is fine.
pub fn send(pid: i32, signal: Signal) -> Result<()> {
    let pid = Pid::from_raw(pid).context("there is no process 0")?;
    match kill_process(pid, signal) {
        Err(error) if error != rustix::io::Errno::SRCH => {
            Err(error).context("cannot send a signal to the server")
        }
        _ => Ok(()),
    }
}

pub fn working_in(directory: &Path) -> Vec<i32> {
    let Ok(entries) = fs::read_dir("/proc") else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd == directory))
        .filter_map(|entry| entry.file_name().to_str()?.parse().ok())
        .collect()
}

/// Kills whatever works in the data directory of the cluster in `dir`.
pub fn end_processes(dir: &Path) -> Result<()> {
    kill_all(&Cluster::at(dir)?.data(), KILL_LIMIT)
}

/// Kills whatever works in `directory`, again until nothing does.
pub fn kill_all(directory: &Path, limit: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        let left = working_in(directory);
        if left.is_empty() {
            return Ok(());
        }
        for pid in &left {
            send(*pid, Signal::KILL)?;
        }
        give_up_after(started, limit, &left, directory)?;
    }
}

/// Waits until nothing works in `directory`.
pub fn wait_gone(directory: &Path, limit: Duration) -> Result<()> {
    let started = Instant::now();
    loop {
        let left = working_in(directory);
        if left.is_empty() {
            return Ok(());
        }
        give_up_after(started, limit, &left, directory)?;
    }
}

fn give_up_after(started: Instant, limit: Duration, left: &[i32], directory: &Path) -> Result<()> {
    if started.elapsed() > limit {
        bail!(
            "processes {left:?} still work in {} after {} s",
            directory.display(),
            limit.as_secs()
        );
    }
    std::thread::sleep(POLL);
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    fn processes_are_found_by_their_working_directory_and_killed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().canonicalize().unwrap();
        let mut child = Command::new("sleep")
            .arg("60")
            .current_dir(&path)
            .spawn()
            .unwrap();
        while working_in(&path).is_empty() {
            std::thread::sleep(POLL);
        }
        assert_eq!(working_in(&path), [i32::try_from(child.id()).unwrap()]);
        // A dead child that nobody waited for has no working directory any more.
        kill_all(&path, Duration::from_secs(10)).unwrap();
        assert!(!child.wait().unwrap().success());
    }
}
