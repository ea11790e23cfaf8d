//! A power failure: what was not synced is lost, in part or altogether.
//!
//! Of the log, that is what lies behind the flushed position. Of Iceberg tables' files, the small ones that
//! were written since the last checkpoint began: the log has them, and their fsync can wait until the next
//! one completes.

use super::primary::Primary;
use super::random::Random;
use crate::cluster::processes;
use crate::installation::Installation;
use crate::process;
use crate::wire::Session;
use anyhow::{Context, Result};
use rustix::process::Signal;
use std::fs::{self, OpenOptions};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// Files that were larger were synced before their commit.
const SMALL: u64 = 4 << 20;
const SEGMENT: u64 = 16 << 20;
/// The most bytes behind the flushed position that got to the disk.
const KEPT_MAX: u64 = 16 << 10;
/// A stopped process may have what the question needs.
const ANSWER_LIMIT: Duration = Duration::from_secs(3);

/// Kills the server and takes from its disk what it had not synced.
pub fn power_failure(
    primary: &Primary,
    installation: &Installation,
    random: &mut Random,
) -> Result<()> {
    let mut session = Session::open(&primary.connection)?;
    session.set_time_limit(ANSWER_LIMIT)?;
    session.query("SELECT pg_current_wal_flush_lsn()")?;
    let data = primary.cluster.data();
    for pid in processes::working_in(&data) {
        if pid != session.backend() {
            processes::send(pid, Signal::STOP)?;
        }
    }
    let flushed = session.query("SELECT pg_current_wal_flush_lsn()");
    primary.kill()?;
    if let Ok(answer) = flushed {
        let text = answer.first.context("there is no flushed position")?;
        cut_log(&data, position(&text)?, random)?;
    }
    let since = checkpoint_time(primary, installation)?;
    for directory in iceberg_directories(&data) {
        tear_files(&directory, since, random)?;
    }
    Ok(())
}

fn position(text: &str) -> Result<u64> {
    let parsed = text.split_once('/').and_then(|(high, low)| {
        let high = u64::from_str_radix(high, 16).ok()?;
        Some((high << 32) | u64::from_str_radix(low, 16).ok()?)
    });
    parsed.with_context(|| format!("{text} is no position"))
}

/// Makes the log end somewhere behind `flushed`, in the middle of whatever is there.
fn cut_log(data: &Path, flushed: u64, random: &mut Random) -> Result<()> {
    let segment = flushed / SEGMENT;
    let name = format!("{:08X}{:08X}{:08X}", 1, segment >> 8, segment & 0xff);
    let path = data.join("pg_wal").join(name);
    let Ok(file) = OpenOptions::new().write(true).open(&path) else {
        // Exactly at the end of a segment, of which the next one has not been begun.
        return Ok(());
    };
    let begin = (flushed % SEGMENT + random.between(0, KEPT_MAX)).min(SEGMENT);
    let zeros = vec![0; (SEGMENT - begin) as usize];
    file.write_all_at(&zeros, begin)
        .with_context(|| format!("cannot write to {}", path.display()))
}

/// When the last checkpoint began, in seconds since the Unix epoch.
fn checkpoint_time(primary: &Primary, installation: &Installation) -> Result<i64> {
    let account = primary.cluster.account();
    let mut command = account.command(
        installation.program("pg_controldata"),
        primary.cluster.dir(),
    );
    command.arg(primary.cluster.data());
    command.env("LC_ALL", "C").env("TZ", "UTC");
    let text = process::output(&mut command).context("cannot read the control file")?;
    let time = text
        .lines()
        .find_map(|line| line.strip_prefix("Time of latest checkpoint:"))
        .context("pg_controldata does not tell the time of the latest checkpoint")?;
    let mut command = std::process::Command::new("date");
    command.args(["--utc", "+%s", "--date", time.trim()]);
    let seconds = process::output(&mut command).context("cannot read the checkpoint's time")?;
    seconds
        .trim()
        .parse()
        .with_context(|| format!("{} is no time", time.trim()))
}

/// The directories of all tables, tablespaces included.
fn iceberg_directories(data: &Path) -> Vec<PathBuf> {
    let children = |directory: &Path| -> Vec<PathBuf> {
        let entries = fs::read_dir(directory).into_iter().flatten().flatten();
        entries.map(|entry| entry.path()).collect()
    };
    let mut databases = children(&data.join("base"));
    for tablespace in children(&data.join("pg_tblspc")) {
        for version in children(&tablespace) {
            databases.extend(children(&version));
        }
    }
    databases
        .iter()
        .flat_map(|database| children(database))
        .filter(|path| {
            path.file_name()
                .and_then(|name| name.to_str())
                .is_some_and(|name| name.starts_with("iceberg_"))
        })
        .flat_map(|table| ["data", "metadata"].map(|sub| table.join(sub)))
        .collect()
}

/// Tears one in three of the small files that were written after the second `since`.
fn tear_files(directory: &Path, since: i64, random: &mut Random) -> Result<()> {
    for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
        let Ok(meta) = entry.metadata() else { continue };
        if meta.mtime() <= since || meta.len() == 0 || meta.len() >= SMALL || !random.chance(33) {
            continue;
        }
        let path = entry.path();
        let failed = || format!("cannot tear {}", path.display());
        let file = OpenOptions::new()
            .write(true)
            .open(&path)
            .with_context(failed)?;
        let kept = random.between(0, meta.len() - 1);
        if random.chance(50) {
            file.set_len(kept).with_context(failed)?;
        } else {
            // The length is known, the content is not there.
            let zeros = vec![0; (meta.len() - kept) as usize];
            file.write_all_at(&zeros, kept).with_context(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn positions_are_read() {
        assert_eq!(position("0/16B3748").unwrap(), 0x16B_3748);
        assert_eq!(position("2A/FF").unwrap(), (0x2A << 32) | 0xFF);
        assert!(position("x").is_err());
    }

    #[test]
    fn only_small_files_of_the_time_after_are_torn() {
        let dir = tempfile::tempdir().unwrap();
        let mut random = Random::for_part(1, &[1]);
        for number in 0..50 {
            fs::write(dir.path().join(number.to_string()), [7; 100]).unwrap();
        }
        let whole = |dir: &Path| {
            let entries = fs::read_dir(dir).unwrap().flatten();
            entries
                .filter(|entry| fs::read(entry.path()).unwrap() == [7; 100])
                .count()
        };
        tear_files(dir.path(), i64::MAX, &mut random).unwrap();
        assert_eq!(whole(dir.path()), 50);
        tear_files(dir.path(), 0, &mut random).unwrap();
        assert!((20..48).contains(&whole(dir.path())));
    }
}
