//! The disk cache: a sparse file for each object, as far as it was fetched, and an index that says which is which.
//!
//! Blocking throughout; the service calls it from threads that may block. All of this can be fetched again, so nothing
//! waits for the disk to have it: what counts of a file is told by its checksums ([`crate::cache_file`]), and the index is
//! written in the background. A file that no index entry names is removed after the start; an entry whose file is gone
//! is forgotten when it is met; an index that cannot be read or written is begun anew.

mod disk_cache;
mod error;
mod index;
mod key;
mod recency;
mod writer;

#[cfg(test)]
mod tests;

pub use disk_cache::{CacheConfig, CachedObject, DiskCache, Usage};
pub use error::CacheError;
pub use key::{ObjectKey, StoreBinding};
