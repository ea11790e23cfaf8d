//! What parsed manifests take in memory, for caches that are bounded by bytes.

use std::collections::BTreeMap;

use super::data_file::DataFile;
use super::entry::ManifestEntry;
use super::manifest_file::{FieldSummary, ManifestFile};
use crate::spec::Datum;

impl DataFile {
    /// Bytes that it takes in memory, about.
    pub fn memory_size(&self) -> usize {
        let counts = [
            &self.column_sizes,
            &self.value_counts,
            &self.null_value_counts,
            &self.nan_value_counts,
        ];
        let bounds = [&self.lower_bounds, &self.upper_bounds];
        size_of::<Self>()
            + self.file_path.len()
            + self.partition.iter().map(value_size).sum::<usize>()
            + counts.iter().map(|counts| map_size(counts)).sum::<usize>()
            + bounds.iter().map(|bounds| map_size(bounds)).sum::<usize>()
            + bounds
                .iter()
                .flat_map(|bounds| bounds.values())
                .map(Vec::len)
                .sum::<usize>()
            + self.key_metadata.as_ref().map_or(0, Vec::len)
            + self
                .split_offsets
                .as_ref()
                .map_or(0, |offsets| size_of_val(&offsets[..]))
            + self
                .equality_ids
                .as_ref()
                .map_or(0, |ids| size_of_val(&ids[..]))
            + self.referenced_data_file.as_ref().map_or(0, String::len)
    }
}

impl ManifestEntry {
    /// Bytes that it takes in memory with its file, about.
    pub fn memory_size(&self) -> usize {
        size_of::<Self>() + self.data_file.memory_size()
    }
}

impl ManifestFile {
    /// Bytes that it takes in memory, about.
    pub fn memory_size(&self) -> usize {
        let bounds = |summary: &FieldSummary| {
            let bounds = [&summary.lower_bound, &summary.upper_bound];
            bounds.into_iter().flatten().map(Vec::len).sum::<usize>()
        };
        let summaries = self.partitions.as_deref().unwrap_or_default();
        size_of::<Self>()
            + self.manifest_path.len()
            + size_of_val(summaries)
            + summaries.iter().map(bounds).sum::<usize>()
            + self.key_metadata.as_ref().map_or(0, Vec::len)
    }
}

/// The nodes of a map: some two thirds full.
fn map_size<T>(map: &BTreeMap<i32, T>) -> usize {
    map.len() * size_of::<(i32, T)>() * 3 / 2
}

fn value_size(value: &Option<Datum>) -> usize {
    let heap = match value {
        Some(Datum::String(text)) => text.len(),
        Some(Datum::Fixed(bytes) | Datum::Binary(bytes)) => bytes.len(),
        _ => 0,
    };
    size_of::<Option<Datum>>() + heap
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_and_partitions_count_with_their_bytes() {
        let small = DataFile::default().memory_size();
        let large = DataFile {
            file_path: "p".repeat(100),
            partition: vec![Some(Datum::String("k".repeat(1000))), None],
            value_counts: (0..10).map(|id| (id, 1)).collect(),
            lower_bounds: (0..10).map(|id| (id, vec![0; 500])).collect(),
            ..DataFile::default()
        };
        let grown = large.memory_size() - small;
        assert!((6_100..8_000).contains(&grown), "{grown}");
    }
}
