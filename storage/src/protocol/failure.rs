//! Failures as they are told to the client: a code, whether trying again may help, object, cause.

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
};

const MAX_TEXT_BYTES: usize = 16 * 1024;

/// What went wrong. A client decides by this, never by the message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum FailureCode {
    /// The request makes no sense, or not at this point of the conversation.
    BadRequest,
    /// Client and daemon have no protocol version in common.
    UnsupportedVersion,
    /// The store was not registered, or the daemon has restarted since.
    UnknownStore,
    /// The store is registered already and holds other objects.
    StoreConflict,
    /// The store's options are not usable.
    InvalidStore,
    NotFound,
    /// The store knows who asks and refuses.
    PermissionDenied,
    /// The store does not know who asks.
    Unauthenticated,
    /// The object is no longer the one that was read before.
    Changed,
    /// An object is there that should not be.
    Exists,
    /// The bytes to be written are not what the client said of them.
    Damaged,
    /// The cache cannot hold the object.
    CacheFull,
    /// The store cannot be reached or is overloaded.
    Unavailable,
    TimedOut,
    /// The daemon is stopping.
    Stopping,
    /// The daemon's disk failed, or the daemon is at fault.
    Internal,
}

/// May the same request succeed later, with nothing changed by its author?
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Persistence {
    Permanent,
    Transient,
}

impl FailureCode {
    const ALL: [(Self, u16); 16] = [
        (Self::BadRequest, 1),
        (Self::UnsupportedVersion, 2),
        (Self::UnknownStore, 3),
        (Self::StoreConflict, 4),
        (Self::InvalidStore, 5),
        (Self::NotFound, 6),
        (Self::PermissionDenied, 7),
        (Self::Unauthenticated, 8),
        (Self::Changed, 9),
        (Self::CacheFull, 11),
        (Self::Unavailable, 12),
        (Self::TimedOut, 13),
        (Self::Stopping, 14),
        (Self::Internal, 15),
        (Self::Exists, 16),
        (Self::Damaged, 17),
    ];

    fn number(self) -> u16 {
        Self::ALL
            .iter()
            .find(|(code, _)| *code == self)
            .map_or(0, |(_, number)| *number)
    }
}

/// A failed request.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{object}: {message}")]
pub struct Failure {
    pub code: FailureCode,
    pub persistence: Persistence,
    /// The object, or the store where no single object is concerned.
    pub object: String,
    /// The cause, one line.
    pub message: String,
}

impl Failure {
    pub fn permanent(code: FailureCode, object: impl ToString, message: impl Into<String>) -> Self {
        Self {
            code,
            persistence: Persistence::Permanent,
            object: object.to_string(),
            message: message.into(),
        }
    }

    pub fn transient(code: FailureCode, object: impl ToString, message: impl Into<String>) -> Self {
        Self {
            persistence: Persistence::Transient,
            ..Self::permanent(code, object, message)
        }
    }

    pub fn is_transient(&self) -> bool {
        self.persistence == Persistence::Transient
    }

    pub(super) fn encode(&self, to: &mut Encoder) {
        to.u16(self.code.number());
        to.u8(match self.persistence {
            Persistence::Permanent => 0,
            Persistence::Transient => 1,
        });
        to.str(truncated(&self.object));
        to.str(truncated(&self.message));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let number = from.u16("failure code")?;
        let code = FailureCode::ALL
            .iter()
            .find(|(_, known)| *known == number)
            .map(|(code, _)| *code)
            .ok_or(DecodeError::UnknownValue {
                field: "failure code",
                value: u64::from(number),
            })?;
        let persistence = match from.u8("persistence")? {
            0 => Persistence::Permanent,
            1 => Persistence::Transient,
            value => {
                return Err(DecodeError::UnknownValue {
                    field: "persistence",
                    value: u64::from(value),
                });
            }
        };
        Ok(Self {
            code,
            persistence,
            object: from.str("failure object", MAX_TEXT_BYTES)?.to_owned(),
            message: from.str("failure message", MAX_TEXT_BYTES)?.to_owned(),
        })
    }
}

/// The longest prefix that the decoder accepts: stores answer errors with whole documents.
fn truncated(text: &str) -> &str {
    text.get(..text.floor_char_boundary(MAX_TEXT_BYTES))
        .unwrap_or(text)
}
