//! Arbitrary metadata read back as they were written.

use std::collections::BTreeMap;
use std::sync::Arc;

use iceberg_lite::spec::{
    FormatVersion, ListType, MapType, MetadataLogEntry, NestedField, NullOrder, Operation,
    PartitionField, PartitionSpec, PrimitiveType, Schema, Snapshot, SnapshotLogEntry,
    SnapshotReference, SortDirection, SortField, SortOrder, StatisticsFile, StoredSnapshot,
    StructType, Summary, TableMetadata, Transform, Type,
};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use serde_json::{Map, Value};
use uuid::Uuid;

fn primitive() -> impl Strategy<Value = PrimitiveType> {
    prop_oneof![
        Just(PrimitiveType::Boolean),
        Just(PrimitiveType::Int),
        Just(PrimitiveType::Double),
        (1..=38_u32).prop_flat_map(|precision| (0..=precision)
            .prop_map(move |scale| PrimitiveType::Decimal { precision, scale })),
        Just(PrimitiveType::TimestamptzNs),
        any::<u64>().prop_map(PrimitiveType::Fixed),
        Just(PrimitiveType::Variant),
        "hyper[a-z(), ]{0,8}".prop_map(PrimitiveType::Other),
    ]
}

fn extra() -> impl Strategy<Value = Map<String, Value>> {
    let value = prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<String>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(serde_json::json!({ "a": [1.5, null, {}] })),
    ];
    vec(("x-[a-z]{1,4}", value), 0..3).prop_map(|members| members.into_iter().collect())
}

/// The shape of a type; ids and unique names are given afterwards.
fn shape() -> impl Strategy<Value = Type> {
    primitive()
        .prop_map(Type::Primitive)
        .prop_recursive(4, 20, 4, |inner| {
            prop_oneof![
                (inner.clone(), any::<bool>(), extra()).prop_map(|(element, required, extra)| {
                    ListType {
                        extra,
                        ..ListType::new(0, element, required)
                    }
                    .into()
                }),
                (inner.clone(), inner.clone(), any::<bool>()).prop_map(|(key, value, required)| {
                    MapType::new(0, key, 0, value, required).into()
                }),
                fields(inner).prop_map(|fields| StructType::new(fields).into()),
            ]
        })
}

fn fields(inner: impl Strategy<Value = Type>) -> impl Strategy<Value = Vec<NestedField>> {
    let field = (
        any::<String>(),
        any::<bool>(),
        inner,
        option::of(any::<String>()),
        extra(),
    );
    let field = field.prop_map(|(name, required, field_type, doc, extra)| NestedField {
        doc,
        initial_default: Some(Value::from("d")),
        extra,
        ..NestedField::new(0, name, field_type, required)
    });
    vec(field, 0..4)
}

fn number_type(field_type: &mut Type, next: &mut i32) {
    let mut id = || {
        *next += 1;
        *next
    };
    match field_type {
        Type::Primitive(_) => {}
        Type::Struct(fields) => number_fields(&mut fields.fields, next),
        Type::List(list) => {
            list.element_id = id();
            number_type(&mut list.element, next);
        }
        Type::Map(map) => {
            map.key_id = id();
            map.value_id = id();
            number_type(&mut map.key, next);
            number_type(&mut map.value, next);
        }
    }
}

fn number_fields(fields: &mut [NestedField], next: &mut i32) {
    for field in fields {
        *next += 1;
        field.id = *next;
        field.name = format!("{}{}", field.name, field.id);
        number_type(&mut field.field_type, next);
    }
}

fn schema(schema_id: i32) -> impl Strategy<Value = Schema> {
    (fields(shape()), extra()).prop_map(move |(mut fields, extra)| {
        let mut next = 0;
        number_fields(&mut fields, &mut next);
        let identifier_field_ids = fields.first().map(|field| field.id).into_iter().collect();
        Schema {
            schema_id,
            fields: StructType { fields, extra },
            identifier_field_ids,
        }
    })
}

fn transform() -> impl Strategy<Value = Transform> {
    prop_oneof![
        Just(Transform::Identity),
        (1..u32::MAX).prop_map(Transform::Bucket),
        (1..u32::MAX).prop_map(Transform::Truncate),
        Just(Transform::Day),
        Just(Transform::Void),
        Just(Transform::Unknown("zorder[x]".into())),
    ]
}

fn spec() -> impl Strategy<Value = PartitionSpec> {
    let field = (
        any::<i32>(),
        any::<i32>(),
        any::<String>(),
        transform(),
        extra(),
    );
    let field = field.prop_map(|(source, id, name, transform, extra)| PartitionField {
        extra,
        ..PartitionField::new(source, id, name, transform)
    });
    (vec(field, 0..4), extra()).prop_map(|(fields, extra)| PartitionSpec {
        extra,
        ..PartitionSpec::new(3, fields)
    })
}

fn sort_order() -> impl Strategy<Value = SortOrder> {
    let field = (transform(), any::<i32>(), any::<bool>(), extra());
    let field = field.prop_map(|(transform, source_id, ascending, extra)| SortField {
        source_id,
        source_ids: None,
        transform,
        direction: if ascending {
            SortDirection::Ascending
        } else {
            SortDirection::Descending
        },
        null_order: if ascending {
            NullOrder::Last
        } else {
            NullOrder::First
        },
        extra,
    });
    (vec(field, 0..3), extra()).prop_map(|(fields, extra)| SortOrder {
        order_id: 1,
        fields,
        extra,
    })
}

fn snapshot() -> impl Strategy<Value = Snapshot> {
    let summary = (
        prop_oneof![
            Just(Operation::Append),
            Just(Operation::Other("vacuum".into()))
        ],
        vec(("[a-z-]{1,9}", any::<String>()), 0..4),
    );
    let summary = summary.prop_map(|(operation, properties)| {
        let properties = properties
            .into_iter()
            .filter(|(name, _)| name != "operation")
            .map(|(name, value)| (name.into_boxed_str(), value.into_boxed_str()));
        Summary {
            operation,
            properties: properties.collect(),
        }
    });
    let lineage = (option::of(any::<i64>()), option::of(any::<String>()));
    (
        any::<[i64; 2]>(),
        option::of(any::<i64>()),
        any::<String>(),
        summary,
        lineage,
    )
        .prop_map(
            |([sequence_number, timestamp_ms], parent, list, summary, (first_row_id, key_id))| {
                Snapshot {
                    parent_snapshot_id: parent,
                    sequence_number,
                    timestamp_ms,
                    manifest_list: Some(list),
                    summary,
                    schema_id: Some(0),
                    first_row_id,
                    added_rows: first_row_id,
                    key_id,
                    ..Snapshot::default()
                }
            },
        )
}

prop_compose! {
    fn metadata()(
        schema in schema(0),
        spec in spec(),
        order in sort_order(),
        snapshots in vec(snapshot(), 0..4),
        location in "[a-z0-9:/ä ]{0,20}x",
        properties in any::<BTreeMap<String, String>>(),
        uuid in any::<u128>(),
        numbers in any::<[i64; 3]>(),
        is_v3 in any::<bool>(),
        extra in extra(),
        entry_extra in extra(),
    ) -> TableMetadata {
        let mut metadata = TableMetadata::new_table(
            schema, spec, location, properties, Uuid::from_u128(uuid), numbers[0],
        );
        metadata.format_version = if is_v3 { FormatVersion::V3 } else { FormatVersion::V2 };
        metadata.last_sequence_number = numbers[1];
        metadata.default_sort_order_id = 1;
        metadata.sort_orders.push(order);
        metadata.extra = extra;
        for (id, snapshot) in (0..).zip(snapshots) {
            let snapshot = Snapshot { snapshot_id: id, ..snapshot };
            metadata.snapshots.push(Arc::new(StoredSnapshot::new(snapshot).unwrap()));
            metadata.snapshot_log.push(SnapshotLogEntry {
                timestamp_ms: numbers[2], snapshot_id: id, extra: entry_extra.clone(),
            });
            metadata.metadata_log.push(MetadataLogEntry {
                timestamp_ms: id, metadata_file: "f".into(), extra: entry_extra.clone(),
            });
            metadata.statistics.push(StatisticsFile {
                snapshot_id: id, statistics_path: "s".into(), extra: entry_extra.clone(),
            });
            metadata.current_snapshot_id = Some(id);
            let main = SnapshotReference { extra: entry_extra.clone(), ..SnapshotReference::branch(id) };
            metadata.refs.insert("main".into(), main);
            metadata.refs.insert(format!("tag {id}"), SnapshotReference::tag(id));
        }
        metadata
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn metadata_read_back_as_written(metadata in metadata()) {
        let text = metadata.to_json().unwrap();
        let read = TableMetadata::from_file_bytes("m", &text).unwrap();
        prop_assert_eq!(&read, &metadata);
        prop_assert_eq!(read.to_json().unwrap(), text);
    }
}
