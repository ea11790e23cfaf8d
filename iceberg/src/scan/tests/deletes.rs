//! Rows removed by delete files and deletion vectors.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use super::memory_io::{MemoryFile, MemoryIo};
use super::values::*;
use crate::error::{Error, Result};
use crate::manifest::{DataContentType, DataFile, DataFileFormat};
use crate::scan::{DeleteCache, ReadOptions, ScanFile};
use crate::spec::{
    Datum, NestedField, PartitionSpec, PrimitiveType as P, Schema, StructType, TableMetadata,
};
use crate::write::WriteOptions;

fn long(value: i64) -> Option<Value> {
    Some(Value::Primitive(Datum::Long(value)))
}

fn text(value: &str) -> Option<Value> {
    Some(Value::Primitive(Datum::String(value.to_owned())))
}

/// Rows `(n, "word n % 5")`, where every seventh word is NULL.
fn table() -> (Schema, Vec<Row>) {
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(1, "n", P::Long),
            NestedField::optional(2, "word", P::String),
        ],
    );
    let row = |n: i64| {
        vec![
            long(n),
            if n % 7 == 0 {
                None
            } else {
                text(&format!("word {}", n % 5))
            },
        ]
    };
    (schema, (0..100).map(row).collect())
}

struct Fixture {
    io: MemoryIo,
    metadata: TableMetadata,
    schema: Schema,
    scan: ScanFile,
}

impl Fixture {
    fn new() -> Self {
        let (schema, rows) = table();
        Self::of(&schema, &rows)
    }

    fn of(schema: &Schema, rows: &[Row]) -> Self {
        let schema = schema.clone();
        let (file, data_file) = write(&schema, &[to_batch(&schema, rows)], small_groups());
        let io = MemoryIo::default();
        io.0.borrow_mut().insert("path".into(), file);
        let metadata = TableMetadata::new_table(
            schema.clone(),
            PartitionSpec::unpartitioned(),
            "/t",
            Default::default(),
            uuid::Uuid::nil(),
            0,
        );
        let scan = ScanFile {
            data_file: Arc::new(data_file),
            data_sequence_number: 1,
            deletes: Vec::new(),
        };
        Self {
            io,
            metadata,
            schema,
            scan,
        }
    }

    fn add_delete(&mut self, name: &str, schema: &Schema, rows: &[Row], delete: DataFile) {
        let (file, _) = write(schema, &[to_batch(schema, rows)], WriteOptions::default());
        let record_count = i64::try_from(rows.len()).unwrap();
        let delete = DataFile {
            record_count,
            ..delete
        };
        self.add_delete_file(name, file, delete);
    }

    fn add_delete_file(&mut self, name: &str, file: Arc<MemoryFile>, delete: DataFile) {
        self.io.0.borrow_mut().insert(name.to_owned(), file);
        let delete = DataFile {
            file_path: name.to_owned(),
            ..delete
        };
        self.scan.deletes.push(Arc::new(delete));
    }

    /// What opening the data file says.
    fn open_error(&self) -> String {
        let (io, metadata) = (&self.io, &self.metadata);
        let options = ReadOptions::default();
        let outcome = self.scan.open(io, metadata, &self.schema, options);
        outcome.err().unwrap().to_string()
    }

    fn rows_left(&self) -> Vec<u64> {
        let options = ReadOptions {
            projection: all_columns(&self.schema),
            ..ReadOptions::default()
        };
        let reader = self
            .scan
            .open(&self.io, &self.metadata, &self.schema, options)
            .unwrap();
        positions(&reader.map(Result::unwrap).collect::<Vec<_>>())
    }
}

fn content(content: DataContentType) -> DataFile {
    DataFile {
        content,
        ..DataFile::default()
    }
}

/// The columns of position delete files.
fn position_delete_schema() -> Schema {
    Schema::new(
        0,
        vec![
            NestedField::required(2_147_483_546, "file_path", P::String),
            NestedField::required(2_147_483_545, "pos", P::Long),
        ],
    )
}

#[test]
fn position_deletes_remove_rows_of_the_file_they_name() {
    let mut fixture = Fixture::new();
    let schema = position_delete_schema();
    let rows: Vec<Row> = [
        ("other", 1),
        ("path", 0),
        ("path", 41),
        ("path", 42),
        ("pathology", 5),
    ]
    .map(|(path, position)| vec![text(path), long(position)])
    .to_vec();
    fixture.add_delete(
        "p",
        &schema,
        &rows,
        content(DataContentType::PositionDeletes),
    );
    let expected: Vec<u64> = (0..100).filter(|row| ![0, 41, 42].contains(row)).collect();
    assert_eq!(fixture.rows_left(), expected);
}

#[test]
fn equality_deletes_remove_rows_with_equal_values_nulls_among_them() {
    let mut fixture = Fixture::new();
    let schema = Schema::new(0, vec![NestedField::optional(2, "renamed", P::String)]);
    let delete = DataFile {
        equality_ids: Some(vec![2]),
        ..content(DataContentType::EqualityDeletes)
    };
    fixture.add_delete("e", &schema, &[vec![text("word 3")], vec![None]], delete);
    let expected: Vec<u64> = (0..100).filter(|n| n % 7 != 0 && n % 5 != 3).collect();
    assert_eq!(fixture.rows_left(), expected);

    let both = DataFile {
        equality_ids: Some(vec![2, 1]),
        ..content(DataContentType::EqualityDeletes)
    };
    let schema = Schema::new(
        0,
        vec![
            NestedField::optional(1, "n", P::Long),
            NestedField::optional(2, "word", P::String),
        ],
    );
    let rows = [vec![long(1), text("word 1")], vec![long(2), text("word 1")]];
    fixture.add_delete("e2", &schema, &rows, both);
    let expected: Vec<u64> = expected.into_iter().filter(|n| *n != 1).collect();
    assert_eq!(fixture.rows_left(), expected);
}

#[test]
fn equality_deletes_take_all_nans_for_equal_and_zeros_of_different_signs_for_different() {
    let float = |bits: u64| Some(Value::Primitive(Datum::Double(f64::from_bits(bits))));
    let (nan, zero) = (f64::NAN.to_bits(), 0_f64.to_bits());
    let (negative_nan, negative_zero) = (nan | 1 << 63 | 7, (-0_f64).to_bits());
    let schema = Schema::new(0, vec![NestedField::optional(1, "x", P::Double)]);
    let rows: Vec<Row> = [nan, negative_nan, zero, negative_zero, 1_f64.to_bits()]
        .map(|bits| vec![float(bits)])
        .to_vec();
    let mut fixture = Fixture::of(&schema, &rows);
    let delete = DataFile {
        equality_ids: Some(vec![1]),
        ..content(DataContentType::EqualityDeletes)
    };
    let deleted = [vec![float(nan | 3)], vec![float(zero)]];
    fixture.add_delete("e", &schema, &deleted, delete);
    assert_eq!(fixture.rows_left(), [3, 4]);
}

/// A deletion vector of these positions, which are below 65,536.
fn vector(positions: &[u16]) -> Vec<u8> {
    let mut vector = vec![0xd1, 0xd3, 0x39, 0x64];
    vector.extend(1_u64.to_le_bytes());
    vector.extend(0_u32.to_le_bytes());
    vector.extend(12346_u32.to_le_bytes());
    vector.extend(1_u32.to_le_bytes());
    let cardinality = u16::try_from(positions.len() - 1).unwrap();
    vector.extend(0_u16.to_le_bytes());
    vector.extend(cardinality.to_le_bytes());
    vector.extend(0_u32.to_le_bytes());
    vector.extend(positions.iter().flat_map(|position| position.to_le_bytes()));
    let mut crc = flate2::Crc::new();
    crc.update(&vector);
    let length = u32::try_from(vector.len()).unwrap();
    [
        &length.to_be_bytes()[..],
        &vector,
        &crc.sum().to_be_bytes()[..],
    ]
    .concat()
}

fn vector_at(offset: usize, blob: &[u8], rows: i64) -> DataFile {
    DataFile {
        file_format: DataFileFormat::Puffin,
        content_offset: i64::try_from(offset).ok(),
        content_size_in_bytes: i64::try_from(blob.len()).ok(),
        record_count: rows,
        ..content(DataContentType::PositionDeletes)
    }
}

#[test]
fn of_several_deletion_vectors_in_a_file_the_one_at_the_offset_is_read() {
    let vectors = [vector(&[1, 2]), vector(&[3, 99]), vector(&[5])];
    let file = MemoryFile::new([&b"PFA1"[..], &vectors.concat(), b"footer"].concat());
    let mut offset = 4;
    for (blob, deleted) in vectors.iter().zip([&[1, 2][..], &[3, 99], &[5]]) {
        let mut fixture = Fixture::new();
        let rows = i64::try_from(deleted.len()).unwrap();
        fixture.add_delete_file("v", Arc::clone(&file), vector_at(offset, blob, rows));
        let expected: Vec<u64> = (0..100).filter(|row| !deleted.contains(row)).collect();
        assert_eq!(fixture.rows_left(), expected);
        offset += blob.len();
    }
}

/// Deletes about one data file are read once, those of others in the same file too, and those about several files and
/// those that are too large for the cache each time.
#[test]
fn deletes_of_a_single_file_are_read_once_while_there_is_room_for_them() {
    let blobs = [vector(&[1, 2]), vector(&[3, 99])];
    let vectors = MemoryFile::new([&b"PFA1"[..], &blobs.concat()].concat());
    let schema = position_delete_schema();
    let rows = [0, 41].map(|position| vec![text("path"), long(position)]);
    let (positions, _) = write(
        &schema,
        &[to_batch(&schema, &rows)],
        WriteOptions::default(),
    );
    let of_several = DataFile {
        record_count: 2,
        ..content(DataContentType::PositionDeletes)
    };
    let bound = std::collections::BTreeMap::from([(2_147_483_546, b"path".to_vec())]);
    let by_reference = DataFile {
        referenced_data_file: Some("path".to_owned()),
        ..of_several.clone()
    };
    let by_bounds = DataFile {
        lower_bounds: bound.clone(),
        upper_bounds: bound,
        ..of_several.clone()
    };
    let second = vector_at(4 + blobs[0].len(), &blobs[1], 2);
    for (bytes, delete, is_kept) in [
        (1 << 20, by_reference.clone(), true),
        (1 << 20, by_bounds, true),
        (1 << 20, of_several, false),
        (30, by_reference, false),
        (1 << 20, second, true),
    ] {
        let is_vector = delete.file_format == DataFileFormat::Puffin;
        let file = if is_vector { &vectors } else { &positions };
        let mut fixture = Fixture::new();
        fixture.io.2 = Some(Rc::new(DeleteCache::new(bytes)));
        if is_vector {
            let first = vector_at(4, &blobs[0], 2);
            fixture.add_delete_file("d", Arc::clone(file), first);
            assert_eq!(fixture.rows_left().len(), 98);
            fixture.scan.deletes.clear();
        }
        let deleted = if is_vector { [3, 99] } else { [0, 41] };
        fixture.add_delete_file("d", Arc::clone(file), delete);
        let expected: Vec<u64> = (0..100).filter(|row| !deleted.contains(row)).collect();
        assert_eq!(fixture.rows_left(), expected);
        let before = file.reads.load(Ordering::Relaxed);
        assert_eq!(fixture.rows_left(), expected);
        let is_read_again = file.reads.load(Ordering::Relaxed) > before;
        assert_eq!(is_read_again, !is_kept);
    }
}

#[test]
fn deletes_with_another_number_of_rows_than_their_manifest_entry_are_an_error() {
    let blob = vector(&[1, 2]);
    let file = MemoryFile::new([&b"PFA1"[..], &blob].concat());
    let mut fixture = Fixture::new();
    fixture.add_delete_file("v", file, vector_at(4, &blob, 3));
    let error = fixture.open_error();
    assert!(
        error.contains("it has 2 rows, its manifest entry says 3"),
        "{error}"
    );
}

#[test]
fn an_equality_delete_file_without_its_column_is_an_error() {
    let of = |id, name| NestedField::optional(id, name, P::Long);
    let structure = |fields| NestedField::optional(3, "p", StructType::new(fields));
    let table = Schema::new(
        0,
        vec![
            of(1, "n"),
            of(2, "m"),
            structure(vec![of(4, "x"), of(5, "y")]),
        ],
    );
    let in_structure = Some(Value::Struct(vec![long(1)]));
    for (id, column, value) in [
        (2, of(1, "n"), long(1)),
        (5, structure(vec![of(4, "x")]), in_structure),
    ] {
        let mut fixture = Fixture::of(&table, &[vec![long(1), long(2), None]]);
        let delete = DataFile {
            equality_ids: Some(vec![id]),
            ..content(DataContentType::EqualityDeletes)
        };
        let schema = Schema::new(0, vec![column]);
        fixture.add_delete("e", &schema, &[vec![value]], delete);
        let error = fixture.open_error();
        assert!(
            error.contains("by which it deletes, is not in the file"),
            "{error}"
        );
    }
}

#[test]
fn files_of_other_formats_are_refused() {
    let mut fixture = Fixture::new();
    Arc::make_mut(&mut fixture.scan.data_file).file_format = DataFileFormat::Orc;
    let (io, metadata) = (&fixture.io, &fixture.metadata);
    let error = fixture
        .scan
        .open(io, metadata, &fixture.schema, ReadOptions::default());
    assert!(matches!(error.err(), Some(Error::Unsupported { .. })));
}
