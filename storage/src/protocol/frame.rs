//! Frames: a fixed header of 20 bytes, then a payload of bounded length.

use std::time::Duration;

use super::{decode::DecodeError, decode::Decoder};

/// Version of the frame layout, the first field of every frame.
pub const FRAME_VERSION: u16 = 1;
/// Length of a frame header in bytes.
pub const HEADER_BYTES: usize = 20;
/// Where in the header the limit lies.
const LIMIT_AT: usize = 12;
/// Longest payload of a frame in bytes: that of a page of a listing, with room.
pub const MAX_PAYLOAD_BYTES: usize = 2 * 1024 * 1024;

/// Pairs a response with its request; chosen by the client, unique among its requests in flight.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RequestId(pub u64);

/// What precedes a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FrameHeader {
    /// Which request or response the payload is.
    pub kind: u16,
    pub request_id: RequestId,
    /// How long the client waits for the answer to this request; none if it does not say.
    pub limit: Option<Duration>,
    /// Bytes of payload that follow; at most [`MAX_PAYLOAD_BYTES`].
    pub payload_bytes: usize,
}

impl FrameHeader {
    /// Reads a header from the first [`HEADER_BYTES`] of `bytes`.
    ///
    /// # Errors
    /// [`DecodeError`] for a short header, an unknown frame version or a payload over the limit.
    pub fn decode(bytes: &[u8]) -> Result<Self, DecodeError> {
        let mut decoder = Decoder::new(bytes);
        let version = decoder.u16("frame version")?;
        if version != FRAME_VERSION {
            return Err(DecodeError::FrameVersion { version });
        }
        Ok(Self {
            kind: decoder.u16("frame kind")?,
            request_id: RequestId(decoder.u64("request id")?),
            limit: match decoder.u32("limit")? {
                0 => None,
                milliseconds => Some(Duration::from_millis(u64::from(milliseconds))),
            },
            payload_bytes: decoder.count("payload length", MAX_PAYLOAD_BYTES)?,
        })
    }
}

/// An encoded frame, header and payload in one buffer, ready to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    header: FrameHeader,
    bytes: Vec<u8>,
}

impl Frame {
    /// Completes `bytes`, of which the first [`HEADER_BYTES`] are reserved for the header.
    pub(super) fn seal(kind: u16, request_id: RequestId, mut bytes: Vec<u8>) -> Self {
        let payload_bytes = bytes.len().saturating_sub(HEADER_BYTES);
        let length = u32::try_from(payload_bytes).unwrap_or(u32::MAX);
        let fields = FRAME_VERSION
            .to_le_bytes()
            .into_iter()
            .chain(kind.to_le_bytes())
            .chain(request_id.0.to_le_bytes())
            .chain(0u32.to_le_bytes())
            .chain(length.to_le_bytes());
        for (place, byte) in bytes.iter_mut().zip(fields) {
            *place = byte;
        }
        Self {
            header: FrameHeader {
                kind,
                request_id,
                limit: None,
                payload_bytes,
            },
            bytes,
        }
    }

    /// The same, saying how long the client waits for the answer, in whole milliseconds.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        let milliseconds = u32::try_from(limit.as_millis()).unwrap_or(u32::MAX).max(1);
        self.header.limit = Some(Duration::from_millis(u64::from(milliseconds)));
        let place = self.bytes.iter_mut().skip(LIMIT_AT);
        for (place, byte) in place.zip(milliseconds.to_le_bytes()) {
            *place = byte;
        }
        self
    }

    pub fn header(&self) -> FrameHeader {
        self.header
    }

    pub fn payload(&self) -> &[u8] {
        self.bytes.get(HEADER_BYTES..).unwrap_or_default()
    }

    /// Header and payload as they go over the wire.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }
}
