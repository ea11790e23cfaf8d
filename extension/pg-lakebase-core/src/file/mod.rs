//! Files and directories of the server.
//!
//! Descriptors are scarce and PostgreSQL keeps account of them: backend code opens files as virtual
//! descriptors ([`VfdFile`]), which PostgreSQL closes and reopens as it needs; a descriptor that a
//! worker thread reads from stays open and is accounted for ([`ExternalFd`]).
//!
//! Nothing here raises for what the operating system reports: it returns [`std::io::Error`].

mod directory;
mod external_fd;
mod path;
mod vfd;

pub use directory::{fsync_directory, fsync_file, make_directory, remove_file, remove_tree};
pub use external_fd::{ExternalFd, ExternalFdPermit};
pub use path::{relation_directory, relation_path};
pub use vfd::VfdFile;
