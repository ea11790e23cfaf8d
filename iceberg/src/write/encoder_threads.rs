//! Threads that encode the columns of any number of files.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;

use super::options::Spawn;
use crate::error::{Error, Result};

/// What threads can be given to do.
pub(super) trait Work: Send + Sync {
    /// Does what there is to do, if anything is left.
    fn work(&self);
}

/// Threads that files share: they are started for the first file that needs them, and end with this value.
pub struct EncoderThreads {
    count: usize,
    spawn: Spawn,
    threads: Mutex<Vec<JoinHandle<()>>>,
    queue: Arc<Queue>,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    ready: VecDeque<Arc<dyn Work>>,
    stopped: bool,
}

impl EncoderThreads {
    /// So many threads, each of which `spawn` starts when it is needed.
    pub fn new(count: usize, spawn: Spawn) -> Self {
        Self {
            count,
            spawn,
            threads: Mutex::default(),
            queue: Arc::default(),
        }
    }

    /// How many threads there are, or will be.
    pub fn count(&self) -> usize {
        self.count
    }

    /// Starts the threads, unless they run already; `path` is for errors.
    pub(super) fn start(&self, path: &str) -> Result<()> {
        let mut threads = self.threads.lock().unwrap_or_else(PoisonError::into_inner);
        while threads.len() < self.count {
            let queue = Arc::clone(&self.queue);
            let thread = (self.spawn)(Box::new(move || queue.work_until_stopped()))
                .map_err(|e| Error::io("start an encoder thread for", path, e))?;
            threads.push(thread);
        }
        Ok(())
    }

    /// Has some thread do the work.
    pub(super) fn offer(&self, work: Arc<dyn Work>) {
        self.queue.lock().ready.push_back(work);
        self.queue.changed.notify_one();
    }
}

impl std::fmt::Debug for EncoderThreads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "EncoderThreads({})", self.count)
    }
}

impl Drop for EncoderThreads {
    /// Stops the threads after the work that they are at, and waits for them.
    fn drop(&mut self) {
        self.queue.lock().stopped = true;
        self.queue.changed.notify_all();
        let threads = self
            .threads
            .get_mut()
            .unwrap_or_else(PoisonError::into_inner);
        for thread in threads.drain(..) {
            // Work catches its panics, so there is no outcome to look at.
            drop(thread.join());
        }
    }
}

impl Queue {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work_until_stopped(&self) {
        let mut state = self.lock();
        while !state.stopped {
            state = match state.ready.pop_front() {
                Some(work) => {
                    drop(state);
                    work.work();
                    self.lock()
                }
                None => self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner),
            };
        }
    }
}
