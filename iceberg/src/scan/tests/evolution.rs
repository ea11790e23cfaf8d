//! Files are read under a later schema of their table.

use std::sync::Arc;

use arrow::array::{Array, AsArray};
use arrow::datatypes::{Decimal128Type, Float64Type, Int32Type, Int64Type};
use serde_json::json;

use super::values::*;
use crate::expr::{CompareOp, Literal, Predicate};
use crate::scan::{DataFileReader, ReadOptions};
use crate::spec::{Datum, ListType, MapType, NestedField, PrimitiveType as P, Schema, StructType};
use crate::write::WriteOptions;

fn primitive(datum: Datum) -> Option<Value> {
    Some(Value::Primitive(datum))
}

fn struct_schema(fields: Vec<NestedField>) -> StructType {
    StructType::new(fields)
}

/// `int a, float b, decimal(5,2) c, struct(10 x int, 11 y string) s, list<struct(13 p int)> l`
fn old() -> (Schema, Vec<Row>) {
    let element = struct_schema(vec![NestedField::optional(22, "p", P::Int)]);
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(1, "a", P::Int),
            NestedField::optional(2, "b", P::Float),
            NestedField::optional(
                3,
                "c",
                P::Decimal {
                    precision: 5,
                    scale: 2,
                },
            ),
            NestedField::optional(
                4,
                "s",
                struct_schema(vec![
                    NestedField::optional(10, "x", P::Int),
                    NestedField::optional(11, "y", P::String),
                ]),
            ),
            NestedField::optional(20, "l", ListType::new(21, element, false)),
        ],
    );
    let row = |n: i32| {
        let text = primitive(Datum::String(format!("y{n}")));
        let element = |v: i32| Some(Value::Struct(vec![primitive(Datum::Int(v))]));
        vec![
            primitive(Datum::Int(n)),
            primitive(Datum::Float(n as f32 / 2.0)),
            primitive(Datum::Decimal {
                unscaled: n.into(),
                precision: 5,
                scale: 2,
            }),
            (n % 3 != 0).then(|| Value::Struct(vec![primitive(Datum::Int(n * 10)), text])),
            (n % 4 != 0).then(|| Value::List(vec![element(n), None, element(n + 1)])),
        ]
    };
    (schema, (0..100).map(row).collect())
}

#[test]
fn renamed_reordered_promoted_and_added_columns_are_found_by_id() {
    let (schema, rows) = old();
    let (file, _) = write(&schema, &[to_batch(&schema, &rows)], small_groups());
    let with_default = NestedField {
        initial_default: Some(json!(7)),
        ..NestedField::required(9, "with_default", P::Int)
    };
    let element = struct_schema(vec![
        NestedField::optional(23, "added", P::String),
        NestedField::optional(22, "renamed", P::Long),
    ]);
    let new = Schema::new(
        1,
        vec![
            NestedField::optional(5, "added", P::Uuid),
            NestedField::optional(
                3,
                "c2",
                P::Decimal {
                    precision: 20,
                    scale: 2,
                },
            ),
            NestedField::optional(2, "b2", P::Double),
            NestedField::required(1, "a2", P::Long),
            NestedField::optional(
                4,
                "s2",
                struct_schema(vec![
                    NestedField::optional(12, "z", P::Date),
                    NestedField::optional(10, "x2", P::Long),
                ]),
            ),
            NestedField::optional(20, "l", ListType::new(21, element, false)),
            with_default,
            NestedField::optional(6, "map", MapType::new(7, P::Int, 8, P::Int, false)),
        ],
    );
    let options = ReadOptions {
        projection: all_columns(&new),
        ..ReadOptions::default()
    };
    let batches = read(&file, &new, options);
    let batch = joined(&crate::write::arrow_schema(&new).unwrap(), &batches);
    assert_eq!(batch.num_rows(), 100);
    assert_eq!(batch.column(0).null_count(), 100);
    assert_eq!(batch.column(7).null_count(), 100);
    let points = batch.column(4).as_struct();
    let lists = batch.column(5).as_list::<i32>();
    for row in 0..100 {
        let n = i64::try_from(row).unwrap();
        assert_eq!(
            batch.column(1).as_primitive::<Decimal128Type>().value(row),
            n.into()
        );
        assert_eq!(
            batch.column(2).as_primitive::<Float64Type>().value(row),
            n as f64 / 2.0
        );
        assert_eq!(batch.column(3).as_primitive::<Int64Type>().value(row), n);
        assert_eq!(points.is_null(row), n % 3 == 0);
        assert!(points.column(0).is_null(row));
        if n % 3 != 0 {
            assert_eq!(
                points.column(1).as_primitive::<Int64Type>().value(row),
                n * 10
            );
        }
        assert_eq!(lists.is_null(row), n % 4 == 0);
        if n % 4 != 0 {
            let elements = lists.value(row);
            assert!(elements.is_null(1));
            let renamed = elements
                .as_struct()
                .column(1)
                .as_primitive::<Int64Type>()
                .clone();
            assert_eq!((renamed.value(0), renamed.value(2)), (n, n + 1));
            assert_eq!(elements.as_struct().column(0).null_count(), 3);
        }
        assert_eq!(batch.column(6).as_primitive::<Int32Type>().value(row), 7);
    }
}

#[test]
fn a_struct_of_added_fields_alone_keeps_its_nulls() {
    let (schema, rows) = old();
    let (file, _) = write(&schema, &[to_batch(&schema, &rows)], small_groups());
    let added = struct_schema(vec![NestedField::optional(12, "z", P::Date)]);
    let new = Schema::new(1, vec![NestedField::optional(4, "s", added)]);
    let options = ReadOptions {
        projection: vec![4],
        ..ReadOptions::default()
    };
    let batches = read(&file, &new, options);
    let batch = joined(&crate::write::arrow_schema(&new).unwrap(), &batches);
    for row in 0..100 {
        assert_eq!(batch.column(0).is_null(row), row % 3 == 0);
    }
}

#[test]
fn filters_work_on_promoted_and_missing_columns() {
    let (schema, rows) = old();
    let (file, _) = write(&schema, &[to_batch(&schema, &rows)], small_groups());
    let new = Schema::new(
        1,
        vec![
            NestedField::required(1, "a", P::Long),
            NestedField::optional(5, "added", P::Int),
            NestedField {
                initial_default: Some(json!(7)),
                ..NestedField::optional(9, "with_default", P::Int)
            },
        ],
    );
    let found = |field_id: i32, op: CompareOp, value: Literal| {
        let options = ReadOptions {
            projection: vec![1],
            predicate: Some(Predicate::Compare {
                field_id,
                op,
                value,
            }),
            ..ReadOptions::default()
        };
        positions(&read(&file, &new, options)).len()
    };
    assert_eq!(found(1, CompareOp::Lt, Literal::Long(3)), 3);
    assert_eq!(found(1, CompareOp::Gt, Literal::Long(1 << 40)), 0);
    assert_eq!(found(5, CompareOp::Eq, Literal::Int(1)), 0);
    assert_eq!(found(9, CompareOp::Eq, Literal::Int(7)), 100);
    assert_eq!(found(9, CompareOp::Gt, Literal::Int(7)), 0);
}

/// A comparison with NULL is neither true nor false, and so is its negation.
#[test]
fn no_row_is_unequal_to_nan_in_a_column_that_the_file_lacks() {
    let (schema, rows) = old();
    let (file, _) = write(&schema, &[to_batch(&schema, &rows)], small_groups());
    let new = Schema::new(1, vec![NestedField::optional(5, "added", P::Double)]);
    let equal = Predicate::Compare {
        field_id: 5,
        op: CompareOp::Eq,
        value: Literal::Double(f64::NAN),
    };
    for predicate in [equal.clone(), Predicate::Not(Box::new(equal))] {
        let options = ReadOptions {
            projection: vec![5],
            predicate: Some(predicate),
            ..ReadOptions::default()
        };
        assert_eq!(positions(&read(&file, &new, options)), [0; 0]);
    }
}

#[test]
fn what_cannot_be_read_is_a_typed_error() {
    let (schema, rows) = old();
    let (file, _) = write(
        &schema,
        &[to_batch(&schema, &rows)],
        WriteOptions::default(),
    );
    for field in [
        NestedField::optional(1, "narrowed", P::String),
        NestedField::optional(
            3,
            "other_scale",
            P::Decimal {
                precision: 9,
                scale: 3,
            },
        ),
        NestedField::optional(4, "not_a_struct", P::Int),
        NestedField::required(99, "required_and_missing", P::Int),
        NestedField::required(4, "required_with_nulls", {
            struct_schema(vec![NestedField::optional(10, "x", P::Int)])
        }),
    ] {
        let new = Schema::new(1, vec![field.clone()]);
        let options = ReadOptions {
            projection: vec![field.id],
            ..ReadOptions::default()
        };
        let outcome = DataFileReader::open(Arc::clone(&file) as _, &new, options)
            .and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
        let error = outcome.unwrap_err();
        assert!(
            matches!(error, crate::Error::InvalidData { .. }),
            "{error:?}"
        );
    }
}

#[test]
fn damaged_files_are_errors() {
    let (schema, rows) = old();
    let (file, _) = write(
        &schema,
        &[to_batch(&schema, &rows)],
        WriteOptions::default(),
    );
    let options = ReadOptions {
        projection: all_columns(&schema),
        ..ReadOptions::default()
    };
    for length in [0, 3, 8, 100, file.bytes.len() / 2, file.bytes.len() - 1] {
        let cut = super::memory_io::MemoryFile::new(file.bytes[..length].to_vec());
        assert!(DataFileReader::open(cut as _, &schema, options.clone()).is_err());
    }
    let mut bytes = file.bytes.clone();
    bytes[4..600].fill(0xa5);
    let damaged = super::memory_io::MemoryFile::new(bytes);
    let outcome = DataFileReader::open(damaged as _, &schema, options)
        .and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
    assert!(outcome.is_err());
}

proptest::proptest! {
    /// Footers, page headers and values are damaged byte by byte: the outcome is rows or an error.
    #[test]
    fn no_damage_panics(at in 0.0..1.0_f64, value: u8, tail: bool) {
        let (schema, rows) = old();
        let (file, _) = write(&schema, &[to_batch(&schema, &rows)], small_groups());
        let mut bytes = file.bytes.clone();
        let span = if tail { 4096.min(bytes.len()) } else { bytes.len() };
        let index = bytes.len() - 1 - (at * (span - 1) as f64) as usize;
        bytes[index] = value;
        let options = ReadOptions {
            projection: all_columns(&schema),
            predicate: Some(Predicate::Compare {
                field_id: 1,
                op: CompareOp::Lt,
                value: Literal::Int(50),
            }),
            ..ReadOptions::default()
        };
        let damaged = super::memory_io::MemoryFile::new(bytes);
        let _ = DataFileReader::open(damaged as _, &schema, options)
            .and_then(|reader| reader.collect::<Result<Vec<_>, _>>());
    }
}
