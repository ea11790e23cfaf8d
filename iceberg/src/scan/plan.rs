//! The files of a snapshot, each with the deletes that apply to it (specification, section "Scan
//! Planning").

use std::collections::HashMap;
use std::sync::Arc;

use super::file_pruner::FilePruner;
use super::position_deletes::DELETE_FILE_PATH;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{
    DataContentType, DataFile, ManifestContent, ManifestEntry, ManifestFile, PartitionKey,
    manifest_entries, snapshot_manifests,
};
use crate::spec::{Snapshot, TableMetadata};

/// A data file to read, and what is deleted of it.
#[derive(Debug, Clone)]
pub struct ScanFile {
    /// The data file.
    pub data_file: Arc<DataFile>,
    /// Its data sequence number.
    pub data_sequence_number: i64,
    /// The delete files and deletion vectors that apply to it.
    pub deletes: Vec<Arc<DataFile>>,
}

impl ScanFile {
    /// Bytes that it takes in memory with the data file's entry, about. Delete files, which many have in
    /// common, count as pointers.
    pub fn memory_size(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.deletes[..]) + self.data_file.memory_size()
    }
}

/// The data files of `snapshot`, in the order of its manifests.
pub fn plan_files(
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    io: &dyn FileIo,
) -> Result<Vec<ScanFile>> {
    plan(metadata, snapshot, io, |_| true, |_| true)
}

/// The data files of `snapshot` that `pruner` leaves, in the order of its manifests; manifests that
/// cannot list one are not opened.
pub fn plan_matching_files(
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    io: &dyn FileIo,
    pruner: &FilePruner,
) -> Result<Vec<ScanFile>> {
    let manifest_may_match = |manifest: &ManifestFile| pruner.manifest_may_match(manifest);
    let file_may_match = |file: &DataFile| pruner.file_may_match(file);
    plan(metadata, snapshot, io, manifest_may_match, file_may_match)
}

/// The data files of `snapshot` at the paths that `is_named` says yes to, in the order of its manifests.
pub(crate) fn plan_named_files(
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    io: &dyn FileIo,
    is_named: impl Fn(&str) -> bool,
) -> Result<Vec<ScanFile>> {
    let file_may_match = |file: &DataFile| is_named(&file.file_path);
    plan(metadata, snapshot, io, |_| true, file_may_match)
}

fn plan(
    metadata: &TableMetadata,
    snapshot: &Snapshot,
    io: &dyn FileIo,
    manifest_may_match: impl Fn(&ManifestFile) -> bool,
    file_may_match: impl Fn(&DataFile) -> bool,
) -> Result<Vec<ScanFile>> {
    let mut data = Vec::new();
    let mut deletes = Vec::new();
    for manifest in snapshot_manifests(io, snapshot)?.iter() {
        // Deletes of files that match are in the same partition as those, or in none.
        if !manifest.may_have_live_files() || !manifest_may_match(manifest) {
            continue;
        }
        let entries = manifest_entries(io, manifest)?;
        let live = entries.iter().filter(|entry| entry.is_live());
        let matches = |entry: &&ManifestEntry| file_may_match(&entry.data_file);
        match manifest.content {
            ManifestContent::Data => data.extend(live.filter(matches).cloned()),
            ManifestContent::Deletes => deletes.extend(live.cloned()),
        }
    }
    let index = DeleteIndex::new(metadata, deletes)?;
    Ok(associate(data, &index))
}

/// Joins data files with the deletes that apply to them.
fn associate(data: Vec<ManifestEntry>, index: &DeleteIndex) -> Vec<ScanFile> {
    data.into_iter()
        .map(|entry| {
            let data_sequence_number = entry.sequence_number.unwrap_or(0);
            let deletes = index.deletes_of(&entry.data_file, data_sequence_number);
            ScanFile {
                data_file: entry.data_file,
                data_sequence_number,
                deletes,
            }
        })
        .collect()
}

struct Delete {
    sequence_number: i64,
    file: Arc<DataFile>,
}

/// Delete files by what they may apply to.
#[derive(Default)]
struct DeleteIndex {
    /// Deletion vectors and position deletes of one data file, by its path.
    by_path: HashMap<String, Vec<Delete>>,
    /// Other deletes, by partition.
    by_partition: HashMap<PartitionKey, Vec<Delete>>,
    /// Equality deletes that apply whatever the partition.
    global: Vec<Delete>,
}

impl DeleteIndex {
    fn new(metadata: &TableMetadata, entries: Vec<ManifestEntry>) -> Result<Self> {
        let mut index = Self::default();
        for entry in entries {
            let delete = Delete {
                sequence_number: entry.sequence_number.unwrap_or(0),
                file: entry.data_file,
            };
            let file = &delete.file;
            let spec_id = file.partition_spec_id;
            match (file.content, &file.referenced_data_file) {
                (DataContentType::Data, _) => {
                    return Err(Error::invalid_metadata(
                        &*file.file_path,
                        "content",
                        "a manifest of deletes lists a data file",
                    ));
                }
                (DataContentType::PositionDeletes, Some(path)) => {
                    index.by_path.entry(path.clone()).or_default().push(delete);
                }
                (DataContentType::EqualityDeletes, _)
                    if metadata
                        .partition_spec(spec_id)
                        .is_some_and(|s| s.is_unpartitioned()) =>
                {
                    index.global.push(delete);
                }
                _ => {
                    let partition = PartitionKey::of(file);
                    let deletes = index.by_partition.entry(partition).or_default();
                    deletes.push(delete);
                }
            }
        }
        Ok(index)
    }

    fn deletes_of(&self, data: &DataFile, sequence_number: i64) -> Vec<Arc<DataFile>> {
        let of_path = self.by_path.get(&data.file_path);
        // Keys cost something, and most tables have no such deletes.
        let has_any = !self.by_partition.is_empty();
        let key = has_any.then(|| PartitionKey::of(data));
        let of_partition = key.and_then(|key| self.by_partition.get(&key));
        let mut deletes: Vec<_> = of_path
            .into_iter()
            .flatten()
            .chain(of_partition.into_iter().flatten())
            .chain(&self.global)
            .filter(|delete| delete.applies_to(data, sequence_number))
            .map(|delete| Arc::clone(&delete.file))
            .collect();
        // A deletion vector holds all that position delete files said before it.
        if deletes.iter().any(|file| file.is_deletion_vector()) {
            deletes.retain(|file| {
                file.is_deletion_vector() || file.content != DataContentType::PositionDeletes
            });
        }
        deletes
    }
}

impl Delete {
    fn applies_to(&self, data: &DataFile, sequence_number: i64) -> bool {
        match self.file.content {
            DataContentType::EqualityDeletes => sequence_number < self.sequence_number,
            _ => sequence_number <= self.sequence_number && self.may_name(&data.file_path),
        }
    }

    /// Whether a position delete file may name the path, going by its bounds.
    fn may_name(&self, path: &str) -> bool {
        let path = path.as_bytes();
        let lower = self.file.lower_bounds.get(&DELETE_FILE_PATH);
        let upper = self.file.upper_bounds.get(&DELETE_FILE_PATH);
        lower.is_none_or(|lower| &lower[..] <= path) && upper.is_none_or(|upper| &upper[..] >= path)
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
