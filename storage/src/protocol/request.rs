//! What a client asks for.

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    frame::{Frame, HEADER_BYTES, RequestId},
    object::{ByteRange, ObjectPath, ObjectRef},
    store::{StoreId, StoreSpec},
};

/// Longest range of one `GetRange` and longest piece of one `PutData`, in bytes.
pub const MAX_RANGE_BYTES: u64 = 8 * 1024 * 1024;
/// Most objects of one page of `List`.
pub const MAX_LIST_PAGE: u32 = 1000;
/// Longest token of a listing, in bytes; stores make them.
pub(super) const MAX_LIST_TOKEN_BYTES: usize = 8192;

/// An upload in the making; chosen by the client, unique within its connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct UploadId(pub u32);

/// A request. Frame kinds are the numbers in [`Request::kind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// First on every connection: the protocol versions that the client speaks.
    Hello {
        oldest: u16,
        newest: u16,
    },
    /// Makes a store known. Needed once in the daemon's life; registering the same store again
    /// replaces its credentials.
    OpenStore(StoreSpec),
    /// Forgets a store and everything cached of it.
    CloseStore(StoreId),
    /// Size and entity tag, always asked of the store.
    Head(ObjectRef),
    /// Bytes of an object. A size that the caller knows (Iceberg manifests tell it) is compared
    /// with the object's.
    GetRange {
        object: ObjectRef,
        expected_size: Option<u64>,
        range: ByteRange,
    },
    /// The whole object in the disk cache; the answer carries a descriptor open for reading.
    Fetch {
        object: ObjectRef,
        expected_size: Option<u64>,
    },
    /// Begins an upload. The object appears at `PutFinish`, whole or not at all; a connection that
    /// ends before drops the upload. Not answered: failures are told by `PutFinish`.
    PutBegin {
        upload: UploadId,
        object: ObjectRef,
    },
    /// The next piece. Not answered either.
    PutData {
        upload: UploadId,
        data: Vec<u8>,
    },
    PutFinish {
        upload: UploadId,
    },
    /// Deletes an object; that there is none is no error.
    Delete(ObjectRef),
    /// Objects below a directory (all, without one), in byte order: the first ones, or those after the page that gave
    /// `token`.
    List {
        store: StoreId,
        prefix: Option<ObjectPath>,
        token: Option<String>,
        limit: u32,
    },
}

impl Request {
    /// Number of the request in the frame header.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Hello { .. } => 1,
            Self::OpenStore(_) => 2,
            Self::CloseStore(_) => 3,
            Self::Head(_) => 4,
            Self::GetRange { .. } => 5,
            Self::Fetch { .. } => 6,
            Self::PutBegin { .. } => 7,
            Self::PutData { .. } => 8,
            Self::PutFinish { .. } => 9,
            Self::Delete(_) => 10,
            Self::List { .. } => 11,
        }
    }

    pub fn encode(&self, request_id: RequestId) -> Frame {
        let mut to = Encoder::with_reserved(HEADER_BYTES);
        match self {
            Self::Hello { oldest, newest } => {
                to.u16(*oldest);
                to.u16(*newest);
            }
            Self::OpenStore(spec) => spec.encode(&mut to),
            Self::CloseStore(store) => store.encode(&mut to),
            Self::Head(object) | Self::Delete(object) => object.encode(&mut to),
            Self::GetRange {
                object,
                expected_size,
                range,
            } => {
                object.encode(&mut to);
                to.option(expected_size.as_ref(), |to, size| to.u64(*size));
                to.u64(range.offset);
                to.u64(range.length);
            }
            Self::Fetch {
                object,
                expected_size,
            } => {
                object.encode(&mut to);
                to.option(expected_size.as_ref(), |to, size| to.u64(*size));
            }
            Self::PutBegin { upload, object } => {
                to.u32(upload.0);
                object.encode(&mut to);
            }
            Self::PutData { upload, data } => {
                to.u32(upload.0);
                to.rest(data);
            }
            Self::PutFinish { upload } => to.u32(upload.0),
            Self::List {
                store,
                prefix,
                token,
                limit,
            } => {
                store.encode(&mut to);
                to.option(prefix.as_ref(), |to, path| path.encode(to));
                to.option(token.as_ref(), |to, token| to.str(token));
                to.u32(*limit);
            }
        }
        Frame::seal(self.kind(), request_id, to.into_bytes())
    }

    /// # Errors
    /// [`DecodeError`] when `kind` is no request, or `payload` is not exactly one of that kind.
    pub fn decode(kind: u16, payload: &[u8]) -> Result<Self, DecodeError> {
        let mut from = Decoder::new(payload);
        let request = Self::decode_fields(kind, &mut from)?;
        from.finish()?;
        Ok(request)
    }

    fn decode_fields(kind: u16, from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(match kind {
            1 => Self::Hello {
                oldest: from.u16("oldest version")?,
                newest: from.u16("newest version")?,
            },
            2 => Self::OpenStore(StoreSpec::decode(from)?),
            3 => Self::CloseStore(StoreId::decode(from)?),
            4 => Self::Head(ObjectRef::decode(from)?),
            5 => {
                let object = ObjectRef::decode(from)?;
                let expected_size = from.option("expected size", |from| from.u64("size"))?;
                let offset = from.u64("range offset")?;
                let length = from.u64("range length")?;
                if length > MAX_RANGE_BYTES {
                    return Err(DecodeError::TooLong {
                        field: "range",
                        length,
                        limit: MAX_RANGE_BYTES,
                    });
                }
                Self::GetRange {
                    object,
                    expected_size,
                    range: ByteRange { offset, length },
                }
            }
            6 => Self::Fetch {
                object: ObjectRef::decode(from)?,
                expected_size: from.option("expected size", |from| from.u64("size"))?,
            },
            7 => Self::PutBegin {
                upload: UploadId(from.u32("upload id")?),
                object: ObjectRef::decode(from)?,
            },
            8 => {
                let upload = UploadId(from.u32("upload id")?);
                let data = from.rest();
                if data.len() as u64 > MAX_RANGE_BYTES {
                    return Err(DecodeError::TooLong {
                        field: "put data",
                        length: data.len() as u64,
                        limit: MAX_RANGE_BYTES,
                    });
                }
                Self::PutData {
                    upload,
                    data: data.to_vec(),
                }
            }
            9 => Self::PutFinish {
                upload: UploadId(from.u32("upload id")?),
            },
            10 => Self::Delete(ObjectRef::decode(from)?),
            11 => Self::List {
                store: StoreId::decode(from)?,
                prefix: from.option("prefix", ObjectPath::decode)?,
                token: from.option("list token", |from| {
                    from.str("list token", MAX_LIST_TOKEN_BYTES)
                        .map(str::to_owned)
                })?,
                limit: from.u32("page limit")?,
            },
            kind => {
                return Err(DecodeError::UnknownValue {
                    field: "request kind",
                    value: u64::from(kind),
                });
            }
        })
    }
}
