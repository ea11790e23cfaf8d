//! Which data files to merge: a pure function of the files that a table has.
//!
//! Files are merged in tiers, with others of the same partition that have about as many rows. A tier is
//! a power of [`CompactionRules::min_files`], and what comes of merging is in a higher one: so a row is written again
//! once for each power at the most, and a partition has fewer small files than the threshold in each tier. Rows tell
//! the tier, not bytes: rows add up when files are merged, while small files have more footer than data.
//!
//! Where the order of rows matters, neighbours are merged, and files of a tier only once they are very many
//! ([`super::neighbours`]).

use std::collections::BTreeMap;

use super::neighbours::merge_neighbours;
use crate::manifest::{DataContentType, DataFile, DataFileFormat, PartitionKey};
use crate::scan::ScanFile;

/// Which files are worth merging, and how many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionRules {
    /// The size that data files should have, in bytes. Files of three quarters of it are large enough to stay.
    pub target_bytes: u64,
    /// So many files of a tier are merged, at least 3.
    pub min_files: usize,
    /// A group has no more files, though at least as many as make a tier too full.
    pub max_group_files: usize,
    /// A group has no more bytes, though at least twice [`Self::target_bytes`].
    pub max_group_bytes: u64,
    /// A file is written again, whatever its size, once so many hundredths of its rows are deleted.
    pub max_deleted_percent: u32,
    /// A file is written again, whatever its size, once so many delete files apply to it.
    pub max_delete_files: usize,
    /// Whether to merge what is small although it is little.
    pub extent: Extent,
    /// Which files are merged with one another.
    pub order: RowOrder,
}

/// What compaction does to the order of a table's rows, which is that of the files planned for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RowOrder {
    /// Files of a tier are merged wherever they are.
    Any,
    /// Files are merged with their neighbours, as long as that leaves fewer than eight times
    /// [`CompactionRules::min_files`] small files in each tier.
    Kept,
}

/// How far compaction goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// Tiers that have enough files are merged.
    FullTiers,
    /// All small files of a partition are merged, and everything that has deletes is written without them.
    Everything,
}

impl CompactionRules {
    /// Rules for files of this size.
    pub fn new(target_bytes: u64) -> Self {
        Self {
            target_bytes,
            min_files: 8,
            max_group_files: 100,
            max_group_bytes: target_bytes.saturating_mul(8),
            max_deleted_percent: 30,
            max_delete_files: 16,
            extent: Extent::FullTiers,
            order: RowOrder::Any,
        }
    }

    pub(super) fn fan_in(&self) -> usize {
        self.min_files.max(3)
    }

    /// Whether a file of so many bytes is large enough to stay.
    pub fn is_large(&self, bytes: u64) -> bool {
        bytes >= self.target_bytes.max(1) / 4 * 3
    }

    /// The tier of a file with so many rows.
    pub(super) fn tier(&self, rows: u64) -> u32 {
        rows.max(1).ilog(self.fan_in() as u64)
    }

    /// So many files of a tier are merged wherever they are.
    fn too_many_files(&self) -> usize {
        match (self.extent, self.order) {
            (Extent::Everything, _) => 2,
            (Extent::FullTiers, RowOrder::Any) => self.fan_in(),
            (Extent::FullTiers, RowOrder::Kept) => self.fan_in().saturating_mul(8),
        }
    }

    /// Into how many files this is to be written: of between three quarters and three halves of the target.
    fn outputs(&self, bytes: u64) -> usize {
        let target = self.target_bytes.max(1);
        let outputs = bytes.saturating_add(target / 2) / target;
        usize::try_from(outputs).unwrap_or(usize::MAX).max(1)
    }
}

/// Files to replace by fewer, or by such without deletes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CompactionGroup {
    /// Places in the slice that was planned for, ascending. All are of one partition.
    pub files: Vec<usize>,
    /// Bytes to read.
    pub bytes: u64,
    /// Rows to write, about.
    pub rows: u64,
    /// How many files to write.
    pub outputs: usize,
}

/// What to merge of a table's live files, small files first. Files that are merged keep their order.
///
/// A table that nothing is written to any more is left alone once its groups are done.
pub fn plan_compaction(files: &[ScanFile], rules: &CompactionRules) -> Vec<CompactionGroup> {
    // By partition, the small files between those that stay.
    let mut partitions: BTreeMap<PartitionKey, Vec<Vec<Candidate>>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let runs = partitions
            .entry(PartitionKey::of(&file.data_file))
            .or_default();
        let candidate = Candidate::new(index, file, rules);
        if is_readable(&file.data_file) && !rules.is_large(candidate.live_bytes) {
            match runs.last_mut() {
                Some(run) => run.push(candidate),
                None => runs.push(vec![candidate]),
            }
            continue;
        }
        runs.push(Vec::new());
        if is_readable(&file.data_file) && candidate.has_too_many_deletes {
            alone.push(group(&[candidate], rules));
        }
    }
    let mut groups = Vec::new();
    let mut tiers: BTreeMap<(u32, PartitionKey), Vec<Candidate>> = BTreeMap::new();
    for (partition, runs) in partitions {
        for run in runs {
            let left = match rules.order {
                RowOrder::Any => run,
                RowOrder::Kept => merge_neighbours(run, rules, &mut groups),
            };
            for candidate in left {
                let tier = match (rules.extent, rules.order) {
                    (Extent::Everything, RowOrder::Any) => 0,
                    _ => rules.tier(candidate.live_rows),
                };
                let tier = tiers.entry((tier, partition.clone())).or_default();
                tier.push(candidate);
            }
        }
    }
    for tier in tiers.into_values() {
        merge_tier(&tier, rules, &mut groups);
    }
    groups.extend(alone);
    groups
}

/// A file that may be merged.
#[derive(Clone, Copy)]
pub(super) struct Candidate {
    index: usize,
    bytes: u64,
    live_bytes: u64,
    pub(super) live_rows: u64,
    has_too_many_deletes: bool,
}

impl Candidate {
    fn new(index: usize, file: &ScanFile, rules: &CompactionRules) -> Self {
        let rows = u64::try_from(file.data_file.record_count).unwrap_or(0);
        let bytes = u64::try_from(file.data_file.file_size_in_bytes).unwrap_or(0);
        let deleted = deleted_rows(file).min(rows);
        let live_rows = rows - deleted;
        let live_bytes = u128::from(bytes) * u128::from(live_rows) / u128::from(rows.max(1));
        let most = u128::from(rows) * u128::from(rules.max_deleted_percent);
        let is_over = deleted > 0 && u128::from(deleted) * 100 >= most;
        let has_too_many_deletes = match rules.extent {
            Extent::FullTiers => is_over || file.deletes.len() >= rules.max_delete_files.max(1),
            Extent::Everything => !file.deletes.is_empty(),
        };
        Self {
            index,
            bytes,
            live_bytes: u64::try_from(live_bytes).unwrap_or(bytes),
            live_rows,
            has_too_many_deletes,
        }
    }
}

/// Rows that are known to be deleted: which ones equality deletes concern, and position deletes of several data
/// files, only reading tells.
fn deleted_rows(file: &ScanFile) -> u64 {
    let known = file.deletes.iter().filter(|delete| {
        delete.content == DataContentType::PositionDeletes
            && delete.referenced_data_file.as_ref() == Some(&file.data_file.file_path)
    });
    let rows = known.map(|delete| u64::try_from(delete.record_count).unwrap_or(0));
    rows.fold(0, u64::saturating_add)
}

fn is_readable(file: &DataFile) -> bool {
    let is_encrypted = file
        .key_metadata
        .as_ref()
        .is_some_and(|key| !key.is_empty());
    file.file_format == DataFileFormat::Parquet && !is_encrypted
}

/// Merges the files of a tier and partition if they are too many.
fn merge_tier(tier: &[Candidate], rules: &CompactionRules, groups: &mut Vec<CompactionGroup>) {
    for (chunk, is_cut) in chunks(tier, rules) {
        // What is cut off by the limits is worth writing although it is less than a tier.
        let is_enough = chunk.len() >= rules.too_many_files() || is_cut;
        // Neighbours are all that is merged of everything where order is kept.
        let may_merge = rules.extent != Extent::Everything || rules.order == RowOrder::Any;
        let whole = group(chunk, rules);
        if is_enough && may_merge && whole.outputs < chunk.len() {
            groups.push(whole);
        } else {
            let alone = chunk.iter().filter(|file| file.has_too_many_deletes);
            groups.extend(alone.map(|file| group(&[*file], rules)));
        }
    }
}

/// Cuts files into groups of no more than the limits. Whether a limit cut it off goes with each.
pub(super) fn chunks<'a>(
    files: &'a [Candidate],
    rules: &CompactionRules,
) -> Vec<(&'a [Candidate], bool)> {
    let max_files = rules.max_group_files.max(rules.too_many_files());
    let max_bytes = (rules.max_group_bytes).max(rules.target_bytes.saturating_mul(2));
    let mut chunks = Vec::new();
    let mut rest = files;
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |file: &&Candidate| {
            bytes = bytes.saturating_add(file.bytes);
            bytes <= max_bytes
        };
        let count = rest.iter().take(max_files).take_while(fits).count().max(1);
        let (chunk, later) = rest.split_at(count);
        chunks.push((chunk, !later.is_empty()));
        rest = later;
    }
    chunks
}

/// The group of some files.
pub(super) fn group(files: &[Candidate], rules: &CompactionRules) -> CompactionGroup {
    let sum = |of: fn(&Candidate) -> u64| files.iter().map(of).fold(0, u64::saturating_add);
    CompactionGroup {
        files: files.iter().map(|file| file.index).collect(),
        bytes: sum(|file| file.bytes),
        rows: sum(|file| file.live_rows),
        outputs: rules.outputs(sum(|file| file.live_bytes)),
    }
}

#[cfg(test)]
#[path = "plan_tests.rs"]
mod tests;
