//! Waits, as `pg_stat_activity` names them.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::sync::OnceLock;
use std::time::Duration;

use pgrx::pg_sys;

use crate::interrupt;

/// Something that processes wait for, with a name of its own (`WaitEventExtensionNew`).
pub struct WaitEvent {
    name: &'static CStr,
    number: OnceLock<u32>,
}

impl WaitEvent {
    /// An event of this name.
    pub const fn new(name: &'static CStr) -> Self {
        Self {
            name,
            number: OnceLock::new(),
        }
    }

    fn number(&self) -> u32 {
        *self.number.get_or_init(|| {
            // SAFETY: a terminated string, which is copied to shared memory; may raise, guarded.
            unsafe { pg_sys::WaitEventExtensionNew(self.name.as_ptr()) }
        })
    }

    /// Tells that the process waits for this, until the guard is dropped.
    pub fn begin(&self) -> Waiting {
        let number = self.number();
        // SAFETY: writes a number of the process's own.
        unsafe { pg_sys::pgstat_report_wait_start(number) };
        Waiting(())
    }

    /// Waits until the process's latch is set, `descriptor` can be read or was closed by the other side, or `limit` is over,
    /// and serves interrupts. It ends the process if the postmaster is gone.
    pub fn wait(&self, descriptor: Option<BorrowedFd<'_>>, limit: Duration) {
        let number = self.number();
        let mut events = pg_sys::WL_LATCH_SET | pg_sys::WL_TIMEOUT | pg_sys::WL_EXIT_ON_PM_DEATH;
        let socket = match descriptor {
            Some(descriptor) => {
                events |= pg_sys::WL_SOCKET_READABLE;
                descriptor.as_raw_fd()
            }
            None => pg_sys::PGINVALID_SOCKET,
        };
        let limit = limit.as_millis().clamp(1, 3_600_000) as std::ffi::c_long;
        // SAFETY: the process's own latch, and a descriptor that is open during the call.
        unsafe {
            pg_sys::WaitLatchOrSocket(pg_sys::MyLatch, events as i32, socket, limit, number);
            pg_sys::ResetLatch(pg_sys::MyLatch);
        }
        interrupt::check();
    }
}

/// A wait that is being told of.
#[must_use = "the wait is told of until this is dropped"]
pub struct Waiting(());

impl Drop for Waiting {
    fn drop(&mut self) {
        // SAFETY: as in `begin`.
        unsafe { pg_sys::pgstat_report_wait_end() };
    }
}
