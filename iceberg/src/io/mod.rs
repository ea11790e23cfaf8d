//! File IO as the library needs it: whole-file creation, positional reads, deletion.
//!
//! Implementations live with the callers (PostgreSQL's VFD layer, the storage service's client);
//! here is one for the local file system. Nothing here lists directories or renames: a file
//! belongs to a table because metadata names it.

mod file_io;
mod local;
mod names;

pub use file_io::{FileIo, InputFile, OutputFile};
pub use local::LocalFileIo;
