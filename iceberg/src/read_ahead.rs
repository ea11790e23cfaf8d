//! What another thread reads ahead.

use std::io;
use std::sync::mpsc::{Receiver, channel, sync_channel};
use std::thread::JoinHandle;

use crate::error::{Error, Result};
use crate::write::Spawn;

/// Items that may wait to be taken.
const QUEUED: usize = 2;

/// Takes what a thread reads, up to the first error.
pub(crate) struct ReadAhead<T> {
    /// `None` once there is nothing more to take.
    items: Option<Receiver<Option<Result<T>>>>,
    thread: Option<JoinHandle<()>>,
}

impl<T: Send + 'static> ReadAhead<T> {
    /// Has a thread read `items`; they are given back if there can be none.
    pub(crate) fn start<I>(items: I, spawn: Spawn) -> std::result::Result<Self, (io::Error, I)>
    where
        I: Iterator<Item = Result<T>> + Send + 'static,
    {
        let (give, given) = channel::<I>();
        let (sender, receiver) = sync_channel(QUEUED);
        let work = move || {
            let Ok(items) = given.recv() else {
                return;
            };
            // Nobody takes any more if an item cannot be sent.
            for item in items {
                if sender.send(Some(item)).is_err() {
                    return;
                }
            }
            drop(sender.send(None));
        };
        let thread = match spawn(Box::new(work)) {
            Ok(thread) => thread,
            Err(error) => return Err((error, items)),
        };
        // The thread waits for it.
        drop(give.send(items));
        Ok(Self {
            items: Some(receiver),
            thread: Some(thread),
        })
    }
}

impl<T> Iterator for ReadAhead<T> {
    type Item = Result<T>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.items.as_ref()?.recv().unwrap_or_else(|_| {
            // The end is told, so the thread has panicked.
            Some(Err(Error::invalid_argument(
                "ReadAhead",
                "the thread that reads has failed",
            )))
        });
        if !matches!(next, Some(Ok(_))) {
            self.items = None;
        }
        next
    }
}

impl<T> Drop for ReadAhead<T> {
    /// Waits for the item that the thread is at.
    fn drop(&mut self) {
        self.items = None;
        if let Some(thread) = self.thread.take() {
            // What it came to has been told by what it sent.
            drop(thread.join());
        }
    }
}
