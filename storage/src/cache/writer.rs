//! Writing the index in the background.
//!
//! A write that fails costs nothing but the memory of what to write: the index is opened again, or begun anew, and given all
//! that is known, with a pause that grows.

use std::{
    path::PathBuf,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak},
    thread::{self, JoinHandle},
    time::Duration,
};

use super::{
    disk_cache::Shared,
    error::CacheError,
    index::{Changes, Index},
};

/// How long changes are gathered before they are written.
const PAUSE: Duration = Duration::from_secs(2);
/// The longest pause after failures.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// The thread that writes, and how it is told to end.
#[derive(Debug)]
pub(super) struct Writer {
    stop: Arc<Stop>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Stop {
    is_to_stop: Mutex<bool>,
    told: Condvar,
}

impl Stop {
    fn lock(&self) -> MutexGuard<'_, bool> {
        self.is_to_stop
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits; returns whether it is time to stop.
    fn wait(&self, pause: Duration) -> bool {
        let (stop, _) = self
            .told
            .wait_timeout_while(self.lock(), pause, |stop| !*stop)
            .unwrap_or_else(PoisonError::into_inner);
        *stop
    }
}

impl Writer {
    /// Begins to write what `shared` tells into the index.
    pub(super) fn start(
        shared: Weak<Shared>,
        index: Index,
        path: PathBuf,
    ) -> std::io::Result<Self> {
        let stop = Arc::new(Stop::default());
        let told = Arc::clone(&stop);
        let thread = thread::Builder::new()
            .name("cache index".to_owned())
            .spawn(move || write(&shared, Some(index), path, &told))?;
        Ok(Self {
            stop,
            thread: Some(thread),
        })
    }
}

impl Drop for Writer {
    /// What was gathered is written.
    fn drop(&mut self) {
        *self.stop.lock() = true;
        self.stop.told.notify_all();
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::warn!("the thread that writes the cache index has failed");
        }
    }
}

fn write(shared: &Weak<Shared>, mut index: Option<Index>, path: PathBuf, stop: &Stop) {
    let mut pause = PAUSE;
    loop {
        let is_last = stop.wait(pause);
        let Some(shared) = shared.upgrade() else {
            return;
        };
        let written = match &index {
            Some(index) => apply(index, &shared.take_changes()),
            None => Index::open(&path).and_then(|(new, _)| {
                // Of what it holds, not all is true any more.
                apply(&new, &shared.all_as_changes())?;
                index = Some(new);
                Ok(())
            }),
        };
        match written {
            Ok(()) => pause = PAUSE,
            Err(error) => {
                let error = crate::backend::one_line(&error);
                tracing::warn!(error, "the cache index is opened again");
                index = None;
                pause = (pause * 2).min(LONGEST_PAUSE);
            }
        }
        if is_last {
            return;
        }
    }
}

fn apply(index: &Index, changes: &Changes) -> Result<(), CacheError> {
    match changes.is_empty() {
        true => Ok(()),
        false => index.apply(changes),
    }
}
