//! Metadata as other engines write them.

use iceberg_lite::spec::{
    FormatVersion, PrimitiveType, SnapshotRetention, TableMetadata, Transform, Type,
};
use serde_json::Value;

use crate::support::{fixture_metadata, fixtures, testdata};

/// Whether everything in `original` is in `rewritten`, at every depth; says where not.
fn lost(original: &Value, rewritten: &Value, place: &str) -> Option<String> {
    match (original, rewritten) {
        (Value::Object(original), Value::Object(rewritten)) => {
            original.iter().find_map(|(name, value)| {
                let place = format!("{place}.{name}");
                match rewritten.get(name) {
                    Some(found) => lost(value, found, &place),
                    None => Some(place),
                }
            })
        }
        (Value::Array(original), Value::Array(rewritten)) if original.len() == rewritten.len() => {
            original
                .iter()
                .zip(rewritten)
                .enumerate()
                .find_map(|(index, (a, b))| lost(a, b, &format!("{place}[{index}]")))
        }
        _ => (original != rewritten).then(|| format!("{place}: {original} became {rewritten}")),
    }
}

#[test]
fn nothing_is_lost_when_metadata_are_rewritten() {
    for name in [
        "v2-valid.metadata.json",
        "v2-unknown-fields.metadata.json",
        "v3-row-lineage-and-new-types.metadata.json",
    ] {
        let text = std::fs::read(testdata().join(name)).unwrap();
        let original: Value = serde_json::from_slice(&text).unwrap();
        let rewritten = fixture_metadata(name).to_json().unwrap();
        let rewritten: Value = serde_json::from_slice(&rewritten).unwrap();
        assert_eq!(lost(&original, &rewritten, name), None);
    }
}

#[test]
fn what_is_written_reads_back_equal() {
    let top = fixtures("", "metadata.json").into_iter();
    let tables = [
        "pyiceberg-v1-partitioned",
        "pyiceberg-v2-partitioned",
        "pyiceberg-v2-types",
    ];
    let tables = tables
        .iter()
        .map(|name| format!("{name}/current.metadata.json"));
    for name in top.chain(tables) {
        let read = fixture_metadata(&name);
        let again = TableMetadata::from_json(&name, &read.to_json().unwrap()).unwrap();
        let upgraded = TableMetadata {
            format_version: read.format_version.max(FormatVersion::V2),
            ..read
        };
        assert_eq!(again, upgraded, "{name}");
    }
}

#[test]
fn version_2_is_read_in_full() {
    let metadata = fixture_metadata("v2-valid.metadata.json");
    assert_eq!(metadata.format_version, FormatVersion::V2);
    assert_eq!(
        metadata.table_uuid.to_string(),
        "9c12d441-03fe-4693-9a96-a0705ddf69c1"
    );
    assert_eq!(metadata.last_sequence_number, 34);
    let schema = metadata.current_schema().unwrap();
    assert_eq!(schema.identifier_field_ids, [1, 2]);
    assert_eq!(schema.columns()[1].doc.as_deref(), Some("comment"));
    assert_eq!(
        schema.columns()[1].field_type,
        Type::Primitive(PrimitiveType::Long)
    );
    assert_eq!(
        metadata.default_partition_spec().unwrap().fields[0].transform,
        Transform::Identity
    );
    let order = metadata.sort_order(3).unwrap();
    assert_eq!(order.fields[1].transform, Transform::Bucket(4));
    let current = metadata.current_snapshot().unwrap();
    assert_eq!(current.parent_snapshot_id, Some(3051729675574597004));
    assert_eq!(current.summary.count("added-records"), Some(7));
    assert_eq!(metadata.schema_of(current).unwrap().schema_id, 1);
    assert_eq!(metadata.snapshot_log.len(), 2);
    let audit = metadata.reference("audit").unwrap();
    assert_eq!(
        audit.retention,
        SnapshotRetention::Tag {
            max_ref_age_ms: Some(10_000_000)
        }
    );
}

#[test]
fn gzipped_metadata_are_the_same_metadata() {
    let plain = fixture_metadata("v2-valid.metadata.json");
    let zipped = fixture_metadata("v2-gzipped.gz.metadata.json");
    // The texts differ in white space only.
    assert_eq!(zipped.schemas, plain.schemas);
    assert_eq!(zipped.refs, plain.refs);
    assert_eq!(zipped.snapshots.len(), plain.snapshots.len());
    assert_eq!(
        ***zipped.current_snapshot().unwrap(),
        ***plain.current_snapshot().unwrap()
    );
}

#[test]
fn version_1_without_lists_gets_them() {
    let metadata = fixture_metadata("v1-embedded-manifests.metadata.json");
    assert_eq!(metadata.format_version, FormatVersion::V1);
    assert_eq!(metadata.current_schema().unwrap().columns().len(), 3);
    let spec = metadata.default_partition_spec().unwrap();
    assert_eq!(
        (spec.fields[0].source_id, spec.fields[0].field_id),
        (1, 1000)
    );
    assert_eq!(metadata.last_partition_id, 1000);
    let snapshot = metadata.current_snapshot().unwrap();
    assert_eq!(snapshot.manifests.len(), 2);
    assert_eq!((snapshot.sequence_number, snapshot.schema_id), (0, None));
    assert_eq!(metadata.reference("main").unwrap().snapshot_id, 1);

    let empty = fixture_metadata("v1-empty-without-uuid.metadata.json");
    assert!(empty.table_uuid.is_nil());
    assert_eq!(empty.current_snapshot_id, None);
    assert!(empty.refs.is_empty());
}

#[test]
fn version_3_types_and_row_lineage_are_read() {
    let metadata = fixture_metadata("v3-row-lineage-and-new-types.metadata.json");
    assert_eq!(metadata.format_version, FormatVersion::V3);
    let types: Vec<String> = metadata.current_schema().unwrap().columns()[3..]
        .iter()
        .map(|column| column.field_type.as_primitive().unwrap().to_string())
        .collect();
    assert_eq!(
        types,
        [
            "variant",
            "geometry(srid:4326)",
            "geography(srid:4326, karney)",
            "timestamp_ns",
            "unknown",
            "decimal(9, 2)"
        ]
    );
    let column = metadata
        .current_schema()
        .unwrap()
        .fields
        .field_by_name("w")
        .unwrap();
    assert_eq!(column.initial_default, Some(Value::from("14.20")));
    let field = &metadata.default_partition_spec().unwrap().fields[0];
    assert_eq!(
        (field.source_id, field.source_ids.as_deref()),
        (1, Some([1, 2].as_slice()))
    );
    let snapshot = metadata.current_snapshot().unwrap();
    assert_eq!(
        (snapshot.first_row_id, snapshot.added_rows),
        (Some(10), Some(15))
    );
    assert_eq!(metadata.next_row_id, 25);
}

#[test]
fn pyiceberg_metadata_are_read() {
    let metadata = fixture_metadata("pyiceberg-v2-types/current.metadata.json");
    assert_eq!(metadata.properties["owner"], "fixtures");
    assert_eq!(metadata.default_sort_order_id, 1);
    let schema = metadata.current_schema().unwrap();
    assert_eq!(schema.columns().len(), 17);
    assert_eq!(schema.identifier_field_ids, [1]);
    assert_eq!(schema.highest_field_id(), metadata.last_column_id);
    let list = schema.fields.field_by_name("tags").unwrap();
    let Type::List(list) = &list.field_type else {
        panic!("tags is a list")
    };
    assert_eq!(schema.name_of(list.element_id).unwrap(), "tags.element");
    assert_eq!(
        metadata
            .current_snapshot()
            .unwrap()
            .summary
            .count("total-records"),
        Some(3)
    );
}
