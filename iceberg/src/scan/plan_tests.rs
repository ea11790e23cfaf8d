#![expect(clippy::unwrap_used, reason = "tests")]

use super::*;
use crate::manifest::{DataFileFormat, ManifestStatus};
use crate::spec::{Datum, PartitionField, PartitionSpec, Schema, Transform};

const PARTITIONED: i32 = 1;

fn metadata() -> TableMetadata {
    let mut metadata = TableMetadata::new_table(
        Schema::default(),
        PartitionSpec::unpartitioned(),
        "/t",
        Default::default(),
        uuid::Uuid::nil(),
        0,
    );
    let field = PartitionField::new(1, 1000, "p", Transform::Identity);
    metadata
        .partition_specs
        .push(Arc::new(PartitionSpec::new(PARTITIONED, vec![field])));
    metadata
}

fn file(path: &str, content: DataContentType, spec: i32, partition: Option<i32>) -> DataFile {
    DataFile {
        file_path: path.to_owned(),
        content,
        partition_spec_id: spec,
        partition: partition
            .map(|value| Some(Datum::Int(value)))
            .into_iter()
            .collect(),
        ..DataFile::default()
    }
}

fn entry(sequence_number: i64, data_file: DataFile) -> ManifestEntry {
    ManifestEntry {
        status: ManifestStatus::Added,
        snapshot_id: Some(1),
        sequence_number: Some(sequence_number),
        file_sequence_number: Some(sequence_number),
        data_file: Arc::new(data_file),
    }
}

fn plan(data: Vec<ManifestEntry>, deletes: Vec<ManifestEntry>) -> Vec<Vec<String>> {
    let index = DeleteIndex::new(&metadata(), deletes).unwrap();
    let names = |file: ScanFile| file.deletes.iter().map(|d| d.file_path.clone()).collect();
    associate(data, &index).into_iter().map(names).collect()
}

use DataContentType::{Data, EqualityDeletes, PositionDeletes};

#[test]
fn position_deletes_apply_to_files_of_their_partition_no_younger_than_they() {
    let data = |sequence, partition| entry(sequence, file("d", Data, PARTITIONED, Some(partition)));
    let deletes = vec![entry(5, file("p", PositionDeletes, PARTITIONED, Some(7)))];
    let plan = plan(
        vec![data(4, 7), data(5, 7), data(6, 7), data(4, 8)],
        deletes,
    );
    assert_eq!(plan, [vec!["p"], vec!["p"], vec![], vec![]]);
}

#[test]
fn equality_deletes_apply_to_older_files_and_to_all_partitions_if_unpartitioned() {
    let data = |sequence, partition| entry(sequence, file("d", Data, PARTITIONED, Some(partition)));
    let deletes = vec![
        entry(5, file("own", EqualityDeletes, PARTITIONED, Some(7))),
        entry(5, file("global", EqualityDeletes, 0, None)),
    ];
    let plan = plan(vec![data(4, 7), data(5, 7), data(4, 8)], deletes);
    assert_eq!(plan, [vec!["own", "global"], vec![], vec!["global"]]);
}

#[test]
fn deletes_of_one_file_apply_to_it_alone_and_a_deletion_vector_replaces_position_deletes() {
    let of = |name: &str, path: &str, format| DataFile {
        referenced_data_file: Some(path.to_owned()),
        file_format: format,
        ..file(name, PositionDeletes, 0, None)
    };
    let deletes = vec![
        entry(5, of("of a", "a", DataFileFormat::Parquet)),
        entry(5, of("vector of b", "b", DataFileFormat::Puffin)),
        entry(5, file("any", PositionDeletes, 0, None)),
        entry(9, file("equality", EqualityDeletes, 0, None)),
    ];
    let data = ["a", "b", "c"]
        .map(|path| entry(1, file(path, Data, 0, None)))
        .to_vec();
    let plan = plan(data, deletes);
    assert_eq!(plan[0], ["of a", "any", "equality"]);
    assert_eq!(plan[1], ["vector of b", "equality"]);
    assert_eq!(plan[2], ["any", "equality"]);
}

#[test]
fn bounds_of_paths_exclude_position_deletes_of_other_files() {
    let mut deletes = file("p", PositionDeletes, 0, None);
    deletes.lower_bounds.insert(DELETE_FILE_PATH, b"b".to_vec());
    deletes.upper_bounds.insert(DELETE_FILE_PATH, b"c".to_vec());
    let data = ["a", "b", "c", "ca"]
        .map(|path| entry(1, file(path, Data, 0, None)))
        .to_vec();
    assert_eq!(
        plan(data, vec![entry(2, deletes)]),
        [vec![], vec!["p"], vec!["p"], vec![]]
    );
}

/// A file of partition spec [`PARTITIONED`] and this partition value.
fn in_partition(path: &str, content: DataContentType, value: Datum) -> DataFile {
    DataFile {
        partition: vec![Some(value)],
        ..file(path, content, PARTITIONED, None)
    }
}

#[test]
fn deletes_apply_in_the_same_partition_after_its_source_column_was_promoted() {
    let data = vec![
        entry(1, in_partition("before", Data, Datum::Int(7))),
        entry(2, in_partition("after", Data, Datum::Long(7))),
        entry(1, in_partition("other", Data, Datum::Int(8))),
    ];
    let deletes = vec![
        entry(3, in_partition("position", PositionDeletes, Datum::Long(7))),
        entry(3, in_partition("equality", EqualityDeletes, Datum::Long(7))),
        entry(2, in_partition("old", PositionDeletes, Datum::Int(7))),
    ];
    let plan = plan(data, deletes);
    assert_eq!(plan[0], ["position", "equality", "old"]);
    assert_eq!(plan[1], ["position", "equality", "old"]);
    assert_eq!(plan[2], [""; 0]);
}

#[test]
fn deletes_apply_in_partitions_of_nan() {
    let nan = |path: &str, content| in_partition(path, content, Datum::Float(f32::NAN));
    let deletes = vec![
        entry(2, nan("position", PositionDeletes)),
        entry(2, nan("equality", EqualityDeletes)),
        entry(
            2,
            in_partition("negative zero", EqualityDeletes, Datum::Float(-0.0)),
        ),
    ];
    let data = vec![
        entry(1, nan("d", Data)),
        entry(1, in_partition("zero", Data, Datum::Float(0.0))),
        entry(1, in_partition("negative zero", Data, Datum::Float(-0.0))),
    ];
    assert_eq!(
        plan(data, deletes),
        [vec!["position", "equality"], vec![], vec!["negative zero"]]
    );
}
