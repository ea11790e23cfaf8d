//! The files that a table's metadata lead to.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::io::FileIo;
use crate::manifest::{read_manifest, read_snapshot_manifests};
use crate::spec::TableMetadata;

/// Every file that `metadata` and its snapshots name, directly or through manifests: earlier metadata
/// files, manifest lists, manifests, data and delete files, statistics files.
pub fn reachable_files(metadata: &TableMetadata, io: &dyn FileIo) -> Result<BTreeSet<String>> {
    let mut files = BTreeSet::new();
    for snapshot in &metadata.snapshots {
        files.extend(snapshot.manifest_list.clone());
        for manifest in read_snapshot_manifests(io, snapshot)? {
            if files.contains(&manifest.manifest_path) {
                continue;
            }
            for entry in read_manifest(io, &manifest)? {
                files.insert(entry.data_file.file_path.clone());
            }
            files.insert(manifest.manifest_path);
        }
    }
    files.extend(
        metadata
            .metadata_log
            .iter()
            .map(|entry| entry.metadata_file.clone()),
    );
    let statistics = metadata
        .statistics
        .iter()
        .chain(&metadata.partition_statistics);
    files.extend(statistics.map(|file| file.statistics_path.clone()));
    Ok(files)
}
