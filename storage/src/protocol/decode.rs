//! Reading of little-endian fields from bytes that are not trusted.

use super::object::NameError;

/// Why bytes are not a message of this protocol.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DecodeError {
    #[error("message ends within {field}")]
    Truncated { field: &'static str },
    #[error("{excess} bytes follow the last field")]
    TrailingBytes { excess: usize },
    #[error("{field} is {length} bytes or entries long, more than the limit of {limit}")]
    TooLong {
        field: &'static str,
        length: u64,
        limit: u64,
    },
    #[error("{field} is not UTF-8")]
    NotUtf8 { field: &'static str },
    #[error("{field} has the unknown value {value}")]
    UnknownValue { field: &'static str, value: u64 },
    #[error("frame layout version {version} is not supported")]
    FrameVersion { version: u16 },
    #[error(transparent)]
    Name(#[from] NameError),
}

/// A cursor over a payload; every read says which field it is for.
#[derive(Debug)]
pub(super) struct Decoder<'a> {
    rest: &'a [u8],
}

impl<'a> Decoder<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    fn take(&mut self, count: usize, field: &'static str) -> Result<&'a [u8], DecodeError> {
        let (head, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(head)
    }

    fn array<const N: usize>(&mut self, field: &'static str) -> Result<[u8; N], DecodeError> {
        let (head, rest) = self
            .rest
            .split_first_chunk::<N>()
            .ok_or(DecodeError::Truncated { field })?;
        self.rest = rest;
        Ok(*head)
    }

    pub(super) fn u8(&mut self, field: &'static str) -> Result<u8, DecodeError> {
        Ok(u8::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u16(&mut self, field: &'static str) -> Result<u16, DecodeError> {
        Ok(u16::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u32(&mut self, field: &'static str) -> Result<u32, DecodeError> {
        Ok(u32::from_le_bytes(self.array(field)?))
    }

    pub(super) fn u64(&mut self, field: &'static str) -> Result<u64, DecodeError> {
        Ok(u64::from_le_bytes(self.array(field)?))
    }

    /// A count of at most `limit`.
    pub(super) fn count(
        &mut self,
        field: &'static str,
        limit: usize,
    ) -> Result<usize, DecodeError> {
        let value = self.u32(field)?;
        usize::try_from(value)
            .ok()
            .filter(|count| *count <= limit)
            .ok_or(DecodeError::TooLong {
                field,
                length: u64::from(value),
                limit: limit as u64,
            })
    }

    /// A string of at most `limit` bytes.
    pub(super) fn str(
        &mut self,
        field: &'static str,
        limit: usize,
    ) -> Result<&'a str, DecodeError> {
        let length = self.count(field, limit)?;
        std::str::from_utf8(self.take(length, field)?).map_err(|_| DecodeError::NotUtf8 { field })
    }

    pub(super) fn option<T>(
        &mut self,
        field: &'static str,
        read: impl FnOnce(&mut Self) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        match self.u8(field)? {
            0 => Ok(None),
            1 => read(self).map(Some),
            value => Err(DecodeError::UnknownValue {
                field,
                value: u64::from(value),
            }),
        }
    }

    /// Ends the message: bytes left over are an error.
    pub(super) fn finish(self) -> Result<(), DecodeError> {
        if self.rest.is_empty() {
            Ok(())
        } else {
            Err(DecodeError::TrailingBytes {
                excess: self.rest.len(),
            })
        }
    }
}
