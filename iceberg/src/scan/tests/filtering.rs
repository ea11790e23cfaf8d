//! Filters against a plain evaluation in three-valued logic.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int32Array, Int64Array, RecordBatch, StringArray, UInt64Array};
use arrow::compute::take_record_batch;
use proptest::prelude::*;

use super::values::*;
use crate::expr::{CompareOp, Predicate, compare};
use crate::scan::{FilePruner, ReadOptions, RowRanges};
use crate::spec::{Datum, NestedField, PrimitiveType, Schema, Type};
use crate::write::{WriteOptions, arrow_schema};

/// The primitive columns of all types.
pub(super) fn schema() -> Schema {
    let columns = all_types().columns().to_vec();
    let primitive = |field: &NestedField| matches!(field.field_type, Type::Primitive(_));
    Schema::new(0, columns.into_iter().filter(primitive).collect())
}

fn any_op() -> impl Strategy<Value = CompareOp> {
    use CompareOp::*;
    prop::sample::select(vec![Lt, LtEq, Gt, GtEq, Eq, NotEq])
}

/// Literals for a column: of its type, and of others that compare with it.
fn any_literal(primitive: &PrimitiveType) -> BoxedStrategy<Datum> {
    let own = any_datum(primitive);
    match primitive {
        PrimitiveType::Float => prop_oneof![own, any_datum(&PrimitiveType::Double)].boxed(),
        PrimitiveType::Int | PrimitiveType::Long | PrimitiveType::Decimal { .. } => prop_oneof![
            4 => own,
            1 => any_datum(&PrimitiveType::Int),
            1 => any_datum(&PrimitiveType::Long),
            1 => any_datum(&PrimitiveType::Decimal { precision: 38, scale: 3 }),
        ]
        .boxed(),
        _ => own,
    }
}

fn any_leaf() -> BoxedStrategy<Predicate> {
    prop::sample::select(schema().columns().to_vec())
        .prop_flat_map(|field| {
            let field_id = field.id;
            let Type::Primitive(primitive) = &field.field_type else {
                unreachable!()
            };
            let literal = || any_literal(primitive);
            prop_oneof![
                6 => (any_op(), literal()).prop_map(move |(op, value)| {
                    Predicate::Compare { field_id, op, value }
                }),
                1 => prop::collection::vec(literal(), 0..25)
                    .prop_map(move |values| Predicate::In { field_id, values }),
                1 => prop::collection::vec(literal(), 0..3)
                    .prop_map(move |values| Predicate::NotIn { field_id, values }),
                1 => Just(Predicate::IsNull { field_id }),
                1 => Just(Predicate::NotNull { field_id }),
            ]
        })
        .boxed()
}

pub(super) fn any_predicate() -> impl Strategy<Value = Predicate> {
    any_leaf().prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Predicate::And),
            prop::collection::vec(inner.clone(), 0..3).prop_map(Predicate::Or),
            inner.prop_map(|predicate| Predicate::Not(Box::new(predicate))),
        ]
    })
}

/// SQL's evaluation; `None` is NULL.
fn evaluate(predicate: &Predicate, value: &dyn Fn(i32) -> Option<Datum>) -> Option<bool> {
    let any = |parts: &[Option<bool>]| {
        if parts.contains(&Some(true)) {
            Some(true)
        } else if parts.contains(&None) {
            None
        } else {
            Some(false)
        }
    };
    let not = |outcome: Option<bool>| outcome.map(|outcome| !outcome);
    match predicate {
        Predicate::AlwaysTrue => Some(true),
        Predicate::AlwaysFalse => Some(false),
        Predicate::Or(parts) => any(&parts
            .iter()
            .map(|part| evaluate(part, value))
            .collect::<Vec<_>>()),
        Predicate::And(parts) => not(any(&parts
            .iter()
            .map(|part| not(evaluate(part, value)))
            .collect::<Vec<_>>())),
        Predicate::Not(inner) => not(evaluate(inner, value)),
        Predicate::IsNull { field_id } => Some(value(*field_id).is_none()),
        Predicate::NotNull { field_id } => Some(value(*field_id).is_some()),
        Predicate::Compare {
            field_id,
            op,
            value: literal,
        } => {
            let order = compare(&value(*field_id)?, literal).unwrap();
            Some(match op {
                CompareOp::Lt => order.is_lt(),
                CompareOp::LtEq => order.is_le(),
                CompareOp::Gt => order.is_gt(),
                CompareOp::GtEq => order.is_ge(),
                CompareOp::Eq => order.is_eq(),
                CompareOp::NotEq => order.is_ne(),
            })
        }
        Predicate::In { field_id, values } | Predicate::NotIn { field_id, values } => {
            let equal: Vec<_> = values
                .iter()
                .map(|literal| Some(compare(&value(*field_id)?, literal).unwrap().is_eq()))
                .collect();
            let found = any(&equal);
            if matches!(predicate, Predicate::In { .. }) {
                found
            } else {
                not(found)
            }
        }
    }
}

pub(super) fn matching(schema: &Schema, rows: &[Row], predicate: &Predicate) -> Vec<u64> {
    let matches = |row: &Row| {
        let value = |id: i32| {
            let column = schema
                .columns()
                .iter()
                .position(|field| field.id == id)
                .unwrap();
            match &row[column] {
                Some(Value::Primitive(datum)) => Some(datum.clone()),
                _ => None,
            }
        };
        evaluate(predicate, &value) == Some(true)
    };
    (0..rows.len())
        .filter(|row| matches(&rows[*row]))
        .map(|row| row as u64)
        .collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn no_matching_row_is_lost(
        rows in prop::collection::vec(any_row(schema().columns()), 1..60),
        predicates in prop::collection::vec(any_predicate(), 12),
        row_group_rows in 1_usize..60,
        columns in Just(all_columns(&schema())).prop_shuffle(),
        count in 0_usize..5,
    ) {
        let schema = schema();
        let batch = to_batch(&schema, &rows);
        let options = WriteOptions { row_group_rows, page_rows: 7, ..WriteOptions::default() };
        let (file, data_file) = write(&schema, std::slice::from_ref(&batch), options);
        for predicate in predicates {
            let expected = matching(&schema, &rows, &predicate);
            if !expected.is_empty() {
                let pruner = FilePruner::new(&predicate, &Arc::new(schema.clone()), &[]);
                prop_assert!(pruner.file_may_match(&data_file), "{:?}", predicate);
            }
            let options = ReadOptions {
                projection: columns[..count].to_vec(),
                batch_size: 11,
                predicate: Some(predicate.clone()),
                ..ReadOptions::default()
            };
            let batches = read(&file, &schema, options);
            let found = positions(&batches);
            let lost: Vec<_> = expected.iter().filter(|row| !found.contains(row)).collect();
            prop_assert!(lost.is_empty(), "{:?} lost {:?}", predicate, lost);
            prop_assert!(found.is_sorted());
            if count > 0 {
                let places: Vec<_> = columns[..count]
                    .iter()
                    .map(|id| schema.columns().iter().position(|field| field.id == *id).unwrap())
                    .collect();
                let projected = batch.project(&places).unwrap();
                let wanted = take_record_batch(&projected, &UInt64Array::from(found)).unwrap();
                prop_assert_eq!(joined(&projected.schema(), &batches), wanted);
            }
        }
    }
}

/// Filter columns are decoded first once a sample showed that few rows pass.
#[test]
fn few_scattered_rows_are_found_whatever_is_projected() {
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(1, "scattered", PrimitiveType::Int),
            NestedField::optional(2, "text", PrimitiveType::String),
            NestedField::optional(3, "number", PrimitiveType::Long),
        ],
    );
    let count = 200_000_i32;
    let scattered = |n: i32| (i64::from(n) * 7919 % 200_003) as i32;
    let columns: Vec<ArrayRef> = vec![
        Arc::new(Int32Array::from_iter_values((0..count).map(scattered))),
        Arc::new(StringArray::from_iter(
            (0..count).map(|n| (n % 3 != 0).then(|| format!("t{n}"))),
        )),
        Arc::new(Int64Array::from_iter(
            (0..count).map(|n| (n % 4 != 0).then_some(i64::from(n))),
        )),
    ];
    let batch = RecordBatch::try_new(arrow_schema(&schema).unwrap(), columns).unwrap();
    let options = WriteOptions {
        row_group_rows: 90_000,
        ..WriteOptions::default()
    };
    let (file, _) = write(&schema, std::slice::from_ref(&batch), options);
    let wanted = RowRanges::from_ranges([10..70_000, 70_001..150_000, 150_500..199_999]);
    for rows in [None, Some(wanted)] {
        for projection in [&[2, 1, 3][..], &[3], &[1], &[]] {
            let predicate = Predicate::And(vec![
                Predicate::Compare {
                    field_id: 1,
                    op: CompareOp::Lt,
                    value: Datum::Int(900),
                },
                Predicate::NotNull { field_id: 3 },
            ]);
            let options = ReadOptions {
                projection: projection.to_vec(),
                rows: rows.clone(),
                predicate: Some(predicate),
                ..ReadOptions::default()
            };
            let batches = read(&file, &schema, options);
            let in_rows = |n: &i32| rows.as_ref().is_none_or(|rows| rows.contains(*n as u64));
            let expected: Vec<u64> = (0..count)
                .filter(|n| scattered(*n) < 900 && n % 4 != 0)
                .filter(in_rows)
                .map(|n| n as u64)
                .collect();
            assert!(expected.len() > 500);
            assert_eq!(positions(&batches), expected);
            if !projection.is_empty() {
                let places: Vec<_> = projection.iter().map(|id| *id as usize - 1).collect();
                let projected = batch.project(&places).unwrap();
                let wanted = take_record_batch(&projected, &UInt64Array::from(expected)).unwrap();
                assert_eq!(joined(&projected.schema(), &batches), wanted);
            }
        }
    }
}
