//! The identities of rows, which PostgreSQL knows as `ctid`.
//!
//! A row is given an id when it is inserted, and keeps it as long as the row version exists or anybody may need
//! it: inline rows keep theirs when the publisher folds them into a file, and so over restarts. A new storage
//! starts anew. [`counter`] hands ids out, [`ids`] says which ids the rows of a batch have,
//! [`column`] where those of a data file are, and [`ordered`] looks ids up in others. Where much is said of rows, it is
//! said of a [`Chunk`] of them at once.

mod chunk;
pub mod column;
pub mod counter;
mod directory;
mod id;
mod ids;
pub mod ordered;

pub use chunk::Chunk;
pub use id::RowId;
pub use ids::RowIds;
