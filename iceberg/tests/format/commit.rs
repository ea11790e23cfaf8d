//! Commits end to end.

use std::collections::BTreeMap;

use iceberg_lite::Error;
use iceberg_lite::commit::{
    SnapshotDelta, TableUpdate, apply, complete, complete_with_updates, stage,
};
use iceberg_lite::manifest::{ManifestStatus, read_snapshot_manifests};
use iceberg_lite::spec::{
    FormatVersion, MetadataLogEntry, Operation, Snapshot, StoredSnapshot, TableMetadata,
};

use crate::support::{MemoryFileIo, Table, append, data_file, fixture_metadata, path_of, schema};

#[test]
fn a_new_table_gets_its_first_file_without_a_snapshot() {
    let table = Table::new();
    let completed = complete(&table.metadata, None, None, &table.io, 5).unwrap();
    assert!(
        completed
            .metadata_location
            .starts_with("/lake/t/metadata/00000-")
    );
    let read = TableMetadata::read_from(&table.io, &completed.metadata_location).unwrap();
    assert_eq!(read, completed.metadata);
    assert_eq!(
        (read.current_snapshot_id, read.metadata_log.len()),
        (None, 0)
    );
    assert_eq!(completed.files_written, [completed.metadata_location]);
}

#[test]
fn an_append_makes_a_snapshot_with_its_files() {
    let mut table = Table::new();
    let completed = table.commit(&append(&["a", "b"]));
    assert_eq!(table.live(), ["a", "b"]);
    let snapshot = table.metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.summary.operation, Operation::Append);
    assert_eq!(
        (
            snapshot.sequence_number,
            table.metadata.last_sequence_number
        ),
        (1, 1)
    );
    assert_eq!(
        (snapshot.schema_id, snapshot.parent_snapshot_id),
        (Some(0), None)
    );
    for (name, count) in [
        ("added-data-files", 2),
        ("added-records", 20),
        ("added-files-size", 200),
        ("total-data-files", 2),
        ("total-records", 20),
        ("total-files-size", 200),
        ("total-delete-files", 0),
        ("total-position-deletes", 0),
        ("total-equality-deletes", 0),
        ("changed-partition-count", 1),
    ] {
        assert_eq!(table.total(name), count, "{name}");
    }
    // Manifest, manifest list and metadata: nothing else was written.
    let mut written = completed.files_written.clone();
    written.sort();
    assert_eq!(written, table.io.paths());
    assert_eq!(written.len(), 3);
    let entry = &table.entries()[0];
    assert_eq!(*entry.data_file, data_file("a", 10), "statistics survive");
    assert_eq!(
        (entry.status, entry.sequence_number),
        (ManifestStatus::Added, Some(1))
    );
}

#[test]
fn appends_prepared_at_the_same_time_are_published_on_top_of_each_other() {
    let mut table = Table::new();
    let first = table.stage(&append(&["a"]));
    let second = table.stage(&append(&["b"]));
    table.try_complete(&second).unwrap();
    table.try_complete(&first).unwrap();
    assert_eq!(table.live(), ["a", "b"]);
    let entries = table.entries();
    let number = |name: &str| {
        let path = path_of(name);
        entries
            .iter()
            .find(|entry| entry.data_file.file_path == path)
            .unwrap()
            .sequence_number
    };
    assert_eq!((number("b"), number("a")), (Some(1), Some(2)));
    let snapshot = table.metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.parent_snapshot_id, Some(second.snapshot_id()));
    assert_eq!(table.total("total-records"), 20);
}

#[test]
fn a_failed_swap_can_be_published_again_on_the_new_base() {
    let mut table = Table::new();
    let staged = table.stage(&append(&["a"]));
    let lost = complete(&table.metadata, None, Some(&staged), &table.io, 5).unwrap();
    table.commit(&append(&["b"]));
    table.try_complete(&staged).unwrap();
    assert_eq!(table.live(), ["a", "b"]);
    assert!(
        !table
            .metadata
            .metadata_log
            .iter()
            .any(|e| e.metadata_file == lost.metadata_location)
    );
}

#[test]
fn removed_files_become_deleted_entries_and_others_keep_their_numbers() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    table.commit(&append(&["c"]));
    let delta = SnapshotDelta {
        removed_data_files: [path_of("a")].into(),
        ..append(&["d"])
    };
    table.commit(&delta);
    assert_eq!(table.live(), ["b", "c", "d"]);
    let snapshot = table.metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.summary.operation, Operation::Overwrite);
    assert_eq!(
        (table.total("total-records"), table.total("deleted-records")),
        (30, 10)
    );
    for entry in table.entries() {
        let expected = match entry.data_file.file_path.as_str() {
            "/lake/t/data/a.parquet" => (ManifestStatus::Deleted, 1, 3),
            "/lake/t/data/b.parquet" => (ManifestStatus::Existing, 1, 1),
            "/lake/t/data/c.parquet" => (ManifestStatus::Added, 2, 2),
            _ => (ManifestStatus::Added, 3, 3),
        };
        let by = table
            .metadata
            .snapshots
            .iter()
            .find(|s| Some(s.snapshot_id) == entry.snapshot_id);
        let found = (
            entry.status,
            entry.sequence_number.unwrap(),
            by.unwrap().sequence_number,
        );
        assert_eq!(found, expected, "{}", entry.data_file.file_path);
    }
    // The deleted entry is told once: the next snapshot does not carry it.
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("b")].into(),
        ..append(&[])
    });
    assert_eq!(table.live(), ["c", "d"]);
    assert!(
        table
            .entries()
            .iter()
            .all(|entry| entry.data_file.file_path != path_of("a"))
    );
    assert_eq!(
        table.metadata.current_snapshot().unwrap().summary.operation,
        Operation::Delete
    );
}

#[test]
fn removing_everything_leaves_only_what_is_added_with_it() {
    let mut table = Table::new();
    table.commit(&append(&["a", "b"]));
    let truncate = SnapshotDelta {
        removes_everything: true,
        ..append(&["c"])
    };
    let staged = table.stage(&truncate);
    table.commit(&append(&["later"]));
    table.try_complete(&staged).unwrap();
    assert_eq!(table.live(), ["c"]);
    assert_eq!(
        (
            table.total("deleted-data-files"),
            table.total("total-records")
        ),
        (3, 10)
    );
    let only = SnapshotDelta {
        removes_everything: true,
        ..SnapshotDelta::default()
    };
    table.commit(&only);
    assert!(table.live().is_empty());
    assert_eq!(
        (
            table.total("total-data-files"),
            table.total("total-files-size")
        ),
        (0, 0)
    );
}

#[test]
fn the_metadata_log_is_limited() {
    let properties = [
        ("write.metadata.previous-versions-max", "2"),
        ("write.metadata.delete-after-commit.enabled", "true"),
    ];
    let mut table = Table::with_properties(&properties);
    let locations: Vec<String> = (0..4)
        .map(|n| table.commit(&append(&[&format!("f{n}")])).metadata_location)
        .collect();
    let versions = locations
        .iter()
        .map(|path| path.split(['/', '-']).nth(4).unwrap());
    assert_eq!(
        versions.collect::<Vec<_>>(),
        ["00000", "00001", "00002", "00003"]
    );
    let log: Vec<&String> = table
        .metadata
        .metadata_log
        .iter()
        .map(|entry| &entry.metadata_file)
        .collect();
    assert_eq!(log, [&locations[1], &locations[2]]);
    let last = table.commit(&append(&["last"]));
    assert_eq!(last.expired_metadata_files, [locations[1].clone()]);
    assert!(last.deletes_expired_metadata);
}

/// The log of a table that came from elsewhere, or whose property was lowered, stayed too long by as much as it was.
#[test]
fn a_metadata_log_that_is_too_long_is_shortened_at_once() {
    let mut table = Table::new();
    let old = |number| format!("/lake/t/metadata/old{number:03}.metadata.json");
    table.metadata.metadata_log = (0..250)
        .map(|number| MetadataLogEntry {
            timestamp_ms: number,
            metadata_file: old(number),
            extra: Default::default(),
        })
        .collect();
    let base = table.metadata.clone();
    let completed = table.commit(&append(&["a"]));
    let expired: Vec<String> = (0..150).map(old).collect();
    assert_eq!(completed.expired_metadata_files, expired);
    assert!(!completed.deletes_expired_metadata);
    let log = &table.metadata.metadata_log;
    assert_eq!((log.len(), &log[0].metadata_file), (100, &old(150)));

    let updates = vec![TableUpdate::SetProperties(
        [(
            "write.metadata.previous-versions-max".to_owned(),
            "7".to_owned(),
        )]
        .into(),
    )];
    let last = "/lake/t/metadata/last.metadata.json";
    let completed = complete_with_updates(&base, Some(last), &[], updates, &table.io, 5).unwrap();
    let log = &completed.metadata.metadata_log;
    assert_eq!(
        (log.len(), log.last().unwrap().metadata_file.as_str()),
        (7, last)
    );
    assert_eq!(completed.expired_metadata_files.len(), 244);
}

#[test]
fn time_never_runs_backwards() {
    let mut table = Table::new();
    table.commit(&append(&["a"]));
    table.now_ms = -1_000_000;
    table.commit(&append(&["b"]));
    let times: Vec<i64> = table
        .metadata
        .snapshot_log
        .iter()
        .map(|e| e.timestamp_ms)
        .collect();
    assert_eq!(times, [2_000, 2_000]);
    assert_eq!(table.metadata.last_updated_ms, 2_000);
}

#[test]
fn gzip_metadata_are_written_when_the_property_says_so() {
    let mut table = Table::with_properties(&[("write.metadata.compression-codec", "gzip")]);
    let completed = table.commit(&append(&["a"]));
    assert!(completed.metadata_location.ends_with(".gz.metadata.json"));
    assert!(table.io.files.borrow()[&completed.metadata_location].starts_with(&[0x1f, 0x8b]));
    assert_eq!(table.live(), ["a"]);
}

#[test]
fn a_commit_makes_a_version_1_table_one_of_version_2() {
    let base = fixture_metadata("v1-empty-without-uuid.metadata.json");
    let io = MemoryFileIo::default();
    let spec = base.default_partition_spec().unwrap();
    let mut file = data_file("a", 1);
    file.partition = vec![Some(iceberg_lite::spec::Datum::Long(5))];
    let delta = SnapshotDelta {
        added_data_files: vec![file.into()],
        ..SnapshotDelta::default()
    };
    let staged = stage(
        &delta,
        base.current_schema().unwrap(),
        spec,
        &base.location,
        base.format_version,
        &io,
    )
    .unwrap();
    let completed = complete(&base, Some("s3://b/v1.json"), Some(&staged), &io, 5).unwrap();
    assert_eq!(completed.metadata.format_version, FormatVersion::V2);
    assert!(!completed.metadata.table_uuid.is_nil());
    let snapshot = completed.metadata.current_snapshot().unwrap();
    let manifests = read_snapshot_manifests(&io, snapshot).unwrap();
    let summary = &manifests[0].partitions.as_ref().unwrap()[0];
    assert_eq!(
        summary.lower_bound.as_deref(),
        Some(5_i64.to_le_bytes().as_slice())
    );
}

/// Specification, section "Row Lineage": the rows of a table that is given version 3 get ids with the next snapshot.
#[test]
fn rows_get_ids_in_version_3() {
    let mut table = Table::with_properties(&[("commit.manifest.min-count-to-merge", "3")]);
    table.commit(&append(&["a"]));
    table.upgrade();
    assert_eq!(table.metadata.next_row_id, 0);
    assert!(table.entries()[0].data_file.first_row_id.is_none());

    let first_row_ids = |table: &Table| -> BTreeMap<String, Option<i64>> {
        let live = table.entries().into_iter().filter(|entry| entry.is_live());
        live.map(|entry| {
            let file = &entry.data_file;
            (file.file_path.clone(), file.first_row_id)
        })
        .collect()
    };
    let expected = |ids: &[(&str, i64)]| -> BTreeMap<String, Option<i64>> {
        ids.iter()
            .map(|(name, id)| (path_of(name), Some(*id)))
            .collect()
    };
    table.commit(&append(&["b", "c"]));
    let snapshot = table.metadata.current_snapshot().unwrap();
    assert_eq!(
        (snapshot.first_row_id, snapshot.added_rows),
        (Some(0), Some(30))
    );
    let ids = first_row_ids(&table);
    assert_eq!(ids, expected(&[("b", 0), ("c", 10), ("a", 20)]));

    // Entries that are written again keep theirs, and a merged manifest has enough for all of its rows.
    table.commit(&append(&["d"]));
    assert_eq!(table.metadata.next_row_id, 70);
    let ids = first_row_ids(&table);
    assert_eq!(ids, expected(&[("b", 0), ("c", 10), ("a", 20), ("d", 30)]));
    table.commit(&SnapshotDelta {
        removed_data_files: [path_of("b")].into(),
        ..SnapshotDelta::default()
    });
    let ids = first_row_ids(&table);
    assert_eq!(ids, expected(&[("c", 10), ("a", 20), ("d", 30)]));

    let snapshot = table.metadata.current_snapshot().unwrap();
    let again = Snapshot {
        snapshot_id: 1,
        sequence_number: snapshot.sequence_number + 1,
        ..Snapshot::clone(snapshot)
    };
    let update = TableUpdate::AddSnapshot(StoredSnapshot::new(again).unwrap().into());
    let error = apply(&table.metadata, None, &[], vec![update], 1).unwrap_err();
    assert!(error.to_string().contains("is next"), "{error}");
}

/// What the library does not know of a table of version 3 is kept.
#[test]
fn version_3_metadata_are_written_again() {
    let base = fixture_metadata("v3-row-lineage-and-new-types.metadata.json");
    let io = MemoryFileIo::default();
    let completed = complete(&base, None, None, &io, 5).unwrap();
    let read = TableMetadata::read_from(&io, &completed.metadata_location).unwrap();
    let again = TableMetadata {
        last_updated_ms: base.last_updated_ms,
        ..read
    };
    assert_eq!(again, base);
}

#[test]
fn a_partition_of_the_wrong_shape_is_refused_before_anything_is_written() {
    let table = Table::new();
    let mut file = data_file("a", 1);
    file.partition = vec![None];
    let delta = SnapshotDelta {
        added_data_files: vec![file.into()],
        ..SnapshotDelta::default()
    };
    let spec = table.metadata.default_partition_spec().unwrap();
    let error = stage(
        &delta,
        &schema(),
        spec,
        "/lake/t",
        FormatVersion::V2,
        &table.io,
    )
    .unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error}");
    assert!(table.io.paths().is_empty());
}
