//! The account PostgreSQL runs under. PostgreSQL refuses to run as root: for root it is
//! `$PG_LAKEBASE_USER`, else `postgres` where that exists, else a system user made here. For
//! everybody else it is their own account, and nothing changes.

use crate::cache::remove_tree;
use crate::process;
use anyhow::{Context, Result, bail};
use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

const CREATED_USER: &str = "pg-lakebase";

/// Who runs servers and the test drivers that talk to them.
#[derive(Clone, Debug)]
pub enum Account {
    /// The present user.
    Own,
    /// We are root and step down to this user.
    StepDown(User),
}

/// An entry of the user database.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    pub name: String,
    pub uid: u32,
    pub gid: u32,
}

impl Account {
    pub fn current() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        if let Ok(name) = std::env::var("PG_LAKEBASE_USER") {
            return match look_up(&name)? {
                Some(user) if user.uid == 0 => bail!("PG_LAKEBASE_USER={name} is root again"),
                Some(user) => Ok(Self::StepDown(user)),
                None => bail!("PG_LAKEBASE_USER={name}: there is no such user"),
            };
        }
        for name in ["postgres", CREATED_USER] {
            if let Some(user) = look_up(name)? {
                return Ok(Self::StepDown(user));
            }
        }
        process::output(Command::new("useradd").args([
            "--system",
            "--user-group",
            "--no-create-home",
            "--home-dir",
            "/nonexistent",
            "--shell",
            "/bin/sh",
            CREATED_USER,
        ]))
        .context("PostgreSQL cannot run as root, and no user could be made for it")?;
        match look_up(CREATED_USER)? {
            Some(user) => Ok(Self::StepDown(user)),
            None => bail!("user {CREATED_USER} was made but cannot be found"),
        }
    }

    /// The user to name in `--runas`, when there is one.
    pub fn run_as(&self) -> Option<&str> {
        match self {
            Self::Own => None,
            Self::StepDown(user) => Some(&user.name),
        }
    }

    /// `program` run under this account in `directory`, which the account must be able to enter,
    /// without the variables that steer libpq, cargo or Rust.
    pub fn command(&self, program: impl AsRef<OsStr>, directory: &Path) -> Command {
        let mut command = Command::new(program);
        command.current_dir(directory);
        for (name, _) in std::env::vars_os() {
            let text = name.to_string_lossy();
            if ["PG", "CARGO", "RUST", "XDG_"]
                .iter()
                .any(|prefix| text.starts_with(prefix))
            {
                command.env_remove(&name);
            }
        }
        if let Self::StepDown(user) = self {
            // `uid` on its own drops root's supplementary groups as well.
            command.uid(user.uid).gid(user.gid);
            command
                .env("HOME", directory)
                .env("USER", &user.name)
                .env("LOGNAME", &user.name);
        }
        command
    }

    /// Creates `directory` for this account alone.
    pub fn make_private_dir(&self, directory: &Path) -> Result<()> {
        self.check_reachable(directory)?;
        fs::create_dir_all(directory)
            .with_context(|| format!("cannot create directory {}", directory.display()))?;
        // Directories just made above it are as closed as the umask says.
        self.check_reachable(directory)?;
        self.give(directory)?;
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700))
            .with_context(|| format!("cannot set permissions of {}", directory.display()))
    }

    /// Makes this account the owner of `path`.
    pub fn give(&self, path: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::StepDown(user) => chown(path, Some(user.uid), Some(user.gid))
                .with_context(|| format!("cannot give {} to {}", path.display(), user.name)),
        }
    }

    /// Copies the files below `from` to `to` so that this account can read and change them,
    /// wherever the checkout lies. What was at `to` is replaced.
    pub fn copy_tree(&self, from: &Path, to: &Path) -> Result<()> {
        remove_tree(to)?;
        self.copy_below(from, to)
    }

    fn copy_below(&self, from: &Path, to: &Path) -> Result<()> {
        fs::create_dir_all(to).with_context(|| format!("cannot create {}", to.display()))?;
        self.give(to)?;
        let entries =
            fs::read_dir(from).with_context(|| format!("cannot read {}", from.display()))?;
        for entry in entries {
            let entry = entry.with_context(|| format!("cannot read {}", from.display()))?;
            let target = to.join(entry.file_name());
            if entry.file_type()?.is_dir() {
                self.copy_below(&entry.path(), &target)?;
            } else {
                fs::copy(entry.path(), &target).with_context(|| {
                    format!(
                        "cannot copy {} to {}",
                        entry.path().display(),
                        target.display()
                    )
                })?;
                self.give(&target)?;
            }
        }
        Ok(())
    }

    /// Fails when a directory above `path`, as far as they exist, bars the way to this account.
    fn check_reachable(&self, path: &Path) -> Result<()> {
        let Self::StepDown(user) = self else {
            return Ok(());
        };
        for ancestor in path.ancestors().skip(1) {
            let meta = match fs::metadata(ancestor) {
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
                meta => meta.with_context(|| format!("cannot look at {}", ancestor.display()))?,
            };
            if !may_enter(user, meta.uid(), meta.gid(), meta.mode()) {
                bail!(
                    "{} is closed to user {}, who runs PostgreSQL: choose another directory",
                    ancestor.display(),
                    user.name
                );
            }
        }
        Ok(())
    }
}

fn may_enter(user: &User, uid: u32, gid: u32, mode: u32) -> bool {
    let bit = if uid == user.uid {
        0o100
    } else if gid == user.gid {
        0o010
    } else {
        0o001
    };
    mode & bit != 0
}

fn look_up(name: &str) -> Result<Option<User>> {
    let output = Command::new("getent")
        .args(["passwd", name])
        .output()
        .context("cannot run getent to look up a user")?;
    Ok(parse_passwd(&String::from_utf8_lossy(&output.stdout)))
}

fn parse_passwd(line: &str) -> Option<User> {
    let mut fields = line.lines().next()?.split(':');
    let name = fields.next()?.to_owned();
    let uid = fields.nth(1)?.parse().ok()?;
    let gid = fields.next()?.parse().ok()?;
    Some(User { name, uid, gid })
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn passwd_lines_are_read() {
        let line = "postgres:x:101:104:PostgreSQL administrator,,,:/var/lib/postgresql:/bin/bash\n";
        let user = parse_passwd(line).unwrap();
        assert_eq!(
            user,
            User {
                name: "postgres".to_owned(),
                uid: 101,
                gid: 104
            }
        );
        assert_eq!(parse_passwd(""), None);
        assert_eq!(parse_passwd("broken:x:abc:1"), None);
    }

    #[test]
    fn only_the_class_that_applies_decides_who_may_enter() {
        let user = User {
            name: "u".to_owned(),
            uid: 5,
            gid: 6,
        };
        assert!(!may_enter(&user, 0, 0, 0o700));
        assert!(may_enter(&user, 0, 0, 0o711));
        assert!(may_enter(&user, 0, 6, 0o710));
        assert!(!may_enter(&user, 5, 0, 0o077));
    }

    #[test]
    fn directories_that_are_missing_bar_no_way() {
        let dir = tempfile::tempdir().unwrap();
        fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let nobody = Account::StepDown(User {
            name: "nobody".to_owned(),
            uid: 65534,
            gid: 65534,
        });
        nobody
            .check_reachable(&dir.path().join("not/yet/there"))
            .unwrap();
        let closed = dir.path().join("closed");
        fs::create_dir(&closed).unwrap();
        fs::set_permissions(&closed, fs::Permissions::from_mode(0o700)).unwrap();
        assert!(nobody.check_reachable(&closed.join("inside")).is_err());
    }

    #[test]
    fn a_copied_tree_replaces_what_was_there() {
        let dir = tempfile::tempdir().unwrap();
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        fs::create_dir_all(from.join("sql")).unwrap();
        fs::write(from.join("sql/a.sql"), "select 1;").unwrap();
        fs::create_dir_all(&to).unwrap();
        fs::write(to.join("stale"), "").unwrap();
        Account::Own.copy_tree(&from, &to).unwrap();
        assert_eq!(
            fs::read_to_string(to.join("sql/a.sql")).unwrap(),
            "select 1;"
        );
        assert!(!to.join("stale").exists());
    }
}
