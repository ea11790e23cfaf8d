//! Directories, and removing what is in them.

use std::ffi::c_int;
use std::io;
use std::os::fd::{FromRawFd, OwnedFd};

use pgrx::pg_sys;

use super::path::c_path;

/// Creates a directory with the permissions of the data directory. Existing is an error.
pub fn make_directory(path: &str) -> io::Result<()> {
    let name = c_path(path)?;
    // SAFETY: the name is terminated.
    if unsafe { pg_sys::MakePGDirectory(name.as_ptr()) } < 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Has the directory's entries on disk, unless `fsync` is off.
pub fn fsync_directory(path: &str) -> io::Result<()> {
    match fsync(path, libc::O_RDONLY) {
        // Some file systems cannot fsync directories: PostgreSQL lets that pass as well.
        Err(error) if matches!(error.raw_os_error(), Some(libc::EBADF | libc::EINVAL)) => Ok(()),
        result => result,
    }
}

/// Has a file that somebody has written on disk, unless `fsync` is off; not its directory's entry.
pub fn fsync_file(path: &str) -> io::Result<()> {
    fsync(path, libc::O_RDWR)
}

fn fsync(path: &str, flags: c_int) -> io::Result<()> {
    let name = c_path(path)?;
    // SAFETY: the name is terminated; the descriptor is owned at once, and closed on return.
    unsafe {
        let fd = pg_sys::BasicOpenFile(name.as_ptr(), flags);
        if fd < 0 {
            return Err(io::Error::last_os_error());
        }
        let _close = OwnedFd::from_raw_fd(fd);
        if pg_sys::pg_fsync(fd) < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Removes a file. That it is gone already is no error.
pub fn remove_file(path: &str) -> io::Result<()> {
    ignore_missing(std::fs::remove_file(path))
}

/// Removes a directory with all that is in it, following no symbolic link. That it is gone already
/// is no error.
pub fn remove_tree(path: &str) -> io::Result<()> {
    ignore_missing(std::fs::remove_dir_all(path))
}

fn ignore_missing(result: io::Result<()>) -> io::Result<()> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
