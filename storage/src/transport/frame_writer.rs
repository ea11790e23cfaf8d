//! Frames going out, some with a descriptor.

use std::{fs::File, io, os::fd::AsFd, time::Duration};

use rustix::net::SendFlags;
use tokio::{
    io::{AsyncWriteExt, Interest},
    net::unix::OwnedWriteHalf,
    time::timeout,
};

use super::error::TransportError;
use crate::{descriptors::send_with, protocol::Frame};

/// A frame and the descriptor that goes with its first byte.
#[derive(Debug)]
pub struct OutgoingFrame {
    pub frame: Frame,
    pub descriptor: Option<File>,
}

/// Writes frames; a peer that does not take a frame within the limit is given up.
#[derive(Debug)]
pub struct FrameWriter {
    stream: OwnedWriteHalf,
    limit: Duration,
}

impl FrameWriter {
    pub fn new(stream: OwnedWriteHalf, limit: Duration) -> Self {
        Self { stream, limit }
    }

    /// # Errors
    /// [`TransportError`] when the peer is gone or too slow.
    pub async fn write(&mut self, outgoing: &OutgoingFrame) -> Result<(), TransportError> {
        let limit = self.limit;
        let write = async {
            let mut bytes = outgoing.frame.as_bytes();
            if let Some(descriptor) = &outgoing.descriptor {
                let sent = self.send_with(bytes, descriptor).await?;
                bytes = bytes.get(sent..).unwrap_or_default();
            }
            self.stream.write_all(bytes).await
        };
        match timeout(limit, write).await {
            Ok(written) => written.map_err(|source| TransportError::Io {
                operation: "send a frame",
                source,
            }),
            Err(_) => Err(TransportError::TimedOut {
                operation: "send a frame",
                limit,
            }),
        }
    }

    /// Sends at least the first byte, and the descriptor with it.
    async fn send_with(&self, bytes: &[u8], descriptor: &File) -> io::Result<usize> {
        let stream = self.stream.as_ref();
        stream
            .async_io(Interest::WRITABLE, || {
                let flags = SendFlags::DONTWAIT;
                Ok(send_with(stream, bytes, descriptor.as_fd(), flags)?)
            })
            .await
    }
}
