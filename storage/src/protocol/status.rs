//! How the service is, and what it has done since it started.

use super::{
    decode::{DecodeError, Decoder},
    encode::Encoder,
    store::StoreId,
};

/// Most stores of a status.
const MAX_STORES: usize = 10_000;
const MAX_VERSION_BYTES: usize = 100;

/// The service and its cache.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ServiceStatus {
    /// The daemon's version.
    pub version: String,
    /// Seconds since it started.
    pub uptime: u64,
    /// Most bytes that the cache may take.
    pub capacity: u64,
    /// Bytes that it takes.
    pub bytes: u64,
    /// Objects in it, each as far as it was fetched.
    pub objects: u64,
    /// Objects removed to make room.
    pub evictions: u64,
    pub stores: Vec<StoreStatus>,
}

/// A store that clients have made known, and what was asked of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoreStatus {
    pub id: StoreId,
    /// Of the cache.
    pub objects: u64,
    /// Of the cache.
    pub bytes: u64,
    /// Requests for ranges that were answered from the cache alone, and those that were not.
    pub hits: u64,
    pub misses: u64,
    /// Pieces of objects that came from the store, and their bytes.
    pub reads: u64,
    pub bytes_read: u64,
    /// Objects written, and their bytes.
    pub writes: u64,
    pub bytes_written: u64,
    /// Operations that failed for good.
    pub errors: u64,
}

impl ServiceStatus {
    pub(super) fn encode(&self, to: &mut Encoder) {
        to.str(&self.version);
        for number in [
            self.uptime,
            self.capacity,
            self.bytes,
            self.objects,
            self.evictions,
        ] {
            to.u64(number);
        }
        to.count(self.stores.len());
        for store in &self.stores {
            store.encode(to);
        }
    }

    pub(super) fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let version = from.str("version", MAX_VERSION_BYTES)?.to_owned();
        let mut number = || from.u64("status");
        let mut status = Self {
            version,
            uptime: number()?,
            capacity: number()?,
            bytes: number()?,
            objects: number()?,
            evictions: number()?,
            stores: Vec::new(),
        };
        for _ in 0..from.count("stores", MAX_STORES)? {
            status.stores.push(StoreStatus::decode(from)?);
        }
        Ok(status)
    }
}

impl StoreStatus {
    fn encode(&self, to: &mut Encoder) {
        self.id.encode(to);
        for number in [
            self.objects,
            self.bytes,
            self.hits,
            self.misses,
            self.reads,
            self.bytes_read,
            self.writes,
            self.bytes_written,
            self.errors,
        ] {
            to.u64(number);
        }
    }

    fn decode(from: &mut Decoder<'_>) -> Result<Self, DecodeError> {
        let id = StoreId::decode(from)?;
        let mut number = || from.u64("status of a store");
        Ok(Self {
            id,
            objects: number()?,
            bytes: number()?,
            hits: number()?,
            misses: number()?,
            reads: number()?,
            bytes_read: number()?,
            writes: number()?,
            bytes_written: number()?,
            errors: number()?,
        })
    }
}
