//! Which data files to merge: a pure function of the files that a table has.
//!
//! Files are merged in tiers, with others of the same partition that have about as many rows. A tier is
//! a power of [`CompactionRules::min_files`], and what comes of merging is in a higher one: so a row is written again
//! once for each power at the most, and a partition has fewer small files than the threshold in each tier. Rows tell
//! the tier, not bytes: rows add up when files are merged, while small files have more footer than data.

use std::collections::BTreeMap;

use crate::manifest::{DataContentType, DataFile, DataFileFormat, PartitionKey};
use crate::scan::ScanFile;

/// Which files are worth merging, and how many at a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CompactionRules {
    /// The size that data files should have, in bytes. Files of three quarters of it are large enough to stay.
    pub target_bytes: u64,
    /// So many files of a tier are merged, at least 3.
    pub min_files: usize,
    /// A group has no more files, though at least [`Self::min_files`].
    pub max_group_files: usize,
    /// A group has no more bytes, though at least twice [`Self::target_bytes`].
    pub max_group_bytes: u64,
    /// A file is written again, whatever its size, once so many hundredths of its rows are deleted.
    pub max_deleted_percent: u32,
    /// A file is written again, whatever its size, once so many delete files apply to it.
    pub max_delete_files: usize,
    /// Whether to merge what is small although it is little.
    pub extent: Extent,
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
        }
    }

    fn fan_in(&self) -> usize {
        self.min_files.max(3)
    }

    fn is_large(&self, bytes: u64) -> bool {
        bytes >= self.target_bytes.max(1) / 4 * 3
    }

    /// The tier of a file with so many rows.
    fn tier(&self, rows: u64) -> u32 {
        rows.max(1).ilog(self.fan_in() as u64)
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
    let mut tiers: BTreeMap<(u32, PartitionKey), Vec<Candidate>> = BTreeMap::new();
    let mut alone = Vec::new();
    for (index, file) in files.iter().enumerate() {
        let candidate = Candidate::new(index, file, rules);
        if !is_readable(&file.data_file) {
            continue;
        }
        if !rules.is_large(candidate.live_bytes) {
            let tier = match rules.extent {
                Extent::FullTiers => rules.tier(candidate.live_rows),
                Extent::Everything => 0,
            };
            let partition = PartitionKey::of(&file.data_file);
            tiers.entry((tier, partition)).or_default().push(candidate);
        } else if candidate.has_too_many_deletes {
            alone.push(group(&[candidate], rules));
        }
    }
    let mut groups = Vec::new();
    for tier in tiers.into_values() {
        merge_tier(&tier, rules, &mut groups);
    }
    groups.extend(alone);
    groups
}

#[derive(Clone, Copy)]
struct Candidate {
    index: usize,
    bytes: u64,
    live_bytes: u64,
    live_rows: u64,
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

/// Cuts the files of a tier and partition into groups.
fn merge_tier(tier: &[Candidate], rules: &CompactionRules, groups: &mut Vec<CompactionGroup>) {
    let max_files = rules.max_group_files.max(rules.fan_in());
    let max_bytes = rules
        .max_group_bytes
        .max(rules.target_bytes.saturating_mul(2));
    let enough = match rules.extent {
        Extent::FullTiers => rules.fan_in(),
        Extent::Everything => 2,
    };
    let mut rest = tier;
    while !rest.is_empty() {
        let mut bytes = 0_u64;
        let fits = |file: &&Candidate| {
            bytes = bytes.saturating_add(file.bytes);
            bytes <= max_bytes
        };
        let count = rest.iter().take(max_files).take_while(fits).count().max(1);
        let (chunk, later) = rest.split_at(count);
        // What is cut off by the limits is worth writing although it is less than a tier.
        let is_enough = count >= enough || !later.is_empty();
        let whole = group(chunk, rules);
        if is_enough && whole.outputs < count {
            groups.push(whole);
        } else {
            let alone = chunk.iter().filter(|file| file.has_too_many_deletes);
            groups.extend(alone.map(|file| group(&[*file], rules)));
        }
        rest = later;
    }
}

fn group(files: &[Candidate], rules: &CompactionRules) -> CompactionGroup {
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
