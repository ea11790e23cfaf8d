//! Expiring snapshots.

use std::collections::{BTreeSet, HashSet};

use iceberg_lite::commit::{
    Expired, Expiry, HeldSnapshots, History, Retention, SnapshotDelta, complete_and_update, expire,
    plan_expiry, snapshots_of_metadata_files, unreachable_files,
};
use iceberg_lite::manifest::{manifest_entries, read_manifest, read_snapshot_manifests};
use iceberg_lite::spec::{SnapshotReference, TableMetadata};
use proptest::prelude::*;

use crate::support::{FaultyFileIo, Table, append, data_file, path_of};

/// Snapshots at 2, 3, 4 and 5 seconds: a, b, remove a, c.
fn table() -> Table {
    let mut table = Table::new();
    table.commit(&append(&["a"]));
    table.commit(&append(&["b"]));
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("a")].into(),
        ..SnapshotDelta::default()
    });
    table.commit(&append(&["c"]));
    for name in ["a", "b", "c"] {
        table
            .io
            .files
            .borrow_mut()
            .insert(path_of(name), b"rows".to_vec());
    }
    table
}

fn by_age(age: i64, keep: i32) -> Retention {
    Retention {
        max_snapshot_age_ms: Some(age),
        min_snapshots_to_keep: Some(keep),
        ..Retention::by_age()
    }
}

fn expire_by(table: &Table, retention: &Retention, history: History) -> Option<Expired> {
    expire_with(table, retention, &HeldSnapshots::default(), history)
}

fn expire_with(
    table: &Table,
    retention: &Retention,
    held: &HeldSnapshots,
    history: History,
) -> Option<Expired> {
    let (base, location, io) = (&table.metadata, table.location.as_deref(), &table.io);
    expire(base, location, retention, held, history, io, 9_000).unwrap()
}

fn ids(metadata: &TableMetadata) -> Vec<i64> {
    metadata
        .snapshots
        .iter()
        .map(|snapshot| snapshot.snapshot_id)
        .collect()
}

#[test]
fn what_only_expired_snapshots_refer_to_can_be_deleted() {
    let mut table = table();
    let all = ids(&table.metadata);
    let expired = expire_by(&table, &by_age(0, 1), History::Any).unwrap();
    let linear = expire_by(&table, &by_age(0, 1), History::Linear).unwrap();
    assert_eq!(linear.unreachable_files, expired.unreachable_files);
    assert_eq!(expired.expiry.snapshot_ids, all[..3]);
    assert!(expired.unreachable_files.contains(&path_of("a")));
    assert!(!expired.unreachable_files.contains(&path_of("b")));
    for file in &expired.unreachable_files {
        table.io.files.borrow_mut().remove(file).unwrap();
    }
    table.metadata = expired.completed.metadata;
    table.location = Some(expired.completed.metadata_location);
    assert_eq!(table.live(), ["b", "c"]);
    assert_eq!(ids(&table.metadata), all[3..]);
    assert_eq!(table.metadata.snapshot_log.len(), 1);
    assert_eq!(table.total("total-data-files"), 2);
    assert!(expire_by(&table, &by_age(0, 1), History::Any).is_none());
    // The table goes on: the parent that is gone is not needed.
    table.commit(&append(&["d"]));
    assert_eq!(table.live(), ["b", "c", "d"]);
}

#[test]
fn tagged_snapshots_stay_until_their_tag_expires() {
    let mut table = table();
    let first = ids(&table.metadata)[0];
    table
        .metadata
        .refs
        .insert("keep".into(), SnapshotReference::tag(first));
    let held = HeldSnapshots::default();
    let expiry = plan_expiry(&table.metadata, &by_age(0, 1), &held, 9_000);
    assert_eq!(expiry.snapshot_ids, ids(&table.metadata)[1..3]);
    table
        .metadata
        .properties
        .insert("history.expire.max-ref-age-ms".into(), "100".into());
    let expired = expire_by(&table, &by_age(0, 1), History::Any).unwrap();
    assert_eq!(expired.expiry.snapshot_ids.len(), 3);
    assert!(expired.completed.metadata.reference("keep").is_none());
    assert!(expired.completed.metadata.reference("main").is_some());
}

/// All files that the table's snapshots need, as the specification tells it.
fn needed(table: &Table, metadata: &TableMetadata) -> BTreeSet<String> {
    let mut files = BTreeSet::new();
    for snapshot in &metadata.snapshots {
        files.extend(snapshot.manifest_list.clone());
        for manifest in read_snapshot_manifests(&table.io, snapshot).unwrap() {
            let entries = read_manifest(&table.io, &manifest).unwrap();
            let live = entries.iter().filter(|entry| entry.is_live());
            files.extend(live.map(|entry| entry.data_file.file_path.clone()));
            files.insert(manifest.manifest_path);
        }
    }
    files
}

/// Drops snapshots, and returns what is unreachable then, told in both ways.
fn drop_snapshots(table: &mut Table, gone: &HashSet<i64>) -> [BTreeSet<String>; 2] {
    let found = [History::Linear, History::Any]
        .map(|history| unreachable_files(&table.metadata, gone, history, &table.io).unwrap());
    table
        .metadata
        .snapshots
        .retain(|snapshot| !gone.contains(&snapshot.snapshot_id));
    found
}

fn change() -> impl Strategy<Value = (usize, Vec<prop::sample::Index>)> {
    (
        0..3_usize,
        prop::collection::vec(any::<prop::sample::Index>(), 0..3),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Snapshots dropped from anywhere in the history, again and again.
    #[test]
    fn unreachable_is_what_no_snapshot_left_needs(
        changes in prop::collection::vec((change(), prop::collection::vec(any::<bool>(), 4)), 1..24),
        min_count in 2..5_i32,
    ) {
        let min_count = min_count.to_string();
        let mut table = Table::with_properties(&[("commit.manifest.min-count-to-merge", &min_count)]);
        let mut live: Vec<String> = Vec::new();
        for (number, ((added, removed), drops)) in changes.into_iter().enumerate() {
            let mut delta = SnapshotDelta::default();
            for index in removed.iter().filter(|_| !live.is_empty()) {
                delta.removed_data_files.insert(path_of(&live[index.index(live.len())]));
            }
            live.retain(|name| !delta.removed_data_files.contains(&path_of(name)));
            for file in 0..added {
                let name = format!("f{number}-{file}");
                delta.added_data_files.push(data_file(&name, 10).into());
                live.push(name);
            }
            table.commit(&delta);

            let before = needed(&table, &table.metadata);
            let old = ids(&table.metadata);
            let gone = old[..old.len() - 1].iter().zip(drops.iter().cycle());
            let gone: HashSet<i64> = gone.filter(|(_, gone)| **gone).map(|(id, _)| *id).collect();
            let [linear, any] = drop_snapshots(&mut table, &gone);
            let after = needed(&table, &table.metadata);
            let expected: BTreeSet<_> = before.difference(&after).cloned().collect();
            prop_assert_eq!(&any, &expected);
            prop_assert_eq!(linear, expected);
        }
    }
}

/// After a rollback, what came before is needed by what comes after, though not by what lies between.
#[test]
fn files_of_a_table_that_was_set_back_are_not_taken_for_unreachable() {
    let mut table = Table::new();
    table.commit(&append(&["a"]));
    let first = table.metadata.current_snapshot_id.unwrap();
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("a")].into(),
        ..SnapshotDelta::default()
    });
    table.metadata.current_snapshot_id = Some(first);
    let main = SnapshotReference::branch(first);
    table.metadata.refs.insert("main".into(), main);
    table.commit(&append(&["b"]));
    assert_eq!(table.live(), ["a", "b"]);
    for files in drop_snapshots(&mut table, &[first].into()) {
        assert!(!files.contains(&path_of("a")), "{files:?}");
        assert_eq!(files.len(), 1, "the manifest list alone: {files:?}");
    }
}

#[test]
fn history_is_thinned_in_the_metadata_file_of_a_commit() {
    let retention = Retention {
        newest: 3,
        ..Retention::default()
    };
    let mut table = Table::new();
    for number in 0..20 {
        let held = HeldSnapshots::default();
        let expiry = plan_expiry(&table.metadata, &retention, &held, table.now_ms);
        let gone = expiry.snapshot_ids.iter().copied().collect();
        let files = unreachable_files(&table.metadata, &gone, History::Linear, &table.io).unwrap();
        let staged = table.stage(&append(&[&format!("f{number:02}")]));
        table.now_ms += 1_000;
        let (base, location) = (&table.metadata, table.location.as_deref());
        let updates = expiry.updates();
        let completed =
            complete_and_update(base, location, &staged, updates, &table.io, table.now_ms).unwrap();
        (table.metadata, table.location) = (completed.metadata, Some(completed.metadata_location));
        for file in files {
            table.io.files.borrow_mut().remove(&file).unwrap();
        }
        assert_eq!(table.live().len(), number + 1);
        // The first of all, the newest three, and the one that came on top of them.
        assert!(table.metadata.snapshots.len() <= 5);
        // What stands before an expired snapshot would tell a false history.
        let log = table
            .metadata
            .snapshot_log
            .iter()
            .map(|entry| entry.snapshot_id);
        let log: Vec<i64> = log.collect();
        let newest = ids(&table.metadata);
        assert_eq!(log, newest[newest.len() - log.len()..]);
        assert!(log.len() <= 4 || number < 5, "{}", log.len());
    }
}

/// What is read depends on what changed, not on the size of the table.
#[test]
fn finding_what_is_unreachable_does_not_read_the_whole_table() {
    let reads = |files: usize| {
        let mut table = Table::new();
        for chunk in 0..files / 100 {
            let files = (0..100).map(|file| data_file(&format!("f{chunk}-{file}"), 10).into());
            table.commit(&SnapshotDelta {
                added_data_files: files.collect(),
                ..SnapshotDelta::default()
            });
        }
        for number in 0..20 {
            table.commit(&append(&[&format!("small{number}")]));
        }
        table.commit(&SnapshotDelta {
            removed_data_files: (0..20).map(|n| path_of(&format!("small{n}"))).collect(),
            ..append(&["merged"])
        });
        let old = ids(&table.metadata);
        let gone = old[old.len() - 11..old.len() - 1].iter().copied().collect();
        let io = FaultyFileIo::new(table.io.clone(), u64::MAX);
        let found = unreachable_files(&table.metadata, &gone, History::Linear, &io).unwrap();
        // Ten lists, the manifests of their files, and the files that were gone before anybody else saw them.
        assert_eq!(found.len(), 30);
        io.operations.get()
    };
    let few = reads(100);
    assert_eq!(reads(2_000), few);
    assert!(few <= 10 + 1 + 10 + 11, "{few}");
}

#[test]
fn snapshots_that_readers_of_earlier_metadata_need_are_held() {
    let mut table = Table::new();
    let locations: Vec<String> = (0..6)
        .map(|n| table.commit(&append(&[&format!("f{n}")])).metadata_location)
        .collect();
    let held = [&*locations[1], &*locations[3]];
    let snapshot_ids = snapshots_of_metadata_files(&table.metadata, held, &table.io).unwrap();
    let all = ids(&table.metadata);
    assert_eq!(snapshot_ids, [all[1], all[3]].into());
    let held = HeldSnapshots {
        snapshot_ids,
        since_ms: None,
    };
    let expired = expire_with(&table, &by_age(0, 1), &held, History::Linear).unwrap();
    assert_eq!(expired.expiry.snapshot_ids, [all[0], all[2], all[4]]);
    for file in &expired.unreachable_files {
        table.io.files.borrow_mut().remove(file).unwrap();
    }
    // Each of the two can still be read from its own metadata file.
    for (location, count) in [(&locations[1], 2), (&locations[3], 4)] {
        let metadata = TableMetadata::read_from(&table.io, location).unwrap();
        let snapshot = metadata.current_snapshot().unwrap();
        let manifests = read_snapshot_manifests(&table.io, snapshot).unwrap();
        let files = manifests
            .iter()
            .map(|manifest| manifest_entries(&table.io, manifest).unwrap().len());
        assert_eq!(files.sum::<usize>(), count);
    }
}

#[test]
fn nothing_expires_where_nothing_is_due() {
    let table = table();
    assert_eq!(
        plan_expiry(
            &table.metadata,
            &Retention::default(),
            &HeldSnapshots::default(),
            9_000
        ),
        Expiry::default()
    );
}
