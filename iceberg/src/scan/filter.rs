//! A predicate is evaluated on decoded columns.

use std::collections::{BTreeMap, HashSet};

use arrow::array::{Array, ArrayRef, AsArray, BooleanArray, Datum as ArrowDatum, Scalar};
use arrow::buffer::BooleanBuffer;
use arrow::compute::kernels::cmp;
use arrow::datatypes::{ArrowPrimitiveType, DataType, Float32Type, Float64Type};
use arrow::error::ArrowError;

use super::literal_array::{Exactness, literal_array};
use crate::expr::{CompareOp, Literal, Predicate};

/// Lists up to this long are compared value by value.
const SHORT_LIST: usize = 16;

/// The rows that may satisfy a [normalized](Predicate::normalize) predicate.
///
/// `columns` are by field id, each of `rows` rows. What cannot be decided counts as satisfied, so
/// that the rows set include all that satisfy it.
pub(super) fn matching_rows(
    predicate: &Predicate,
    columns: &BTreeMap<i32, ArrayRef>,
    rows: usize,
) -> Result<BooleanBuffer, ArrowError> {
    let all = || BooleanBuffer::new_set(rows);
    let column = |field_id: &i32| columns.get(field_id);
    Ok(match predicate {
        Predicate::AlwaysTrue => all(),
        Predicate::AlwaysFalse => BooleanBuffer::new_unset(rows),
        Predicate::And(parts) => {
            let mut kept = all();
            for part in parts {
                if kept.count_set_bits() == 0 {
                    break;
                }
                kept = &kept & &matching_rows(part, columns, rows)?;
            }
            kept
        }
        Predicate::Or(parts) => {
            let mut kept = BooleanBuffer::new_unset(rows);
            for part in parts {
                kept = &kept | &matching_rows(part, columns, rows)?;
            }
            kept
        }
        // A normalized predicate has none.
        Predicate::Not(_) => all(),
        Predicate::IsNull { field_id } => match column(field_id) {
            Some(array) => match array.nulls() {
                Some(nulls) => !nulls.inner(),
                None => BooleanBuffer::new_unset(rows),
            },
            None => all(),
        },
        Predicate::NotNull { field_id } => match column(field_id) {
            Some(array) => array
                .nulls()
                .map_or_else(all, |nulls| nulls.inner().clone()),
            None => all(),
        },
        Predicate::Compare {
            field_id,
            op,
            value,
        } => match column(field_id) {
            Some(array) => compare(array, *op, value)?.unwrap_or_else(all),
            None => all(),
        },
        Predicate::In { field_id, values } => match column(field_id) {
            Some(array) => in_list(array, values)?.unwrap_or_else(all),
            None => all(),
        },
        Predicate::NotIn { field_id, values } => {
            let Some(array) = column(field_id) else {
                return Ok(all());
            };
            let mut kept = all();
            for value in values {
                if let Some(rows) = compare(array, CompareOp::NotEq, value)? {
                    kept = &kept & &rows;
                }
            }
            kept
        }
    })
}

/// The [normalized](Predicate::normalize) predicate without conditions on columns of which each row
/// has the same value: `constants`, by field id, of one row each.
pub(super) fn fold_constants(
    predicate: &Predicate,
    constants: &BTreeMap<i32, ArrayRef>,
) -> Result<Predicate, ArrowError> {
    let fold = |parts: &[Predicate]| {
        parts
            .iter()
            .map(|part| fold_constants(part, constants))
            .collect::<Result<Vec<_>, _>>()
    };
    let folded = match predicate {
        Predicate::And(parts) => Predicate::And(fold(parts)?),
        Predicate::Or(parts) => Predicate::Or(fold(parts)?),
        leaf if leaf.field_ids().iter().all(|id| constants.contains_key(id)) => {
            match matching_rows(leaf, constants, 1)?.count_set_bits() {
                0 => Predicate::AlwaysFalse,
                _ => Predicate::AlwaysTrue,
            }
        }
        leaf => leaf.clone(),
    };
    Ok(folded.normalize())
}

/// Rows for which the comparison is true; `None` where the types cannot be compared here.
fn compare(
    array: &ArrayRef,
    op: CompareOp,
    value: &Literal,
) -> Result<Option<BooleanBuffer>, ArrowError> {
    match (array.data_type(), value) {
        (DataType::Float32, Literal::Float(value)) => {
            return Ok(Some(compare_float::<Float32Type>(
                array,
                op,
                f64::from(*value),
            )));
        }
        (DataType::Float32, Literal::Double(value)) => {
            return Ok(Some(compare_float::<Float32Type>(array, op, *value)));
        }
        (DataType::Float64, Literal::Float(value)) => {
            return Ok(Some(compare_float::<Float64Type>(
                array,
                op,
                f64::from(*value),
            )));
        }
        (DataType::Float64, Literal::Double(value)) => {
            return Ok(Some(compare_float::<Float64Type>(array, op, *value)));
        }
        _ => {}
    }
    let Some((literal, exactness)) = literal_array(value, array.data_type()) else {
        return Ok(None);
    };
    let present = || {
        array.nulls().map_or_else(
            || BooleanBuffer::new_set(array.len()),
            |nulls| nulls.inner().clone(),
        )
    };
    let op = match exactness {
        Exactness::Equal => op,
        // The literal lies above its stand-in and below the next value of the column's type.
        Exactness::Floor => match op {
            CompareOp::Lt | CompareOp::LtEq => CompareOp::LtEq,
            CompareOp::Gt | CompareOp::GtEq => CompareOp::Gt,
            CompareOp::Eq => return Ok(Some(BooleanBuffer::new_unset(array.len()))),
            CompareOp::NotEq => return Ok(Some(present())),
        },
    };
    let literal = Scalar::new(literal);
    let (array, literal): (&dyn ArrowDatum, &dyn ArrowDatum) = (array, &literal);
    let outcome = match op {
        CompareOp::Lt => cmp::lt(array, literal),
        CompareOp::LtEq => cmp::lt_eq(array, literal),
        CompareOp::Gt => cmp::gt(array, literal),
        CompareOp::GtEq => cmp::gt_eq(array, literal),
        CompareOp::Eq => cmp::eq(array, literal),
        CompareOp::NotEq => cmp::neq(array, literal),
    }?;
    Ok(Some(true_rows(outcome)))
}

/// The rows that are true, neither false nor NULL.
fn true_rows(outcome: BooleanArray) -> BooleanBuffer {
    let (values, nulls) = outcome.into_parts();
    match nulls {
        Some(nulls) => &values & nulls.inner(),
        None => values,
    }
}

/// Comparison in PostgreSQL's order, in which NaN is the greatest and there is one zero.
fn compare_float<T>(array: &ArrayRef, op: CompareOp, value: f64) -> BooleanBuffer
where
    T: ArrowPrimitiveType,
    T::Native: Into<f64>,
{
    let array = array.as_primitive::<T>();
    let values = array.values();
    let outcome = match (op, value.is_nan()) {
        (CompareOp::Lt, false) => test_floats(values, |v| v < value),
        (CompareOp::LtEq, false) => test_floats(values, |v| v <= value),
        (CompareOp::Gt, false) => test_floats(values, |v| v > value || v.is_nan()),
        (CompareOp::GtEq, false) => test_floats(values, |v| v >= value || v.is_nan()),
        (CompareOp::Eq, false) => test_floats(values, |v| v == value),
        (CompareOp::NotEq, false) => test_floats(values, |v| v != value),
        (CompareOp::Eq | CompareOp::GtEq, true) => test_floats(values, f64::is_nan),
        (CompareOp::NotEq | CompareOp::Lt, true) => test_floats(values, |v| !v.is_nan()),
        (CompareOp::LtEq, true) => BooleanBuffer::new_set(values.len()),
        (CompareOp::Gt, true) => BooleanBuffer::new_unset(values.len()),
    };
    match array.nulls() {
        Some(nulls) => &outcome & nulls.inner(),
        None => outcome,
    }
}

fn test_floats<N: Copy + Into<f64>>(values: &[N], test: impl Fn(f64) -> bool) -> BooleanBuffer {
    BooleanBuffer::collect_bool(values.len(), |row| test(values[row].into()))
}

/// Rows whose value is in the list; `None` where some value cannot be compared.
fn in_list(array: &ArrayRef, values: &[Literal]) -> Result<Option<BooleanBuffer>, ArrowError> {
    if values.len() > SHORT_LIST
        && let Some(rows) = in_long_list(array, values)
    {
        return Ok(Some(rows));
    }
    let mut kept = BooleanBuffer::new_unset(array.len());
    for value in values {
        match compare(array, CompareOp::Eq, value)? {
            Some(rows) => kept = &kept | &rows,
            None => return Ok(None),
        }
    }
    Ok(Some(kept))
}

/// The same by hashing, for integers and strings.
fn in_long_list(array: &ArrayRef, values: &[Literal]) -> Option<BooleanBuffer> {
    let outcome = match array.data_type() {
        DataType::Int32 | DataType::Int64 => {
            let wanted: HashSet<i64> = values
                .iter()
                .map(|value| match value {
                    Literal::Int(value) => Some(i64::from(*value)),
                    Literal::Long(value) => Some(*value),
                    _ => None,
                })
                .collect::<Option<_>>()?;
            if array.data_type() == &DataType::Int32 {
                let column = array.as_primitive::<arrow::datatypes::Int32Type>().values();
                BooleanBuffer::collect_bool(column.len(), |row| {
                    wanted.contains(&i64::from(column[row]))
                })
            } else {
                let column = array.as_primitive::<arrow::datatypes::Int64Type>().values();
                BooleanBuffer::collect_bool(column.len(), |row| wanted.contains(&column[row]))
            }
        }
        DataType::Utf8 => {
            let wanted: HashSet<&str> = values
                .iter()
                .map(|value| match value {
                    Literal::String(value) => Some(value.as_str()),
                    _ => None,
                })
                .collect::<Option<_>>()?;
            let column = array.as_string::<i32>();
            BooleanBuffer::collect_bool(column.len(), |row| wanted.contains(column.value(row)))
        }
        _ => return None,
    };
    Some(match array.nulls() {
        Some(nulls) => &outcome & nulls.inner(),
        None => outcome,
    })
}
