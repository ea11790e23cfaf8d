//! The disk cache: files of immutable content, and an index that says what they are.
//!
//! Blocking throughout; the service calls it from threads that may block. What is stored belongs to
//! one version of one object, so nothing here ever goes stale: it is only found no more.
//!
//! A file is written, synced and renamed into place before the index names it, and the index forgets
//! a file before it is removed. A crash at any point leaves files that no entry names, which the next
//! start removes, and never an entry whose file is incomplete. An index that cannot be read is begun
//! anew: all of this can be fetched again.

mod disk_cache;
mod error;
mod index;
mod key;
mod recency;
mod staged;

#[cfg(test)]
mod tests;

pub use disk_cache::{CacheConfig, DiskCache};
pub use error::CacheError;
pub use key::{EntryKey, Part, StoreBinding};
pub use staged::StagedFile;
