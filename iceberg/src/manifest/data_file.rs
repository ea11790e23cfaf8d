//! A data or delete file, as a manifest describes it.

use std::collections::BTreeMap;

use crate::spec::Datum;

/// What a data file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum DataContentType {
    /// Rows.
    #[default]
    Data,
    /// Positions of deleted rows, or a deletion vector.
    PositionDeletes,
    /// Values of deleted rows.
    EqualityDeletes,
}

impl DataContentType {
    /// The number that stands for it in manifests.
    pub fn code(self) -> i32 {
        match self {
            Self::Data => 0,
            Self::PositionDeletes => 1,
            Self::EqualityDeletes => 2,
        }
    }

    /// The content that a number in a manifest stands for.
    pub fn from_code(code: i32) -> Option<Self> {
        match code {
            0 => Some(Self::Data),
            1 => Some(Self::PositionDeletes),
            2 => Some(Self::EqualityDeletes),
            _ => None,
        }
    }
}

/// The format of a data file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum DataFileFormat {
    /// Apache Parquet.
    #[default]
    Parquet,
    /// Apache Avro.
    Avro,
    /// Apache ORC.
    Orc,
    /// Puffin, of deletion vectors (v3).
    Puffin,
}

impl DataFileFormat {
    /// Its name in manifests.
    pub fn name(self) -> &'static str {
        match self {
            Self::Parquet => "PARQUET",
            Self::Avro => "AVRO",
            Self::Orc => "ORC",
            Self::Puffin => "PUFFIN",
        }
    }

    /// The format of a name in any case.
    pub fn from_name(name: &str) -> Option<Self> {
        [Self::Parquet, Self::Avro, Self::Orc, Self::Puffin]
            .into_iter()
            .find(|format| format.name().eq_ignore_ascii_case(name))
    }
}

/// A data or delete file (struct `data_file` of the specification's section "Manifests").
#[derive(Debug, Clone, PartialEq, Default)]
pub struct DataFile {
    /// What the file holds.
    pub content: DataContentType,
    /// The absolute path or URI.
    pub file_path: String,
    /// The format.
    pub file_format: DataFileFormat,
    /// The partition's values, one for each field of the partition spec; empty if unpartitioned.
    pub partition: Vec<Option<Datum>>,
    /// Rows in the file.
    pub record_count: i64,
    /// Length in bytes.
    pub file_size_in_bytes: i64,
    /// Bytes on disk by field id.
    pub column_sizes: BTreeMap<i32, i64>,
    /// Values, nulls and NaNs included, by field id.
    pub value_counts: BTreeMap<i32, i64>,
    /// Nulls by field id.
    pub null_value_counts: BTreeMap<i32, i64>,
    /// NaNs by field id.
    pub nan_value_counts: BTreeMap<i32, i64>,
    /// A value not above any in the file, in [single-value form](Datum::to_bytes), by field id.
    pub lower_bounds: BTreeMap<i32, Vec<u8>>,
    /// A value not below any in the file, in [single-value form](Datum::to_bytes), by field id.
    pub upper_bounds: BTreeMap<i32, Vec<u8>>,
    /// Key metadata of an encrypted file.
    pub key_metadata: Option<Vec<u8>>,
    /// Offsets at which the file can be split, ascending.
    pub split_offsets: Option<Vec<i64>>,
    /// Field ids by which an equality delete file compares rows.
    pub equality_ids: Option<Vec<i32>>,
    /// The sort order that the rows follow.
    pub sort_order_id: Option<i32>,
    /// The row id of the first row (v3).
    pub first_row_id: Option<i64>,
    /// The data file that all deletes of this delete file are of.
    pub referenced_data_file: Option<String>,
    /// Where in the file a deletion vector starts (v3).
    pub content_offset: Option<i64>,
    /// The length of a deletion vector (v3).
    pub content_size_in_bytes: Option<i64>,
    /// The partition spec of `partition`; carried by the manifest, not by the entry itself.
    pub partition_spec_id: i32,
}

/// What tells a delete file from others, and a deletion vector from the others of its file.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DeleteId {
    /// The path of the file.
    pub path: String,
    /// Where in it the deletion vector starts, if it is one.
    pub content_offset: Option<i64>,
}

impl DataFile {
    /// What tells this delete file, or deletion vector, from others.
    pub fn delete_id(&self) -> DeleteId {
        DeleteId {
            path: self.file_path.clone(),
            content_offset: self.content_offset,
        }
    }

    /// Whether it is a deletion vector, which may share its file with others.
    pub fn is_deletion_vector(&self) -> bool {
        self.content == DataContentType::PositionDeletes
            && self.file_format == DataFileFormat::Puffin
    }

    /// Length in bytes, as [`FileIo::open`](crate::io::FileIo::open) is told it; `None` if the entry says nonsense.
    pub(crate) fn length(&self) -> Option<u64> {
        u64::try_from(self.file_size_in_bytes).ok()
    }
}
