//! Writing an object piece by piece.

use std::time::Duration;

use super::{
    blocking_client::Client,
    error::{Result, Task},
    interrupt::Interrupts,
};
use crate::protocol::{ObjectMeta, Request, UploadId};

/// Bytes gathered before a piece is sent.
const PIECE_BYTES: usize = 1024 * 1024;

/// An upload under way. Dropping it unfinished closes the connection, upon which the daemon removes
/// what the store has of it.
#[must_use = "an upload that is not finished is dropped by the daemon"]
pub struct Upload<'a, I: Interrupts> {
    client: &'a mut Client<I>,
    upload: UploadId,
    name: String,
    piece: Vec<u8>,
    finished: bool,
}

impl<'a, I: Interrupts> Upload<'a, I> {
    pub(super) fn new(client: &'a mut Client<I>, upload: UploadId, name: String) -> Self {
        Self {
            client,
            upload,
            name,
            piece: Vec::new(),
            finished: false,
        }
    }

    /// Appends bytes to the object.
    ///
    /// # Errors
    /// [`super::ClientError`] when the daemon cannot be reached; what the store says comes with
    /// [`Upload::finish`].
    pub fn write(&mut self, mut bytes: &[u8]) -> Result<()> {
        while !bytes.is_empty() {
            let room = PIECE_BYTES - self.piece.len();
            let (now, later) = bytes.split_at(room.min(bytes.len()));
            self.piece.extend_from_slice(now);
            bytes = later;
            if self.piece.len() == PIECE_BYTES {
                self.send_piece()?;
            }
        }
        Ok(())
    }

    /// Makes the object appear in the store and returns what it is there.
    ///
    /// # Errors
    /// Any failure since the upload began. After a permanent one there is no object; after a
    /// transient one, a broken connection or a time-out there may be one, whole.
    pub fn finish(mut self) -> Result<ObjectMeta> {
        if !self.piece.is_empty() {
            self.send_piece()?;
        }
        let limit = self.client.config().transfer_timeout;
        let meta = self
            .client
            .finish_upload(&task(&self.name, limit), self.upload)?;
        self.finished = true;
        Ok(meta)
    }

    fn send_piece(&mut self) -> Result<()> {
        let piece = Request::PutData {
            upload: self.upload,
            data: std::mem::take(&mut self.piece),
        };
        let limit = self.client.config().timeout;
        self.client.send(&task(&self.name, limit), &piece)
    }
}

impl<I: Interrupts> Drop for Upload<'_, I> {
    fn drop(&mut self) {
        if !self.finished {
            self.client.disconnect();
        }
    }
}

fn task(object: &str, limit: Duration) -> Task<'_> {
    Task {
        operation: "write",
        object,
        limit,
    }
}
