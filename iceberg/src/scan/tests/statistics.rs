//! Statistics of files against values looked at one by one.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::values::*;
use crate::expr::compare;
use crate::spec::{Datum, PrimitiveType, Type};

/// What the values of a leaf are, with one entry for each null or empty container.
#[derive(Default)]
struct Leaf {
    values: i64,
    nulls: i64,
    nans: i64,
    present: Vec<Datum>,
}

type Leaves = BTreeMap<i32, Leaf>;

fn visit(leaves: &mut Leaves, id: i32, value_type: &Type, value: Option<&Value>) {
    match (value_type, value) {
        (Type::Primitive(_), value) => {
            let leaf = leaves.entry(id).or_default();
            leaf.values += 1;
            match value {
                Some(Value::Primitive(datum)) => {
                    leaf.nans += i64::from(datum.is_nan());
                    leaf.present.push(datum.clone());
                }
                _ => leaf.nulls += 1,
            }
        }
        (Type::Struct(fields), value) => {
            for (index, field) in fields.fields.iter().enumerate() {
                let child = match value {
                    Some(Value::Struct(children)) => children[index].as_ref(),
                    _ => None,
                };
                visit(leaves, field.id, &field.field_type, child);
            }
        }
        (Type::List(list), Some(Value::List(elements))) if !elements.is_empty() => {
            for element in elements {
                visit(leaves, list.element_id, &list.element, element.as_ref());
            }
        }
        (Type::List(list), _) => visit(leaves, list.element_id, &list.element, None),
        (Type::Map(map), Some(Value::Map(pairs))) if !pairs.is_empty() => {
            for (key, item) in pairs {
                visit(leaves, map.key_id, &map.key, Some(key));
                visit(leaves, map.value_id, &map.value, item.as_ref());
            }
        }
        (Type::Map(map), _) => {
            visit(leaves, map.key_id, &map.key, None);
            visit(leaves, map.value_id, &map.value, None);
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn statistics_are_those_of_the_values(
        rows in prop::collection::vec(any_row(all_types().columns()), 1..100),
    ) {
        let schema = all_types();
        let (_, file) = write(&schema, &[to_batch(&schema, &rows)], small_groups());
        let mut leaves = Leaves::new();
        for row in &rows {
            for (field, value) in schema.columns().iter().zip(row) {
                visit(&mut leaves, field.id, &field.field_type, value.as_ref());
            }
        }
        let groups = rows.len().div_ceil(40);
        prop_assert_eq!(file.split_offsets.as_ref().unwrap().len(), groups);
        prop_assert_eq!(file.split_offsets.as_ref().unwrap()[0], 4);
        prop_assert_eq!(file.column_sizes.len(), leaves.len());
        prop_assert!(file.column_sizes.values().sum::<i64>() < file.file_size_in_bytes);

        for (id, leaf) in &leaves {
            let Some(Type::Primitive(primitive)) = schema.type_of(*id) else { unreachable!() };
            prop_assert_eq!(file.value_counts.get(id), Some(&leaf.values), "{}", id);
            prop_assert_eq!(file.null_value_counts.get(id), Some(&leaf.nulls), "{}", id);
            let is_float = matches!(primitive, PrimitiveType::Float | PrimitiveType::Double);
            let nans = is_float.then_some(&leaf.nans);
            prop_assert_eq!(file.nan_value_counts.get(id), nans, "{}", id);

            let repeated = [34, 42, 63, 61, 81].contains(id) || (100..200).contains(id);
            let bounded: Vec<_> = leaf.present.iter().filter(|datum| !datum.is_nan()).collect();
            let lower = file.lower_bounds.get(id);
            let upper = file.upper_bounds.get(id);
            if repeated || bounded.is_empty() {
                prop_assert_eq!((lower, upper), (None, None), "{}", id);
                continue;
            }
            let order = |a: &&&Datum, b: &&&Datum| compare(a, b).unwrap();
            let least = *bounded.iter().min_by(order).unwrap();
            let greatest = *bounded.iter().max_by(order).unwrap();
            let lower = Datum::from_bytes(primitive, lower.unwrap()).unwrap().unwrap();
            prop_assert!(compare(&lower, least).unwrap().is_le());
            match (least, &lower) {
                (Datum::String(value), Datum::String(bound)) => {
                    let expected: String = value.chars().take(16).collect();
                    prop_assert_eq!(bound, &expected);
                }
                (Datum::Binary(value), Datum::Binary(bound)) => {
                    prop_assert_eq!(bound, &value[..value.len().min(16)]);
                }
                _ => prop_assert!(compare(&lower, least).unwrap().is_eq()),
            }
            let Some(upper) = upper else {
                let long = match greatest {
                    Datum::String(value) => value.chars().count() > 16,
                    Datum::Binary(value) => value.len() > 16,
                    _ => false,
                };
                prop_assert!(long, "no upper bound of {} for {:?}", id, greatest);
                continue;
            };
            let upper = Datum::from_bytes(primitive, upper).unwrap().unwrap();
            prop_assert!(compare(&upper, greatest).unwrap().is_ge());
            match (greatest, &upper) {
                (Datum::String(value), Datum::String(bound)) if value.chars().count() > 16 => {
                    prop_assert!(bound.chars().count() <= 16);
                }
                (Datum::Binary(value), Datum::Binary(bound)) if value.len() > 16 => {
                    prop_assert!(bound.len() <= 16);
                }
                _ => prop_assert!(compare(&upper, greatest).unwrap().is_eq()),
            }
        }
    }
}
