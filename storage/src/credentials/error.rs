//! Why a credentials file is not taken.

use std::{io, path::PathBuf};

/// Names the file, and where in it; never a value.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CredentialsError {
    #[error("could not read credentials file \"{}\"", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("credentials file \"{}\" is not taken: {reason}", path.display())]
    Unsafe { path: PathBuf, reason: String },
    #[error("credentials file \"{}\", line {line}: {reason}", path.display())]
    Syntax {
        path: PathBuf,
        line: usize,
        reason: String,
    },
}
