//! Where the Unix socket lies. A socket's path is limited to 107 bytes, a directory's is not.

use crate::account::Account;
use anyhow::{Result, bail};
use std::fs;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

/// `sizeof(sockaddr_un.sun_path)` less its terminating zero byte.
const SUN_PATH_MAX: usize = 107;

/// The socket directory of the cluster in `dir`: inside it, or a short one of its own.
pub fn directory(dir: &Path) -> PathBuf {
    let inside = dir.join("socket");
    if fits(&inside) { inside } else { short(dir) }
}

/// Creates the socket directory for `account` alone.
pub fn prepare(account: &Account, socket: &Path) -> Result<()> {
    // Where everybody may create a directory, one that is there already must be ours and no
    // link; once it is ours, nobody else can put another in its place.
    if let Ok(meta) = fs::symlink_metadata(socket) {
        let ours = match account {
            Account::Own => false,
            Account::StepDown(user) => meta.uid() == user.uid,
        };
        if !meta.is_dir() || !(ours || meta.uid() == rustix::process::geteuid().as_raw()) {
            bail!(
                "{} is there already and belongs to somebody else",
                socket.display()
            );
        }
    }
    account.make_private_dir(socket)
}

fn fits(socket_dir: &Path) -> bool {
    // The port has five digits at most.
    socket_dir.join(".s.PGSQL.65535").as_os_str().len() <= SUN_PATH_MAX
}

fn short(dir: &Path) -> PathBuf {
    let mut hasher = DefaultHasher::new();
    dir.hash(&mut hasher);
    let uid = rustix::process::geteuid().as_raw();
    PathBuf::from(format!("/tmp/pg-lakebase-{uid}-{:016x}", hasher.finish()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_paths_get_a_short_socket_directory() {
        let near = Path::new("/var/cache/pg-lakebase/clusters/default");
        assert_eq!(directory(near), near.join("socket"));
        let far = PathBuf::from(format!("/{}", "d".repeat(100)));
        assert!(directory(&far).starts_with("/tmp"));
        assert!(fits(&directory(&far)));
        assert_ne!(directory(&far), directory(&far.join("x")));
    }
}
