//! Manifest entries: a data file and what became of it.

use std::sync::Arc;

use super::data_file::DataFile;

/// What a snapshot did with a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ManifestStatus {
    /// The file was there before the manifest was written.
    Existing,
    /// The snapshot added the file.
    Added,
    /// The snapshot removed the file.
    Deleted,
}

impl ManifestStatus {
    /// The number that stands for it in manifests.
    pub fn code(self) -> i32 {
        match self {
            Self::Existing => 0,
            Self::Added => 1,
            Self::Deleted => 2,
        }
    }

    /// The status that a number in a manifest stands for.
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Existing),
            1 => Some(Self::Added),
            2 => Some(Self::Deleted),
            _ => None,
        }
    }
}

/// A file in a manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct ManifestEntry {
    /// What became of the file.
    pub status: ManifestStatus,
    /// The snapshot that added the file, or, of a deleted one, removed it; inherited from the
    /// manifest if absent there.
    pub snapshot_id: Option<i64>,
    /// The data sequence number: which deletes apply to the file. `None` only in entries not yet
    /// committed.
    pub sequence_number: Option<i64>,
    /// The sequence number of the snapshot that added the file. `None` only in entries not yet
    /// committed.
    pub file_sequence_number: Option<i64>,
    /// The file.
    pub data_file: Arc<DataFile>,
}

impl ManifestEntry {
    /// Whether the file belongs to the snapshot.
    pub fn is_live(&self) -> bool {
        self.status != ManifestStatus::Deleted
    }
}
