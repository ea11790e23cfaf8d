//! Iceberg files in PostgreSQL's write-ahead log.
//!
//! Tables on local storage are logged as heap tables are, so that crash recovery, standbys and
//! restored backups have data and metadata of one moment: every byte that goes into a file of a logged
//! table goes into the log before the commit that makes the file count. A small file goes there whole,
//! with the others of its transaction in one record; a metadata file as the difference from the one
//! before it, which it repeats but for one snapshot; a large file in chunks as it is written.

mod edits;
mod record;

mod describe;
mod log;
mod redo;

mod resource_manager;

pub use log::{
    FileContent, create_directory, note_identity, remove_directory, remove_files, sync_files,
    write_files, write_files_unsynced,
};
pub use resource_manager::register;
