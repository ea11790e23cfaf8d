//! Worker threads within a backend.
//!
//! PostgreSQL is single-threaded: a worker thread runs pure Rust, calls nothing of this crate except
//! what is `Send`, and never gets a signal, so that PostgreSQL's handlers always run on the backend
//! thread.

use std::io;
use std::mem::MaybeUninit;
use std::thread::{Builder, JoinHandle};

/// All signals blocked, until dropped.
struct BlockedSignals {
    previous: libc::sigset_t,
}

impl BlockedSignals {
    fn block_all() -> io::Result<Self> {
        let mut all = MaybeUninit::<libc::sigset_t>::uninit();
        let mut previous = MaybeUninit::<libc::sigset_t>::uninit();
        // SAFETY: `sigfillset` initialises the first set, `pthread_sigmask` the second when it
        // succeeds.
        unsafe {
            libc::sigfillset(all.as_mut_ptr());
            match libc::pthread_sigmask(libc::SIG_SETMASK, all.as_ptr(), previous.as_mut_ptr()) {
                0 => Ok(Self {
                    previous: previous.assume_init(),
                }),
                error => Err(io::Error::from_raw_os_error(error)),
            }
        }
    }
}

impl Drop for BlockedSignals {
    fn drop(&mut self) {
        // SAFETY: restores the mask that `block_all` read.
        unsafe {
            libc::pthread_sigmask(
                libc::SIG_SETMASK,
                &raw const self.previous,
                std::ptr::null_mut(),
            );
        }
    }
}

/// Starts a thread that has all signals blocked: a new thread inherits the mask of its maker.
pub fn spawn_with_signals_blocked<T: Send + 'static>(
    name: &str,
    body: impl FnOnce() -> T + Send + 'static,
) -> io::Result<JoinHandle<T>> {
    let blocked = BlockedSignals::block_all()?;
    let handle = Builder::new().name(name.to_owned()).spawn(body);
    drop(blocked);
    handle
}

/// Whether this is the backend's own thread, which alone may call PostgreSQL.
pub fn is_backend() -> bool {
    // SAFETY: neither fails; a process's first thread has the process's number.
    unsafe { libc::gettid() == libc::getpid() }
}
