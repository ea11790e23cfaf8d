//! Manifest files, as a manifest list describes them.

/// What stands for the sequence number of a manifest until it is committed.
pub const UNASSIGNED_SEQUENCE_NUMBER: i64 = -1;

/// Which kind of files a manifest lists.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum ManifestContent {
    /// Data files.
    #[default]
    Data,
    /// Delete files.
    Deletes,
}

impl ManifestContent {
    /// The number that stands for it in manifest lists.
    pub fn code(self) -> i32 {
        match self {
            Self::Data => 0,
            Self::Deletes => 1,
        }
    }

    /// The content that a number in a manifest list stands for.
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Data),
            1 => Some(Self::Deletes),
            _ => None,
        }
    }

    /// Its name in the headers of manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Deletes => "deletes",
        }
    }
}

/// A manifest (struct `manifest_file` of the specification's section "Manifest Lists").
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ManifestFile {
    /// The absolute path or URI.
    pub manifest_path: String,
    /// Length in bytes.
    pub manifest_length: i64,
    /// The partition spec of all its files.
    pub partition_spec_id: i32,
    /// Which kind of files it lists.
    pub content: ManifestContent,
    /// The sequence number of the snapshot that added it; 0 in v1 tables.
    pub sequence_number: i64,
    /// The least data sequence number of its live files.
    pub min_sequence_number: i64,
    /// The snapshot that added it.
    pub added_snapshot_id: i64,
    /// Entries with status added; `None` where a v1 writer did not count.
    pub added_files_count: Option<i32>,
    /// Entries with status existing.
    pub existing_files_count: Option<i32>,
    /// Entries with status deleted.
    pub deleted_files_count: Option<i32>,
    /// Rows in files with status added.
    pub added_rows_count: Option<i64>,
    /// Rows in files with status existing.
    pub existing_rows_count: Option<i64>,
    /// Rows in files with status deleted.
    pub deleted_rows_count: Option<i64>,
    /// A summary of each field of the partition tuple.
    pub partitions: Option<Vec<FieldSummary>>,
    /// Key metadata of an encrypted manifest.
    pub key_metadata: Option<Vec<u8>>,
    /// The row id of the first row without one (v3).
    pub first_row_id: Option<i64>,
}

impl ManifestFile {
    /// Whether it may list files that belong to the snapshot.
    pub fn may_have_live_files(&self) -> bool {
        self.added_files_count != Some(0) || self.existing_files_count != Some(0)
    }

    /// Whether every counter is known.
    pub(crate) fn has_all_counts(&self) -> bool {
        let files = [
            self.added_files_count,
            self.existing_files_count,
            self.deleted_files_count,
        ];
        let rows = [
            self.added_rows_count,
            self.existing_rows_count,
            self.deleted_rows_count,
        ];
        files.iter().all(Option::is_some) && rows.iter().all(Option::is_some)
    }
}

/// What is known of a partition field's values in a manifest.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct FieldSummary {
    /// Whether some file has null.
    pub contains_null: bool,
    /// Whether some file has NaN.
    pub contains_nan: Option<bool>,
    /// The least value that is neither null nor NaN, in single-value form.
    pub lower_bound: Option<Vec<u8>>,
    /// The greatest value that is neither null nor NaN, in single-value form.
    pub upper_bound: Option<Vec<u8>>,
}
