//! What all uploads of a daemon share: room for the bytes that they hold, and the end of those that were given up.

use std::{future::Future, sync::Arc, time::Duration};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    time::timeout,
};

/// Bytes that the bodies of all uploads together hold in memory.
const ROOM_BYTES: u64 = 128 * 1024 * 1024;
const ROOM_UNIT: u64 = 64 * 1024;
/// Longest time to remove the parts of an upload that was given up.
const ABORT_LIMIT: Duration = Duration::from_secs(5);

/// Shared by the stores that one opener makes.
#[derive(Debug, Clone)]
pub struct Uploads {
    room: Arc<Semaphore>,
    /// How many may have parts in a store that are no object yet.
    open: Arc<watch::Sender<usize>>,
}

impl Default for Uploads {
    fn default() -> Self {
        Self {
            room: Arc::new(Semaphore::new((ROOM_BYTES / ROOM_UNIT) as usize)),
            open: Arc::new(watch::Sender::new(0)),
        }
    }
}

impl Uploads {
    /// Waits for room for these bytes; it is free again when the answer is dropped.
    pub(super) async fn room_for(&self, bytes: u64) -> Option<OwnedSemaphorePermit> {
        let units = bytes.min(ROOM_BYTES).div_ceil(ROOM_UNIT) as u32;
        let room = Arc::clone(&self.room);
        // It is never closed.
        room.acquire_many_owned(units).await.ok()
    }

    /// An upload in parts begins; it is open until the answer is dropped.
    pub(super) fn open(&self) -> OpenUpload {
        self.open.send_modify(|count| *count += 1);
        OpenUpload(Arc::clone(&self.open))
    }

    /// Waits until no upload has parts any more, or time for it is up. Those that are under way are not given up by it.
    pub async fn ended(&self) {
        let mut open = self.open.subscribe();
        let _ = timeout(ABORT_LIMIT, open.wait_for(|count| *count == 0)).await;
    }
}

/// An upload that may have parts in a store.
#[derive(Debug)]
pub(super) struct OpenUpload(Arc<watch::Sender<usize>>);

impl OpenUpload {
    /// Removes its parts, whoever asked for it being gone.
    pub(super) fn abort(self, abort: impl Future<Output = ()> + Send + 'static) {
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        runtime.spawn(async move {
            let _open = self;
            if timeout(ABORT_LIMIT, abort).await.is_err() {
                tracing::warn!("parts of an upload are left in the store: no answer");
            }
        });
    }
}

impl Drop for OpenUpload {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}
