//! Nothing grows with the number of commits while history is thinned and small files are merged.

use std::sync::Arc;

use iceberg_lite::commit::{
    HeldSnapshots, History, Retention, SnapshotDelta, complete_and_update, plan_expiry,
    unreachable_files,
};
use iceberg_lite::compaction::{Compaction, CompactionRules, plan_compaction};
use iceberg_lite::manifest::read_snapshot_manifests;
use iceberg_lite::scan::plan_files;

use crate::support::{Table, append, data_file};

/// Commits, thins history in the same metadata file, and deletes what nothing needs any more.
fn commit_and_thin(table: &mut Table, delta: &SnapshotDelta, retention: &Retention) {
    let held = HeldSnapshots::default();
    let expiry = plan_expiry(&table.metadata, retention, &held, table.now_ms);
    let gone = expiry.snapshot_ids.iter().copied().collect();
    let files = unreachable_files(&table.metadata, &gone, History::Linear, &table.io).unwrap();
    let staged = table.stage(delta);
    let (base, location, io) = (&table.metadata, table.location.as_deref(), &table.io);
    let done =
        complete_and_update(base, location, &staged, expiry.updates(), io, table.now_ms).unwrap();
    let mut there = table.io.files.borrow_mut();
    for path in files.iter().filter(|path| !path.ends_with(".parquet")) {
        there.remove(path).unwrap();
    }
    for path in done
        .superseded_manifests
        .iter()
        .chain(&done.expired_metadata_files)
    {
        there.remove(path).unwrap();
    }
    drop(there);
    (table.metadata, table.location) = (done.metadata, Some(done.metadata_location));
}

#[test]
fn files_manifests_snapshots_and_metadata_stay_few() {
    let retention = Retention {
        newest: 20,
        max_snapshot_age_ms: Some(30 * 60_000),
        ..Retention::default()
    };
    let rules = CompactionRules::new(100_000);
    let mut table = Table::with_properties(&[
        ("commit.manifest.min-count-to-merge", "10"),
        ("write.metadata.previous-versions-max", "10"),
    ]);
    // The most in the first half, and in the second.
    let mut most = [[0; 5]; 2];
    for number in 0..3_000_usize {
        table.now_ms += 2_000;
        commit_and_thin(&mut table, &append(&[&format!("f{number:04}")]), &retention);
        if number % 10 == 0 {
            let snapshot = table.metadata.current_snapshot().unwrap();
            let files = plan_files(&table.metadata, snapshot, &table.io).unwrap();
            let mut compaction = Compaction::new(&table.metadata);
            for (index, group) in plan_compaction(&files, &rules).iter().enumerate() {
                assert_eq!(group.outputs, 1);
                let merged = data_file(&format!("c{number:04}-{index}"), group.rows as i64);
                compaction
                    .push(&files, group, vec![Arc::new(merged)])
                    .unwrap();
            }
            if !compaction.groups().is_empty() {
                commit_and_thin(&mut table, &compaction.delta(), &retention);
            }
        }
        let snapshot = table.metadata.current_snapshot().unwrap();
        let location = table.location.as_deref().unwrap();
        let now = [
            table.metadata.snapshots.len(),
            read_snapshot_manifests(&table.io, snapshot).unwrap().len(),
            table.io.files.borrow()[location].len(),
            table.io.files.borrow().len(),
            table.metadata.snapshot_log.len(),
        ];
        let most = &mut most[number / 1_500];
        *most = std::array::from_fn(|index| most[index].max(now[index]));
    }
    assert_eq!(table.live().len(), table.total("total-data-files") as usize);
    assert_eq!(table.total("total-records"), 30_000);
    let [snapshots, manifests, metadata_bytes, files, log] = most[1];
    assert!(snapshots <= 20 + 30 + 2 + 1, "{snapshots} snapshots");
    assert!(log <= 20 + 2, "{log} entries in the log");
    assert!(manifests <= 20, "{manifests} manifests");
    // Three of them are nearly all of the data: ten thousand rows a file.
    assert!(table.live().len() <= 3 + 4 * 7, "{:?}", table.live());
    for (first, second) in [(most[0][2], metadata_bytes), (most[0][3], files)] {
        assert!(
            second as f64 <= 1.1 * first as f64,
            "{first} became {second}"
        );
    }
}
