//! Predicates on columns as predicates on partition values (specification, section "Scan Planning":
//! inclusive projection).

use crate::expr::{CompareOp, Literal, Predicate};
use crate::spec::{Datum, PartitionField, PartitionSpec, PrimitiveType, Schema, Transform, Type};

/// A predicate over the partition fields of `spec`, by their field ids, that holds for the partition
/// of every row that satisfies the [normalized](Predicate::normalize) predicate `predicate`.
pub(super) fn project(predicate: &Predicate, spec: &PartitionSpec, schema: &Schema) -> Predicate {
    let all = |parts: &[Predicate]| parts.iter().map(|p| project(p, spec, schema)).collect();
    let projected = match predicate {
        Predicate::And(parts) => Predicate::And(all(parts)),
        Predicate::Or(parts) => Predicate::Or(all(parts)),
        Predicate::AlwaysFalse => Predicate::AlwaysFalse,
        // A normalized predicate has no negation.
        Predicate::AlwaysTrue | Predicate::Not(_) => Predicate::AlwaysTrue,
        Predicate::Compare { field_id, .. }
        | Predicate::In { field_id, .. }
        | Predicate::NotIn { field_id, .. }
        | Predicate::IsNull { field_id }
        | Predicate::NotNull { field_id } => {
            let fields = spec.fields.iter().filter(|field| {
                field.source_id == *field_id
                    && field.source_ids.as_ref().is_none_or(|ids| ids.len() == 1)
            });
            let leaf = |field| project_leaf(predicate, field, schema);
            Predicate::And(fields.map(leaf).collect())
        }
    };
    projected.normalize()
}

/// What a condition on its source column says of one partition field.
fn project_leaf(leaf: &Predicate, field: &PartitionField, schema: &Schema) -> Predicate {
    if matches!(field.transform, Transform::Void | Transform::Unknown(_)) {
        return Predicate::AlwaysTrue;
    }
    let Some(Type::Primitive(source)) = schema.type_of(field.source_id) else {
        return Predicate::AlwaysTrue;
    };
    let field_id = field.field_id;
    match leaf {
        // Transforms give null for null and for nothing else.
        Predicate::IsNull { .. } => Predicate::IsNull { field_id },
        _ => project_comparison(leaf, field, source).unwrap_or(Predicate::NotNull { field_id }),
    }
}

/// What a comparison says of a partition field but that it is not null; `None` for nothing.
fn project_comparison(
    leaf: &Predicate,
    field: &PartitionField,
    source: &PrimitiveType,
) -> Option<Predicate> {
    let (field_id, transform) = (field.field_id, &field.transform);
    let is_identity = *transform == Transform::Identity;
    let equal = |value: &Literal| {
        let values = transformed(transform, &exact(value, source)?)?;
        Some(Predicate::In { field_id, values })
    };
    Some(match leaf {
        Predicate::Compare { op, value, .. } if is_identity => Predicate::Compare {
            field_id,
            op: *op,
            value: value.clone(),
        },
        Predicate::In { values, .. } if is_identity => Predicate::In {
            field_id,
            values: values.clone(),
        },
        Predicate::NotIn { values, .. } if is_identity => Predicate::NotIn {
            field_id,
            values: values.clone(),
        },
        Predicate::In { values, .. } => {
            Predicate::Or(values.iter().map(equal).collect::<Option<_>>()?)
        }
        Predicate::Compare {
            op: CompareOp::Eq,
            value,
            ..
        } => equal(value)?,
        Predicate::Compare { op, value, .. } => range(*op, &exact(value, source)?, field)?,
        // Other values than those of an inequality are in the same partition as they.
        _ => return None,
    })
}

/// The partition values of rows whose value is `value`: more than one where writers differ.
fn transformed(transform: &Transform, value: &Datum) -> Option<Vec<Datum>> {
    let partition = transform.apply(value)?;
    let next = truncated_towards_zero(transform, &partition);
    Some([partition].into_iter().chain(next).collect())
}

/// The partition that old writers put the values of partition `value` into: until release 0.10.0 the
/// reference implementation rounded times before 1970 towards 1970.
fn truncated_towards_zero(transform: &Transform, value: &Datum) -> Option<Datum> {
    match (transform, value) {
        (Transform::Year | Transform::Month | Transform::Hour, Datum::Int(value @ ..0)) => {
            Some(Datum::Int(value + 1))
        }
        (Transform::Day, Datum::Date(value @ ..0)) => Some(Datum::Date(value + 1)),
        _ => None,
    }
}

/// The partitions of rows that lie so to `value`, where the transform keeps the order.
fn range(op: CompareOp, value: &Datum, field: &PartitionField) -> Option<Predicate> {
    let (field_id, transform) = (field.field_id, &field.transform);
    let keeps_order = matches!(
        transform,
        Transform::Truncate(_)
            | Transform::Year
            | Transform::Month
            | Transform::Day
            | Transform::Hour
    );
    if !keeps_order {
        return None;
    }
    // The last value that can satisfy the comparison.
    let last = match op {
        CompareOp::Lt => neighbour(value, -1).unwrap_or_else(|| value.clone()),
        CompareOp::Gt => neighbour(value, 1).unwrap_or_else(|| value.clone()),
        CompareOp::LtEq | CompareOp::GtEq => value.clone(),
        CompareOp::Eq | CompareOp::NotEq => return None,
    };
    let partition = transform.apply(&last)?;
    let compare = |op, value| Predicate::Compare {
        field_id,
        op,
        value,
    };
    let is_upper = matches!(op, CompareOp::Lt | CompareOp::LtEq);
    let in_range = if is_upper {
        let upper = truncated_towards_zero(transform, &partition).unwrap_or(partition);
        compare(CompareOp::LtEq, upper)
    } else {
        compare(CompareOp::GtEq, partition)
    };
    let wraparound = Wraparound::of(transform, &last)?;
    Some(match (is_upper, wraparound.low, wraparound.high) {
        (true, _, Some(high)) => Predicate::Or(vec![in_range, compare(CompareOp::GtEq, high)]),
        (false, Some(low), _) => Predicate::Or(vec![in_range, compare(CompareOp::LtEq, low)]),
        _ => in_range,
    })
}

/// Where a transform breaks the order: values next to the end of their type can have a partition at
/// the other end, as truncated integers and the hours of far times do.
struct Wraparound {
    /// Least values may have partitions from here on upwards.
    high: Option<Datum>,
    /// Greatest values may have partitions from here on downwards.
    low: Option<Datum>,
}

/// Hours, some 194,000 years from 1970, beyond which a time may have wrapped around.
const FAR_HOURS: i32 = 1_700_000_000;

impl Wraparound {
    /// What there is of it among values of the type of `value`; `None` if it is about `value` itself.
    fn of(transform: &Transform, value: &Datum) -> Option<Self> {
        let partition = transform.apply(value)?;
        let is_above = |partition: &Datum, value: &Datum| {
            partition.compare(value).is_some_and(|order| order.is_gt())
        };
        let least = match value {
            Datum::Int(_) => Datum::Int(i32::MIN),
            Datum::Long(_) => Datum::Long(i64::MIN),
            _ if *transform == Transform::Hour => {
                let near = -FAR_HOURS..=FAR_HOURS;
                let is_far = !matches!(partition, Datum::Int(hours) if near.contains(&hours));
                return (!is_far).then_some(Self {
                    high: Some(Datum::Int(FAR_HOURS)),
                    low: Some(Datum::Int(-FAR_HOURS)),
                });
            }
            _ => {
                return Some(Self {
                    high: None,
                    low: None,
                });
            }
        };
        let high = transform.apply(&least);
        let high = high.filter(|partition| is_above(partition, &least));
        (!is_above(&partition, value)).then_some(Self { high, low: None })
    }
}

/// The next value of the type in the direction of `step`, which is 1 or -1.
fn neighbour(value: &Datum, step: i8) -> Option<Datum> {
    let long = |value: i64| value.checked_add(step.into());
    Some(match *value {
        Datum::Int(value) => Datum::Int(value.checked_add(step.into())?),
        Datum::Date(value) => Datum::Date(value.checked_add(step.into())?),
        Datum::Long(value) => Datum::Long(long(value)?),
        Datum::Timestamp(value) => Datum::Timestamp(long(value)?),
        Datum::Timestamptz(value) => Datum::Timestamptz(long(value)?),
        Datum::TimestampNs(value) => Datum::TimestampNs(long(value)?),
        Datum::TimestamptzNs(value) => Datum::TimestamptzNs(long(value)?),
        Datum::Decimal {
            unscaled,
            precision,
            scale,
        } => Datum::Decimal {
            unscaled: unscaled.checked_add(step.into())?,
            precision,
            scale,
        },
        _ => return None,
    })
}

/// A constant as a value of the column's type; `None` unless it is exactly one.
fn exact(value: &Literal, column: &PrimitiveType) -> Option<Datum> {
    match (value, column) {
        (Datum::Long(value), PrimitiveType::Int) => i32::try_from(*value).ok().map(Datum::Int),
        (
            &Datum::Decimal {
                unscaled,
                scale: from,
                ..
            },
            &PrimitiveType::Decimal { precision, scale },
        ) => {
            let factor = 10_i128.checked_pow(from.abs_diff(scale))?;
            let unscaled = match scale >= from {
                true => unscaled.checked_mul(factor)?,
                false if unscaled % factor == 0 => unscaled / factor,
                false => return None,
            };
            Some(Datum::Decimal {
                unscaled,
                precision,
                scale,
            })
        }
        (Datum::Fixed(bytes), PrimitiveType::Binary) => Some(Datum::Binary(bytes.clone())),
        (Datum::Binary(bytes) | Datum::Fixed(bytes), PrimitiveType::Fixed(_)) => {
            Some(Datum::Fixed(bytes.clone()))
        }
        _ => value.promoted_to(column),
    }
}
