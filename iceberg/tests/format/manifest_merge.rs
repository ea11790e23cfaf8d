//! Small manifests are merged, and their entries stay what they were.

use iceberg_lite::commit::SnapshotDelta;
use iceberg_lite::manifest::{ManifestStatus, read_snapshot_manifests};

use crate::support::{Table, append, path_of};

fn manifest_count(table: &Table) -> usize {
    let snapshot = table.metadata.current_snapshot().unwrap();
    read_snapshot_manifests(&table.io, snapshot).unwrap().len()
}

#[test]
fn the_hundredth_append_merges_by_default() {
    let mut table = Table::new();
    let names: Vec<String> = (0..101).map(|number| format!("f{number:03}")).collect();
    for name in &names[..99] {
        table.commit(&append(&[name]));
    }
    assert_eq!(manifest_count(&table), 99);
    let merging = table.commit(&append(&[&names[99]]));
    assert_eq!(manifest_count(&table), 1);
    assert_eq!(merging.superseded_manifests.len(), 1);
    assert!(
        merging
            .files_written
            .contains(&merging.superseded_manifests[0])
    );
    table.commit(&append(&[&names[100]]));
    assert_eq!(manifest_count(&table), 2);
    assert_eq!(table.live(), names);
    assert_eq!(table.total("total-records"), 1010);
    for (number, name) in (1..).zip(&names) {
        let entries = table.entries();
        let entry = entries
            .iter()
            .find(|e| e.data_file.file_path == path_of(name))
            .unwrap();
        assert_eq!(entry.sequence_number, Some(number), "{name}");
        assert_eq!(entry.file_sequence_number, Some(number), "{name}");
        let snapshot = table.metadata.snapshot(entry.snapshot_id.unwrap()).unwrap();
        assert_eq!(snapshot.sequence_number, number, "{name}");
        let own = if number >= 100 {
            ManifestStatus::Added
        } else {
            ManifestStatus::Existing
        };
        assert_eq!(entry.status, own, "{name}");
    }
}

#[test]
fn merging_can_be_switched_off_and_its_threshold_set() {
    let properties = [
        ("commit.manifest-merge.enabled", "false"),
        ("commit.manifest.min-count-to-merge", "2"),
    ];
    let mut table = Table::with_properties(&properties);
    for name in ["a", "b", "c"] {
        table.commit(&append(&[name]));
    }
    assert_eq!(manifest_count(&table), 3);

    let mut table = Table::with_properties(&properties[1..]);
    for (name, count) in [("a", 1), ("b", 1), ("c", 2)] {
        table.commit(&append(&[name]));
        assert_eq!(manifest_count(&table), count, "{name}");
    }
    assert_eq!(table.live(), ["a", "b", "c"]);
}

/// With one tier alone, every tenth commit would write all entries again.
#[test]
fn manifests_are_merged_with_their_like() {
    let mut table = Table::with_properties(&[("commit.manifest.min-count-to-merge", "10")]);
    let mut written = 0;
    for number in 0..200 {
        table.commit(&append(&[&format!("f{number:03}")]));
        let snapshot = table.metadata.current_snapshot().unwrap();
        let manifests = read_snapshot_manifests(&table.io, snapshot).unwrap();
        assert!(
            manifests.len() < 2 * 10 + 10,
            "{} manifests",
            manifests.len()
        );
        let own = manifests
            .iter()
            .filter(|manifest| manifest.added_snapshot_id == snapshot.snapshot_id);
        written += own
            .map(|manifest| {
                manifest.added_files_count.unwrap() + manifest.existing_files_count.unwrap()
            })
            .sum::<i32>();
    }
    assert_eq!(table.live().len(), 200);
    assert!(written <= 200 * 3, "{written} entries were written");
}

#[test]
fn manifests_above_the_target_size_are_left_alone() {
    let properties = [
        ("commit.manifest.min-count-to-merge", "2"),
        ("commit.manifest.target-size-bytes", "100"),
    ];
    let mut table = Table::with_properties(&properties);
    for name in ["a", "b", "c"] {
        table.commit(&append(&[name]));
    }
    assert_eq!(manifest_count(&table), 3);
}

#[test]
fn deleted_entries_survive_the_merge_of_their_own_snapshot_only() {
    let mut table = Table::with_properties(&[("commit.manifest.min-count-to-merge", "2")]);
    table.commit(&append(&["a", "b"]));
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("a")].into(),
        ..append(&["c"])
    });
    assert_eq!(manifest_count(&table), 1);
    let statuses = |table: &Table| {
        let mut all: Vec<_> = table
            .entries()
            .into_iter()
            .map(|entry| (entry.data_file.file_path.clone(), entry.status))
            .collect();
        all.sort_by(|a, b| a.0.cmp(&b.0));
        all
    };
    let expected = [
        (path_of("a"), ManifestStatus::Deleted),
        (path_of("b"), ManifestStatus::Existing),
        (path_of("c"), ManifestStatus::Added),
    ];
    assert_eq!(statuses(&table), expected);
    table.commit(&append(&["e", "f"]));
    let expected = ["b", "c", "e", "f"].map(|name| {
        let own = name >= "e";
        let status = if own {
            ManifestStatus::Added
        } else {
            ManifestStatus::Existing
        };
        (path_of(name), status)
    });
    assert_eq!(statuses(&table), expected);
}

/// Compaction removes most of what an old manifest lists. Those entries stayed, and were read with every plan, until a
/// hundred others of the same size had come together.
#[test]
fn entries_of_removed_files_do_not_stay() {
    let mut table = Table::new();
    let names: Vec<String> = (0..50).map(|number| format!("f{number:02}")).collect();
    table.commit(&append(
        &names.iter().map(String::as_str).collect::<Vec<_>>(),
    ));
    table.commit(&SnapshotDelta {
        removed_data_files: names[..40].iter().map(|name| path_of(name)).collect(),
        ..append(&["merged"])
    });
    let deleted = |table: &Table| {
        let entries = table.entries();
        entries
            .iter()
            .filter(|entry| entry.status == ManifestStatus::Deleted)
            .count()
    };
    assert_eq!(deleted(&table), 40, "the snapshot tells what it removed");
    table.commit(&append(&["next"]));
    assert_eq!(deleted(&table), 0);
    assert_eq!(table.live().len(), 12);
    let entry = &table.entries()[0];
    assert_eq!(
        (table.entries().len(), entry.status),
        (12, ManifestStatus::Added)
    );
    let written = table.commit(&append(&["last"]));
    assert_eq!(
        written.files_written.len(),
        3,
        "the manifest is not written once more"
    );
}

/// A manifest with few files left counts as a small one, however many it had.
#[test]
fn manifests_are_merged_by_the_files_that_are_left() {
    let mut table = Table::with_properties(&[("commit.manifest.min-count-to-merge", "4")]);
    for number in 0..3 {
        let names: Vec<String> = (0..20).map(|file| format!("f{number}-{file:02}")).collect();
        table.commit(&append(
            &names.iter().map(String::as_str).collect::<Vec<_>>(),
        ));
        table.commit(&SnapshotDelta {
            removed_data_files: names[..19].iter().map(|name| path_of(name)).collect(),
            ..SnapshotDelta::default()
        });
    }
    table.commit(&append(&["last"]));
    assert_eq!(manifest_count(&table), 1);
    assert_eq!(table.live(), ["f0-19", "f1-19", "f2-19", "last"]);
}
