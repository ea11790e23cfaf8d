//! The listening socket: made with its permissions, in place of a dead one, for known users.

use std::{
    fs::{self, File, Permissions, TryLockError},
    io,
    os::unix::{
        fs::{FileTypeExt, PermissionsExt},
        net::UnixStream as BlockingStream,
    },
    path::{Path, PathBuf},
};

use tokio::net::{UnixListener, UnixStream};

use super::error::TransportError;

/// Users that may connect besides the one the daemon runs as and root.
#[derive(Debug, Clone, Default)]
pub struct PeerPolicy {
    pub allowed_uids: Vec<u32>,
}

impl PeerPolicy {
    fn permits(&self, own_uid: u32, uid: u32) -> bool {
        uid == own_uid || uid == 0 || self.allowed_uids.contains(&uid)
    }
}

/// A listening socket that removes its file when dropped.
#[derive(Debug)]
pub struct SocketListener {
    listener: UnixListener,
    path: PathBuf,
    policy: PeerPolicy,
    own_uid: u32,
    /// Held as long as the socket file is ours: daemons starting at once replace no live socket.
    _lock: File,
}

impl SocketListener {
    /// Listens at `path` with permissions `mode`. A socket file that nobody listens at is replaced.
    ///
    /// # Errors
    /// [`TransportError::InUse`] when somebody listens there.
    pub fn bind(path: &Path, mode: u32, policy: PeerPolicy) -> Result<Self, TransportError> {
        let failed = |operation| {
            move |source| TransportError::Socket {
                operation,
                path: path.to_owned(),
                source,
            }
        };
        let lock = File::create(beside(path, "lock")).map_err(failed("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(TransportError::InUse {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(source)) => return Err(failed("lock")(source)),
        }
        refuse_live(path)?;

        // Bound under another name and renamed: clients find no socket, or one with its permissions.
        let new = beside(path, "new");
        match fs::remove_file(&new) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(failed("remove")(error));
            }
            _ => {}
        }
        let listener = UnixListener::bind(&new).map_err(failed("listen at"))?;
        fs::set_permissions(&new, Permissions::from_mode(mode))
            .map_err(failed("set permissions of"))?;
        let own_uid = std::os::unix::fs::MetadataExt::uid(
            &fs::symlink_metadata(&new).map_err(failed("look at"))?,
        );
        fs::rename(&new, path).map_err(failed("replace"))?;
        Ok(Self {
            listener,
            path: path.to_owned(),
            policy,
            own_uid,
            _lock: lock,
        })
    }

    /// The next connection of a user who may connect.
    ///
    /// # Errors
    /// [`TransportError::PeerRefused`] for other users, whose connection is closed.
    pub async fn accept(&self) -> Result<UnixStream, TransportError> {
        let failed = |operation| move |source| TransportError::Io { operation, source };
        let (stream, _) = self
            .listener
            .accept()
            .await
            .map_err(failed("accept a connection"))?;
        let uid = stream
            .peer_cred()
            .map_err(failed("learn who connects"))?
            .uid();
        if self.policy.permits(self.own_uid, uid) {
            Ok(stream)
        } else {
            Err(TransportError::PeerRefused { uid })
        }
    }
}

impl Drop for SocketListener {
    fn drop(&mut self) {
        // A file left over is replaced at the next start.
        let _ = fs::remove_file(&self.path);
    }
}

/// Fails unless `path` is free, or a socket that nobody listens at.
fn refuse_live(path: &Path) -> Result<(), TransportError> {
    let failed = |operation, source| TransportError::Socket {
        operation,
        path: path.to_owned(),
        source,
    };
    match fs::symlink_metadata(path) {
        Ok(metadata) if !metadata.file_type().is_socket() => {
            return Err(TransportError::NotASocket {
                path: path.to_owned(),
            });
        }
        Ok(_) => {}
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed("look at", error)),
    }
    match BlockingStream::connect(path) {
        Ok(_) => Err(TransportError::InUse {
            path: path.to_owned(),
        }),
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
        Err(error) => Err(failed("connect to", error)),
    }
}

fn beside(path: &Path, extension: &str) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn only_known_users_are_permitted() {
        let policy = PeerPolicy {
            allowed_uids: vec![7],
        };
        for (uid, permitted) in [(101, true), (0, true), (7, true), (8, false)] {
            assert_eq!(policy.permits(101, uid), permitted, "{uid}");
        }
    }

    #[tokio::test]
    async fn a_dead_socket_is_replaced_a_live_one_and_a_file_are_not() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("socket");
        let bind = || SocketListener::bind(&path, 0o660, PeerPolicy::default());

        // Left by a process that was killed: a socket file, and nobody who holds the lock.
        drop(std::os::unix::net::UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let listener = bind().unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o660);
        assert!(matches!(bind(), Err(TransportError::InUse { .. })));
        drop(listener);
        assert!(!path.exists());

        // Listening, but not one of ours.
        let foreign = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert!(matches!(bind(), Err(TransportError::InUse { .. })));
        drop(foreign);

        fs::remove_file(&path).unwrap();
        fs::write(&path, b"precious").unwrap();
        assert!(matches!(bind(), Err(TransportError::NotASocket { .. })));
        assert_eq!(fs::read(&path).unwrap(), b"precious");
    }
}
