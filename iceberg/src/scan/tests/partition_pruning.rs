//! Pruning by partitions, against rows looked at one by one.

use proptest::prelude::*;

use super::filtering::{any_predicate, matching, schema};
use super::values::*;
use crate::expr::{CompareOp, Literal, Predicate};
use crate::manifest::{DataFile, FieldSummary, ManifestFile};
use crate::scan::FilePruner;
use crate::spec::{
    Datum, NestedField, PartitionField, PartitionSpec, PartitionSpecRef, PrimitiveType as P,
    Schema, SchemaRef, TableMetadata, Transform, Type,
};

const SPEC: i32 = 1;

fn metadata(schema: &Schema, fields: Vec<PartitionField>) -> TableMetadata {
    let spec = PartitionSpec::new(SPEC, fields);
    TableMetadata::new_table(
        schema.clone(),
        spec,
        "/t",
        Default::default(),
        uuid::Uuid::nil(),
        0,
    )
}

/// A file of one partition, of whose columns nothing is known.
fn file(partition: Vec<Option<Datum>>) -> DataFile {
    DataFile {
        partition_spec_id: SPEC,
        partition,
        record_count: 1,
        ..DataFile::default()
    }
}

fn manifest(summaries: Vec<FieldSummary>) -> ManifestFile {
    ManifestFile {
        partition_spec_id: SPEC,
        partitions: Some(summaries),
        ..ManifestFile::default()
    }
}

/// The summary of some partition values, all of one field.
fn summary<'a>(values: impl Iterator<Item = &'a Option<Datum>>) -> FieldSummary {
    let mut summary = FieldSummary {
        contains_nan: Some(false),
        ..FieldSummary::default()
    };
    let mut bounds: Option<(Datum, Datum)> = None;
    for value in values {
        match value {
            None => summary.contains_null = true,
            Some(value) if value.is_nan() => summary.contains_nan = Some(true),
            Some(value) => {
                let (lower, upper) = bounds.get_or_insert((value.clone(), value.clone()));
                if value.compare(lower).unwrap().is_lt() {
                    *lower = value.clone();
                }
                if value.compare(upper).unwrap().is_gt() {
                    *upper = value.clone();
                }
            }
        }
    }
    if let Some((lower, upper)) = bounds {
        summary.lower_bound = Some(lower.to_bytes());
        summary.upper_bound = Some(upper.to_bytes());
    }
    summary
}

fn any_field(field: NestedField) -> impl Strategy<Value = PartitionField> {
    let Type::Primitive(primitive) = field.field_type else {
        unreachable!()
    };
    let mut transforms = vec![
        Transform::Identity,
        Transform::Void,
        Transform::Unknown("zorder[2]".to_owned()),
    ];
    let dated = matches!(
        primitive,
        P::Date | P::Timestamp | P::Timestamptz | P::TimestampNs | P::TimestamptzNs
    );
    if dated {
        transforms.extend([Transform::Year, Transform::Month, Transform::Day]);
    }
    if dated && primitive != P::Date {
        transforms.push(Transform::Hour);
    }
    if !matches!(primitive, P::Boolean | P::Float | P::Double) {
        transforms.extend([Transform::Bucket(2), Transform::Bucket(7)]);
    }
    let truncated = matches!(
        primitive,
        P::Int | P::Long | P::Decimal { .. } | P::String | P::Binary
    );
    if truncated {
        transforms.extend([1, 2, 10].map(Transform::Truncate));
    }
    prop::sample::select(transforms).prop_map(move |transform| {
        PartitionField::new(field.id, 0, format!("p{}", field.id), transform)
    })
}

fn any_spec() -> impl Strategy<Value = Vec<PartitionField>> {
    let field = prop::sample::select(schema().columns().to_vec()).prop_flat_map(any_field);
    prop::collection::vec(field, 1..6).prop_map(|mut fields| {
        for (id, field) in (1000..).zip(&mut fields) {
            field.field_id = id;
        }
        fields
    })
}

fn partition_of(schema: &Schema, row: &Row, fields: &[PartitionField]) -> Vec<Option<Datum>> {
    let value = |field: &PartitionField| {
        let column = schema
            .columns()
            .iter()
            .position(|c| c.id == field.source_id);
        match row.get(column.unwrap()).unwrap() {
            Some(Value::Primitive(datum)) => field.transform.apply(datum),
            _ => None,
        }
    };
    fields.iter().map(value).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn no_partition_with_a_matching_row_is_pruned(
        rows in prop::collection::vec(any_row(schema().columns()), 1..30),
        predicates in prop::collection::vec(any_predicate(), 20),
        fields in any_spec(),
    ) {
        let schema = schema();
        let metadata = metadata(&schema, fields.clone());
        let current = metadata.current_schema().unwrap();
        let partitions: Vec<_> = rows
            .iter()
            .map(|row| partition_of(&schema, row, &fields))
            .collect();
        for predicate in predicates {
            let pruner = FilePruner::new(&predicate, current, &metadata.partition_specs);
            for (row, partition) in rows.iter().zip(&partitions) {
                let matches = !matching(&schema, std::slice::from_ref(row), &predicate).is_empty();
                prop_assert!(
                    !matches || pruner.file_may_match(&file(partition.clone())),
                    "{:?} pruned {:?} of {:?}", predicate, partition, fields
                );
            }
            let summaries = (0..fields.len())
                .map(|index| summary(partitions.iter().map(|partition| &partition[index])))
                .collect();
            let matches = !matching(&schema, &rows, &predicate).is_empty();
            prop_assert!(
                !matches || pruner.manifest_may_match(&manifest(summaries)),
                "{:?} pruned the manifest of {:?}", predicate, partitions
            );
        }
    }
}

/// Column 1 of this type, partitioned so; the partitions that are left of those given.
struct Case(TableMetadata);

impl Case {
    fn new(primitive: P, transform: Transform) -> Self {
        let schema = Schema::new(0, vec![NestedField::optional(1, "c", primitive)]);
        let field = PartitionField::new(1, 1000, "p", transform);
        Self(metadata(&schema, vec![field]))
    }

    fn schema(&self) -> &SchemaRef {
        self.0.current_schema().unwrap()
    }

    fn specs(&self) -> &[PartitionSpecRef] {
        &self.0.partition_specs
    }

    fn left(&self, predicate: &Predicate, values: &[Option<Datum>]) -> Vec<usize> {
        let pruner = FilePruner::new(predicate, self.schema(), self.specs());
        let may_match = |value: &Option<Datum>| {
            let by_file = pruner.file_may_match(&file(vec![value.clone()]));
            let summary = summary(std::iter::once(value));
            assert_eq!(by_file, pruner.manifest_may_match(&manifest(vec![summary])));
            by_file
        };
        (0..values.len())
            .filter(|index| may_match(&values[*index]))
            .collect()
    }
}

fn compare(op: CompareOp, value: Literal) -> Predicate {
    Predicate::Compare {
        field_id: 1,
        op,
        value,
    }
}

use CompareOp::{Eq, Gt, GtEq, Lt, LtEq, NotEq};

#[test]
fn partitions_of_days_are_pruned_to_those_that_a_range_of_times_touches() {
    let case = Case::new(P::Timestamptz, Transform::Day);
    let day = 86_400_000_000_i64;
    let days: Vec<_> = (0..5)
        .map(|day| Some(Datum::Date(day)))
        .chain([None])
        .collect();
    let left = |op, micros| case.left(&compare(op, Literal::Timestamptz(micros)), &days);
    assert_eq!(left(Lt, 2 * day), [0, 1]);
    assert_eq!(left(LtEq, 2 * day), [0, 1, 2]);
    assert_eq!(left(Gt, 3 * day - 1), [3, 4]);
    assert_eq!(left(GtEq, 3 * day - 1), [2, 3, 4]);
    assert_eq!(left(Eq, 3 * day + 5), [3]);
    assert_eq!(left(NotEq, 3 * day + 5), [0, 1, 2, 3, 4]);
    assert_eq!(case.left(&Predicate::IsNull { field_id: 1 }, &days), [5]);
    assert_eq!(
        case.left(&Predicate::NotNull { field_id: 1 }, &days),
        [0, 1, 2, 3, 4]
    );
}

#[test]
fn days_before_1970_are_also_looked_for_where_old_writers_put_them() {
    let case = Case::new(P::Timestamp, Transform::Day);
    let days: Vec<_> = (-4..2).map(|day| Some(Datum::Date(day))).collect();
    let at = Literal::Timestamp(-2 * 86_400_000_000 + 1);
    assert_eq!(case.left(&compare(Eq, at.clone()), &days), [2, 3]);
    assert_eq!(case.left(&compare(LtEq, at.clone()), &days), [0, 1, 2, 3]);
    assert_eq!(case.left(&compare(Gt, at), &days), [2, 3, 4, 5]);
}

#[test]
fn buckets_are_pruned_by_equality_alone() {
    let case = Case::new(P::Long, Transform::Bucket(8));
    let buckets: Vec<_> = (0..8).map(|bucket| Some(Datum::Int(bucket))).collect();
    let bucket = 2_017_239_379 % 8;
    assert_eq!(
        case.left(&compare(Eq, Literal::Long(34)), &buckets),
        [bucket]
    );
    assert_eq!(
        case.left(&compare(Eq, Literal::Int(34)), &buckets),
        [bucket]
    );
    let list = |values: &[i64]| Predicate::In {
        field_id: 1,
        values: values.iter().map(|value| Literal::Long(*value)).collect(),
    };
    assert_eq!(case.left(&list(&[34, 34]), &buckets), [bucket]);
    for predicate in [
        compare(Lt, Literal::Long(34)),
        compare(NotEq, Literal::Long(34)),
        Predicate::Not(Box::new(list(&[34]))),
    ] {
        assert_eq!(case.left(&predicate, &buckets).len(), 8, "{predicate:?}");
    }
}

#[test]
fn truncated_partitions_are_pruned_by_order_and_not_by_inequality() {
    let case = Case::new(P::String, Transform::Truncate(2));
    let text = |text: &str| Datum::String(text.to_owned());
    let partitions = [Some(text("aa")), Some(text("ab")), Some(text("b")), None];
    let left = |op, value: &str| case.left(&compare(op, text(value)), &partitions);
    assert_eq!(left(Eq, "abc"), [1]);
    assert_eq!(left(Lt, "abc"), [0, 1]);
    assert_eq!(left(Gt, "abc"), [1, 2]);
    assert_eq!(left(GtEq, "b"), [2]);
    // A text that does not begin so may share its first letters with one that does; NULL does
    // neither.
    assert_eq!(left(NotEq, "ab"), [0, 1, 2]);

    let case = Case::new(P::Int, Transform::Truncate(10));
    let least = Transform::Truncate(10).apply(&Datum::Int(i32::MIN));
    let partitions = [
        Some(Datum::Int(-10)),
        Some(Datum::Int(0)),
        Some(Datum::Int(10)),
        least,
    ];
    let left = |op, value: i32| case.left(&compare(op, Literal::Int(value)), &partitions);
    assert_eq!(left(Lt, 0), [0, 3]);
    assert_eq!(left(LtEq, 0), [0, 1, 3]);
    assert_eq!(left(Gt, 9), [2, 3]);
    assert_eq!(left(GtEq, i32::MIN), [0, 1, 2, 3]);
    assert_eq!(left(Eq, i32::MIN), [3]);
}

#[test]
fn identity_partitions_are_pruned_by_every_condition() {
    let case = Case::new(P::Long, Transform::Identity);
    // As manifests from before and after a promotion have them.
    let partitions = [Some(Datum::Int(1)), Some(Datum::Long(2)), None];
    let left = |op, value: i64| case.left(&compare(op, Literal::Long(value)), &partitions);
    assert_eq!(left(Eq, 1), [0]);
    assert_eq!(left(NotEq, 1), [1]);
    assert_eq!(left(Gt, 1), [1]);
    let not_in = Predicate::NotIn {
        field_id: 1,
        values: vec![Literal::Long(1)],
    };
    assert_eq!(case.left(&not_in, &partitions), [1]);

    let case = Case::new(P::Float, Transform::Identity);
    let pruner = |op, value: f32| {
        let predicate = compare(op, Literal::Float(value));
        let pruner = FilePruner::new(&predicate, case.schema(), case.specs());
        [f32::NAN, -0.0, 0.0, 1.0]
            .map(|value| pruner.file_may_match(&file(vec![Some(Datum::Float(value))])))
    };
    // NaN is the greatest and equal to itself, and there is one zero.
    assert_eq!(pruner(Eq, 0.0), [false, true, true, false]);
    assert_eq!(pruner(Gt, 0.5), [true, false, false, true]);
    assert_eq!(pruner(Eq, f32::NAN), [true, false, false, false]);
    assert_eq!(pruner(NotEq, f32::NAN), [false, true, true, true]);
    assert_eq!(pruner(Lt, f32::NAN), [false, true, true, true]);
}

#[test]
fn manifests_whose_summary_does_not_tell_are_kept() {
    let case = Case::new(P::Double, Transform::Identity);
    let may_match = |predicate: &Predicate, manifest: &ManifestFile| {
        FilePruner::new(predicate, case.schema(), case.specs()).manifest_may_match(manifest)
    };
    let five = compare(Eq, Literal::Double(5.0));
    let above = compare(Gt, Literal::Double(5.0));
    let without = ManifestFile {
        partitions: None,
        ..manifest(Vec::new())
    };
    assert!(may_match(&five, &without));
    assert!(may_match(&five, &manifest(Vec::new())));
    let bounds = FieldSummary {
        lower_bound: Some(1_f64.to_le_bytes().to_vec()),
        upper_bound: Some(2_f32.to_le_bytes().to_vec()),
        ..FieldSummary::default()
    };
    assert!(!may_match(&five, &manifest(vec![bounds.clone()])));
    // Whether there is NaN, which is greater than anything, an old writer did not say.
    assert!(may_match(&above, &manifest(vec![bounds.clone()])));
    let without_nan = FieldSummary {
        contains_nan: Some(false),
        ..bounds.clone()
    };
    assert!(!may_match(&above, &manifest(vec![without_nan])));
    let no_bounds = FieldSummary {
        contains_null: true,
        ..FieldSummary::default()
    };
    assert!(may_match(&five, &manifest(vec![no_bounds.clone()])));
    let nulls = FieldSummary {
        contains_nan: Some(false),
        ..no_bounds
    };
    assert!(!may_match(&five, &manifest(vec![nulls.clone()])));
    assert!(may_match(
        &Predicate::IsNull { field_id: 1 },
        &manifest(vec![nulls])
    ));
    let damaged = FieldSummary {
        lower_bound: Some(vec![1, 2, 3]),
        upper_bound: Some(vec![1, 2, 3]),
        ..bounds
    };
    assert!(may_match(&five, &manifest(vec![damaged])));
    let other_spec = ManifestFile {
        partition_spec_id: 9,
        ..manifest(Vec::new())
    };
    assert!(may_match(&five, &other_spec));
}

#[test]
fn counts_that_say_nothing_of_a_column_do_not_exclude_the_file() {
    let case = Case::new(P::Long, Transform::Void);
    let may_match = |predicate: &Predicate, file: &DataFile| {
        FilePruner::new(predicate, case.schema(), case.specs()).file_may_match(file)
    };
    let is_null = Predicate::IsNull { field_id: 1 };
    let seven = compare(Eq, Literal::Long(7));
    // Absent counts are not zero.
    assert!(may_match(&is_null, &file(vec![None])));
    assert!(may_match(&seven, &file(vec![None])));
    // A file without the column: what its rows have is not a matter of its counts.
    let mut lacking = file(vec![None]);
    lacking.value_counts.insert(1, 0);
    lacking.null_value_counts.insert(1, 0);
    assert!(may_match(&is_null, &lacking));
    assert!(may_match(&seven, &lacking));
}
