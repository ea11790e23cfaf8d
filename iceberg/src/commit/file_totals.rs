//! Counts of files and rows, for summaries.

use std::collections::BTreeSet;

use crate::manifest::{DataContentType, DataFile, PartitionKey};

/// Counts of some files.
#[derive(Debug, Clone, Default)]
pub struct FileTotals {
    pub data_files: i64,
    pub position_delete_files: i64,
    pub deletion_vectors: i64,
    pub equality_delete_files: i64,
    pub records: i64,
    pub position_deletes: i64,
    pub equality_deletes: i64,
    pub bytes: i64,
    pub partitions: BTreeSet<PartitionKey>,
}

impl FileTotals {
    pub fn add(&mut self, file: &DataFile) {
        let (files, rows) = match file.content {
            DataContentType::Data => (&mut self.data_files, &mut self.records),
            DataContentType::PositionDeletes if file.is_deletion_vector() => {
                (&mut self.deletion_vectors, &mut self.position_deletes)
            }
            DataContentType::PositionDeletes => {
                (&mut self.position_delete_files, &mut self.position_deletes)
            }
            DataContentType::EqualityDeletes => {
                (&mut self.equality_delete_files, &mut self.equality_deletes)
            }
        };
        *files += 1;
        *rows = rows.saturating_add(file.record_count);
        let bytes = match file.content_size_in_bytes {
            Some(bytes) if file.is_deletion_vector() => bytes,
            _ => file.file_size_in_bytes,
        };
        self.bytes = self.bytes.saturating_add(bytes);
        self.partitions.insert(PartitionKey::of(file));
    }

    pub fn delete_files(&self) -> i64 {
        self.position_delete_files + self.deletion_vectors + self.equality_delete_files
    }
}
