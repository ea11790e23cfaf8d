//! A small disk for one tablespace: a file system in memory that can be filled to the last byte.
//! Only root can mount it; without it, the faults that need it are left out.

use crate::account::Account;
use crate::mount::unmount;
use crate::process;
use anyhow::{Context, Result};
use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

const SIZE: &str = "size=192m,mode=0700";

pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    pub fn mount(path: &Path, account: &Account) -> Result<Self> {
        account.make_private_dir(path)?;
        process::output(
            Command::new("mount")
                .args(["-t", "tmpfs", "-o", SIZE, "pg-lakebase-crash"])
                .arg(path),
        )?;
        let disk = Self {
            path: path.to_path_buf(),
        };
        // The mount's root is root's at first.
        account.give(path)?;
        account.make_private_dir(&disk.tablespace())?;
        Ok(disk)
    }

    /// The tablespace's directory.
    pub fn tablespace(&self) -> PathBuf {
        self.path.join("tablespace")
    }

    /// Takes all the space there is.
    pub fn fill(&self) -> Result<()> {
        let path = self.filler();
        let mut file =
            File::create(&path).with_context(|| format!("cannot create {}", path.display()))?;
        let zeros = vec![0; 1 << 16];
        // Down to the last page.
        for chunk in [zeros.as_slice(), zeros.get(..4096).unwrap_or_default()] {
            loop {
                match file.write_all(chunk) {
                    Ok(()) => {}
                    Err(error) if error.kind() == std::io::ErrorKind::StorageFull => break,
                    Err(error) => {
                        return Err(error)
                            .with_context(|| format!("cannot fill {}", path.display()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Gives it back.
    pub fn relieve(&self) -> Result<()> {
        let path = self.filler();
        fs::remove_file(&path).with_context(|| format!("cannot remove {}", path.display()))
    }

    pub fn unmount(&self) -> Result<()> {
        unmount(&self.path)
    }

    fn filler(&self) -> PathBuf {
        self.path.join("filler")
    }
}
