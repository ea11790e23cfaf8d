//! Where an Iceberg table lies on local disk.
//!
//! A table's storage is named the way PostgreSQL names any storage: by tablespace, database,
//! relfilenumber and, for temporary tables, the owning backend ([`StorageKey`]). Its directory
//! ([`TableDirectory`]) lies inside the database's own directory, so that DROP DATABASE, base
//! backups and tablespace rules apply to it without further ado.

pub mod durable;
mod file_name;
pub mod identity_file;
mod key;
pub mod startup;
mod table_directory;
pub mod upgrade;

pub use file_name::{is_merged_file, new_file_name, new_merged_file_name, transaction_of};
pub use key::StorageKey;
pub use table_directory::{
    TableDirectory, database_directories, entries, holds_tables, tables_size_in_database,
    tables_size_in_tablespace, tablespace_directory,
};
