//! Query cancellation and termination.
//!
//! PostgreSQL's signal handlers only set flags; code that runs or waits long has to look at them.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use pgrx::pg_sys;

/// How long a wait goes on before it looks for interrupts again.
const TICK: Duration = Duration::from_millis(20);

/// Serves pending interrupts (`CHECK_FOR_INTERRUPTS`): raises when the query is cancelled or timed
/// out, and ends the process when the session is terminated.
#[inline]
pub fn check() {
    // SAFETY: the flag is written by signal handlers, hence the volatile read.
    let pending = unsafe { (&raw const pg_sys::InterruptPending).read_volatile() };
    if pending != 0 {
        // SAFETY: raises or returns; guarded.
        unsafe { pg_sys::ProcessInterrupts() }
    }
}

/// Keeps interrupts from being served until dropped (`HOLD_INTERRUPTS`).
#[must_use = "interrupts are held until this is dropped"]
pub struct HoldInterrupts {
    level: u32,
    _backend_thread: std::marker::PhantomData<*mut ()>,
}

/// Holds interrupts off until the guard is dropped.
pub fn hold() -> HoldInterrupts {
    // SAFETY: a counter of the backend's own, which no signal handler writes.
    unsafe {
        pg_sys::InterruptHoldoffCount += 1;
        HoldInterrupts {
            level: pg_sys::InterruptHoldoffCount,
            _backend_thread: std::marker::PhantomData,
        }
    }
}

impl Drop for HoldInterrupts {
    fn drop(&mut self) {
        // SAFETY: as in `hold`. An error that PostgreSQL raised meanwhile has set the counter to
        // zero: then there is nothing to give back.
        unsafe {
            if pg_sys::InterruptHoldoffCount == self.level {
                pg_sys::InterruptHoldoffCount -= 1;
            }
        }
    }
}

/// Receives the next message of worker threads, serving interrupts meanwhile. `None` when all
/// senders are gone.
pub fn recv<T>(receiver: &Receiver<T>) -> Option<T> {
    loop {
        check();
        match receiver.recv_timeout(TICK) {
            Ok(message) => return Some(message),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return None,
        }
    }
}

/// Asks `poll` for a value until it gives one or `limit` has passed, serving interrupts meanwhile.
///
/// `poll` is given the time that it may block for at most.
pub fn poll_until<T>(
    limit: Option<Duration>,
    mut poll: impl FnMut(Duration) -> Option<T>,
) -> Option<T> {
    let started = std::time::Instant::now();
    loop {
        check();
        let left = match limit {
            Some(limit) => limit.saturating_sub(started.elapsed()),
            None => TICK,
        };
        if let Some(value) = poll(left.min(TICK)) {
            return Some(value);
        }
        if left.is_zero() {
            return None;
        }
    }
}

/// Sleeps, serving interrupts meanwhile.
pub fn sleep(duration: Duration) {
    poll_until::<()>(Some(duration), |tick| {
        std::thread::sleep(tick);
        None
    });
}
