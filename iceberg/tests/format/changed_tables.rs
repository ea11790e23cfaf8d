//! Tables that Spark deleted from, updated, merged into, evolved and compacted, and such with equality deletes by
//! Iceberg's Java library: each snapshot has the rows that Spark read of it.

use std::collections::{BTreeMap, BTreeSet};

use iceberg_lite::Error;
use iceberg_lite::manifest::{DataContentType, DataFile, DataFileFormat};
use iceberg_lite::scan::ScanFile;
use iceberg_lite::spec::SnapshotRef;

use crate::changed::Changed;

fn is_vector(file: &DataFile) -> bool {
    file.file_format == DataFileFormat::Puffin
}

fn is_position_delete_file(file: &DataFile) -> bool {
    file.content == DataContentType::PositionDeletes && !is_vector(file)
}

/// Every delete of a snapshot, once.
fn deletes(files: &[ScanFile]) -> Vec<&DataFile> {
    let all = files.iter().flat_map(|file| &file.deletes);
    let by_place: BTreeMap<_, _> = all
        .map(|file| ((&file.file_path, file.content_offset), &**file))
        .collect();
    by_place.into_values().collect()
}

/// How many of the files have a delete that is so.
fn count(files: &[ScanFile], is_so: impl Fn(&DataFile) -> bool) -> usize {
    let has_one = |file: &&ScanFile| file.deletes.iter().any(|delete| is_so(delete));
    files.iter().filter(has_one).count()
}

#[test]
fn changed_rows_of_version_2_are_read_as_spark_reads_them() {
    for (name, files_of_one_delete_file) in [
        ("v2-positions-by-file", 1..=1),
        ("v2-positions-by-partition", 2..=9),
        ("v2-copy-on-write", 0..=0),
    ] {
        let table = Changed::open(name);
        let mut most = 0;
        for snapshot in &table.metadata.snapshots {
            let files = table.plan(snapshot);
            for delete in deletes(&files) {
                assert!(is_position_delete_file(delete));
                most = most.max(count(&files, |other| other.file_path == delete.file_path));
            }
        }
        assert!(files_of_one_delete_file.contains(&most), "{name}: {most}");
        table.check();
    }
}

/// A later vector stands for all that was deleted of a data file before; vectors of several files are in one Puffin file.
#[test]
fn of_a_data_file_the_newest_of_its_vectors_holds() {
    let table = Changed::open("v3-vectors");
    let mut vectors: BTreeMap<String, BTreeSet<(String, i64)>> = BTreeMap::new();
    let mut shared = 0;
    for snapshot in &table.metadata.snapshots {
        let files = table.plan(snapshot);
        for file in &files {
            assert!(file.deletes.len() <= 1);
            for delete in &file.deletes {
                assert!(is_vector(delete));
                let path = delete.file_path.clone();
                shared = shared.max(count(&files, |other| other.file_path == path));
                let of_file = vectors.entry(file.data_file.file_path.clone()).or_default();
                of_file.insert((path, delete.content_offset.unwrap()));
            }
        }
    }
    assert!(shared > 2, "{shared} vectors in a Puffin file");
    assert!(vectors.values().any(|of_file| of_file.len() > 2));
    table.check();
}

/// Containers of vectors are arrays, bitmaps and runs.
#[test]
fn vectors_of_many_rows_are_read() {
    Changed::open("v3-long-vectors").check_rows();
}

#[test]
fn vectors_stand_for_position_delete_files_of_before_an_upgrade_which_hold_for_other_data_files() {
    let table = Changed::open("v3-upgraded");
    let has_both = |snapshot: &SnapshotRef| {
        let files = table.plan(snapshot);
        for file in &files {
            let vectors = file.deletes.iter().filter(|file| is_vector(file)).count();
            assert!(vectors == 0 || file.deletes.len() == 1);
        }
        count(&files, is_vector) > 0 && count(&files, is_position_delete_file) > 0
    };
    assert!(table.metadata.snapshots.iter().any(has_both));
    table.check();
}

#[test]
fn rows_deleted_in_several_partition_specs_at_once_stay_deleted() {
    for name in ["v2-partition-evolution", "v3-partition-evolution"] {
        let table = Changed::open(name);
        let specs = |snapshot: &SnapshotRef| {
            let files = table.plan(snapshot);
            let deletes = deletes(&files).into_iter();
            let specs: BTreeSet<_> = deletes.map(|delete| delete.partition_spec_id).collect();
            specs.len()
        };
        let most = table.metadata.snapshots.iter().map(specs).max();
        assert!(most >= Some(3), "{name}: {most:?}");
        table.check();
    }
}

/// Copies of rows keep their ids in files of version 3, which have columns of their own for them.
#[test]
fn rows_that_were_copied_with_their_ids_are_read() {
    Changed::open("v3-copy-on-write").check();
}

/// Updates and merges keep the ids of rows, in files that have them in columns, and so do compactions; rows of before
/// an upgrade get theirs by the first snapshot after it.
#[test]
fn rows_have_the_ids_that_spark_gives_them() {
    for name in [
        "v3-vectors",
        "v3-copy-on-write",
        "v3-upgraded",
        "v3-partition-evolution",
        "v3-schema-evolution",
        "v3-compacted",
        "v3-equality",
        "v3-equality-default",
    ] {
        assert!(Changed::open(name).check_lineage() > 3, "{name}");
    }
}

#[test]
fn deletes_hold_for_data_files_of_before_version_2() {
    let table = Changed::open("v2-from-v1");
    let files = table.plan(table.metadata.current_snapshot().unwrap());
    let of_version_1 = files.iter().filter(|file| file.data_sequence_number == 0);
    for file in of_version_1.clone() {
        assert!(!file.deletes.is_empty());
    }
    assert_eq!(of_version_1.count(), 2);
    table.check();
}

#[test]
fn rows_changed_between_changes_of_the_schema_are_read_by_each_schema() {
    for name in ["v2-schema-evolution", "v3-schema-evolution"] {
        Changed::open(name).check();
    }
}

#[test]
fn rows_changed_before_and_after_data_files_were_rewritten_are_read() {
    for name in ["v2-compacted", "v3-compacted"] {
        Changed::open(name).check();
    }
}

/// Rows of other commits, and of the same one, with NULLs among the values, beside deletes by position.
#[test]
fn rows_equal_to_those_of_equality_deletes_of_later_commits_are_left_out() {
    for name in ["v2-equality", "v3-equality"] {
        let table = Changed::open(name);
        let kinds = |snapshot: &SnapshotRef| {
            let files = table.plan(snapshot);
            let of = |kind| count(&files, |file| file.content == kind) > 0;
            of(DataContentType::EqualityDeletes) && of(DataContentType::PositionDeletes)
        };
        assert!(table.metadata.snapshots.iter().any(kinds));
        table.check();
    }
}

#[test]
fn equality_deletes_hold_in_their_partition_and_those_of_an_unpartitioned_spec_everywhere() {
    let table = Changed::open("v2-equality-partitions");
    let specs = |snapshot: &SnapshotRef| {
        let files = table.plan(snapshot);
        let equal = deletes(&files).into_iter();
        let equal = equal.filter(|file| file.content == DataContentType::EqualityDeletes);
        let specs: BTreeSet<_> = equal.map(|file| file.partition_spec_id).collect();
        specs.len()
    };
    assert_eq!(table.metadata.snapshots.iter().map(specs).max(), Some(3));
    table.check();
}

#[test]
fn equality_deletes_are_read_for_each_type_of_column() {
    Changed::open("v2-equality-types").check();
}

#[test]
fn equality_deletes_by_fields_of_structs_are_read() {
    Changed::open("v2-equality-nested").check();
}

#[test]
fn equality_deletes_hold_after_changes_of_the_columns_that_they_compare() {
    for name in [
        "v2-equality-evolution",
        "v2-equality-dropped",
        "v3-equality-default",
    ] {
        Changed::open(name).check();
    }
}

/// They have neither field ids nor the column that they were partitioned by.
#[test]
fn equality_deletes_hold_for_files_that_were_added_to_the_table() {
    Changed::open("v2-equality-added-files").check();
}

#[test]
fn deletes_in_files_of_other_formats_than_parquet_are_refused() {
    let table = Changed::open("v2-avro-deletes");
    let [before, after, _] = &table.expected[..] else {
        panic!("two snapshots");
    };
    let found = table.rows(&before.snapshot, &before.schema, None).unwrap();
    table.compare(before, &found, &before.rows, "all rows");
    let refused = table.rows(&after.snapshot, &after.schema, None);
    let Err(error @ Error::Unsupported { .. }) = refused else {
        panic!("{refused:?}");
    };
    assert!(error.to_string().ends_with("in format AVRO"), "{error}");
}
