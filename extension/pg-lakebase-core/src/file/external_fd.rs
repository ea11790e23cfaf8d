//! Descriptors for worker threads.

use std::fs::File;
use std::io;
use std::os::fd::FromRawFd;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicUsize, Ordering};

use pgrx::pg_sys;

use super::path::c_path;
use crate::thread;

/// Descriptors that other threads closed and that fd.c still counts.
static CLOSED_ELSEWHERE: AtomicUsize = AtomicUsize::new(0);

/// Accounts for a descriptor that others open: those of files that come over a socket. Made on the backend thread;
/// it may be dropped on any.
#[derive(Debug)]
pub struct ExternalFdPermit(());

impl ExternalFdPermit {
    /// Makes room for a descriptor; on the backend thread only.
    pub fn acquire() -> io::Result<Self> {
        settle();
        // SAFETY: on the backend thread, as the caller says and pgrx checks.
        match unsafe { pg_sys::AcquireExternalFD() } {
            true => Ok(Self(())),
            false => Err(io::Error::last_os_error()),
        }
    }
}

impl Drop for ExternalFdPermit {
    fn drop(&mut self) {
        // The descriptor is closed with it, at about this time.
        CLOSED_ELSEWHERE.fetch_add(1, Ordering::Relaxed);
        if thread::is_backend() {
            settle();
        }
    }
}

/// A read-only descriptor that PostgreSQL accounts for and does not manage: worker threads read from
/// it with `pread`. The file is open as long as the handle lives.
///
/// It is opened on the backend thread. Dropped on another one it is closed at once, and taken out of
/// PostgreSQL's account when the backend next opens one.
#[derive(Debug)]
pub struct ExternalFd {
    file: File,
    path: String,
    _permit: ExternalFdPermit,
}

impl ExternalFd {
    /// Opens the file for reading. On the backend thread only.
    pub fn open(path: &str) -> io::Result<Self> {
        let name = c_path(path)?;
        let permit = ExternalFdPermit::acquire()?;
        // SAFETY: on the backend thread, as the caller says and pgrx checks; the name is
        // terminated; the descriptor is owned at once.
        unsafe {
            let fd = pg_sys::BasicOpenFile(name.as_ptr(), libc::O_RDONLY | libc::O_CLOEXEC);
            if fd < 0 {
                return Err(io::Error::last_os_error());
            }
            Ok(Self {
                file: File::from_raw_fd(fd),
                path: path.to_owned(),
                _permit: permit,
            })
        }
    }

    /// The path that the file was opened by.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Reads at `offset` until `buffer` is full; an early end is an error. On any thread.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buffer, offset)
    }

    /// Reads at `offset` what one `pread` gives. On any thread.
    pub fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.file.read_at(buffer, offset)
    }

    /// The file's size in bytes. On any thread.
    pub fn size(&self) -> io::Result<u64> {
        Ok(self.file.metadata()?.len())
    }
}

/// Takes closed descriptors out of PostgreSQL's account. On the backend thread only.
fn settle() {
    for _ in 0..CLOSED_ELSEWHERE.swap(0, Ordering::Relaxed) {
        // SAFETY: on the backend thread; each release matches an acquisition in `open`.
        unsafe { pg_sys::ReleaseExternalFD() }
    }
}
