//! What a service tells of itself: counts since its start, and what its cache has now.

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    store::StoreId,
};

/// Most stores of one `Status`; those after them, by name, are left out.
pub const MAX_STATUS_STORES: usize = 512;
/// Longest version of a service, in bytes.
const MAX_VERSION_BYTES: usize = 64;
/// Longest identity of a store, in bytes: place, account, bucket and prefix.
const MAX_IDENTITY_BYTES: usize = 3072;

/// What a store is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StoreOperation {
    Head,
    Get,
    Put,
    Delete,
    List,
}

impl StoreOperation {
    /// All, in the order in which counts of them stand.
    pub const ALL: [Self; 5] = [Self::Head, Self::Get, Self::Put, Self::Delete, Self::List];

    pub fn as_str(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Get => "get",
            Self::Put => "put",
            Self::Delete => "delete",
            Self::List => "list",
        }
    }
}

/// What came of one kind of operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OperationCounts {
    /// Operations that ended. Its attempts, and the parts of a large object, are one operation.
    pub requests: u64,
    /// Those of them that failed.
    pub errors: u64,
    /// Bytes of objects that came or went.
    pub bytes: u64,
    /// Microseconds that all of them took together.
    pub microseconds: u64,
}

/// A store that clients have made known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    pub store: StoreId,
    /// The place that it stands for.
    pub identity: String,
    /// Requests for ranges that were answered from the cache alone.
    pub hits: u64,
    /// Requests for ranges that needed the store.
    pub misses: u64,
    /// Objects of it in the cache.
    pub cached_files: u64,
    /// Bytes of them on disk.
    pub cached_bytes: u64,
    /// By operation, in the order of [`StoreOperation::ALL`].
    pub operations: [OperationCounts; StoreOperation::ALL.len()],
}

/// The cache as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CacheStatus {
    /// Bytes that it may have.
    pub capacity: u64,
    pub files: u64,
    /// Bytes on disk.
    pub bytes: u64,
    /// Files removed to make room.
    pub evictions: u64,
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    pub version: String,
    pub uptime_milliseconds: u64,
    pub cache: CacheStatus,
    /// By name.
    pub stores: Vec<StoreStatus>,
}

impl Status {
    pub(super) fn encode(&self, to: &mut Encoder) {
        to.str(&self.version);
        to.u64(self.uptime_milliseconds);
        to.u64(self.cache.capacity);
        to.u64(self.cache.files);
        to.u64(self.cache.bytes);
        to.u64(self.cache.evictions);
        let stores = self.stores.iter().take(MAX_STATUS_STORES);
        to.count(stores.len());
        for store in stores {
            store.encode(to);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let version = from.str("version", MAX_VERSION_BYTES)?.to_owned();
        let uptime_milliseconds = from.u64("uptime")?;
        let cache = CacheStatus {
            capacity: from.u64("capacity")?,
            files: from.u64("files")?,
            bytes: from.u64("bytes")?,
            evictions: from.u64("evictions")?,
        };
        let count = from.count("stores", MAX_STATUS_STORES)?;
        let stores = (0..count).map(|_| StoreStatus::decode(from));
        Ok(Self {
            version,
            uptime_milliseconds,
            cache,
            stores: stores.collect::<Result<_, _>>()?,
        })
    }
}

impl StoreStatus {
    fn encode(&self, to: &mut Encoder) {
        self.store.encode(to);
        let end = self.identity.floor_char_boundary(MAX_IDENTITY_BYTES);
        to.str(&self.identity[..end]);
        to.u64(self.hits);
        to.u64(self.misses);
        to.u64(self.cached_files);
        to.u64(self.cached_bytes);
        for counts in &self.operations {
            to.u64(counts.requests);
            to.u64(counts.errors);
            to.u64(counts.bytes);
            to.u64(counts.microseconds);
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let mut status = Self {
            store: StoreId::decode(from)?,
            identity: from.str("identity", MAX_IDENTITY_BYTES)?.to_owned(),
            hits: from.u64("hits")?,
            misses: from.u64("misses")?,
            cached_files: from.u64("cached files")?,
            cached_bytes: from.u64("cached bytes")?,
            operations: Default::default(),
        };
        for counts in &mut status.operations {
            *counts = OperationCounts {
                requests: from.u64("requests")?,
                errors: from.u64("errors")?,
                bytes: from.u64("bytes")?,
                microseconds: from.u64("microseconds")?,
            };
        }
        Ok(status)
    }
}
