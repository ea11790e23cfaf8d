//! Batches that another thread reads.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::JoinHandle;

use arrow::array::RecordBatch;

use super::rewrite::Batches;
use crate::error::{Error, Result};
use crate::write::Spawn;

/// Batches that may wait to be taken.
const QUEUED_BATCHES: usize = 2;

/// Takes what a thread reads.
pub(super) struct ReadAhead {
    /// `None` once there is nothing more to take.
    batches: Option<Receiver<Option<Result<RecordBatch>>>>,
    thread: Option<JoinHandle<()>>,
}

impl ReadAhead {
    /// Has a thread read; `path` is for errors.
    pub(super) fn start(batches: Batches, spawn: Spawn, path: &str) -> Result<Self> {
        let (sender, receiver) = sync_channel(QUEUED_BATCHES);
        let work = move || {
            // Nobody takes any more if a batch cannot be sent.
            for batch in batches {
                if sender.send(Some(batch)).is_err() {
                    return;
                }
            }
            drop(sender.send(None));
        };
        let thread =
            spawn(Box::new(work)).map_err(|e| Error::io("start a thread that reads", path, e))?;
        Ok(Self {
            batches: Some(receiver),
            thread: Some(thread),
        })
    }
}

impl Iterator for ReadAhead {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.batches.as_ref()?.recv().unwrap_or_else(|_| {
            // The end is told, so the thread has panicked.
            Some(Err(Error::invalid_argument(
                "Rewrite",
                "the thread that reads has failed",
            )))
        });
        if !matches!(next, Some(Ok(_))) {
            self.batches = None;
        }
        next
    }
}

impl Drop for ReadAhead {
    /// Waits for the batch that the thread is at.
    fn drop(&mut self) {
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // What it came to has been told by what it sent.
            drop(thread.join());
        }
    }
}
