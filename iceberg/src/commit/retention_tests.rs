use std::sync::Arc;

use proptest::prelude::*;
use uuid::Uuid;

use super::*;
use crate::spec::{PartitionSpec, Schema, Snapshot};

/// A table whose branch `main` has a snapshot at each of these times, numbered from 1.
fn table(times: &[i64]) -> TableMetadata {
    let (schema, spec) = (Schema::default(), PartitionSpec::unpartitioned());
    let properties = Default::default();
    let mut table = TableMetadata::new_table(schema, spec, "/t", properties, Uuid::nil(), 0);
    times.iter().for_each(|&time| commit(&mut table, time));
    table
}

fn commit(table: &mut TableMetadata, timestamp_ms: i64) {
    let id = table.last_sequence_number + 1;
    add(table, id, table.current_snapshot_id, timestamp_ms);
    table.current_snapshot_id = Some(id);
    table
        .refs
        .insert(MAIN_BRANCH.into(), SnapshotReference::branch(id));
}

fn add(table: &mut TableMetadata, id: i64, parent_snapshot_id: Option<i64>, timestamp_ms: i64) {
    table.last_sequence_number += 1;
    let snapshot = Snapshot {
        snapshot_id: id,
        parent_snapshot_id,
        sequence_number: table.last_sequence_number,
        timestamp_ms,
        manifest_list: Some(format!("/t/{id}")),
        ..Snapshot::default()
    };
    table
        .snapshots
        .push(Arc::new(StoredSnapshot::new(snapshot).unwrap()));
}

fn thin(table: &mut TableMetadata, retention: &Retention, now_ms: i64) {
    let expiry = plan_expiry(table, retention, &HeldSnapshots::default(), now_ms);
    let gone: HashSet<i64> = expiry.snapshot_ids.into_iter().collect();
    table
        .snapshots
        .retain(|snapshot| !gone.contains(&snapshot.snapshot_id));
}

fn ids(table: &TableMetadata) -> Vec<i64> {
    table
        .snapshots
        .iter()
        .map(|snapshot| snapshot.snapshot_id)
        .collect()
}

fn expired(table: &TableMetadata, retention: &Retention, now_ms: i64) -> Vec<i64> {
    plan_expiry(table, retention, &HeldSnapshots::default(), now_ms).snapshot_ids
}

/// Minutes of a tenth of a second, hours of one second, days of ten, which end after fifty.
fn quick() -> Retention {
    let spacing = |interval_ms, max_age_ms| Spacing {
        interval_ms,
        max_age_ms,
    };
    Retention {
        newest: 5,
        spacing: vec![
            spacing(100, 1_000),
            spacing(1_000, 10_000),
            spacing(10_000, i64::MAX),
        ],
        max_snapshot_age_ms: Some(50_000),
        min_snapshots_to_keep: None,
    }
}

proptest! {
    #[test]
    fn history_is_thinned_to_the_same_whenever_that_is_done(
        steps in prop::collection::vec((0..400_i64, any::<bool>()), 1..400),
        stretch in prop::sample::select(vec![1, 10, 100]),
        idle in 0..60_000_i64,
    ) {
        let retention = quick();
        let mut now = 12_345;
        let (mut thinned, mut whole) = (table(&[]), table(&[]));
        for (gap, is_thinned) in steps {
            now += gap * stretch / 10;
            commit(&mut thinned, now);
            commit(&mut whole, now);
            if is_thinned {
                thin(&mut thinned, &retention, now);
            }
        }
        now += idle;
        thin(&mut thinned, &retention, now);
        thin(&mut whole, &retention, now);
        prop_assert_eq!(ids(&thinned), ids(&whole));
        prop_assert!(thinned.snapshots.len() <= retention.most_snapshots(50_000));

        // Each is the only one of its interval.
        let mut taken = HashSet::new();
        let older = thinned.snapshots.iter().rev().skip(retention.newest);
        for snapshot in older {
            let interval = retention.interval(now - snapshot.timestamp_ms).unwrap();
            prop_assert!(taken.insert((interval, snapshot.timestamp_ms / interval)));
        }
    }
}

#[test]
fn a_commit_every_second_for_a_week_leaves_few_snapshots() {
    let retention = Retention::default();
    let mut table = table(&[]);
    let mut most = 0;
    for second in 1..7 * 24 * 3_600 {
        commit(&mut table, second * 1_000);
        if second % 97 == 0 {
            thin(&mut table, &retention, second * 1_000);
            most = most.max(table.snapshots.len());
        }
    }
    // A hundred, 58 minutes, 23 hours, four days, and what stands at the edges.
    assert!((185..=189).contains(&most), "{most}");
    assert!(most <= retention.most_snapshots(5 * DAY_MS));
}

#[test]
fn the_newest_are_not_thinned_and_expire_by_age() {
    let mut table = table(&[1_001, 1_002, 1_003, 1_004, 1_005, 1_006, 1_007]);
    assert_eq!(expired(&table, &quick(), 1_010), [2]);
    // A year later only the current one is left, or as many as are to be kept anyhow.
    assert_eq!(expired(&table, &quick(), 100_000), [1, 2, 3, 4, 5, 6]);
    let property = (
        "history.expire.min-snapshots-to-keep".to_owned(),
        "3".to_owned(),
    );
    table.properties.extend([property]);
    assert_eq!(expired(&table, &quick(), 100_000), [1, 2, 3, 4]);
    let option = Retention {
        min_snapshots_to_keep: Some(2),
        ..quick()
    };
    assert_eq!(expired(&table, &option, 100_000), [1, 2, 3, 4, 5]);
    let by_property = Retention {
        max_snapshot_age_ms: None,
        ..option
    };
    assert_eq!(expired(&table, &by_property, 100_000), [2]);
    let age = (
        "history.expire.max-snapshot-age-ms".to_owned(),
        "98996".to_owned(),
    );
    table.properties.extend([age]);
    assert_eq!(expired(&table, &by_property, 100_000), [1, 2, 3]);
    table.properties.clear();
    assert!(expired(&table, &Retention::by_age(), 100_000).is_empty());
}

#[test]
fn settings_of_a_branch_go_before_those_of_the_table() {
    let mut table = table(&[1_000, 1_010, 1_020]);
    let main = table.refs.get_mut(MAIN_BRANCH).unwrap();
    main.retention = SnapshotRetention::Branch {
        min_snapshots_to_keep: Some(2),
        max_snapshot_age_ms: Some(1_000_000),
        max_ref_age_ms: Some(1),
    };
    assert!(expired(&table, &quick(), 500_000).is_empty());
    assert_eq!(expired(&table, &quick(), 2_000_000), [1]);
}

#[test]
fn other_branches_and_tags_keep_what_the_specification_says() {
    // 1 to 10 on main; 11 and 12 on a branch that left it at 4; 13 on neither.
    let mut table = table(&(1..=10).map(|n| 1_000 + n).collect::<Vec<_>>());
    add(&mut table, 11, Some(4), 1_011);
    add(&mut table, 12, Some(11), 1_012);
    add(&mut table, 13, Some(7), 1_013);
    let mut branch = SnapshotReference::branch(12);
    branch.retention = SnapshotRetention::Branch {
        min_snapshots_to_keep: Some(3),
        max_snapshot_age_ms: Some(100),
        max_ref_age_ms: None,
    };
    table.refs.insert("audit".into(), branch);
    table.refs.insert("v1".into(), SnapshotReference::tag(3));
    // By then the branch has three left, and the tag its own; 5 is thinned, and 13 too young to go.
    assert_eq!(expired(&table, &quick(), 1_200), [2, 5]);
    assert_eq!(expired(&table, &quick(), 90_000), [1, 2, 5, 6, 7, 8, 9, 13]);
    let property = (
        "history.expire.max-ref-age-ms".to_owned(),
        "50000".to_owned(),
    );
    table.properties.extend([property]);
    let expiry = plan_expiry(&table, &quick(), &HeldSnapshots::default(), 90_000);
    assert_eq!(expiry.refs, ["audit", "v1"]);
    assert_eq!(expiry.snapshot_ids, [1, 2, 3, 4, 5, 6, 7, 8, 9, 11, 12, 13]);
    assert_eq!(expiry.updates().len(), 3);
}

#[test]
fn what_is_held_stays() {
    let table = table(&(1..=20).map(|n| 1_000 + n / 2).collect::<Vec<_>>());
    let held = |ids: &[i64], since_ms| HeldSnapshots {
        snapshot_ids: ids.iter().copied().collect(),
        since_ms,
    };
    let kept = |held: &HeldSnapshots| {
        let gone = plan_expiry(&table, &quick(), held, 90_000).snapshot_ids;
        let mut ids = ids(&table);
        ids.retain(|id| !gone.contains(id));
        ids
    };
    assert_eq!(kept(&held(&[], None)), [20]);
    assert_eq!(kept(&held(&[7, 99], None)), [7, 20]);
    // The snapshots 16 and 17 are of the time 1008, and 15 was current before.
    assert_eq!(kept(&held(&[], Some(1_008))), [15, 16, 17, 18, 19, 20]);
    assert_eq!(kept(&held(&[], Some(5_000))), [20]);
}
