//! Names and properties of objects.

use std::{fmt, sync::Arc};

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    store::StoreId,
};

/// Longest object path in bytes, as object stores limit it.
pub const MAX_PATH_BYTES: usize = 1024;
/// Longest entity tag in bytes.
pub(super) const MAX_ETAG_BYTES: usize = 256;

/// A name that is not allowed, with the reason.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} \"{}\" is not valid: {reason}", name.escape_debug())]
pub struct NameError {
    pub what: &'static str,
    pub name: String,
    pub reason: &'static str,
}

/// Path of an object within its store: relative, segments parted by single slashes.
///
/// Cheap to clone. Neither empty segments nor `.` and `..` occur, so that a path cannot leave its store whatever
/// the store is.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectPath(Arc<str>);

impl ObjectPath {
    /// # Errors
    /// [`NameError`] when the path is empty, too long, absolute, or has a segment not allowed.
    pub fn new(path: impl Into<String>) -> Result<Self, NameError> {
        let path = path.into();
        let reason = if path.is_empty() {
            Some("it is empty")
        } else if path.len() > MAX_PATH_BYTES {
            Some("it is longer than 1024 bytes")
        } else if path.chars().any(|c| c.is_ascii_control()) {
            Some("it contains a control character")
        } else if path.split('/').any(|s| matches!(s, "" | "." | "..")) {
            Some("a segment is empty, \".\" or \"..\"")
        } else {
            None
        };
        match reason {
            None => Ok(Self(path.into())),
            Some(reason) => Err(NameError {
                what: "object path",
                name: path,
                reason,
            }),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(super) fn encode(&self, to: &mut Encoder) {
        to.str(&self.0);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self::new(from.str("object path", MAX_PATH_BYTES)?)?)
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An object: its store and its path there.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectRef {
    pub store: StoreId,
    pub path: ObjectPath,
}

impl ObjectRef {
    pub(super) fn encode(&self, to: &mut Encoder) {
        self.store.encode(to);
        self.path.encode(to);
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            store: StoreId::decode(from)?,
            path: ObjectPath::decode(from)?,
        })
    }
}

impl fmt::Display for ObjectRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.store, self.path)
    }
}

/// What tells two contents under one path apart: the entity tag where the store has one, and the
/// size.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ObjectVersion {
    pub etag: Option<String>,
    /// Size in bytes.
    pub size: u64,
}

/// An object as a store describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ObjectMeta {
    pub path: ObjectPath,
    pub version: ObjectVersion,
}

impl ObjectMeta {
    pub(super) fn encode(&self, to: &mut Encoder) {
        self.path.encode(to);
        to.u64(self.version.size);
        to.option(self.version.etag.as_ref(), |to, etag| to.str(etag));
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            path: ObjectPath::decode(from)?,
            version: ObjectVersion {
                size: from.u64("object size")?,
                etag: from.option("entity tag", |from| {
                    from.str("entity tag", MAX_ETAG_BYTES).map(str::to_owned)
                })?,
            },
        })
    }
}

/// An object of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listed {
    pub meta: ObjectMeta,
    /// When it was written, in milliseconds since 1970.
    pub last_modified_ms: i64,
}

impl Listed {
    pub(super) fn encode(&self, to: &mut Encoder) {
        self.meta.encode(to);
        to.u64(self.last_modified_ms.cast_unsigned());
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        Ok(Self {
            meta: ObjectMeta::decode(from)?,
            last_modified_ms: from.u64("last modified")?.cast_signed(),
        })
    }
}

/// Bytes `offset .. offset + length` of an object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    pub offset: u64,
    pub length: u64,
}

impl ByteRange {
    /// The first byte after the range, unless it is past what 64 bits hold.
    pub fn end(self) -> Option<u64> {
        self.offset.checked_add(self.length)
    }
}
