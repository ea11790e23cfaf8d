//! Frames coming in.

use std::{io, time::Duration};

use tokio::{
    io::{AsyncRead, AsyncReadExt},
    time::timeout,
};

use super::error::TransportError;
use crate::protocol::{FrameHeader, HEADER_BYTES};

/// Reads frames. Between frames it waits for ever; a frame that has begun must end within the limit.
///
/// Not cancel safe: a read given up loses what it has read, so the connection must end.
#[derive(Debug)]
pub struct FrameReader<R> {
    stream: R,
    limit: Duration,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub fn new(stream: R, limit: Duration) -> Self {
        Self { stream, limit }
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
        let received = match self.stream.read(&mut header).await {
            Ok(0) => return Ok(None),
            Ok(received) => received,
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => return Ok(None),
            Err(error) => return Err(failed(error)),
        };
        let rest = async {
            if let Some(rest) = header.get_mut(received..) {
                self.stream.read_exact(rest).await.map_err(failed)?;
            }
            let header = FrameHeader::decode(&header)?;
            // Bounded by the decoder.
            let mut payload = vec![0; header.payload_bytes];
            self.stream.read_exact(&mut payload).await.map_err(failed)?;
            Ok((header, payload))
        };
        match timeout(self.limit, rest).await {
            Ok(frame) => frame.map(Some),
            Err(_) => Err(TransportError::TimedOut {
                operation: "receive a frame",
                limit: self.limit,
            }),
        }
    }
}
