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
        ..append(&["c", "d"])
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
        (path_of("d"), ManifestStatus::Added),
    ];
    assert_eq!(statuses(&table), expected);
    table.commit(&append(&["e", "f", "g", "h"]));
    let expected = ["b", "c", "d", "e", "f", "g", "h"].map(|name| {
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
