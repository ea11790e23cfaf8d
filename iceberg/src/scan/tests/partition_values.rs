//! Columns whose values the partition tells and the data file lacks, as in tables migrated from Hive.

use std::collections::BTreeMap;
use std::sync::Arc;

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType};
use serde_json::json;

use super::memory_io::MemoryIo;
use super::values::*;
use crate::error::{Error, Result};
use crate::expr::{CompareOp, Literal, Predicate};
use crate::manifest::{DataContentType, DataFile};
use crate::scan::{FilePruner, NameMapping, ReadOptions, ScanFile};
use crate::spec::{
    Datum, NestedField, PartitionField, PartitionSpec, PrimitiveType as P, Schema, StructType,
    TableMetadata, Transform,
};
use crate::write::WriteOptions;

const SPEC: i32 = 3;
const ROWS: u64 = 100;

fn struct_of(fields: Vec<NestedField>) -> StructType {
    StructType::new(fields)
}

/// What the data files hold: `id`, and of struct `s` field `b`.
fn file_schema() -> Schema {
    let s = struct_of(vec![NestedField::optional(8, "b", P::Int)]);
    Schema::new(
        0,
        vec![
            NestedField::required(1, "id", P::Long),
            NestedField::optional(6, "s", s),
        ],
    )
}

/// What the table has now: partition columns besides, some of them promoted since.
fn table_schema() -> Schema {
    let s = struct_of(vec![
        NestedField::optional(7, "a", P::Long),
        NestedField::optional(8, "b", P::Int),
    ]);
    Schema::new(
        1,
        vec![
            NestedField::required(2, "kind", P::String),
            NestedField::optional(3, "n", P::Long),
            NestedField::optional(4, "day", P::Timestamp),
            NestedField::optional(5, "x", P::Double),
            NestedField::required(1, "id", P::Long),
            NestedField::optional(6, "s", s),
        ],
    )
}

fn spec() -> PartitionSpec {
    let fields = [2, 3, 4, 5, 7].map(|source| {
        PartitionField::new(
            source,
            1000 + source,
            format!("p{source}"),
            Transform::Identity,
        )
    });
    let bucket = PartitionField::new(1, 1001, "bucket", Transform::Bucket(4));
    PartitionSpec::new(SPEC, [vec![bucket], fields.to_vec()].concat())
}

/// The partition as its manifest had it before columns were promoted.
fn partition() -> Vec<Option<Datum>> {
    vec![
        Some(Datum::Int(2)),
        Some(Datum::String("new".to_owned())),
        Some(Datum::Int(7)),
        Some(Datum::Date(1)),
        Some(Datum::Float(0.5)),
        Some(Datum::Int(9)),
    ]
}

struct Fixture {
    io: MemoryIo,
    metadata: TableMetadata,
    schema: Schema,
    scan: ScanFile,
}

impl Fixture {
    fn new() -> Self {
        let schema = file_schema();
        let rows: Vec<Row> = (0..ROWS as i32)
            .map(|n| {
                let b = Some(Value::Primitive(Datum::Int(n)));
                let s = (n % 10 != 0).then(|| Value::Struct(vec![b]));
                vec![Some(Value::Primitive(Datum::Long(n.into()))), s]
            })
            .collect();
        Self::of(&schema, &rows)
    }

    fn of(schema: &Schema, rows: &[Row]) -> Self {
        let (file, data_file) = write(schema, &[to_batch(schema, rows)], small_groups());
        let io = MemoryIo::default();
        io.0.borrow_mut().insert("path".into(), file);
        let mut metadata = TableMetadata::new_table(
            table_schema(),
            PartitionSpec::unpartitioned(),
            "/t",
            Default::default(),
            uuid::Uuid::nil(),
            0,
        );
        metadata.partition_specs.push(Arc::new(spec()));
        let data_file = DataFile {
            partition_spec_id: SPEC,
            partition: partition(),
            ..data_file
        };
        Self {
            io,
            metadata,
            schema: table_schema(),
            scan: ScanFile {
                data_file: Arc::new(data_file),
                data_sequence_number: 1,
                deletes: Vec::new(),
            },
        }
    }

    fn set_partition(&mut self, partition: Vec<Option<Datum>>) {
        Arc::make_mut(&mut self.scan.data_file).partition = partition;
    }

    fn try_read(&self, projection: &[i32], predicate: Option<Predicate>) -> Result<RecordBatch> {
        let options = ReadOptions {
            projection: projection.to_vec(),
            predicate,
            ..ReadOptions::default()
        };
        let reader = self
            .scan
            .open(&self.io, &self.metadata, &self.schema, options)?;
        let schema = Arc::clone(reader.schema());
        let batches = reader.collect::<Result<Vec<_>>>()?;
        Ok(joined(&schema, &batches))
    }

    fn read(&self, projection: &[i32]) -> RecordBatch {
        self.try_read(projection, None).unwrap()
    }

    /// How many rows a predicate leaves, and whether planning leaves the file.
    fn count(&self, predicate: &Predicate) -> (usize, bool) {
        let pruner = FilePruner::new(
            predicate,
            &Arc::new(self.schema.clone()),
            &self.metadata.partition_specs,
        );
        let rows = self
            .try_read(&[], Some(predicate.clone()))
            .unwrap()
            .num_rows();
        (rows, pruner.file_may_match(&self.scan.data_file))
    }
}

fn compare(field_id: i32, op: CompareOp, value: Literal) -> Predicate {
    Predicate::Compare {
        field_id,
        op,
        value,
    }
}

#[test]
fn partition_values_fill_columns_that_the_file_lacks() {
    let batch = Fixture::new().read(&[3, 2, 1, 4, 5, 6]);
    assert_eq!(batch.num_rows() as u64, ROWS);
    let numbers = batch.column(0).as_primitive::<Int64Type>();
    let days = batch.column(3).as_primitive::<TimestampMicrosecondType>();
    let points = batch.column(4).as_primitive::<Float64Type>();
    let structs = batch.column(5).as_struct();
    for row in 0..batch.num_rows() {
        assert_eq!(numbers.value(row), 7);
        assert_eq!(batch.column(1).as_string::<i32>().value(row), "new");
        assert_eq!(
            batch.column(2).as_primitive::<Int64Type>().value(row),
            row as i64
        );
        assert_eq!(days.value(row), 86_400_000_000);
        assert_eq!(points.value(row), 0.5);
        assert_eq!(structs.is_null(row), row % 10 == 0);
        if structs.is_valid(row) {
            assert_eq!(structs.column(0).as_primitive::<Int64Type>().value(row), 9);
            assert_eq!(
                structs.column(1).as_primitive::<Int32Type>().value(row),
                row as i32
            );
        }
    }
    // Without any column of the file.
    let batch = Fixture::new().read(&[2]);
    assert_eq!(batch.column(0).as_string::<i32>().value(99), "new");
}

#[test]
fn filters_and_pruning_know_partition_values_that_the_file_lacks() {
    let fixture = Fixture::new();
    let text = |text: &str| Literal::String(text.to_owned());
    let all = (ROWS as usize, true);
    for (predicate, expected) in [
        (compare(2, CompareOp::Eq, text("new")), all),
        (compare(2, CompareOp::Eq, text("old")), (0, false)),
        (compare(2, CompareOp::NotEq, text("new")), (0, false)),
        (compare(3, CompareOp::Gt, Literal::Long(6)), all),
        (compare(3, CompareOp::Gt, Literal::Long(7)), (0, false)),
        (
            compare(4, CompareOp::GtEq, Literal::Timestamp(86_400_000_000)),
            all,
        ),
        (
            compare(4, CompareOp::Lt, Literal::Timestamp(86_400_000_000)),
            (0, false),
        ),
        (compare(5, CompareOp::Eq, Literal::Double(0.5)), all),
        (Predicate::IsNull { field_id: 2 }, (0, false)),
        (Predicate::NotNull { field_id: 3 }, all),
        (
            Predicate::Not(Box::new(Predicate::In {
                field_id: 3,
                values: vec![Literal::Long(7), Literal::Long(8)],
            })),
            (0, false),
        ),
        (
            Predicate::And(vec![
                compare(3, CompareOp::Eq, Literal::Long(7)),
                compare(1, CompareOp::Lt, Literal::Long(5)),
            ]),
            (5, true),
        ),
        (
            Predicate::Or(vec![
                compare(3, CompareOp::Eq, Literal::Long(8)),
                compare(1, CompareOp::GtEq, Literal::Long(90)),
            ]),
            (10, true),
        ),
    ] {
        assert_eq!(fixture.count(&predicate), expected, "{predicate:?}");
    }
}

#[test]
fn a_filter_on_a_partition_value_reads_nothing_of_a_file_that_it_excludes() {
    let fixture = Fixture::new();
    let file = Arc::clone(&fixture.io.0.borrow()["path"]);
    fixture.read(&[]);
    let footer = file.bytes_read.load(std::sync::atomic::Ordering::Relaxed);
    file.reset();
    let none = compare(3, CompareOp::Eq, Literal::Long(8));
    assert_eq!(fixture.try_read(&[1], Some(none)).unwrap().num_rows(), 0);
    let read = file.bytes_read.load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(read, footer);
}

#[test]
fn null_partition_values_are_null_and_go_before_initial_defaults() {
    let mut fixture = Fixture::new();
    let mut partition = partition();
    partition[2] = None;
    fixture.set_partition(partition);
    fixture.schema.fields.fields[1].initial_default = Some(json!(5));
    assert_eq!(fixture.read(&[3]).column(0).null_count() as u64, ROWS);
    let is_null = Predicate::IsNull { field_id: 3 };
    assert_eq!(fixture.count(&is_null), (ROWS as usize, true));
    let five = compare(3, CompareOp::Eq, Literal::Long(5));
    assert_eq!(fixture.count(&five), (0, false));
}

#[test]
fn a_required_column_with_a_null_partition_value_is_an_error() {
    let mut fixture = Fixture::new();
    let mut partition = partition();
    partition[1] = None;
    fixture.set_partition(partition);
    let error = fixture.try_read(&[2], None).unwrap_err();
    assert!(matches!(error, Error::InvalidData { .. }), "{error:?}");
}

#[test]
fn a_column_of_the_file_goes_before_the_partition_value_where_files_have_ids() {
    let schema = Schema::new(0, vec![NestedField::required(2, "kind", P::String)]);
    let row = vec![Some(Value::Primitive(Datum::String(
        "of the file".to_owned(),
    )))];
    let fixture = Fixture::of(&schema, &[row]);
    let batch = fixture.read(&[2]);
    assert_eq!(batch.column(0).as_string::<i32>().value(0), "of the file");
}

#[test]
fn the_partition_value_goes_before_columns_found_by_name() {
    let kinds = arrow::array::StringArray::from(vec!["of the file"]);
    let batch = RecordBatch::try_from_iter([("kind", Arc::new(kinds) as _)]).unwrap();
    let mut bytes = Vec::new();
    let mut writer =
        parquet::arrow::ArrowWriter::try_new(&mut bytes, batch.schema(), None).unwrap();
    writer.write(&batch).unwrap();
    writer.close().unwrap();
    let mut fixture = Fixture::new();
    let file = super::memory_io::MemoryFile::new(bytes);
    fixture.io.0.borrow_mut().insert("path".into(), file);
    Arc::make_mut(&mut fixture.scan.data_file).record_count = 1;
    for mapping in [None, Some(r#"[{"field-id": 2, "names": ["kind"]}]"#)] {
        fixture.metadata.properties = mapping
            .map(|json| (NameMapping::PROPERTY.to_owned(), json.to_owned()))
            .into_iter()
            .collect::<BTreeMap<_, _>>();
        let batch = fixture.read(&[2]);
        assert_eq!(batch.column(0).as_string::<i32>().value(0), "new");
    }
}

#[test]
fn equality_deletes_compare_partition_values_that_the_file_lacks() {
    let mut fixture = Fixture::new();
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(2, "kind", P::String),
            NestedField::required(1, "id", P::Long),
        ],
    );
    let row = |kind: &str, id: i64| {
        let kind = Datum::String(kind.to_owned());
        vec![
            Some(Value::Primitive(kind)),
            Some(Value::Primitive(Datum::Long(id))),
        ]
    };
    let rows = [row("new", 3), row("old", 4), row("new", 5)];
    let (file, data_file) = write(
        &schema,
        &[to_batch(&schema, &rows)],
        WriteOptions::default(),
    );
    fixture.io.0.borrow_mut().insert("e".into(), file);
    fixture.scan.deletes.push(Arc::new(DataFile {
        file_path: "e".to_owned(),
        content: DataContentType::EqualityDeletes,
        equality_ids: Some(vec![2, 1]),
        ..data_file
    }));
    let batch = fixture.read(&[1]);
    let left = batch
        .column(0)
        .as_primitive::<Int64Type>()
        .values()
        .to_vec();
    let expected: Vec<i64> = (0..100).filter(|id| ![3, 5].contains(id)).collect();
    assert_eq!(left, expected);
}

#[test]
fn a_partition_that_does_not_fit_the_tables_spec_is_an_error() {
    let mut fixture = Fixture::new();
    fixture.set_partition(vec![None]);
    let error = fixture.try_read(&[2], None).unwrap_err();
    assert!(matches!(error, Error::InvalidMetadata { .. }), "{error:?}");
    fixture.set_partition(partition());
    Arc::make_mut(&mut fixture.scan.data_file).partition_spec_id = 77;
    let error = fixture.try_read(&[2], None).unwrap_err();
    assert!(matches!(error, Error::InvalidMetadata { .. }), "{error:?}");
    let mut fixture = Fixture::new();
    let mut partition = partition();
    partition[2] = Some(Datum::String("seven".to_owned()));
    fixture.set_partition(partition);
    let error = fixture.try_read(&[3], None).unwrap_err();
    assert!(matches!(error, Error::InvalidData { .. }), "{error:?}");
}

#[test]
fn a_footer_with_another_number_of_rows_than_the_manifest_is_an_error() {
    let mut fixture = Fixture::new();
    Arc::make_mut(&mut fixture.scan.data_file).record_count = 99;
    let error = fixture.try_read(&[1], None).unwrap_err().to_string();
    let expected =
        "invalid data file \"path\": it has 100 rows, its manifest entry says 99".to_owned();
    assert_eq!(error, expected);
}
