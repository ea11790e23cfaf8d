use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::spec::Datum;

/// A file of so many rows of so many bytes, with a footer of two thousand bytes.
fn file(rows: u64, row_bytes: u64) -> ScanFile {
    in_partition(rows, row_bytes, 0)
}

fn in_partition(rows: u64, row_bytes: u64, partition: i32) -> ScanFile {
    let data_file = DataFile {
        file_path: "f".to_owned(),
        record_count: rows as i64,
        file_size_in_bytes: (2_000 + rows * row_bytes) as i64,
        partition: vec![Some(Datum::Int(partition))],
        ..DataFile::default()
    };
    ScanFile {
        data_file: Arc::new(data_file),
        data_sequence_number: 1,
        deletes: Vec::new(),
    }
}

fn deletes(rows: i64) -> Arc<DataFile> {
    Arc::new(DataFile {
        content: DataContentType::PositionDeletes,
        referenced_data_file: Some("f".to_owned()),
        record_count: rows,
        ..DataFile::default()
    })
}

fn rows(files: &[ScanFile]) -> u64 {
    files
        .iter()
        .map(|file| file.data_file.record_count as u64)
        .sum()
}

fn bytes(file: &ScanFile) -> u64 {
    file.data_file.file_size_in_bytes as u64
}

/// Does what was planned. Returns the rows that were written.
fn compact(files: &mut Vec<ScanFile>, groups: &[CompactionGroup], row_bytes: u64) -> u64 {
    let mut written = 0;
    let mut merged = Vec::new();
    for group in groups {
        let partition = files[group.files[0]].data_file.partition.clone();
        let is_same = |&index: &usize| files[index].data_file.partition == partition;
        assert!(group.files.iter().all(is_same), "one partition");
        let outputs = group.outputs as u64;
        for output in 0..outputs {
            let rows = group.rows / outputs + u64::from(output < group.rows % outputs);
            let mut file = file(rows, row_bytes);
            Arc::make_mut(&mut file.data_file).partition = partition.clone();
            merged.push(file);
        }
        written += group.rows;
    }
    let gone: Vec<usize> = groups
        .iter()
        .flat_map(|group| group.files.clone())
        .collect();
    let mut index = 0;
    files.retain(|_| {
        index += 1;
        !gone.contains(&(index - 1))
    });
    files.extend(merged);
    written
}

fn rules() -> CompactionRules {
    CompactionRules::new(8 << 20)
}

/// Files that are small for their tier, by partition: fewer than the threshold in each.
fn assert_tiers_are_not_full(files: &[ScanFile], rules: &CompactionRules) {
    let mut counts: BTreeMap<_, usize> = BTreeMap::new();
    for file in files.iter().filter(|file| !rules.is_large(bytes(file))) {
        let tier = rules.tier(file.data_file.record_count as u64);
        *counts
            .entry((PartitionKey::of(&file.data_file), tier))
            .or_default() += 1;
    }
    assert!(
        counts.values().all(|&count| count < rules.min_files),
        "{counts:?}"
    );
}

/// Four hundred thousand commits of a file each, planned for every twenty commits.
#[test]
fn years_of_small_commits_leave_few_files_and_write_each_row_a_few_times() {
    let rules = rules();
    let (mut files, mut written, mut most_small) = (Vec::new(), 0, 0);
    let mut seed = 1_u64;
    for commit in 0..400_000 {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        // Mostly a few rows, now and then a thousand.
        let rows = if seed >> 60 == 0 {
            1_000
        } else {
            1 + (seed >> 40) % 20
        };
        files.push(file(rows, 100));
        if commit % 20 == 0 {
            let groups = plan_compaction(&files, &rules);
            written += compact(&mut files, &groups, 100);
            let small = files
                .iter()
                .filter(|file| !rules.is_large(bytes(file)))
                .count();
            most_small = most_small.max(small);
        }
    }
    let total = rows(&files);
    let large = files
        .iter()
        .filter(|file| rules.is_large(bytes(file)))
        .count();
    // 8^5 rows are 3.3 megabytes: there are six tiers below eight megabytes.
    assert!(most_small <= 6 * 7, "{most_small} small files");
    let needed = total * 100 / rules.target_bytes;
    assert!(
        large as u64 <= needed * 4 / 3 + 1,
        "{large} of {needed} large files"
    );
    let amplification = written as f64 / total as f64;
    assert!(
        amplification < 5.0,
        "each row was written {amplification} times"
    );
}

proptest! {
    #[test]
    fn compaction_comes_to_an_end_with_no_tier_full(
        sizes in prop::collection::vec((0..24_u32, 0..3_i32), 1..300),
        row_bytes in prop::sample::select(vec![1_u64, 100, 100_000]),
        max_group_files in 1..40_usize,
        max_group_bytes in 0..64_u64 << 20,
        min_files in 1..12_usize,
    ) {
        let rules = CompactionRules { max_group_files, max_group_bytes, min_files, ..rules() };
        let mut files: Vec<_> = sizes
            .iter()
            .map(|&(size, partition)| in_partition((1_u64 << size) / row_bytes, row_bytes, partition))
            .collect();
        let total = rows(&files);
        let mut rounds = 0;
        loop {
            let groups = plan_compaction(&files, &rules);
            for group in &groups {
                prop_assert!(group.outputs < group.files.len(), "fewer files than before");
                prop_assert!(group.files.len() <= max_group_files.max(rules.fan_in()));
                prop_assert!(group.bytes <= max_group_bytes.max(16 << 20));
                prop_assert!(group.files.is_sorted());
            }
            if groups.is_empty() {
                break;
            }
            compact(&mut files, &groups, row_bytes);
            rounds += 1;
            prop_assert!(rounds < 40, "it does not end");
        }
        prop_assert_eq!(rows(&files), total);
        assert_tiers_are_not_full(&files, &CompactionRules { min_files: rules.fan_in(), ..rules });
    }
}

#[test]
fn large_files_stay() {
    let files = vec![file(100_000, 100); 100];
    assert!(plan_compaction(&files, &rules()).is_empty());
    let everything = CompactionRules {
        extent: Extent::Everything,
        ..rules()
    };
    assert!(plan_compaction(&files, &everything).is_empty());
}

#[test]
fn files_of_medium_size_become_files_of_the_target_size() {
    // Ten of six megabytes each would not fit in pairs.
    let small = CompactionRules {
        target_bytes: 10 << 20,
        ..rules()
    };
    let groups = plan_compaction(&vec![file(60_000, 100); 10], &small);
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].files.len(), groups[0].outputs), (10, 6));
}

#[test]
fn files_with_many_deleted_rows_are_written_again_whatever_their_size() {
    let with = |deleted: &[i64], size: u64| ScanFile {
        deletes: deleted.iter().map(|&rows| deletes(rows)).collect(),
        ..file(size, 100)
    };
    let files = [
        with(&[29_000], 100_000),
        with(&[20_000, 11_000], 100_000),
        with(&[3], 10),
        with(&[1; 16], 100_000),
        with(&[1], 100_000),
    ];
    let planned = |rules: &CompactionRules| -> Vec<(Vec<usize>, u64)> {
        let groups = plan_compaction(&files, rules);
        groups
            .into_iter()
            .map(|group| (group.files, group.rows))
            .collect()
    };
    let expected = [(vec![2], 7), (vec![1], 69_000), (vec![3], 99_984)];
    assert_eq!(planned(&rules()), expected);
    let everything = CompactionRules {
        extent: Extent::Everything,
        ..rules()
    };
    let all = [
        (vec![2], 7),
        (vec![0], 71_000),
        (vec![1], 69_000),
        (vec![3], 99_984),
        (vec![4], 99_999),
    ];
    assert_eq!(planned(&everything), all);
}

#[test]
fn what_cannot_be_read_is_left_alone() {
    let foreign = |change: fn(&mut DataFile)| {
        let mut file = file(1, 1);
        change(Arc::make_mut(&mut file.data_file));
        vec![file; 10]
    };
    let avro = foreign(|file| file.file_format = DataFileFormat::Avro);
    assert!(plan_compaction(&avro, &rules()).is_empty());
    let encrypted = foreign(|file| file.key_metadata = Some(vec![1]));
    assert!(plan_compaction(&encrypted, &rules()).is_empty());
}
