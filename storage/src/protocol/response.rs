//! What the daemon answers.

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    failure::Failure,
    frame::{Frame, HEADER_BYTES, RequestId},
    object::{Listed, ObjectMeta},
    request::{MAX_LIST_PAGE, MAX_LIST_TOKEN_BYTES},
    status::Status,
};

/// A response. Frame kinds are the numbers in [`Response::kind`], apart from those of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Response {
    /// To `Hello`: the protocol version that both will speak.
    Welcome { version: u16 },
    /// To `OpenStore`, `CloseStore`, `Delete`.
    Done,
    /// To `Head` and `Put`.
    Object(ObjectMeta),
    /// To `Want`: the descriptor comes with the frame as SCM_RIGHTS.
    Have(ObjectMeta),
    /// To `List`. Without a token for the page after it, the listing is complete.
    Page {
        objects: Vec<Listed>,
        next: Option<String>,
    },
    /// To `Status`.
    Status(Status),
    /// To anything.
    Failed(Failure),
}

impl Response {
    /// Number of the response in the frame header.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Welcome { .. } => 129,
            Self::Done => 130,
            Self::Object(_) => 131,
            Self::Have(_) => 133,
            Self::Page { .. } => 134,
            Self::Status(_) => 135,
            Self::Failed(_) => 255,
        }
    }

    pub fn encode(&self, request_id: RequestId) -> Frame {
        let mut to = Encoder::with_reserved(HEADER_BYTES);
        match self {
            Self::Welcome { version } => to.u16(*version),
            Self::Done => {}
            Self::Object(meta) | Self::Have(meta) => meta.encode(&mut to),
            Self::Page { objects, next } => {
                to.option(next.as_ref(), |to, token| to.str(token));
                to.count(objects.len());
                for object in objects {
                    object.encode(&mut to);
                }
            }
            Self::Status(status) => status.encode(&mut to),
            Self::Failed(failure) => failure.encode(&mut to),
        }
        Frame::seal(self.kind(), request_id, to.into_bytes())
    }

    /// # Errors
    /// [`DecodeError`] when `kind` is no response, or `payload` is not exactly one of that kind.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(payload);
        let response = Self::decode_fields(kind, &mut from)?;
        from.finish()?;
        Ok(response)
    }

    fn decode_fields(kind: u16, from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            129 => Self::Welcome {
                version: from.u16("protocol version")?,
            },
            130 => Self::Done,
            131 => Self::Object(ObjectMeta::decode(from)?),
            133 => Self::Have(ObjectMeta::decode(from)?),
            134 => {
                let next = from.option("list token", |from| {
                    from.str("list token", MAX_LIST_TOKEN_BYTES)
                        .map(str::to_owned)
                })?;
                let count = from.count("page", MAX_LIST_PAGE as usize)?;
                let mut objects = Vec::with_capacity(count);
                for _ in 0..count {
                    objects.push(Listed::decode(from)?);
                }
                Self::Page { objects, next }
            }
            135 => Self::Status(Status::decode(from)?),
            255 => Self::Failed(Failure::decode(from)?),
            kind => {
                return Err(DecodeError::UnknownValue {
                    field: "response kind",
                    value: u64::from(kind),
                });
            }
        })
    }
}
