//! Frames coming in, some with a descriptor.

use std::{collections::VecDeque, io, os::fd::OwnedFd, time::Duration};

use rustix::{io::Errno, net::RecvFlags};
use tokio::{io::Interest, net::unix::OwnedReadHalf, time::timeout};

use super::error::TransportError;
use crate::{
    descriptors::receive,
    protocol::{FrameHeader, HEADER_BYTES},
};

/// Most descriptors that a peer may have sent before their requests are taken.
const MAX_DESCRIPTORS: usize = 64;

/// Reads frames. Between frames it waits for ever; a frame that has begun must end within the limit.
///
/// Not cancel safe: a read given up loses what it has read, so the connection must end.
#[derive(Debug)]
pub struct FrameReader {
    stream: OwnedReadHalf,
    limit: Duration,
    /// Descriptors that came with frames, in the order of those.
    descriptors: VecDeque<OwnedFd>,
}

impl FrameReader {
    pub fn new(stream: OwnedReadHalf, limit: Duration) -> Self {
        Self {
            stream,
            limit,
            descriptors: VecDeque::new(),
        }
    }

    /// The descriptor that came with the oldest frame having one.
    pub fn take_descriptor(&mut self) -> Option<OwnedFd> {
        self.descriptors.pop_front()
    }

    /// The next frame, or `None` when the peer has closed the connection between frames.
    ///
    /// # Errors
    /// [`TransportError`] when the connection breaks within a frame, or on what is no frame.
    pub async fn next(&mut self) -> Result<Option<(FrameHeader, Vec<u8>)>, TransportError> {
        let failed = |source| TransportError::Io {
            operation: "receive a frame",
            source,
        };
        let mut header = [0; HEADER_BYTES];
        let received = match self.receive(&mut header).await {
            Ok(0) => return Ok(None),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let limit = self.limit;
        let rest = async {
            if let Some(rest) = header.get_mut(received..) {
                self.receive_all(rest).await.map_err(failed)?;
            }
            let header = FrameHeader::decode(&header)?;
            // Bounded by the decoder.
            let mut payload = vec![0; header.payload_bytes];
            self.receive_all(&mut payload).await.map_err(failed)?;
            Ok((header, payload))
        };
        match timeout(limit, rest).await {
            Ok(frame) => frame.map(Some),
            Err(_) => Err(TransportError::TimedOut {
                operation: "receive a frame",
                limit,
            }),
        }
    }

    async fn receive_all(&mut self, mut buffer: &mut [u8]) -> io::Result<()> {
        while !buffer.is_empty() {
            match self.receive(buffer).await? {
                0 => return Err(io::ErrorKind::UnexpectedEof.into()),
                received => buffer = buffer.get_mut(received..).unwrap_or_default(),
            }
        }
        Ok(())
    }

    async fn receive(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let (stream, descriptors) = (self.stream.as_ref(), &mut self.descriptors);
        stream
            .async_io(Interest::READABLE, || {
                let flags = RecvFlags::DONTWAIT;
                let received = match receive(stream, buffer, descriptors, flags) {
                    Err(Errno::MFILE) => {
                        return Err(io::Error::other(
                            "a descriptor was lost: the process has too many, or more came than fit",
                        ));
                    }
                    received => received?,
                };
                if descriptors.len() > MAX_DESCRIPTORS {
                    return Err(io::Error::other("too many descriptors came"));
                }
                Ok(received)
            })
            .await
    }
}
