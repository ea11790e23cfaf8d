//! Manifests and manifest lists as other engines write them.

use iceberg_lite::manifest::{
    DataContentType, DataFileFormat, ManifestContent, ManifestFile, ManifestStatus, parse_manifest,
    read_manifest, read_snapshot_manifests,
};
use iceberg_lite::scan::plan_files;
use iceberg_lite::spec::{Datum, PrimitiveType, Schema, TableMetadata};

use crate::support::{FixtureIo, fixture_metadata, testdata};

fn current_manifests(table: &str) -> (TableMetadata, Vec<ManifestFile>) {
    let metadata = fixture_metadata(&format!("{table}/current.metadata.json"));
    let snapshot = metadata.current_snapshot().unwrap();
    let manifests = read_snapshot_manifests(&FixtureIo, snapshot).unwrap();
    (metadata, manifests)
}

fn bound(schema: &Schema, bounds: &std::collections::BTreeMap<i32, Vec<u8>>, id: i32) -> Datum {
    let primitive = schema.type_of(id).unwrap().as_primitive().unwrap();
    Datum::from_bytes(primitive, &bounds[&id]).unwrap().unwrap()
}

#[test]
fn statistics_of_every_type_are_read() {
    let (metadata, manifests) = current_manifests("pyiceberg-v2-types");
    let [manifest] = manifests.as_slice() else {
        panic!("one manifest: {manifests:?}")
    };
    assert_eq!(manifest.content, ManifestContent::Data);
    assert_eq!(
        (manifest.sequence_number, manifest.min_sequence_number),
        (1, 1)
    );
    assert_eq!(
        (manifest.added_files_count, manifest.added_rows_count),
        (Some(1), Some(3))
    );
    let entries = read_manifest(&FixtureIo, manifest).unwrap();
    let [entry] = entries.as_slice() else {
        panic!("one entry: {entries:?}")
    };
    assert_eq!(entry.status, ManifestStatus::Added);
    assert_eq!(
        (entry.sequence_number, entry.file_sequence_number),
        (Some(1), Some(1))
    );
    assert_eq!(entry.snapshot_id, metadata.current_snapshot_id);

    let file = &entry.data_file;
    assert_eq!(file.content, DataContentType::Data);
    assert_eq!(file.file_format, DataFileFormat::Parquet);
    assert_eq!((file.record_count, file.value_counts[&1]), (3, 3));
    assert_eq!(file.null_value_counts[&2], 1);
    assert_eq!(file.split_offsets.as_deref(), Some([4].as_slice()));
    let schema = metadata.current_schema().unwrap();
    let lower = |id| bound(schema, &file.lower_bounds, id);
    let upper = |id| bound(schema, &file.upper_bounds, id);
    assert_eq!(
        (lower(1), upper(1)),
        (Datum::Long(1), Datum::Long(i64::MAX))
    );
    assert_eq!(
        (lower(2), upper(2)),
        (Datum::Boolean(false), Datum::Boolean(true))
    );
    assert_eq!(
        (lower(3), upper(3)),
        (Datum::Int(i32::MIN), Datum::Int(i32::MAX))
    );
    assert_eq!(upper(4), Datum::Float(1.5));
    assert_eq!(lower(5), Datum::Double(2.5));
    let price = |unscaled| Datum::Decimal {
        unscaled,
        precision: 12,
        scale: 3,
    };
    assert_eq!((lower(6), upper(6)), (price(-123_456_789_123), price(1)));
    assert_eq!(lower(7), Datum::Date(-1));
    assert_eq!(upper(8), Datum::Time(86_399_999_999));
    assert_eq!(lower(9), Datum::Timestamp(-62_135_596_800_000_000));
    assert_eq!(lower(10), Datum::Timestamptz(0));
    assert_eq!(
        (lower(11), upper(11)),
        (Datum::String("".into()), Datum::String("äöü".into()))
    );
    assert_eq!(lower(12), Datum::Uuid(uuid::Uuid::from_u128(1)));
    assert_eq!(upper(13), Datum::Fixed(vec![0xff; 4]));
    assert_eq!(lower(14), Datum::Binary(vec![]));
}

#[test]
fn partition_values_and_statuses_are_read_in_both_versions() {
    for table in ["pyiceberg-v1-partitioned", "pyiceberg-v2-partitioned"] {
        let (metadata, manifests) = current_manifests(table);
        assert_eq!(manifests.len(), 3, "{table}");
        let mut live = Vec::new();
        let mut deleted = 0;
        for manifest in &manifests {
            assert_eq!(manifest.partitions.as_ref().unwrap().len(), 4, "{table}");
            for entry in read_manifest(&FixtureIo, manifest).unwrap() {
                let is_v1 = table.contains("v1");
                assert_eq!(
                    entry.sequence_number == Some(0),
                    is_v1,
                    "{table}: {entry:?}"
                );
                if entry.is_live() {
                    live.push(entry);
                } else {
                    assert_eq!(entry.snapshot_id, metadata.current_snapshot_id);
                    deleted += 1;
                }
            }
        }
        assert_eq!((live.len(), deleted), (3, 1), "{table}");
        // Rows 0, 2 and 3 are left: kind "new" or null, one file each.
        live.sort_by_key(|entry| match &entry.data_file.partition[3] {
            Some(Datum::Decimal { unscaled, .. }) => *unscaled,
            other => panic!("{table}: {other:?}"),
        });
        let kinds: Vec<_> = live
            .iter()
            .map(|entry| entry.data_file.partition[0].clone())
            .collect();
        assert_eq!(
            kinds,
            [Some(Datum::String("ne".into())), None, None],
            "{table}"
        );
        assert!(
            live.iter()
                .all(|e| matches!(e.data_file.partition[1], Some(Datum::Int(0..4))))
        );
        // 2020-01-01, 2020-01-03 and 2021-01-04.
        let days: Vec<_> = live
            .iter()
            .map(|entry| entry.data_file.partition[2].clone())
            .collect();
        assert_eq!(
            days,
            [18262, 18264, 18631].map(|day| Some(Datum::Date(day))),
            "{table}"
        );
    }
}

#[test]
fn fields_of_version_3_are_read() {
    let path = testdata().join("v3-deletion-vector.avro");
    let manifest = ManifestFile {
        manifest_path: path.to_str().unwrap().to_owned(),
        content: ManifestContent::Deletes,
        sequence_number: 5,
        added_snapshot_id: 9,
        ..ManifestFile::default()
    };
    let entries = parse_manifest(&manifest, &std::fs::read(path).unwrap()).unwrap();
    let [entry] = entries.as_slice() else {
        panic!("one entry: {entries:?}")
    };
    let file = &entry.data_file;
    assert_eq!(
        (entry.snapshot_id, entry.sequence_number),
        (Some(9), Some(5))
    );
    assert_eq!(file.content, DataContentType::PositionDeletes);
    assert_eq!(file.file_format, DataFileFormat::Puffin);
    assert_eq!(
        file.referenced_data_file.as_deref(),
        Some("s3://b/data.parquet")
    );
    assert_eq!(
        (file.content_offset, file.content_size_in_bytes),
        (Some(4), Some(40))
    );
    assert_eq!(file.first_row_id, Some(100));
}

/// Spark deletes rows by position delete files in version 2 and by deletion vectors in version 3; between
/// its commits a column was widened and the partition spec changed.
#[test]
fn tables_that_spark_deleted_rows_of_are_planned_with_their_deletes() {
    for (table, format) in [
        ("spark-v2-merge-on-read", DataFileFormat::Parquet),
        ("spark-v3-deletion-vectors", DataFileFormat::Puffin),
    ] {
        let (metadata, _) = current_manifests(table);
        let snapshot = metadata.current_snapshot().unwrap();
        let mut files = plan_files(&metadata, snapshot, &FixtureIo).unwrap();
        files.sort_by_key(|file| (file.data_sequence_number, file.data_file.record_count));
        // Two appends of ten rows each by partition, each with one row deleted; two rows after that.
        let told: Vec<_> = files
            .iter()
            .map(|file| {
                let deletes: Vec<_> = file
                    .deletes
                    .iter()
                    .map(|delete| (delete.file_format, delete.record_count))
                    .collect();
                (file.data_file.record_count, deletes)
            })
            .collect();
        assert_eq!(
            told,
            [
                (10, vec![(format, 1)]),
                (10, vec![(format, 1)]),
                (1, vec![]),
                (1, vec![]),
            ],
            "{table}"
        );
        let late = &files[3].data_file;
        assert_eq!(late.partition.len(), 2, "{table}: {:?}", late.partition);
        assert_eq!(late.partition[0], Some(Datum::String("late".into())));
        assert!(
            matches!(late.partition[1], Some(Datum::Date(19_743..=19_744))),
            "{table}"
        );
        let kinds: Vec<_> = files[..2]
            .iter()
            .map(|file| file.data_file.partition[0].clone())
            .collect();
        assert_eq!(kinds, [Some(Datum::String("new".into())), None], "{table}");
        let id = metadata.current_schema().unwrap().type_of(1).cloned();
        assert_eq!(id, Some(PrimitiveType::Long.into()), "{table}");
        for file in &files[..2] {
            if format == DataFileFormat::Puffin {
                let vector = &file.deletes[0];
                assert_eq!(
                    vector.referenced_data_file.as_deref(),
                    Some(&*file.data_file.file_path)
                );
                assert!(vector.content_offset.is_some() && vector.content_size_in_bytes.is_some());
            }
        }
    }
}
