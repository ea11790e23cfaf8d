//! Object tablespaces: those whose Iceberg tables lie in an object store.
//!
//! Which store that is, and how it is spoken to, is in `pg_tablespace.spcoptions`, beside PostgreSQL's own options
//! ([`options`] says what may be there, [`catalog`] reads and writes it). `ddl/tablespace.rs` keeps ours from
//! PostgreSQL while it validates its own.

pub mod catalog;
mod contents;
pub mod options;
mod vocabulary;

pub use contents::holds_anything;
pub use options::StoreOptions;
pub use vocabulary::is_credential;
