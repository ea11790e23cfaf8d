//! What can go wrong in this library, and whether repeating the call can help.
//!
//! Every variant names the file or the operation it is about. Mapping to SQLSTATEs belongs to the
//! caller.

/// The result of every fallible call of this library.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// An error of this library.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file operation failed; `operation` is a verb such as "open" or "read".
    #[error("could not {operation} file \"{path}\"")]
    Io {
        /// The verb of the failed operation.
        operation: &'static str,
        /// The file as named in the metadata or by the caller.
        path: String,
        /// What the file IO said.
        #[source]
        source: std::io::Error,
    },

    /// A metadata file, manifest list or manifest says something that the specification forbids.
    #[error("invalid Iceberg metadata in \"{path}\": field \"{field}\": {reason}")]
    InvalidMetadata {
        /// The file that holds the bad field.
        path: String,
        /// The field, as a path such as `schemas[1].fields[0].type`.
        field: String,
        /// What is wrong with it.
        reason: String,
    },

    /// A data file does not hold what its manifest entry or its own header promises.
    #[error("invalid data file \"{path}\": {reason}")]
    InvalidData {
        /// The data file.
        path: String,
        /// What is wrong with it.
        reason: String,
    },

    /// The caller passed something that cannot be meant.
    #[error("invalid argument for {operation}: {reason}")]
    InvalidArgument {
        /// What was called.
        operation: &'static str,
        /// What is wrong.
        reason: String,
    },

    /// A part of the Iceberg specification that this library does not do.
    #[error("not supported: {feature}")]
    Unsupported {
        /// The feature, as the subject of a sentence.
        feature: String,
    },

    /// Reading or writing Parquet failed.
    #[error("Parquet file \"{path}\"")]
    Parquet {
        /// The Parquet file.
        path: String,
        /// What the Parquet library said.
        #[source]
        source: parquet::errors::ParquetError,
    },

    /// Reading or writing Avro failed.
    #[error("Avro file \"{path}\"")]
    Avro {
        /// The Avro file.
        path: String,
        /// What the Avro library said.
        #[source]
        source: Box<apache_avro::Error>,
    },

    /// An Arrow kernel or builder failed.
    #[error("Arrow: could not {operation}")]
    Arrow {
        /// The verb of the failed operation.
        operation: &'static str,
        /// What Arrow said.
        #[source]
        source: arrow::error::ArrowError,
    },

    /// A requirement of a commit does not hold for the metadata it is applied to.
    #[error("commit requirement failed: {requirement}: {reason}")]
    RequirementFailed {
        /// The requirement by its name in the specification, such as `assert-ref-snapshot-id`.
        requirement: &'static str,
        /// What was expected and what was found.
        reason: String,
    },

    /// A file that the commit removes, or relies on, is no longer part of the table: another commit
    /// came first and the change cannot be rebased on it.
    #[error("file \"{path}\" is no longer part of the table: {reason}")]
    CommitConflict {
        /// The missing data or delete file.
        path: String,
        /// Why the commit needs it.
        reason: String,
    },
}

impl Error {
    /// An [`Error::Io`].
    pub fn io(operation: &'static str, path: impl Into<String>, source: std::io::Error) -> Self {
        Self::Io {
            operation,
            path: path.into(),
            source,
        }
    }

    /// An [`Error::InvalidMetadata`].
    pub fn invalid_metadata(
        path: impl Into<String>,
        field: impl Into<String>,
        reason: impl Into<String>,
    ) -> Self {
        Self::InvalidMetadata {
            path: path.into(),
            field: field.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::InvalidData`].
    pub fn invalid_data(path: impl Into<String>, reason: impl Into<String>) -> Self {
        Self::InvalidData {
            path: path.into(),
            reason: reason.into(),
        }
    }

    /// An [`Error::InvalidArgument`].
    pub fn invalid_argument(operation: &'static str, reason: impl Into<String>) -> Self {
        Self::InvalidArgument {
            operation,
            reason: reason.into(),
        }
    }

    /// An [`Error::Unsupported`].
    pub fn unsupported(feature: impl Into<String>) -> Self {
        Self::Unsupported {
            feature: feature.into(),
        }
    }

    /// An [`Error::Parquet`].
    pub fn parquet(path: impl Into<String>, source: parquet::errors::ParquetError) -> Self {
        Self::Parquet {
            path: path.into(),
            source,
        }
    }

    /// An [`Error::Avro`].
    pub fn avro(path: impl Into<String>, source: apache_avro::Error) -> Self {
        Self::Avro {
            path: path.into(),
            source: Box::new(source),
        }
    }

    /// An [`Error::Arrow`].
    pub fn arrow(operation: &'static str, source: arrow::error::ArrowError) -> Self {
        Self::Arrow { operation, source }
    }

    /// Whether the same call on the same input must fail again.
    ///
    /// Not permanent are transient IO failures, and failed requirements, which may hold for newer
    /// metadata. A [conflict](Self::is_conflict) is permanent for the commit: only the whole
    /// transaction, begun anew, can succeed.
    pub fn is_permanent(&self) -> bool {
        use std::io::ErrorKind as Kind;
        match self {
            Self::Io { source, .. } => !matches!(
                source.kind(),
                Kind::Interrupted
                    | Kind::TimedOut
                    | Kind::WouldBlock
                    | Kind::ConnectionRefused
                    | Kind::ConnectionReset
                    | Kind::ConnectionAborted
                    | Kind::BrokenPipe
                    | Kind::NotConnected
                    | Kind::ResourceBusy
                    | Kind::StorageFull
                    | Kind::QuotaExceeded
            ),
            Self::RequirementFailed { .. } => false,
            _ => true,
        }
    }

    /// Whether a concurrent commit is the cause: a serialization failure in SQL's words.
    pub fn is_conflict(&self) -> bool {
        matches!(
            self,
            Self::RequirementFailed { .. } | Self::CommitConflict { .. }
        )
    }

    /// The file that the error is about, where there is one.
    pub fn path(&self) -> Option<&str> {
        match self {
            Self::Io { path, .. }
            | Self::InvalidMetadata { path, .. }
            | Self::InvalidData { path, .. }
            | Self::Parquet { path, .. }
            | Self::Avro { path, .. }
            | Self::CommitConflict { path, .. } => Some(path),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn timeouts_may_be_retried_and_missing_files_may_not() {
        let error = |kind: std::io::ErrorKind| Error::io("read", "f", kind.into());
        assert!(!error(std::io::ErrorKind::TimedOut).is_permanent());
        assert!(error(std::io::ErrorKind::NotFound).is_permanent());
        assert_eq!(error(std::io::ErrorKind::NotFound).path(), Some("f"));
    }

    #[test]
    fn both_kinds_of_lost_races_are_conflicts() {
        let requirement = Error::RequirementFailed {
            requirement: "assert-table-uuid",
            reason: "x".into(),
        };
        let conflict = Error::CommitConflict {
            path: "f".into(),
            reason: "removed".into(),
        };
        assert!(requirement.is_conflict() && !requirement.is_permanent());
        assert!(conflict.is_conflict() && conflict.is_permanent());
    }
}
