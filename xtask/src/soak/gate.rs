//! Where everybody who works passes between two pieces of work, so that all can be held, and ended.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

#[derive(Debug, Default)]
pub struct Gate {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    inside: usize,
    closed: bool,
    ended: bool,
}

/// A piece of work; dropped, it is done.
pub struct Pass<'a>(&'a Gate);

/// While it lives, nobody works.
pub struct Quiet<'a>(&'a Gate);

impl Gate {
    /// Waits while work is held; `None` once it has ended.
    pub fn pass(&self) -> Option<Pass<'_>> {
        let mut state = self.lock();
        while state.closed && !state.ended {
            state = self.wait(state);
        }
        if state.ended {
            return None;
        }
        state.inside += 1;
        Some(Pass(self))
    }

    /// Holds all work, and waits until what has begun is done.
    pub fn quiet(&self) -> Quiet<'_> {
        let mut state = self.lock();
        state.closed = true;
        while state.inside > 0 {
            state = self.wait(state);
        }
        Quiet(self)
    }

    pub fn end(&self) {
        self.lock().ended = true;
        self.changed.notify_all();
    }

    /// Sleeps, unless work ends before. `false` if it has.
    pub fn sleep(&self, time: Duration) -> bool {
        let until = Instant::now() + time;
        let mut state = self.lock();
        while !state.ended {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return true;
            }
            state = self
                .changed
                .wait_timeout(state, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        false
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn wait<'a>(&self, state: MutexGuard<'a, State>) -> MutexGuard<'a, State> {
        self.changed
            .wait(state)
            .unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        self.0.lock().inside -= 1;
        self.0.changed.notify_all();
    }
}

impl Drop for Quiet<'_> {
    fn drop(&mut self) {
        self.0.lock().closed = false;
        self.0.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::atomic::{AtomicU64, Ordering};

    #[test]
    fn nobody_works_while_it_is_quiet_and_all_end() {
        let gate = Gate::default();
        let done = AtomicU64::new(0);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    while let Some(_pass) = gate.pass() {
                        done.fetch_add(1, Ordering::SeqCst);
                    }
                });
            }
            assert!(gate.sleep(Duration::from_millis(5)));
            {
                let _quiet = gate.quiet();
                let before = done.load(Ordering::SeqCst);
                std::thread::sleep(Duration::from_millis(5));
                assert_eq!(done.load(Ordering::SeqCst), before);
            }
            gate.end();
        });
        assert!(!gate.sleep(Duration::from_secs(60)));
    }
}
