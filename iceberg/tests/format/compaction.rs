//! Rewritten files take the place of those they were made from.

use std::sync::Arc;

use iceberg_lite::Error;
use iceberg_lite::commit::{SnapshotDelta, complete, stage};
use iceberg_lite::compaction::{Compaction, CompactionGroup};
use iceberg_lite::manifest::{DataContentType, DataFile, ManifestStatus};
use iceberg_lite::scan::{ScanFile, plan_files};
use iceberg_lite::spec::{FormatVersion, Operation, PartitionSpec, TableMetadata};

use crate::support::{
    FaultyFileIo, Table, append, data_file, delete_rows, path_of, position_deletes,
};

fn scan_files(table: &Table) -> Vec<ScanFile> {
    let snapshot = table.metadata.current_snapshot().unwrap();
    plan_files(&table.metadata, snapshot, &table.io).unwrap()
}

fn group(files: &[ScanFile], names: &[&str]) -> CompactionGroup {
    let place = |name: &&str| {
        let path = path_of(name);
        files
            .iter()
            .position(|file| file.data_file.file_path == path)
            .unwrap()
    };
    CompactionGroup {
        files: names.iter().map(place).collect(),
        bytes: 0,
        rows: 0,
        outputs: 1,
    }
}

/// The groups, each merged into a file of its name and so many rows.
fn compaction(table: &Table, groups: &[(&[&str], &str, i64)]) -> Compaction {
    let files = scan_files(table);
    let mut compaction = Compaction::new(&table.metadata);
    for (names, merged, rows) in groups {
        let merged = vec![Arc::new(data_file(merged, *rows))];
        compaction
            .push(&files, &group(&files, names), merged)
            .unwrap();
    }
    compaction
}

fn equality_deletes(name: &str) -> SnapshotDelta {
    let file = DataFile {
        content: DataContentType::EqualityDeletes,
        equality_ids: Some(vec![1]),
        ..data_file(name, 3)
    };
    SnapshotDelta {
        added_delete_files: vec![file.into()],
        ..SnapshotDelta::default()
    }
}

fn deletes_of(table: &Table, name: &str) -> Vec<String> {
    let files = scan_files(table);
    let file = files
        .iter()
        .find(|file| file.data_file.file_path == path_of(name))
        .unwrap();
    file.deletes
        .iter()
        .map(|delete| delete.file_path.clone())
        .collect()
}

#[test]
fn a_group_is_replaced_by_its_new_files() {
    let mut table = Table::new();
    for name in ["a", "b", "c"] {
        table.commit(&append(&[name]));
    }
    let compaction = compaction(&table, &[(&["a", "b"], "ab", 20)]);
    table.commit(&append(&["d"]));
    table.commit(&compaction.delta());
    assert_eq!(table.live(), ["ab", "c", "d"]);
    let snapshot = table.metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.summary.operation, Operation::Replace);
    for (name, count) in [
        ("total-records", 40),
        ("total-data-files", 3),
        ("added-records", 20),
        ("deleted-records", 20),
    ] {
        assert_eq!(table.total(name), count, "{name}");
    }
    let entries = table.entries();
    let entry = entries
        .iter()
        .find(|entry| entry.data_file.file_path == path_of("ab"))
        .unwrap();
    // The rows are as old as the metadata they were read by, the file is new.
    assert_eq!(entry.status, ManifestStatus::Added);
    assert_eq!(
        (entry.sequence_number, entry.file_sequence_number),
        (Some(3), Some(5))
    );
}

/// With the new snapshot's number, deletes that came while a file was rewritten would not apply to its rows.
#[test]
fn equality_deletes_that_came_meanwhile_apply_to_rewritten_rows() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    table.commit(&equality_deletes("before"));
    let compaction = compaction(&table, &[(&["a", "b"], "ab", 17)]);
    table.commit(&equality_deletes("meanwhile"));
    table.commit(&compaction.delta());
    assert_eq!(deletes_of(&table, "ab"), [path_of("meanwhile")]);
}

/// The number of a file that is merged into another manifest, when its manifest was staged, was the snapshot's.
#[test]
fn data_sequence_numbers_survive_the_merging_of_manifests() {
    let mut table = Table::with_properties(&[("commit.manifest.min-count-to-merge", "2")]);
    table.commit(&append(&["a", "b"]));
    let compaction = compaction(&table, &[(&["a"], "a2", 10)]);
    table.commit(&append(&["c"]));
    // Once with what was staged in the cache, and once read from the file.
    let delta = compaction.delta();
    let (schema, spec) = (
        table.metadata.current_schema().unwrap(),
        table.metadata.default_partition_spec().unwrap(),
    );
    let uncached = FaultyFileIo::new(table.io.clone(), u64::MAX);
    let staged = stage(
        &delta,
        schema,
        spec,
        "/lake/t",
        FormatVersion::V2,
        &uncached,
    )
    .unwrap();
    let location = table.location.as_deref();
    complete(&table.metadata, location, Some(&staged), &uncached, 9_000).unwrap();
    let before = table.metadata.last_sequence_number;
    for staged in [staged, table.stage(&delta)] {
        let (metadata, location) = (table.metadata.clone(), table.location.clone());
        table.try_complete(&staged).unwrap();
        assert_eq!(table.live(), ["a2", "b", "c"]);
        let entries = table.entries();
        let entry = entries
            .iter()
            .find(|entry| entry.data_file.file_path == path_of("a2"))
            .unwrap();
        assert_eq!(
            (entry.sequence_number, entry.file_sequence_number),
            (Some(1), Some(before + 1))
        );
        (table.metadata, table.location) = (metadata, location);
    }
    table.commit(&delta);
    // And once that manifest is merged with others.
    table.commit(&append(&["d", "e", "f"]));
    table.commit(&append(&["g", "h", "i", "j", "k"]));
    let entries = table.entries();
    let entry = entries
        .iter()
        .find(|entry| entry.data_file.file_path == path_of("a2"))
        .unwrap();
    assert_eq!(entry.status, ManifestStatus::Existing);
    assert_eq!(
        (entry.sequence_number, entry.file_sequence_number),
        (Some(1), Some(before + 1))
    );
}

#[test]
fn groups_that_lost_the_race_are_told_and_the_others_go_on() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b", "c", "d", "e", "f"]));
    let groups: [(&[&str], &str, i64); 3] = [
        (&["a", "b"], "ab", 20),
        (&["c", "d"], "cd", 20),
        (&["e", "f"], "ef", 20),
    ];
    let mut compaction = compaction(&table, &groups);
    let staged = table.stage(&compaction.delta());
    // Rows of b are deleted, and d is gone.
    table.commit(&delete_rows("p", "b"));
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("d")].into(),
        ..SnapshotDelta::default()
    });
    let before = table.io.paths();
    let error = table.try_complete(&staged).unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    let lost = compaction.take_lost(&table.metadata, &table.io).unwrap();
    assert_eq!(table.io.paths(), before, "nothing was written");
    let told: Vec<_> = (lost.iter())
        .map(|lost| {
            (
                lost.group.added_data_files[0].file_path.clone(),
                lost.conflict.path().unwrap(),
            )
        })
        .collect();
    assert_eq!(
        told,
        [
            (path_of("ab"), &*path_of("b")),
            (path_of("cd"), &*path_of("d"))
        ]
    );
    table.commit(&compaction.delta());
    assert_eq!(table.live(), ["a", "b", "c", "ef", "p"]);
    assert_eq!(deletes_of(&table, "b"), [path_of("p")]);
    assert!(
        compaction
            .take_lost(&table.metadata, &table.io)
            .unwrap()
            .len()
            == 1,
        "it is done"
    );
}

/// They have no row ids of their own, and would get others than those that their rows have by then.
#[test]
fn files_rewritten_in_version_2_are_not_put_into_a_table_of_version_3() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b", "c"]));
    let mut compaction = compaction(&table, &[(&["a", "b"], "ab", 20)]);
    table.upgrade();
    table.commit(&append(&["d"]));
    let lost = compaction.take_lost(&table.metadata, &table.io).unwrap();
    assert_eq!(lost.len(), 1);
    assert!(lost[0].conflict.is_conflict());
    assert!(compaction.delta().is_empty());
}

#[test]
fn delete_files_about_rewritten_files_go_with_them() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    table.commit(&delete_rows("p", "a"));
    let by_bounds = DataFile {
        referenced_data_file: None,
        lower_bounds: [(2_147_483_546, path_of("a").into_bytes())].into(),
        upper_bounds: [(2_147_483_546, path_of("a").into_bytes())].into(),
        ..position_deletes("q", "a", 1)
    };
    table.commit(&SnapshotDelta {
        added_delete_files: vec![by_bounds.into()],
        ..SnapshotDelta::default()
    });
    table.commit(&delete_rows("r", "b"));
    let compaction = compaction(&table, &[(&["a"], "a2", 6)]);
    table.commit(&compaction.delta());
    assert_eq!(table.live(), ["a2", "b", "r"]);
    for (name, count) in [("total-records", 16), ("total-position-deletes", 3)] {
        assert_eq!(table.total(name), count, "{name}");
    }
}

#[test]
fn rows_that_got_lost_or_came_from_nowhere_are_refused() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    table.commit(&delete_rows("p", "b"));
    let files = scan_files(&table);
    let mut compaction = Compaction::new(&table.metadata);
    let mut push = |names: &[&str], rows| {
        let added = vec![Arc::new(data_file("new", rows))];
        compaction.push(&files, &group(&files, names), added)
    };
    assert!(push(&["a"], 9).is_err());
    assert!(push(&["a"], 11).is_err());
    assert!(push(&["b"], 11).is_err());
    push(&["a"], 10).unwrap();
    push(&["b"], 7).unwrap();
}

#[test]
fn a_compaction_of_a_table_without_snapshots_has_lost() {
    let mut table = Table::new();
    table.commit(&append(&["a"]));
    let mut compaction = compaction(&table, &[(&["a"], "a2", 10)]);
    let empty: TableMetadata = Table::new().metadata;
    assert_eq!(compaction.take_lost(&empty, &table.io).unwrap().len(), 1);
    assert!(compaction.delta().is_empty());
}

/// Equality deletes, and position deletes of several files, are about no file in particular: nobody removed them once
/// all rows that they deleted were gone.
#[test]
fn deletes_that_apply_to_nothing_else_go_as_well() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    table.commit(&equality_deletes("both"));
    table.commit(&append(&["c"]));
    let with_obsolete = |table: &Table, groups: &[(&[&str], &str, i64)]| {
        let mut compaction = compaction(table, groups);
        let (metadata, files) = (&table.metadata, scan_files(table));
        compaction
            .remove_obsolete_deletes(metadata, &files, &table.io)
            .unwrap();
        compaction
    };
    table.commit(&with_obsolete(&table, &[(&["a"], "a2", 8)]).delta());
    assert_eq!(table.live(), ["a2", "b", "both", "c"]);
    let lost = with_obsolete(&table, &[(&["b"], "b2", 8), (&["c"], "c2", 10)]);
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("c")].into(),
        ..append(&["d"])
    });
    let staged = table.stage(&lost.delta());
    assert!(table.try_complete(&staged).unwrap_err().is_conflict());
    let mut left = lost.clone();
    assert_eq!(left.take_lost(&table.metadata, &table.io).unwrap().len(), 1);
    table.commit(&left.delta());
    assert_eq!(table.live(), ["a2", "b2", "both", "d"]);
    table.commit(&with_obsolete(&table, &[(&["d"], "d2", 10)]).delta());
    assert_eq!(table.live(), ["a2", "b2", "d2"]);
}

/// Staged with the table's present spec, files of an earlier one would be listed with values of other partition
/// fields.
#[test]
fn files_of_an_earlier_partition_spec_are_committed_with_it() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    let mut files = scan_files(&table);
    let mut compaction = Compaction::new(&table.metadata);
    let new = || vec![Arc::new(data_file("new", 10))];
    compaction
        .push(&files, &group(&files, &["a"]), new())
        .unwrap();
    assert_eq!(compaction.partition_spec_id(), Some(0));
    Arc::make_mut(&mut files[1].data_file).partition_spec_id = 1;
    assert!(
        compaction
            .push(&files, &group(&files, &["b"]), new())
            .is_err()
    );
    let other = PartitionSpec {
        spec_id: 1,
        ..PartitionSpec::unpartitioned()
    };
    let schema = table.metadata.current_schema().unwrap();
    let staged = stage(
        &compaction.delta(),
        schema,
        &other,
        "/lake/t",
        FormatVersion::V2,
        &table.io,
    );
    assert!(
        matches!(staged, Err(Error::InvalidArgument { .. })),
        "{staged:?}"
    );
    table.commit(&compaction.delta());
    assert_eq!(table.live(), ["b", "new"]);
}
