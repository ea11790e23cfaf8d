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
    let mut merged = BTreeMap::new();
    for group in groups {
        let partition = files[group.files[0]].data_file.partition.clone();
        let is_same = |&index: &usize| files[index].data_file.partition == partition;
        assert!(group.files.iter().all(is_same), "one partition");
        let outputs = group.outputs as u64;
        for output in 0..outputs {
            let rows = group.rows / outputs + u64::from(output < group.rows % outputs);
            let mut file = file(rows, row_bytes);
            Arc::make_mut(&mut file.data_file).partition = partition.clone();
            merged
                .entry(group.files[0])
                .or_insert_with(Vec::new)
                .push(file);
        }
        written += group.rows;
    }
    let gone: Vec<usize> = groups
        .iter()
        .flat_map(|group| group.files.clone())
        .collect();
    let old = std::mem::take(files).into_iter().enumerate();
    for (index, file) in old {
        // New files stand where the first of the old ones did.
        files.extend(merged.remove(&index).unwrap_or_default());
        if !gone.contains(&index) {
            files.push(file);
        }
    }
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
        counts.values().all(|&count| count < rules.too_many_files()),
        "{counts:?}"
    );
}

/// What many commits of a file each come to, planned for after every twenty.
struct Years {
    total: u64,
    written: u64,
    large: usize,
    most_small: usize,
    /// Groups of files that had others between them.
    scattered: usize,
}

fn years(commits: usize, rules: &CompactionRules, rows_of: fn(u64) -> u64) -> Years {
    let (mut files, mut seed) = (Vec::new(), 1_u64);
    let mut years = Years {
        total: 0,
        written: 0,
        large: 0,
        most_small: 0,
        scattered: 0,
    };
    for commit in 0..commits {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        files.push(file(rows_of(seed >> 24), 100));
        if commit % 20 == 0 {
            let groups = plan_compaction(&files, rules);
            let is_scattered = |group: &&CompactionGroup| {
                group.files.windows(2).any(|pair| pair[1] != pair[0] + 1)
            };
            years.scattered += groups.iter().filter(is_scattered).count();
            years.written += compact(&mut files, &groups, 100);
            let small = files.iter().filter(|file| !rules.is_large(bytes(file)));
            years.most_small = years.most_small.max(small.count());
        }
    }
    years.total = rows(&files);
    years.large = files
        .iter()
        .filter(|file| rules.is_large(bytes(file)))
        .count();
    years
}

/// 8^5 rows are 3.3 megabytes: there are six tiers below eight megabytes.
const TIERS: usize = 6;

fn assert_few(years: &Years, rules: &CompactionRules, most_small: usize) {
    assert!(
        years.most_small <= most_small,
        "{} small files",
        years.most_small
    );
    let needed = years.total * 100 / rules.target_bytes;
    let large = years.large as u64;
    assert!(
        large <= needed * 4 / 3 + 1,
        "{large} of {needed} large files"
    );
    let amplification = years.written as f64 / years.total as f64;
    assert!(
        amplification < TIERS as f64,
        "each row was written {amplification} times"
    );
}

#[test]
fn years_of_small_commits_leave_few_files_and_write_each_row_a_few_times() {
    // Mostly a few rows, now and then a thousand.
    let rows_of = |random: u64| {
        if random.is_multiple_of(16) {
            1_000
        } else {
            1 + random / 16 % 20
        }
    };
    let scattered = years(200_000, &rules(), rows_of);
    assert_few(&scattered, &rules(), TIERS * 7);
    let rules = CompactionRules {
        order: RowOrder::Kept,
        ..rules()
    };
    let kept = years(200_000, &rules, rows_of);
    // Neighbours may be fewer than a tier, or more.
    assert_few(&kept, &rules, TIERS * 8);
    assert_eq!(kept.scattered, 0, "rows stay in their order");
}

/// From single rows to files that are large enough at once, one as often as the other.
#[test]
fn commits_of_any_size_leave_few_files() {
    let rows_of = |random: u64| (1_u64 << (random % 17)) + random / 17 % (1 << (random % 17));
    for (order, in_tier) in [(RowOrder::Any, 7), (RowOrder::Kept, 63)] {
        let rules = CompactionRules { order, ..rules() };
        let years = years(30_000, &rules, rows_of);
        assert_few(&years, &rules, TIERS * in_tier);
    }
}

/// Large loads with a few small commits between them: files between large ones have no neighbours to be merged with.
#[test]
fn small_files_between_large_ones_are_merged_once_they_are_many() {
    let rules = CompactionRules {
        order: RowOrder::Kept,
        ..rules()
    };
    let rows_of = |random: u64| if random.is_multiple_of(4) { 80_000 } else { 1 };
    let years = years(10_000, &rules, rows_of);
    assert_few(&years, &rules, TIERS * 63);
    assert!(years.scattered > 0);
}

proptest! {
    #[test]
    fn compaction_comes_to_an_end_with_no_tier_full(
        sizes in prop::collection::vec((0..24_u32, 0..3_i32), 1..300),
        row_bytes in prop::sample::select(vec![1_u64, 100, 100_000]),
        max_group_files in 1..40_usize,
        max_group_bytes in 0..64_u64 << 20,
        min_files in 1..12_usize,
        order in prop::sample::select(vec![RowOrder::Any, RowOrder::Kept]),
    ) {
        let rules = CompactionRules { max_group_files, max_group_bytes, min_files, order, ..rules() };
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
                prop_assert!(group.files.len() <= max_group_files.max(rules.too_many_files()));
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
        assert_tiers_are_not_full(&files, &rules);
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
fn neighbours_of_everything_are_merged_where_order_is_kept() {
    let sizes = [5, 5, 100_000, 7, 100_000, 8, 9_000, 9];
    let files: Vec<_> = sizes.iter().map(|&rows| file(rows, 100)).collect();
    let rules = CompactionRules {
        extent: Extent::Everything,
        order: RowOrder::Kept,
        ..rules()
    };
    let groups = plan_compaction(&files, &rules).into_iter();
    let groups: Vec<_> = groups.map(|group| group.files).collect();
    assert_eq!(groups, [vec![0, 1], vec![5, 6, 7]]);
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
