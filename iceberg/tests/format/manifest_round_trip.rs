//! Arbitrary manifests and manifest lists read back as they were written.

use std::sync::Arc;

use iceberg_lite::manifest::{
    DataContentType, DataFile, DataFileFormat, FieldSummary, ManifestContent, ManifestEntry,
    ManifestFile, ManifestListHeader, ManifestStatus, ManifestWriter, decode_data_file,
    encode_data_file, read_manifest, read_manifest_list, write_manifest_list,
};
use iceberg_lite::spec::{
    Datum, FormatVersion, NestedField, PartitionField, PartitionSpec, PrimitiveType, Schema,
    Transform,
};
use proptest::collection::{btree_map, vec};
use proptest::option;
use proptest::prelude::*;
use uuid::Uuid;

use crate::support::{MemoryFileIo, data_file};

/// A column and an identity partition field of each type that values can be of.
fn all_types() -> (Schema, PartitionSpec) {
    let types = [
        PrimitiveType::Boolean,
        PrimitiveType::Int,
        PrimitiveType::Long,
        PrimitiveType::Float,
        PrimitiveType::Double,
        PrimitiveType::Decimal {
            precision: 9,
            scale: 2,
        },
        PrimitiveType::Decimal {
            precision: 38,
            scale: 10,
        },
        PrimitiveType::Date,
        PrimitiveType::Time,
        PrimitiveType::Timestamp,
        PrimitiveType::Timestamptz,
        PrimitiveType::String,
        PrimitiveType::Uuid,
        PrimitiveType::Uuid,
        PrimitiveType::Fixed(3),
        PrimitiveType::Binary,
    ];
    let columns = (1..)
        .zip(types)
        .map(|(id, of)| NestedField::optional(id, format!("c{id}"), of));
    let schema = Schema::new(0, columns.collect());
    let fields = schema.columns().iter().map(|column| {
        let name = format!("{} identity", column.name);
        PartitionField::new(column.id, 999 + column.id, name, Transform::Identity)
    });
    let spec = PartitionSpec::new(4, fields.collect());
    (schema, spec)
}

fn datum(primitive: &PrimitiveType) -> BoxedStrategy<Datum> {
    match primitive.clone() {
        PrimitiveType::Boolean => any::<bool>().prop_map(Datum::Boolean).boxed(),
        PrimitiveType::Int => any::<i32>().prop_map(Datum::Int).boxed(),
        PrimitiveType::Long => any::<i64>().prop_map(Datum::Long).boxed(),
        PrimitiveType::Float => any::<f32>().prop_map(Datum::Float).boxed(),
        PrimitiveType::Double => any::<f64>().prop_map(Datum::Double).boxed(),
        PrimitiveType::Decimal { precision, scale } => {
            let limit = 10_i128.pow(precision);
            (-limit + 1..limit)
                .prop_map(move |unscaled| Datum::Decimal {
                    unscaled,
                    precision,
                    scale,
                })
                .boxed()
        }
        PrimitiveType::Date => any::<i32>().prop_map(Datum::Date).boxed(),
        PrimitiveType::Time => any::<i64>().prop_map(Datum::Time).boxed(),
        PrimitiveType::Timestamp => any::<i64>().prop_map(Datum::Timestamp).boxed(),
        PrimitiveType::Timestamptz => any::<i64>().prop_map(Datum::Timestamptz).boxed(),
        PrimitiveType::String => any::<String>().prop_map(Datum::String).boxed(),
        PrimitiveType::Uuid => any::<u128>()
            .prop_map(|v| Datum::Uuid(Uuid::from_u128(v)))
            .boxed(),
        PrimitiveType::Fixed(_) => any::<[u8; 3]>()
            .prop_map(|v| Datum::Fixed(v.into()))
            .boxed(),
        _ => any::<Vec<u8>>().prop_map(Datum::Binary).boxed(),
    }
}

fn partition() -> impl Strategy<Value = Vec<Option<Datum>>> {
    let (schema, spec) = all_types();
    let values = spec.partition_types(&schema);
    values
        .iter()
        .map(|primitive| option::of(datum(primitive)))
        .collect::<Vec<_>>()
}

fn version() -> impl Strategy<Value = FormatVersion> {
    prop_oneof![Just(FormatVersion::V2), Just(FormatVersion::V3)]
}

fn content() -> impl Strategy<Value = ManifestContent> {
    prop_oneof![Just(ManifestContent::Data), Just(ManifestContent::Deletes)]
}

prop_compose! {
    fn any_file(version: FormatVersion, content: ManifestContent)(
        path in any::<String>(),
        partition in partition(),
        counts in vec(btree_map(any::<i32>(), any::<i64>(), 0..4), 4),
        bounds in vec(btree_map(any::<i32>(), any::<Vec<u8>>(), 0..4), 2),
        numbers in vec(0..1_i64 << 40, 2),
        split_offsets in option::of(any::<Vec<i64>>()),
        equality_ids in option::of(any::<Vec<i32>>()),
        key_metadata in option::of(any::<Vec<u8>>()),
        sort_order_id in option::of(any::<i32>()),
        referenced_data_file in option::of(any::<String>()),
        is_equality in any::<bool>(),
        first_row_id in option::of(0..1_i64 << 40),
        place_of_vector in any::<[i64; 2]>(),
    ) -> DataFile {
        let is_v3 = version == FormatVersion::V3;
        let is_vector = is_v3 && content == ManifestContent::Deletes && !is_equality;
        let mut counts = counts.into_iter();
        let mut bounds = bounds.into_iter();
        DataFile {
            content: match (content, is_equality) {
                (ManifestContent::Data, _) => DataContentType::Data,
                (ManifestContent::Deletes, true) => DataContentType::EqualityDeletes,
                (ManifestContent::Deletes, false) => DataContentType::PositionDeletes,
            },
            file_path: path,
            file_format: match (is_vector, is_equality) {
                (true, _) => DataFileFormat::Puffin,
                (false, true) => DataFileFormat::Avro,
                (false, false) => DataFileFormat::Parquet,
            },
            partition,
            record_count: numbers[0],
            file_size_in_bytes: numbers[1],
            column_sizes: counts.next().unwrap(),
            value_counts: counts.next().unwrap(),
            null_value_counts: counts.next().unwrap(),
            nan_value_counts: counts.next().unwrap(),
            lower_bounds: bounds.next().unwrap(),
            upper_bounds: bounds.next().unwrap(),
            key_metadata,
            split_offsets,
            equality_ids,
            sort_order_id,
            referenced_data_file,
            first_row_id: first_row_id.filter(|_| is_v3 && content == ManifestContent::Data),
            content_offset: is_vector.then_some(place_of_vector[0]),
            content_size_in_bytes: is_vector.then_some(place_of_vector[1]),
            partition_spec_id: 4,
        }
    }
}

prop_compose! {
    fn summary()(
        contains_null in any::<bool>(),
        contains_nan in option::of(any::<bool>()),
        lower_bound in option::of(any::<Vec<u8>>()),
        upper_bound in option::of(any::<Vec<u8>>()),
    ) -> FieldSummary {
        FieldSummary { contains_null, contains_nan, lower_bound, upper_bound }
    }
}

prop_compose! {
    fn manifest_file(version: FormatVersion)(
        manifest_path in any::<String>(),
        content in content(),
        long in any::<[i64; 7]>(),
        int in any::<[i32; 4]>(),
        partitions in option::of(vec(summary(), 0..3)),
        key_metadata in option::of(any::<Vec<u8>>()),
        first_row_id in option::of(any::<i64>()),
    ) -> ManifestFile {
        ManifestFile {
            manifest_path,
            manifest_length: long[0],
            partition_spec_id: int[0],
            content,
            sequence_number: long[1].max(0),
            min_sequence_number: long[2].max(0),
            added_snapshot_id: long[3],
            added_files_count: Some(int[1]),
            existing_files_count: Some(int[2]),
            deleted_files_count: Some(int[3]),
            added_rows_count: Some(long[4]),
            existing_rows_count: Some(long[5]),
            deleted_rows_count: Some(long[6]),
            partitions,
            key_metadata,
            first_row_id: first_row_id.filter(|_| version == FormatVersion::V3),
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn data_file_records_read_back_as_written(
        file in any_file(FormatVersion::V2, ManifestContent::Data),
    ) {
        let file = DataFile { partition: Vec::new(), partition_spec_id: 0, ..file };
        let record = encode_data_file(&file).unwrap();
        prop_assert_eq!(decode_data_file("test", &record).unwrap(), file);
        for length in 0..record.len() {
            let _ = decode_data_file("test", &record[..length]);
        }
    }

    #[test]
    fn manifests_read_back_as_written(
        (version, content, files) in (version(), content()).prop_flat_map(|(version, content)| {
            (Just(version), Just(content), vec(any_file(version, content), 1..5))
        }),
    ) {
        let (schema, spec) = all_types();
        let io = MemoryFileIo::default();
        let mut writer = ManifestWriter::new("m", version, content, &schema, &spec, 77).unwrap();
        for file in &files {
            writer.add(&file.clone().into()).unwrap();
        }
        let manifest = writer.finish(&io).unwrap();
        prop_assert_eq!(manifest.manifest_length, io.files.borrow()["m"].len() as i64);
        prop_assert_eq!(manifest.added_files_count, Some(files.len() as i32));
        let listed = ManifestFile { sequence_number: 9, ..manifest };
        let expected: Vec<ManifestEntry> = files
            .into_iter()
            .map(|data_file| ManifestEntry {
                status: ManifestStatus::Added,
                snapshot_id: Some(77),
                sequence_number: Some(9),
                file_sequence_number: Some(9),
                data_file: data_file.into(),
            })
            .collect();
        prop_assert_eq!(read_manifest(&io, &listed).unwrap(), expected);
    }

    #[test]
    fn manifest_lists_read_back_as_written(
        (version, manifests) in version().prop_flat_map(|version| {
            (Just(version), vec(manifest_file(version), 0..5))
        }),
    ) {
        let io = MemoryFileIo::default();
        let header = ManifestListHeader {
            snapshot_id: 1,
            parent_snapshot_id: None,
            sequence_number: 2,
            first_row_id: (version == FormatVersion::V3).then_some(5),
        };
        let written = write_manifest_list(&io, "l", header, manifests.clone()).unwrap();
        prop_assert_eq!(&written, &manifests);
        prop_assert_eq!(read_manifest_list(&io, "l").unwrap(), manifests);
    }
}

#[test]
fn partition_summaries_hold_what_the_values_are() {
    let schema = Schema::new(
        0,
        vec![NestedField::optional(1, "x", PrimitiveType::Double)],
    );
    let field = PartitionField::new(1, 1000, "x", Transform::Identity);
    let spec = PartitionSpec::new(0, vec![field]);
    let io = MemoryFileIo::default();
    let mut writer = ManifestWriter::new(
        "m",
        FormatVersion::V2,
        ManifestContent::Data,
        &schema,
        &spec,
        1,
    )
    .unwrap();
    for value in [Some(2.0), Some(f64::NAN), None, Some(-1.0)] {
        let partition = vec![value.map(Datum::Double)];
        writer
            .add(&Arc::new(DataFile {
                partition,
                ..data_file("a", 1)
            }))
            .unwrap();
    }
    let summaries = writer.finish(&io).unwrap().partitions.unwrap();
    let expected = FieldSummary {
        contains_null: true,
        contains_nan: Some(true),
        lower_bound: Some((-1.0_f64).to_le_bytes().to_vec()),
        upper_bound: Some(2.0_f64.to_le_bytes().to_vec()),
    };
    assert_eq!(summaries, [expected]);
}

/// A column's type was promoted after the manifest was written: its values are carried as new ones.
#[test]
fn partition_values_are_promoted_with_their_column() {
    let io = MemoryFileIo::default();
    let field = PartitionField::new(1, 1000, "x", Transform::Identity);
    let spec = PartitionSpec::new(0, vec![field]);
    let of = |primitive| Schema::new(0, vec![NestedField::optional(1, "x", primitive)]);
    let (int, long) = (of(PrimitiveType::Int), of(PrimitiveType::Long));
    let mut old = ManifestWriter::new(
        "old",
        FormatVersion::V2,
        ManifestContent::Data,
        &int,
        &spec,
        1,
    )
    .unwrap();
    old.add(&Arc::new(DataFile {
        partition: vec![Some(Datum::Int(5))],
        ..data_file("a", 1)
    }))
    .unwrap();
    let old = ManifestFile {
        sequence_number: 1,
        ..old.finish(&io).unwrap()
    };
    let entry = &read_manifest(&io, &old).unwrap()[0];
    assert_eq!(entry.data_file.partition, [Some(Datum::Int(5))]);

    let mut new = ManifestWriter::new(
        "new",
        FormatVersion::V2,
        ManifestContent::Data,
        &long,
        &spec,
        2,
    )
    .unwrap();
    new.carry(entry).unwrap();
    let new = new.finish(&io).unwrap();
    let entry = &read_manifest(&io, &new).unwrap()[0];
    assert_eq!(entry.data_file.partition, [Some(Datum::Long(5))]);
    assert_eq!(
        (entry.status, entry.sequence_number),
        (ManifestStatus::Existing, Some(1))
    );
    assert_eq!(new.min_sequence_number, 1);
}
