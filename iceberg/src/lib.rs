//! A synchronous Apache Iceberg library: table metadata, manifests, scans, writing and commits.
//!
//! It reads and writes files only through [`io::FileIo`], knows neither PostgreSQL nor the network,
//! starts no runtime and has no clock: callers pass the time in milliseconds from 1970-01-01 UTC.
//! The vocabulary is the [Iceberg table specification](https://iceberg.apache.org/spec/)'s; versions
//! 2 and 3 are written, versions 1 to 3 are read.

pub mod error;
pub mod io;

mod bounded_cache;
mod read_ahead;

pub mod spec;

pub mod manifest;

pub mod expr;
pub mod scan;

pub mod commit;
pub mod compaction;
pub mod write;

pub use bounded_cache::BoundedCache;
pub use error::{Error, Result};
