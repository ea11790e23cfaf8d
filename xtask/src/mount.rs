//! File systems that commands of ours have mounted.

use crate::process;
use anyhow::Result;
use std::fs;
use std::path::Path;
use std::process::Command;

/// Unmounts what is mounted at `path`, by this command or by one that failed.
pub fn unmount(path: &Path) -> Result<()> {
    let mounts = fs::read_to_string("/proc/mounts").unwrap_or_default();
    let here = path.display().to_string();
    let mounted = mounts
        .lines()
        .filter(|line| line.split(' ').nth(1) == Some(&here))
        .count();
    for _ in 0..mounted {
        process::output(Command::new("umount").arg(path))?;
    }
    Ok(())
}
