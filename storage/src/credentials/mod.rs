//! Who the daemon is to object stores: the credentials file.
//!
//! Secrets come from here or from the daemon's environment, and from nowhere else: no request of a client has any, and
//! nothing that is shown, logged or told has.

mod entry;
mod error;
mod file;
mod parse;

pub use entry::{Entry, Secret};
pub use error::CredentialsError;
pub use file::CredentialsFile;
