//! The files that a table's metadata lead to.

use std::collections::BTreeSet;

use crate::error::Result;
use crate::io::FileIo;
use crate::manifest::{read_manifest, read_snapshot_manifests};
use crate::spec::TableMetadata;

/// Every file that `metadata` and its snapshots name, directly or through manifests: earlier metadata
/// files, manifest lists, manifests, data and delete files, statistics files.
pub fn reachable_files(metadata: &TableMetadata, io: &dyn FileIo) -> Result<BTreeSet<String>> {
    let mut files = named_files(metadata);
    for snapshot in &metadata.snapshots {
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
    Ok(files)
}

/// As [`reachable_files`], without data and delete files: no manifest is read.
pub fn reachable_metadata_files(
    metadata: &TableMetadata,
    io: &dyn FileIo,
) -> Result<BTreeSet<String>> {
    let mut files = named_files(metadata);
    for snapshot in &metadata.snapshots {
        let manifests = read_snapshot_manifests(io, snapshot)?;
        files.extend(manifests.into_iter().map(|manifest| manifest.manifest_path));
    }
    Ok(files)
}

/// The files that the metadata name themselves.
fn named_files(metadata: &TableMetadata) -> BTreeSet<String> {
    let lists = metadata
        .snapshots
        .iter()
        .filter_map(|snapshot| snapshot.manifest_list.clone());
    let log = metadata
        .metadata_log
        .iter()
        .map(|entry| entry.metadata_file.clone());
    let statistics = metadata
        .statistics
        .iter()
        .chain(&metadata.partition_statistics)
        .map(|file| file.statistics_path.clone());
    lists.chain(log).chain(statistics).collect()
}
