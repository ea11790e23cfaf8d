//! Expiring snapshots.

use iceberg_lite::commit::{ExpireOptions, SnapshotDelta, expire, snapshots_to_expire};
use iceberg_lite::spec::{SnapshotReference, TableMetadata};

use crate::support::{Table, append, path_of};

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

fn options(age: i64, keep: i32) -> ExpireOptions {
    ExpireOptions {
        max_snapshot_age_ms: Some(age),
        min_snapshots_to_keep: Some(keep),
    }
}

fn ids(metadata: &TableMetadata) -> Vec<i64> {
    metadata
        .snapshots
        .iter()
        .map(|snapshot| snapshot.snapshot_id)
        .collect()
}

#[test]
fn nothing_expires_within_five_days_unless_properties_say_otherwise() {
    let mut table = table();
    let day = 24 * 60 * 60 * 1000;
    assert!(snapshots_to_expire(&table.metadata, ExpireOptions::default(), 4 * day).is_empty());
    assert_eq!(
        snapshots_to_expire(&table.metadata, ExpireOptions::default(), 6 * day).len(),
        3
    );
    table
        .metadata
        .properties
        .insert("history.expire.min-snapshots-to-keep".into(), "3".into());
    assert_eq!(
        snapshots_to_expire(&table.metadata, ExpireOptions::default(), 6 * day).len(),
        1
    );
    table
        .metadata
        .properties
        .insert("history.expire.max-snapshot-age-ms".into(), "10".into());
    assert_eq!(
        snapshots_to_expire(&table.metadata, ExpireOptions::default(), 9_000).len(),
        1
    );
}

#[test]
fn what_only_expired_snapshots_refer_to_can_be_deleted() {
    let mut table = table();
    let all = ids(&table.metadata);
    let location = table.location.clone();
    let expired = expire(
        &table.metadata,
        location.as_deref(),
        options(0, 1),
        &table.io,
        9_000,
    )
    .unwrap()
    .unwrap();
    assert_eq!(expired.snapshot_ids, all[..3]);
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
    let again = expire(&table.metadata, None, options(0, 1), &table.io, 9_000).unwrap();
    assert!(again.is_none());
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
    let expired = snapshots_to_expire(&table.metadata, options(0, 1), 9_000);
    assert_eq!(expired, ids(&table.metadata)[1..3]);
    table
        .metadata
        .properties
        .insert("history.expire.max-ref-age-ms".into(), "100".into());
    let expired = expire(&table.metadata, None, options(0, 1), &table.io, 9_000)
        .unwrap()
        .unwrap();
    assert_eq!(expired.snapshot_ids.len(), 3);
    assert!(expired.completed.metadata.reference("keep").is_none());
    assert!(expired.completed.metadata.reference("main").is_some());
}
