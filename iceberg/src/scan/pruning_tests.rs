use super::*;

fn ints(lower: i32, upper: i32) -> ColumnBounds {
    ColumnBounds {
        lower: Some(Literal::Int(lower)),
        upper: Some(Literal::Int(upper)),
        nulls: Some(0),
        values: Some(10),
        ..ColumnBounds::default()
    }
}

fn doubles(lower: f64, upper: f64, may_have_nan: bool) -> ColumnBounds {
    ColumnBounds {
        lower: Some(Literal::Double(lower)),
        upper: Some(Literal::Double(upper)),
        may_have_nan,
        ..ColumnBounds::default()
    }
}

fn compare_with(op: CompareOp, value: Literal) -> Predicate {
    Predicate::Compare {
        field_id: 1,
        op,
        value,
    }
}

fn matches(predicate: Predicate, column: &ColumnBounds) -> bool {
    may_match(&predicate.normalize(), &|_| Some(column.clone()))
}

#[test]
fn ranges_that_cannot_hold_the_value_are_pruned() {
    let column = ints(10, 20);
    for (op, value, expected) in [
        (CompareOp::Lt, 10, false),
        (CompareOp::Lt, 11, true),
        (CompareOp::LtEq, 9, false),
        (CompareOp::LtEq, 10, true),
        (CompareOp::Gt, 20, false),
        (CompareOp::Gt, 19, true),
        (CompareOp::GtEq, 21, false),
        (CompareOp::GtEq, 20, true),
        (CompareOp::Eq, 9, false),
        (CompareOp::Eq, 15, true),
        (CompareOp::Eq, 21, false),
        (CompareOp::NotEq, 15, true),
    ] {
        assert_eq!(
            matches(compare_with(op, Literal::Int(value)), &column),
            expected,
            "{op:?} {value}"
        );
    }
    assert!(!matches(
        compare_with(CompareOp::NotEq, Literal::Long(7)),
        &ints(7, 7)
    ));
}

#[test]
fn nan_is_greater_than_any_bound() {
    let number = |value| Literal::Double(value);
    let column = doubles(1.0, 2.0, true);
    assert!(matches(compare_with(CompareOp::Gt, number(5.0)), &column));
    assert!(matches(compare_with(CompareOp::GtEq, number(5.0)), &column));
    assert!(!matches(compare_with(CompareOp::Lt, number(1.0)), &column));
    assert!(!matches(compare_with(CompareOp::Eq, number(5.0)), &column));
    assert!(matches(
        compare_with(CompareOp::Eq, number(f64::NAN)),
        &column
    ));
    let no_less = Predicate::Not(Box::new(compare_with(CompareOp::Lt, number(5.0))));
    assert!(matches(no_less.clone(), &column));
    assert!(!matches(no_less, &doubles(1.0, 2.0, false)));
    assert!(matches(
        compare_with(CompareOp::NotEq, number(1.0)),
        &doubles(1.0, 1.0, true)
    ));
    assert!(matches(
        compare_with(CompareOp::Eq, number(0.0)),
        &doubles(-0.0, -0.0, false)
    ));
}

#[test]
fn nulls_satisfy_only_is_null() {
    let nulls = ColumnBounds::all_null();
    assert!(matches(Predicate::IsNull { field_id: 1 }, &nulls));
    assert!(!matches(Predicate::NotNull { field_id: 1 }, &nulls));
    for op in [CompareOp::Eq, CompareOp::NotEq, CompareOp::Lt] {
        assert!(!matches(compare_with(op, Literal::Int(1)), &nulls));
    }
    assert!(!matches(Predicate::IsNull { field_id: 1 }, &ints(1, 2)));
    let unknown = ColumnBounds::default();
    assert!(matches(Predicate::IsNull { field_id: 1 }, &unknown));
    assert!(matches(
        compare_with(CompareOp::Eq, Literal::Int(1)),
        &unknown
    ));
}

#[test]
fn other_types_and_unknown_columns_may_always_match() {
    assert!(matches(
        compare_with(CompareOp::Eq, Literal::Date(1)),
        &ints(10, 20)
    ));
    let predicate = compare_with(CompareOp::Eq, Literal::Int(1));
    assert!(may_match(&predicate, &|_| None));
}

#[test]
fn lists_are_pruned_by_all_their_values() {
    let list = |values: &[i32]| Predicate::In {
        field_id: 1,
        values: values.iter().map(|value| Literal::Int(*value)).collect(),
    };
    assert!(!matches(list(&[1, 2, 30]), &ints(10, 20)));
    assert!(matches(list(&[1, 12]), &ints(10, 20)));
    assert!(!matches(
        Predicate::Not(Box::new(list(&[7, 8]))),
        &ints(7, 7)
    ));
    assert!(matches(
        Predicate::Not(Box::new(list(&[7, 8]))),
        &ints(7, 8)
    ));
}
