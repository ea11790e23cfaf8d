//! Where an Iceberg table lives on local disk, and how its files are read and written.
//!
//! A table's storage is named the way PostgreSQL names any storage: by tablespace, database,
//! relfilenumber and, for temporary tables, the owning backend ([`StorageKey`]). Its directory
//! ([`TableDirectory`]) lies inside the database's own directory, so that DROP DATABASE, base
//! backups and tablespace rules apply to it without further ado. [`VfdFileIo`] is the adapter that
//! gives iceberg-lite its files; nothing else in this crate opens a table's file.

mod directory;
mod key;
mod vfd_io;

pub use directory::TableDirectory;
pub use key::StorageKey;
pub use vfd_io::VfdFileIo;
