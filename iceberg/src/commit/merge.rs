//! Merging small manifests.
//!
//! The reference implementation merges all manifests below the target size once there are enough, and
//! so writes every entry again with every hundredth commit. Here manifests are merged in tiers: only
//! with others that list about as many files. An entry is written again once for each power of the
//! threshold, and a list has fewer manifests than the threshold for each tier.
//!
//! Entries of files that an earlier snapshot removed are left out. A manifest of which they are the greater part
//! is written again for that alone: each is paid for once, and what reading a table's manifests costs depends on
//! the files that it has, not on those it had.

use std::collections::BTreeMap;

use super::complete::Context;
use super::rolling_writer::{DEFAULT_MANIFEST_TARGET_BYTES, RollingManifestWriter};
use super::stage::StagedSnapshot;
use crate::error::Result;
use crate::manifest::{ManifestContent, ManifestFile, ManifestStatus, manifest_entries};
use crate::spec::TableMetadata;

const MERGE_ENABLED: &str = "commit.manifest-merge.enabled";
const MIN_COUNT_TO_MERGE: &str = "commit.manifest.min-count-to-merge";
const TARGET_SIZE_BYTES: &str = "commit.manifest.target-size-bytes";

/// The table's properties about merging.
struct MergeRules {
    min_count: usize,
    target_bytes: i64,
}

impl MergeRules {
    /// `None` if manifests are never merged.
    fn of(base: &TableMetadata) -> Option<Self> {
        let disabled = base
            .properties
            .get(MERGE_ENABLED)
            .is_some_and(|text| text.eq_ignore_ascii_case("false"));
        let target_bytes = base.property_number(TARGET_SIZE_BYTES, DEFAULT_MANIFEST_TARGET_BYTES);
        let min_count = base.property_number(MIN_COUNT_TO_MERGE, 100).max(2) as usize;
        (!disabled).then_some(Self {
            min_count,
            target_bytes: target_bytes.max(1),
        })
    }

    /// How many times a manifest's entries have been merged, going by how many are live.
    fn tier(&self, manifest: &ManifestFile) -> u32 {
        live_files(manifest).max(1).ilog(self.min_count as i64)
    }
}

fn live_files(manifest: &ManifestFile) -> i64 {
    let counts = [manifest.added_files_count, manifest.existing_files_count];
    counts.into_iter().flatten().map(i64::from).sum()
}

/// Whether most of the entries are of files that an earlier snapshot removed.
fn is_mostly_deleted(manifest: &ManifestFile, staged: &StagedSnapshot) -> bool {
    let deleted = manifest.deleted_files_count.map_or(0, i64::from);
    manifest.added_snapshot_id != staged.snapshot_id && deleted > live_files(manifest)
}

/// Merges manifests of the same content, partition spec and tier; new ones come first in `manifests`.
pub fn merge_manifests(
    context: &mut Context<'_>,
    staged: &StagedSnapshot,
    manifests: Vec<ManifestFile>,
) -> Result<Vec<ManifestFile>> {
    let Some(rules) = MergeRules::of(context.base) else {
        return Ok(manifests);
    };
    let mut groups: BTreeMap<(i32, i32, u32), Vec<ManifestFile>> = BTreeMap::new();
    for manifest in manifests {
        let tier = rules.tier(&manifest);
        let group = (manifest.content.code(), manifest.partition_spec_id, tier);
        groups.entry(group).or_default().push(manifest);
    }
    let mut merged = Vec::new();
    for (_, group) in groups {
        for (index, bin) in pack_end(group, rules.target_bytes).into_iter().enumerate() {
            // The bin with the newest manifest waits until enough have come together.
            let is_growing = index == 0 && bin.len() < rules.min_count;
            if bin.len() < 2 || is_growing {
                for manifest in bin {
                    if is_mostly_deleted(&manifest, staged) {
                        merged.extend(merge_bin(context, staged, &[manifest])?);
                    } else {
                        merged.push(manifest);
                    }
                }
            } else {
                merged.extend(merge_bin(context, staged, &bin)?);
            }
        }
    }
    Ok(merged)
}

/// Packs neighbours into bins of at most `target` bytes, beginning at the end, so that it is the
/// first bin that has room left.
fn pack_end(manifests: Vec<ManifestFile>, target: i64) -> Vec<Vec<ManifestFile>> {
    let mut bins: Vec<Vec<ManifestFile>> = Vec::new();
    let mut size = 0_i64;
    for manifest in manifests.into_iter().rev() {
        let length = manifest.manifest_length.max(0);
        match bins.last_mut() {
            Some(bin) if size.saturating_add(length) <= target => {
                bin.push(manifest);
                size += length;
            }
            _ => {
                bins.push(vec![manifest]);
                size = length;
            }
        }
    }
    for bin in &mut bins {
        bin.reverse();
    }
    bins.reverse();
    bins
}

/// Writes the entries of several manifests into one. What earlier snapshots deleted is left out.
fn merge_bin(
    context: &mut Context<'_>,
    staged: &StagedSnapshot,
    bin: &[ManifestFile],
) -> Result<Vec<ManifestFile>> {
    let Some(first) = bin.first() else {
        return Ok(Vec::new());
    };
    let (schema, spec) = context.schema_and_spec(first)?;
    let content: ManifestContent = first.content;
    let mut writer = RollingManifestWriter::new(
        context.io,
        context.base.format_version,
        content,
        &schema,
        &spec,
        staged.snapshot_id,
        usize::MAX,
    );
    for manifest in bin {
        for entry in manifest_entries(context.io, manifest)?.iter() {
            let is_own = entry.snapshot_id == Some(staged.snapshot_id);
            if entry.status != ManifestStatus::Deleted || is_own {
                writer.write(&mut context.names, |manifest| manifest.carry(entry))?;
            }
        }
    }
    writer.finish()
}
