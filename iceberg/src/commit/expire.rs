//! Expiring snapshots, and finding the files that nothing refers to afterwards.

use std::collections::{BTreeSet, HashSet};

use super::complete::{NewMetadata, complete_with_updates};
use super::requirement::TableRequirement;
use super::update::TableUpdate;
use crate::error::Result;
use crate::io::FileIo;
use crate::manifest::{ManifestFile, read_manifest, read_snapshot_manifests};
use crate::spec::{MAIN_BRANCH, SnapshotReference, SnapshotRetention, TableMetadata};

const MAX_SNAPSHOT_AGE_MS: &str = "history.expire.max-snapshot-age-ms";
const MIN_SNAPSHOTS_TO_KEEP: &str = "history.expire.min-snapshots-to-keep";
const MAX_REF_AGE_MS: &str = "history.expire.max-ref-age-ms";

const FIVE_DAYS_MS: i64 = 5 * 24 * 60 * 60 * 1000;

/// What the caller wants instead of the table's properties.
#[derive(Debug, Clone, Copy, Default)]
pub struct ExpireOptions {
    /// Age in milliseconds at which snapshots expire.
    pub max_snapshot_age_ms: Option<i64>,
    /// Snapshots of a branch kept whatever their age, at least 1.
    pub min_snapshots_to_keep: Option<i32>,
}

/// Snapshots that expired, in metadata that the caller may now point the table to.
#[derive(Debug, Clone)]
pub struct Expired {
    /// The new metadata.
    pub completed: NewMetadata,
    /// The snapshots that they no longer have.
    pub snapshot_ids: Vec<i64>,
    /// Data files, delete files, manifests, manifest lists and statistics files that nothing refers
    /// to any more: to delete once the commit has happened.
    pub unreachable_files: Vec<String>,
}

/// Expires what the options, the references and the table's properties say. `None` if that is
/// nothing.
pub fn expire(
    base: &TableMetadata,
    base_location: Option<&str>,
    options: ExpireOptions,
    io: &dyn FileIo,
    now_ms: i64,
) -> Result<Option<Expired>> {
    let (snapshot_ids, dropped_refs) = plan(base, options, now_ms);
    if snapshot_ids.is_empty() && dropped_refs.is_empty() {
        return Ok(None);
    }
    let gone: HashSet<i64> = snapshot_ids.iter().copied().collect();
    let unreachable_files = unreachable_files(base, &gone, io)?;
    let requirements = [
        TableRequirement::TableUuid(base.table_uuid),
        TableRequirement::RefSnapshotId {
            name: MAIN_BRANCH.to_owned(),
            snapshot_id: base.current_snapshot_id,
        },
    ];
    let mut updates: Vec<_> = dropped_refs
        .into_iter()
        .map(TableUpdate::RemoveSnapshotRef)
        .collect();
    updates.push(TableUpdate::RemoveSnapshots(snapshot_ids.clone()));
    let completed = complete_with_updates(base, base_location, &requirements, updates, io, now_ms)?;
    Ok(Some(Expired {
        completed,
        snapshot_ids,
        unreachable_files,
    }))
}

/// The snapshots that [`expire`] would remove.
pub fn snapshots_to_expire(base: &TableMetadata, options: ExpireOptions, now_ms: i64) -> Vec<i64> {
    plan(base, options, now_ms).0
}

/// The snapshots to remove, and the branches and tags.
fn plan(base: &TableMetadata, options: ExpireOptions, now_ms: i64) -> (Vec<i64>, Vec<String>) {
    let default_age = options
        .max_snapshot_age_ms
        .unwrap_or_else(|| base.property_number(MAX_SNAPSHOT_AGE_MS, FIVE_DAYS_MS));
    let default_count = options
        .min_snapshots_to_keep
        .map_or_else(|| base.property_number(MIN_SNAPSHOTS_TO_KEEP, 1), i64::from);
    let is_older = |id: i64, age: i64| {
        let snapshot = base.snapshot(id);
        snapshot.is_none_or(|snapshot| now_ms.saturating_sub(snapshot.timestamp_ms) > age)
    };
    let mut kept = HashSet::new();
    let mut on_a_branch = HashSet::new();
    let mut dropped = Vec::new();
    for (name, reference) in &base.refs {
        let ref_age = max_ref_age(reference)
            .unwrap_or_else(|| base.property_number(MAX_REF_AGE_MS, i64::MAX));
        if name != MAIN_BRANCH && is_older(reference.snapshot_id, ref_age) {
            dropped.push(name.clone());
            continue;
        }
        kept.insert(reference.snapshot_id);
        let SnapshotRetention::Branch {
            min_snapshots_to_keep,
            max_snapshot_age_ms,
            ..
        } = reference.retention
        else {
            continue;
        };
        let age = options
            .max_snapshot_age_ms
            .or(max_snapshot_age_ms)
            .unwrap_or(default_age);
        let count = options
            .min_snapshots_to_keep
            .or(min_snapshots_to_keep)
            .map_or(default_count, i64::from);
        for (position, id) in ancestors(base, reference.snapshot_id)
            .into_iter()
            .enumerate()
        {
            on_a_branch.insert(id);
            if (position as i64) < count || !is_older(id, age) {
                kept.insert(id);
            }
        }
    }
    let is_expired =
        |id: &i64| !kept.contains(id) && (on_a_branch.contains(id) || is_older(*id, default_age));
    let ids = base.snapshots.iter().map(|snapshot| snapshot.snapshot_id);
    (ids.filter(is_expired).collect(), dropped)
}

fn max_ref_age(reference: &SnapshotReference) -> Option<i64> {
    match reference.retention {
        SnapshotRetention::Branch { max_ref_age_ms, .. }
        | SnapshotRetention::Tag { max_ref_age_ms } => max_ref_age_ms,
    }
}

/// A snapshot and those before it, as far as they are still there.
fn ancestors(base: &TableMetadata, head: i64) -> Vec<i64> {
    let mut seen = HashSet::new();
    let mut line = Vec::new();
    let mut next = base.snapshot(head);
    while let Some(snapshot) = next {
        if !seen.insert(snapshot.snapshot_id) {
            break;
        }
        line.push(snapshot.snapshot_id);
        next = snapshot
            .parent_snapshot_id
            .and_then(|parent| base.snapshot(parent));
    }
    line
}

/// Files that only the snapshots in `gone` refer to.
fn unreachable_files(
    base: &TableMetadata,
    gone: &HashSet<i64>,
    io: &dyn FileIo,
) -> Result<Vec<String>> {
    let mut unreachable = BTreeSet::new();
    let (mut dead, mut live) = (Vec::new(), Vec::new());
    let mut seen = HashSet::new();
    // Live snapshots first, so that a manifest of both kinds counts as live.
    let is_gone = |id: i64| gone.contains(&id);
    for snapshot in base
        .snapshots
        .iter()
        .filter(|snapshot| !is_gone(snapshot.snapshot_id))
    {
        collect_new(read_snapshot_manifests(io, snapshot)?, &mut seen, &mut live);
    }
    for snapshot in base
        .snapshots
        .iter()
        .filter(|snapshot| is_gone(snapshot.snapshot_id))
    {
        collect_new(read_snapshot_manifests(io, snapshot)?, &mut seen, &mut dead);
        unreachable.extend(snapshot.manifest_list.clone());
    }
    let statistics = base.statistics.iter().chain(&base.partition_statistics);
    let statistics = statistics.filter(|file| is_gone(file.snapshot_id));
    unreachable.extend(statistics.map(|file| file.statistics_path.clone()));

    let mut files = BTreeSet::new();
    for manifest in &dead {
        unreachable.insert(manifest.manifest_path.clone());
        files.extend(live_files(io, manifest)?);
    }
    for manifest in &live {
        if files.is_empty() {
            break;
        }
        for file in live_files(io, manifest)? {
            files.remove(&file);
        }
    }
    unreachable.extend(files);
    Ok(unreachable.into_iter().collect())
}

fn collect_new(
    manifests: Vec<ManifestFile>,
    seen: &mut HashSet<String>,
    new: &mut Vec<ManifestFile>,
) {
    new.extend(
        manifests
            .into_iter()
            .filter(|manifest| seen.insert(manifest.manifest_path.clone())),
    );
}

fn live_files(io: &dyn FileIo, manifest: &ManifestFile) -> Result<Vec<String>> {
    let live = read_manifest(io, manifest)?
        .into_iter()
        .filter(|entry| entry.is_live());
    Ok(live
        .map(|entry| entry.data_file.file_path.clone())
        .collect())
}
