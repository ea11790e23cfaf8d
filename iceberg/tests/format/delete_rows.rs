//! Rows of data files are deleted by their positions.

use std::collections::{BTreeMap, BTreeSet};
use std::rc::Rc;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch, StringArray};
use arrow::datatypes::Int64Type;
use iceberg_lite::commit::{SnapshotDelta, StagedSnapshot, delete_rows, stage};
use iceberg_lite::io::FileIo as _;
use iceberg_lite::manifest::{DataContentType, DataFile};
use iceberg_lite::scan::{DeleteCache, RowRanges};
use iceberg_lite::spec::{
    Datum, FormatVersion, NestedField, Operation, PartitionField, PartitionSpec, PrimitiveType,
    Schema, TableMetadata, Transform,
};
use iceberg_lite::write::{WriteOptions, arrow_schema, write_position_deletes};
use iceberg_lite::{Error, Result};
use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;
use proptest::prelude::*;
use proptest::sample::Index;

use crate::rewrite::{longs, rows, table_rows, write};
use crate::support::{MemoryFileIo, Table, data_file, path_of, schema};

const FILE_PATH: i32 = 2_147_483_546;
const POS: i32 = 2_147_483_545;

type Positions = BTreeMap<String, RowRanges>;

/// Positions of rows of files by their names.
fn positions<const N: usize>(of: [(&str, &[u64]); N]) -> Positions {
    of.map(|(name, rows)| (path_of(name), RowRanges::from_positions(rows.to_vec())))
        .into()
}

struct Fixture {
    table: Table,
    deletes: usize,
}

impl Fixture {
    fn new() -> Self {
        Self {
            table: Table::new(),
            deletes: 0,
        }
    }

    fn of_version_3() -> Self {
        let mut fixture = Self::new();
        fixture.table.upgrade();
        fixture
    }

    /// The bytes of the current snapshot's deletion vectors, by the names of the data files that they are about.
    fn vectors(&self) -> BTreeMap<String, (String, Vec<u8>)> {
        let entries = self.table.entries();
        let live = entries.iter().filter(|entry| entry.is_live());
        let vectors = live
            .map(|entry| &entry.data_file)
            .filter(|file| file.is_deletion_vector());
        let mut found = BTreeMap::new();
        for file in vectors {
            let bytes = &self.table.io.files.borrow()[&file.file_path];
            assert_eq!(file.file_size_in_bytes, bytes.len() as i64);
            let offset = usize::try_from(file.content_offset.unwrap()).unwrap();
            let length = usize::try_from(file.content_size_in_bytes.unwrap()).unwrap();
            let about = file.referenced_data_file.clone().unwrap();
            let vector = bytes[offset..offset + length].to_vec();
            let earlier = found.insert(about, (file.file_path.clone(), vector));
            assert_eq!(earlier, None, "a data file has one vector at most");
        }
        found
    }

    /// Writes a data file, which nothing names yet.
    fn write(&self, name: &str, numbers: std::ops::Range<i64>) -> Arc<DataFile> {
        let numbers: Vec<i64> = numbers.collect();
        write(&self.table.io, &path_of(name), rows(&numbers, false)).into()
    }

    /// Writes delete files, named `d1` and so on.
    fn try_delete(
        &mut self,
        added: Vec<Arc<DataFile>>,
        positions: &Positions,
    ) -> Result<SnapshotDelta> {
        let io = self.table.io.clone();
        let mut create = || {
            self.deletes += 1;
            let path = path_of(&format!("d{}", self.deletes));
            let output = io.create(&path)?;
            Ok((path, output))
        };
        let options = WriteOptions {
            row_group_rows: 3,
            ..WriteOptions::default()
        };
        let base = &self.table.metadata;
        delete_rows(base, added, positions, &io, &options, &mut create)
    }

    fn commit(&mut self, added: Vec<Arc<DataFile>>, positions: &Positions) -> SnapshotDelta {
        let delta = self.try_delete(added, positions).unwrap();
        self.table.commit(&delta);
        delta
    }

    /// Stages deleting a row of file `a`.
    fn stage_delete(&mut self, row: u64) -> StagedSnapshot {
        let delta = self.try_delete(Vec::new(), &positions([("a", &[row])]));
        self.table.stage(&delta.unwrap())
    }

    fn numbers(&self) -> Vec<i64> {
        let rows = table_rows(&self.table);
        rows.into_iter().map(|(id, _)| id / 10).collect()
    }

    /// The operation of the current snapshot, and those of these properties of its summary that it has.
    fn summary<const N: usize>(&self, names: [&str; N]) -> (Operation, [Option<i64>; N]) {
        let summary = &self.table.metadata.current_snapshot().unwrap().summary;
        (
            summary.operation.clone(),
            names.map(|name| summary.count(name)),
        )
    }
}

fn file(name: &str, rows: i64) -> DataFile {
    DataFile {
        partition: vec![Some(Datum::Int(3)), None],
        partition_spec_id: 4,
        ..data_file(name, rows)
    }
}

/// Whatever the path, readers tell by its bounds that the file is about no other.
#[test]
fn a_delete_file_says_which_data_file_it_is_about_and_has_positions_in_order() {
    let io = MemoryFileIo::default();
    let name = format!("日本語 {} \u{10ffff}\u{10ffff}", "é".repeat(300));
    let about = file(&name, 30_000);
    let rows = RowRanges::from_ranges([7..20_000, 3..5, 29_999..30_000]);
    let output = io.create("/d").unwrap();
    let options = WriteOptions::default();
    let written = write_position_deletes("/d".into(), output, &about, &rows, options).unwrap();

    let count = i64::try_from(rows.count()).unwrap();
    assert_eq!(written.content, DataContentType::PositionDeletes);
    assert_eq!(
        (
            &*written.file_path,
            written.record_count,
            written.sort_order_id
        ),
        ("/d", count, None)
    );
    assert_eq!(
        (&written.partition, written.partition_spec_id),
        (&about.partition, 4)
    );
    assert_eq!(written.referenced_data_file, Some(about.file_path.clone()));
    let path = about.file_path.as_bytes().to_vec();
    let bounds =
        |pos: i64| BTreeMap::from([(FILE_PATH, path.clone()), (POS, pos.to_le_bytes().to_vec())]);
    assert_eq!(written.lower_bounds, bounds(3));
    assert_eq!(written.upper_bounds, bounds(29_999));

    let bytes = bytes::Bytes::from(io.files.borrow()["/d"].clone());
    let length = i64::try_from(bytes.len()).unwrap();
    assert_eq!(written.file_size_in_bytes, length);
    assert!(length < 10_000, "{length} bytes");
    let reader = ParquetRecordBatchReaderBuilder::try_new(bytes).unwrap();
    let columns: Vec<_> = (reader.parquet_schema().root_schema().get_fields().iter())
        .map(|field| {
            let info = field.get_basic_info();
            let is_required = info.repetition() == parquet::basic::Repetition::REQUIRED;
            (info.name().to_owned(), info.id(), is_required)
        })
        .collect();
    let expected = [("file_path", FILE_PATH), ("pos", POS)];
    assert_eq!(
        columns,
        expected.map(|(name, id)| (name.to_owned(), id, true))
    );
    let mut found = Vec::new();
    for batch in reader.build().unwrap() {
        let batch = batch.unwrap();
        let paths = batch.column(0).as_string::<i32>();
        assert!(paths.iter().all(|path| path == Some(&about.file_path)));
        found.extend_from_slice(batch.column(1).as_primitive::<Int64Type>().values());
    }
    let expected: Vec<i64> = (3..5).chain(7..20_000).chain([29_999]).collect();
    assert_eq!(found, expected);
}

#[test]
fn delete_files_of_no_rows_or_of_rows_that_are_not_there_are_refused() {
    let io = MemoryFileIo::default();
    let about = file("a", 10);
    for rows in [RowRanges::default(), RowRanges::from_range(9..11)] {
        let output = io.create(&format!("/{}", rows.count())).unwrap();
        let options = WriteOptions::default();
        let error = write_position_deletes("/d".into(), output, &about, &rows, options);
        assert!(matches!(error, Err(Error::InvalidArgument { .. })));
    }
}

#[test]
fn later_deletes_supersede_earlier_ones_of_the_same_file_until_it_has_no_rows() {
    let mut fixture = Fixture::new();
    let added = vec![fixture.write("a", 0..10), fixture.write("b", 10..20)];
    fixture.commit(added, &Positions::new());
    let names = [
        "added-delete-files",
        "added-position-delete-files",
        "added-position-deletes",
        "removed-delete-files",
        "removed-position-delete-files",
        "removed-position-deletes",
        "total-delete-files",
        "total-position-deletes",
        "deleted-data-files",
        "total-records",
    ];
    assert_eq!(
        fixture.summary(names),
        (
            Operation::Append,
            [&[None; 9][..], &[Some(20)]].concat().try_into().unwrap()
        )
    );

    fixture.commit(Vec::new(), &positions([("a", &[0, 3, 4]), ("b", &[9])]));
    assert_eq!(fixture.table.live(), ["a", "b", "d1", "d2"]);
    let left: Vec<i64> = (0..19).filter(|n| ![0, 3, 4].contains(n)).collect();
    assert_eq!(fixture.numbers(), left);
    let none = None;
    let counts = [
        Some(2),
        Some(2),
        Some(4),
        none,
        none,
        none,
        Some(2),
        Some(4),
        none,
        Some(20),
    ];
    assert_eq!(fixture.summary(names), (Operation::Delete, counts));

    // One of them was deleted before.
    let delta = fixture.commit(Vec::new(), &positions([("a", &[4, 7])]));
    assert_eq!(delta.required_data_files, [path_of("a")].into());
    assert_eq!(fixture.table.live(), ["a", "b", "d2", "d3"]);
    let left: Vec<i64> = left.into_iter().filter(|n| *n != 7).collect();
    assert_eq!(fixture.numbers(), left);
    let counts = [
        Some(1),
        Some(1),
        Some(4),
        Some(1),
        Some(1),
        Some(3),
        Some(2),
        Some(5),
        none,
        Some(20),
    ];
    assert_eq!(fixture.summary(names), (Operation::Delete, counts));

    // All of them were.
    let delta = fixture.try_delete(Vec::new(), &positions([("a", &[0, 7]), ("b", &[])]));
    assert!(delta.unwrap().is_empty());

    let all: Vec<u64> = (0..10).filter(|row| ![3, 4].contains(row)).collect();
    let delta = fixture.commit(Vec::new(), &positions([("a", &all)]));
    assert!(delta.required_data_files.is_empty());
    assert_eq!(fixture.table.live(), ["b", "d2"]);
    assert_eq!(fixture.numbers(), (10..19).collect::<Vec<_>>());
    let counts = [
        none,
        none,
        none,
        Some(1),
        Some(1),
        Some(4),
        Some(1),
        Some(1),
        Some(1),
        Some(10),
    ];
    assert_eq!(fixture.summary(names), (Operation::Delete, counts));
    assert_eq!(fixture.deletes, 3);
}

#[test]
fn rows_of_files_added_by_the_same_commit_can_be_deleted() {
    let mut fixture = Fixture::new();
    let added = ["a", "b", "c"].map(|name| fixture.write(name, 0..4));
    let all = positions([("a", &[1]), ("b", &[0, 1, 2, 3])]);
    let delta = fixture.commit(added.to_vec(), &all);
    assert_eq!(
        delta.added_data_files,
        [Arc::clone(&added[0]), Arc::clone(&added[2])]
    );
    assert_eq!(fixture.table.live(), ["a", "c", "d1"]);
    assert_eq!(fixture.numbers(), [0, 0, 1, 2, 2, 3, 3]);
    let (operation, counts) = fixture.summary(["added-records", "added-position-deletes"]);
    assert_eq!(
        (operation, counts),
        (Operation::Overwrite, [Some(8), Some(1)])
    );

    // The deletes are as new as the file that they are about: later ones supersede them.
    fixture.commit(Vec::new(), &positions([("a", &[0])]));
    assert_eq!(fixture.table.live(), ["a", "c", "d2"]);
    assert_eq!(fixture.numbers(), [0, 1, 2, 2, 3, 3]);
}

#[test]
fn deletes_that_were_written_before_need_not_be_read() {
    let mut fixture = Fixture::new();
    fixture.table.io.delete_cache = Some(Rc::new(DeleteCache::new(1000)));
    let added = vec![fixture.write("a", 0..5)];
    fixture.commit(added, &positions([("a", &[1])]));
    fixture.table.io.files.borrow_mut().remove(&path_of("d1"));
    fixture.commit(Vec::new(), &positions([("a", &[3])]));
    assert_eq!(fixture.table.live(), ["a", "d2"]);
    fixture.table.io.files.borrow_mut().remove(&path_of("d2"));
    assert_eq!(fixture.numbers(), [0, 2, 4]);
}

#[test]
fn delete_files_are_in_the_partition_of_their_data_files() {
    let mut fixture = Fixture::new();
    let field = PartitionField::new(2, 1000, "kind", Transform::Truncate(6));
    fixture.table.metadata = TableMetadata::new_table(
        schema(),
        PartitionSpec::new(0, vec![field]),
        "/lake/t",
        BTreeMap::new(),
        uuid::Uuid::from_u128(7),
        1_000,
    );
    let kinds = ["kind 1", "kind 2"].map(|kind| vec![Some(Datum::String(kind.to_owned()))]);
    let added = [("a", 1), ("b", 2)].map(|(name, number)| {
        let numbers = [number, number * 10, number * 100];
        let file = write(&fixture.table.io, &path_of(name), rows(&numbers, false));
        let partition = vec![Some(Datum::String(format!("kind {number}")))];
        Arc::new(DataFile { partition, ..file })
    });
    fixture.commit(added.to_vec(), &Positions::new());
    let delta = fixture.commit(Vec::new(), &positions([("a", &[2]), ("b", &[0])]));
    let partitions = delta
        .added_delete_files
        .iter()
        .map(|file| file.partition.clone());
    assert_eq!(partitions.collect::<Vec<_>>(), kinds);
    assert_eq!(fixture.numbers(), [1, 10, 20, 200]);
    let (_, counts) = fixture.summary(["changed-partition-count", "added-delete-files"]);
    assert_eq!(counts, [Some(2), Some(2)]);
    let read = fixture.table.entries();
    let of_deletes = (read.iter().map(|entry| &entry.data_file))
        .filter(|file| file.content == DataContentType::PositionDeletes);
    assert_eq!(
        of_deletes
            .map(|file| file.partition.clone())
            .collect::<Vec<_>>(),
        kinds
    );
}

#[test]
fn deletes_about_several_files_stay() {
    let mut fixture = Fixture::new();
    let added = vec![fixture.write("a", 0..3), fixture.write("b", 3..6)];
    fixture.commit(added, &Positions::new());
    let of_both = foreign_deletes(&fixture.table.io, "x", &[("a", 0), ("b", 0)]);
    fixture.table.commit(&SnapshotDelta {
        added_delete_files: vec![of_both.into()],
        ..SnapshotDelta::default()
    });
    // The file has no rows left, but that is known only from deletes that are not read.
    fixture.commit(Vec::new(), &positions([("a", &[1, 2])]));
    assert_eq!(fixture.table.live(), ["a", "b", "d1", "x"]);
    assert_eq!(fixture.numbers(), [4, 5]);
}

#[test]
fn deleting_rows_of_a_file_that_is_gone_is_a_conflict() {
    let mut fixture = Fixture::new();
    let added = vec![fixture.write("a", 0..4), fixture.write("b", 4..5)];
    fixture.commit(added, &Positions::new());
    let of_gone = positions([("a", &[0]), ("gone", &[1])]);
    let error = fixture.try_delete(Vec::new(), &of_gone).unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert_eq!(error.path(), Some(&*path_of("gone")));
    assert_eq!(fixture.deletes, 0, "nothing is written");

    // Of two at the same time the deletes hold side by side, and later ones supersede them both.
    let [first, second] = [0, 1].map(|row| fixture.stage_delete(row));
    fixture.table.try_complete(&first).unwrap();
    fixture.table.try_complete(&second).unwrap();
    assert_eq!(fixture.numbers(), [2, 3, 4]);
    let [first, second] = [2, 2].map(|row| fixture.stage_delete(row));
    fixture.table.try_complete(&first).unwrap();
    assert_eq!(fixture.table.live(), ["a", "b", "d3"]);
    let error = fixture.table.try_complete(&second).unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert_eq!(fixture.numbers(), [3, 4]);
}

#[test]
fn rows_of_files_of_another_partition_spec_are_not_deleted_yet() {
    let mut fixture = Fixture::new();
    let mut added = fixture.write("a", 0..3);
    Arc::make_mut(&mut added).partition_spec_id = 1;
    let rows = positions([("a", &[0])]);
    let error = fixture.try_delete(vec![added], &rows).unwrap_err();
    assert!(matches!(error, Error::Unsupported { .. }), "{error:?}");

    // Nor are deletes staged as if they were of another spec than that of their data files.
    let added = fixture.write("b", 0..3);
    let delta = fixture.try_delete(vec![added], &positions([("b", &[0])]));
    let other = PartitionSpec {
        spec_id: 1,
        ..PartitionSpec::unpartitioned()
    };
    let error = stage(
        &delta.unwrap(),
        &schema(),
        &other,
        "/lake/t",
        FormatVersion::V2,
        &fixture.table.io,
    );
    assert!(
        matches!(error, Err(Error::InvalidArgument { .. })),
        "{error:?}"
    );
}

/// Deletes as another engine may write them: about any number of files, and naming none of them in the manifest.
fn foreign_deletes(io: &MemoryFileIo, name: &str, rows: &[(&str, i64)]) -> DataFile {
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(FILE_PATH, "file_path", PrimitiveType::String),
            NestedField::required(POS, "pos", PrimitiveType::Long),
        ],
    );
    let paths: BTreeSet<String> = rows.iter().map(|(about, _)| path_of(about)).collect();
    let column = StringArray::from_iter_values(rows.iter().map(|(about, _)| path_of(about)));
    let columns = vec![
        Arc::new(column) as ArrayRef,
        longs(rows.iter().map(|row| row.1)),
    ];
    let batch = RecordBatch::try_new(arrow_schema(&schema).unwrap(), columns).unwrap();
    let bound =
        |path: Option<&String>| BTreeMap::from([(FILE_PATH, path.unwrap().clone().into_bytes())]);
    DataFile {
        content: DataContentType::PositionDeletes,
        lower_bounds: bound(paths.first()),
        upper_bounds: bound(paths.last()),
        ..write(io, &path_of(name), (schema, batch))
    }
}

#[test]
fn later_deletion_vectors_supersede_earlier_ones_of_the_same_file_until_it_has_no_rows() {
    let mut fixture = Fixture::of_version_3();
    let added = ["a", "b", "c"].map(|name| fixture.write(name, 0..4));
    fixture.commit(added.to_vec(), &Positions::new());
    fixture.commit(Vec::new(), &positions([("a", &[0]), ("b", &[1, 2])]));
    let names = ["total-delete-files", "added-dvs", "removed-dvs"];
    let (operation, counts) = fixture.summary(names);
    assert_eq!(
        (operation, counts),
        (Operation::Delete, [Some(2), Some(2), None])
    );
    let first = fixture.vectors();

    fixture.commit(Vec::new(), &positions([("a", &[3])]));
    let (_, counts) = fixture.summary(names);
    assert_eq!(counts, [Some(2), Some(1), Some(1)]);
    assert_eq!(fixture.table.live(), ["a", "b", "c", "d2", "d3"]);
    assert_eq!(first[&path_of("b")], fixture.vectors()[&path_of("b")]);
    assert_eq!(fixture.numbers(), [0, 0, 1, 1, 2, 2, 3, 3]);

    fixture.commit(Vec::new(), &positions([("b", &[0, 3])]));
    assert_eq!(fixture.table.live(), ["a", "c", "d3"]);
    assert_eq!(fixture.numbers(), [0, 1, 1, 2, 2, 3]);
}

/// As other engines write them.
#[test]
fn of_vectors_that_share_a_file_each_is_superseded_by_itself() {
    let mut fixture = Fixture::of_version_3();
    let added = ["a", "b"].map(|name| fixture.write(name, 0..4));
    fixture.commit(added.to_vec(), &Positions::new());
    let delta = fixture.try_delete(Vec::new(), &positions([("a", &[0]), ("b", &[1, 2])]));
    let mut delta = delta.unwrap();
    let mut shared = Vec::new();
    for file in &mut delta.added_delete_files {
        let file = Arc::make_mut(file);
        let bytes = fixture.table.io.files.borrow()[&file.file_path].clone();
        file.file_path = path_of("shared");
        file.content_offset = Some(shared.len() as i64 + 4);
        shared.extend(bytes);
    }
    for file in &mut delta.added_delete_files {
        Arc::make_mut(file).file_size_in_bytes = shared.len() as i64;
    }
    fixture
        .table
        .io
        .files
        .borrow_mut()
        .insert(path_of("shared"), shared);
    fixture.table.commit(&delta);
    assert_eq!(fixture.numbers(), [0, 1, 2, 3, 3]);
    fixture.commit(Vec::new(), &positions([("a", &[3])]));
    assert_eq!(fixture.table.live(), ["a", "b", "d3", "shared"]);
    assert_eq!(fixture.numbers(), [0, 1, 2, 3]);
    fixture.commit(Vec::new(), &positions([("b", &[0])]));
    assert_eq!(fixture.table.live(), ["a", "b", "d3", "d4"]);
    assert_eq!(fixture.numbers(), [1, 2, 3]);
}

/// As the Puffin specification lays the file out.
#[test]
fn a_file_of_a_deletion_vector_says_what_is_in_it() {
    let mut fixture = Fixture::of_version_3();
    let added = vec![fixture.write("a", 0..4)];
    fixture.commit(added, &positions([("a", &[0, 2])]));
    let bytes = fixture.table.io.files.borrow()[&path_of("d1")].clone();
    let (rest, tail) = bytes.split_at(bytes.len() - 12);
    assert_eq!((&bytes[..4], &tail[8..]), (&b"PFA1"[..], &b"PFA1"[..]));
    assert_eq!(tail[4..8], [0; 4]);
    let length = u32::from_le_bytes(tail[..4].try_into().unwrap()) as usize;
    let (blobs, payload) = rest.split_at(rest.len() - length);
    assert!(blobs.ends_with(b"PFA1"));
    let payload: serde_json::Value = serde_json::from_slice(payload).unwrap();
    let [blob] = &payload["blobs"].as_array().unwrap()[..] else {
        panic!("{payload}")
    };
    assert_eq!(blob["type"], "deletion-vector-v1");
    assert_eq!(blob["fields"], serde_json::json!([2_147_483_645]));
    for number in ["snapshot-id", "sequence-number"] {
        assert_eq!(blob[number], -1);
    }
    let [offset, length] = ["offset", "length"].map(|name| blob[name].as_u64().unwrap() as usize);
    let vector = &bytes[offset..offset + length];
    assert_eq!(fixture.vectors()[&path_of("a")].1, vector);
    assert_eq!(blob["properties"]["referenced-data-file"], path_of("a"));
    assert_eq!(blob["properties"]["cardinality"], "2");
}

#[test]
fn two_deletion_vectors_of_a_file_are_a_conflict() {
    let mut fixture = Fixture::of_version_3();
    let added = ["a", "b"].map(|name| fixture.write(name, 0..4));
    fixture.commit(added.to_vec(), &positions([("b", &[0])]));
    let [first, second] = [0, 1].map(|row| fixture.stage_delete(row));
    fixture.table.try_complete(&first).unwrap();
    let error = fixture.table.try_complete(&second).unwrap_err();
    assert!(error.is_conflict(), "{error:?}");
    assert_eq!(error.path(), Some(&*path_of("a")));
    assert_eq!(fixture.vectors().len(), 2);
    assert_eq!(fixture.numbers(), [1, 1, 2, 2, 3, 3]);
}

/// Beside a vector position delete files do not count, so it has to have what they say, whatever files they are about.
#[test]
fn a_deletion_vector_has_the_positions_of_earlier_delete_files() {
    let mut fixture = Fixture::new();
    let added = ["a", "b"].map(|name| fixture.write(name, 0..6));
    fixture.commit(added.to_vec(), &positions([("a", &[0])]));
    let of_both = foreign_deletes(&fixture.table.io, "x", &[("a", 1), ("b", 0)]);
    fixture.table.commit(&SnapshotDelta {
        added_delete_files: vec![of_both.into()],
        ..SnapshotDelta::default()
    });
    let before_upgrade = fixture.stage_delete(5);
    fixture.table.upgrade();
    let error = fixture.table.try_complete(&before_upgrade).unwrap_err();
    assert!(matches!(error, Error::InvalidArgument { .. }), "{error:?}");

    fixture.commit(Vec::new(), &positions([("a", &[2])]));
    assert_eq!(fixture.table.live(), ["a", "b", "d3", "x"]);
    assert_eq!(fixture.numbers(), [1, 2, 3, 3, 4, 4, 5, 5]);
    // What is deleted already becomes a vector as well, and then stays one.
    fixture.commit(Vec::new(), &positions([("b", &[0])]));
    assert_eq!(fixture.table.live(), ["a", "b", "d3", "d4", "x"]);
    let delta = fixture.try_delete(Vec::new(), &positions([("b", &[0])]));
    assert!(delta.unwrap().is_empty());
}

#[derive(Debug, Clone)]
enum Step {
    /// The table is given version 3.
    Upgrade,
    /// Files of so many rows are added, and rows are deleted, by their places among those of all files.
    Commit {
        added: Vec<usize>,
        deleted: Vec<Index>,
    },
    /// Another engine deletes rows, one of any file, or several of one.
    Foreign(Vec<Index>, bool),
}

fn step() -> impl Strategy<Value = Step> {
    let indexes = |count: std::ops::Range<usize>| prop::collection::vec(any::<Index>(), count);
    prop_oneof![
        5 => (prop::collection::vec(1..6_usize, 0..3), indexes(0..8))
            .prop_map(|(added, deleted)| Step::Commit { added, deleted }),
        1 => (indexes(1..4), any::<bool>()).prop_map(|(rows, of_one)| Step::Foreign(rows, of_one)),
        1 => Just(Step::Upgrade),
    ]
}

/// A table, and by the names of its data files the numbers of their rows, without those that were deleted.
struct Model {
    fixture: Fixture,
    files: BTreeMap<String, Vec<Option<i64>>>,
    next: i64,
    names: usize,
}

impl Model {
    fn name(&mut self, prefix: &str) -> String {
        self.names += 1;
        format!("{prefix}{}", self.names)
    }

    /// Rows of live files by index, those that were deleted before among them.
    fn pick(&self, indexes: &[Index]) -> Vec<(String, usize)> {
        let rows: Vec<(&String, usize)> = (self.files.iter())
            .flat_map(|(name, rows)| (0..rows.len()).map(move |row| (name, row)))
            .collect();
        let pick = |index: &Index| {
            let (name, row) = rows[index.index(rows.len())];
            (name.clone(), row)
        };
        let picked = (!rows.is_empty()).then(|| indexes.iter().map(pick).collect());
        picked.unwrap_or_default()
    }

    fn commit(&mut self, added: &[usize], deleted: &[Index]) {
        let mut files = Vec::new();
        for count in added {
            let numbers = self.next..self.next + i64::try_from(*count).unwrap();
            self.next = numbers.end;
            let name = self.name("f");
            files.push(self.fixture.write(&name, numbers.clone()));
            self.files.insert(name, numbers.map(Some).collect());
        }
        let mut rows: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        for (name, row) in self.pick(deleted) {
            self.files.get_mut(&name).unwrap()[row] = None;
            rows.entry(path_of(&name)).or_default().push(row as u64);
        }
        let positions: Positions = (rows.into_iter())
            .map(|(path, rows)| (path, RowRanges::from_positions(rows)))
            .collect();
        let added: Vec<String> = (files.iter()).map(|file| file.file_path.clone()).collect();
        let delta = self.fixture.try_delete(files, &positions).unwrap();
        let gone: BTreeSet<String> = (added.into_iter())
            .filter(|path| {
                let mut left = delta.added_data_files.iter();
                left.all(|file| file.file_path != *path)
            })
            .chain(delta.removed_data_files.iter().cloned())
            .collect();
        // A file without rows stays if others deleted the last ones.
        self.files.retain(|name, _| !gone.contains(&path_of(name)));
        if delta.is_empty() {
            return;
        }
        let deletes = !delta.added_delete_files.is_empty() || !delta.removed_data_files.is_empty();
        let expected = match (delta.added_data_files.is_empty(), deletes) {
            (false, false) => Operation::Append,
            (false, true) => Operation::Overwrite,
            (true, _) => Operation::Delete,
        };
        self.fixture.table.commit(&delta);
        assert_eq!(self.fixture.summary([]).0, expected);
        for path in positions.keys() {
            self.check_deletes_of(path);
        }
    }

    /// What is deleted of a file is in one delete file, and is not all of it.
    fn check_deletes_of(&self, path: &str) {
        let entries = self.fixture.table.entries();
        let live = || {
            entries
                .iter()
                .filter(|entry| entry.is_live())
                .map(|entry| &entry.data_file)
        };
        let is_about_it = |file: &DataFile| {
            let bounds = [&file.lower_bounds, &file.upper_bounds];
            let has_bounds = bounds.iter().all(|bounds| {
                let bound = bounds.get(&FILE_PATH);
                bound.is_some_and(|bound| bound == path.as_bytes())
            });
            let is_vector = file.referenced_data_file.as_deref() == Some(path);
            file.content == DataContentType::PositionDeletes && (has_bounds || is_vector)
        };
        let is_v3 = self.fixture.table.metadata.format_version == FormatVersion::V3;
        let deletes: Vec<_> = live().filter(|file| is_about_it(file)).collect();
        match live().find(|file| file.file_path == path) {
            None => assert!(deletes.is_empty(), "{deletes:?}"),
            Some(file) => {
                let [delete] = deletes[..] else {
                    panic!("{deletes:?}")
                };
                assert!(delete.record_count < file.record_count);
                assert_eq!(delete.is_deletion_vector(), is_v3);
            }
        }
    }

    fn foreign(&mut self, indexes: &[Index], of_one: bool) {
        let mut rows: BTreeSet<(String, usize)> = self.pick(indexes).into_iter().collect();
        let Some((first, _)) = rows.first().cloned() else {
            return;
        };
        if of_one {
            rows.retain(|(name, _)| *name == first);
        }
        for (name, row) in &rows {
            self.files.get_mut(name).unwrap()[*row] = None;
        }
        let rows: Vec<_> = (rows.iter())
            .map(|(name, row)| (name.as_str(), i64::try_from(*row).unwrap()))
            .collect();
        let name = self.name("x");
        let file = foreign_deletes(&self.fixture.table.io, &name, &rows);
        self.fixture.table.commit(&SnapshotDelta {
            added_delete_files: vec![file.into()],
            ..SnapshotDelta::default()
        });
    }

    fn check(&self) {
        let table = &self.fixture.table;
        if table.metadata.current_snapshot().is_none() {
            return;
        }
        let expected: BTreeSet<i64> = self.files.values().flatten().flatten().copied().collect();
        let expected: Vec<i64> = expected.into_iter().collect();
        assert_eq!(self.fixture.numbers(), expected);
        let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
        for entry in table.entries().iter().filter(|entry| entry.is_live()) {
            let (files, rows) = match entry.data_file.content {
                DataContentType::Data => ("total-data-files", "total-records"),
                _ => ("total-delete-files", "total-position-deletes"),
            };
            *totals.entry(files).or_default() += 1;
            *totals.entry(rows).or_default() += entry.data_file.record_count;
            let bytes = entry.data_file.content_size_in_bytes;
            let bytes = bytes.unwrap_or(entry.data_file.file_size_in_bytes);
            *totals.entry("total-files-size").or_default() += bytes;
        }
        for name in [
            "total-data-files",
            "total-records",
            "total-delete-files",
            "total-position-deletes",
            "total-files-size",
        ] {
            assert_eq!(
                table.total(name),
                totals.get(name).copied().unwrap_or(0),
                "{name}"
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn a_table_has_the_rows_that_were_not_deleted(
        steps in prop::collection::vec(step(), 1..16),
        has_cache in any::<bool>(),
    ) {
        let mut model = Model {
            fixture: Fixture::new(),
            files: BTreeMap::new(),
            next: 0,
            names: 0,
        };
        model.fixture.table.io.delete_cache =
            has_cache.then(|| Rc::new(DeleteCache::new(1000)));
        for step in steps {
            match step {
                Step::Commit { added, deleted } => model.commit(&added, &deleted),
                // Nobody may add position delete files to a table of version 3.
                Step::Foreign(..)
                    if model.fixture.table.metadata.format_version == FormatVersion::V3 => {}
                Step::Foreign(rows, of_one) => model.foreign(&rows, of_one),
                Step::Upgrade => model.fixture.table.upgrade(),
            }
            model.check();
        }
    }
}
