//! What a client asks for.

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    frame::{Frame, HEADER_BYTES, RequestId},
    object::{ByteRange, MAX_ETAG_BYTES, ObjectPath, ObjectRef},
    store::{StoreId, StoreSpec},
};

/// Most ranges of one `Want`.
pub const MAX_RANGES: usize = 16_384;
/// Most objects of one page of `List`.
pub const MAX_LIST_PAGE: u32 = 1000;
/// Most objects of one `Delete`.
pub const MAX_DELETIONS: usize = 1000;
/// Longest token of a listing, in bytes; stores make them.
pub(super) const MAX_LIST_TOKEN_BYTES: usize = 8192;

/// What has to hold for an object to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutCondition {
    Any,
    /// There is no such object. Asked by the same request that writes; where a store cannot do that, just before.
    Absent,
    /// The object has this entity tag. For objects of one request to the store, except in S3.
    Matches(String),
}

/// A request. Frame kinds are the numbers in [`Request::kind`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Request {
    /// First on every connection: the protocol versions that the client speaks.
    Hello { oldest: u16, newest: u16 },
    /// Makes a store known. Needed once in the daemon's life; registering the same store again
    /// replaces its credentials.
    OpenStore(StoreSpec),
    /// Forgets a store and everything cached of it.
    CloseStore(StoreId),
    /// Size and entity tag, always asked of the store.
    Head(ObjectRef),
    /// Ranges of an object in a file of the cache, whose descriptor the answer carries: laid out as
    /// [`crate::cache_file`] says, and open for reading. A size that the caller knows (Iceberg metadata tell it) is
    /// compared with the object's. Ranges are cut at the object's end.
    Want {
        object: ObjectRef,
        size: Option<u64>,
        ranges: Vec<ByteRange>,
    },
    /// Writes an object from the file whose descriptor comes with the request: its first `length` bytes, which have this
    /// XXH3 (64 bits). It appears whole or not at all.
    Put {
        object: ObjectRef,
        length: u64,
        checksum: u64,
        condition: PutCondition,
    },
    /// Says that a cached object is still used. Not answered.
    Touch(ObjectRef),
    /// Says that ranges of an object of this size will be wanted soon. Not answered, whatever comes of it.
    Prefetch {
        object: ObjectRef,
        size: u64,
        ranges: Vec<ByteRange>,
    },
    /// Deletes objects of a store; that there is none is no error.
    Delete {
        store: StoreId,
        paths: Vec<ObjectPath>,
    },
    /// Objects below a directory (all, without one), in byte order: the first ones, or those after the page that gave
    /// `token`.
    List {
        store: StoreId,
        prefix: Option<ObjectPath>,
        token: Option<String>,
        limit: u32,
    },
    /// What the service has done since its start, and what its cache has.
    Status,
}

impl Request {
    /// Number of the request in the frame header.
    pub fn kind(&self) -> u16 {
        match self {
            Self::Hello { .. } => 1,
            Self::OpenStore(_) => 2,
            Self::CloseStore(_) => 3,
            Self::Head(_) => 4,
            Self::Want { .. } => 5,
            Self::Put { .. } => 6,
            Self::Touch(_) => 7,
            Self::Prefetch { .. } => 8,
            Self::Delete { .. } => 10,
            Self::List { .. } => 11,
            Self::Status => 12,
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
            Self::Head(object) | Self::Touch(object) => object.encode(&mut to),
            Self::Want {
                object,
                size,
                ranges,
            } => {
                object.encode(&mut to);
                to.option(size.as_ref(), |to, size| to.u64(*size));
                encode_ranges(ranges, &mut to);
            }
            Self::Prefetch {
                object,
                size,
                ranges,
            } => {
                object.encode(&mut to);
                to.u64(*size);
                encode_ranges(ranges, &mut to);
            }
            Self::Put {
                object,
                length,
                checksum,
                condition,
            } => {
                object.encode(&mut to);
                to.u64(*length);
                to.u64(*checksum);
                match condition {
                    PutCondition::Any => to.u8(0),
                    PutCondition::Absent => to.u8(1),
                    PutCondition::Matches(etag) => {
                        to.u8(2);
                        to.str(etag);
                    }
                }
            }
            Self::Delete { store, paths } => {
                store.encode(&mut to);
                to.count(paths.len());
                for path in paths {
                    path.encode(&mut to);
                }
            }
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
            Self::Status => {}
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
            5 => Self::Want {
                object: ObjectRef::decode(from)?,
                size: from.option("size", |from| from.u64("size"))?,
                ranges: decode_ranges(from)?,
            },
            6 => Self::Put {
                object: ObjectRef::decode(from)?,
                length: from.u64("length")?,
                checksum: from.u64("checksum")?,
                condition: match from.u8("condition")? {
                    0 => PutCondition::Any,
                    1 => PutCondition::Absent,
                    2 => PutCondition::Matches(from.str("entity tag", MAX_ETAG_BYTES)?.to_owned()),
                    value => {
                        return Err(DecodeError::UnknownValue {
                            field: "condition",
                            value: u64::from(value),
                        });
                    }
                },
            },
            7 => Self::Touch(ObjectRef::decode(from)?),
            8 => Self::Prefetch {
                object: ObjectRef::decode(from)?,
                size: from.u64("size")?,
                ranges: decode_ranges(from)?,
            },
            10 => {
                let store = StoreId::decode(from)?;
                let count = from.count("objects", MAX_DELETIONS)?;
                let paths = (0..count).map(|_| ObjectPath::decode(from));
                Self::Delete {
                    store,
                    paths: paths.collect::<Result<_, _>>()?,
                }
            }
            11 => Self::List {
                store: StoreId::decode(from)?,
                prefix: from.option("prefix", ObjectPath::decode)?,
                token: from.option("list token", |from| {
                    from.str("list token", MAX_LIST_TOKEN_BYTES)
                        .map(str::to_owned)
                })?,
                limit: from.u32("page limit")?,
            },
            12 => Self::Status,
            kind => {
                return Err(DecodeError::UnknownValue {
                    field: "request kind",
                    value: u64::from(kind),
                });
            }
        })
    }
}

fn encode_ranges(ranges: &[ByteRange], to: &mut Encoder) {
    to.count(ranges.len());
    for range in ranges {
        to.u64(range.offset);
        to.u64(range.length);
    }
}

fn decode_ranges(from: &mut Decoder<'_>) -> Result<Vec<ByteRange>, DecodeError> {
    let count = from.count("ranges", MAX_RANGES)?;
    let range = |_| {
        Ok(ByteRange {
            offset: from.u64("range offset")?,
            length: from.u64("range length")?,
        })
    };
    (0..count).map(range).collect()
}
