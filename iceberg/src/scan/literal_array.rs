//! Constants as Arrow arrays of a column's type.

use std::sync::Arc;

use arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, FixedSizeBinaryArray,
    Int32Array, Int64Array, StringArray, Time64MicrosecondArray, TimestampMicrosecondArray,
    TimestampNanosecondArray,
};
use arrow::datatypes::{DataType, TimeUnit};

use crate::expr::Literal;

/// How a constant stands to the value that stands for it in the column's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Exactness {
    /// They are equal.
    Equal,
    /// The constant is greater, and less than the next value of the column's type.
    Floor,
}

/// An array of the one constant, of exactly the column's type; `None` if it is not comparable with
/// the column or out of its type's range. Floating-point columns are compared elsewhere.
pub(super) fn literal_array(value: &Literal, column: &DataType) -> Option<(ArrayRef, Exactness)> {
    let mut exactness = Exactness::Equal;
    let array: ArrayRef = match (column, value) {
        (DataType::Boolean, Literal::Boolean(value)) => Arc::new(BooleanArray::from(vec![*value])),
        (DataType::Int32, Literal::Int(value)) => Arc::new(Int32Array::from(vec![*value])),
        (DataType::Int32, Literal::Long(value)) => {
            Arc::new(Int32Array::from(vec![i32::try_from(*value).ok()?]))
        }
        (DataType::Int64, Literal::Int(value)) => {
            Arc::new(Int64Array::from(vec![i64::from(*value)]))
        }
        (DataType::Int64, Literal::Long(value)) => Arc::new(Int64Array::from(vec![*value])),
        (
            DataType::Int32,
            Literal::Decimal {
                unscaled, scale, ..
            },
        ) => {
            let (value, exact) = rescale(*unscaled, *scale, 0)?;
            exactness = exact;
            Arc::new(Int32Array::from(vec![i32::try_from(value).ok()?]))
        }
        (
            DataType::Int64,
            Literal::Decimal {
                unscaled, scale, ..
            },
        ) => {
            let (value, exact) = rescale(*unscaled, *scale, 0)?;
            exactness = exact;
            Arc::new(Int64Array::from(vec![i64::try_from(value).ok()?]))
        }
        (&DataType::Decimal128(precision, scale), _) => {
            let (unscaled, from) = match value {
                Literal::Int(value) => (i128::from(*value), 0),
                Literal::Long(value) => (i128::from(*value), 0),
                Literal::Decimal {
                    unscaled, scale, ..
                } => (*unscaled, *scale),
                _ => return None,
            };
            let (value, exact) = rescale(unscaled, from, u32::try_from(scale).ok()?)?;
            exactness = exact;
            let array = Decimal128Array::from(vec![value]);
            Arc::new(array.with_precision_and_scale(precision, scale).ok()?)
        }
        (DataType::Date32, Literal::Date(value)) => Arc::new(Date32Array::from(vec![*value])),
        (DataType::Time64(TimeUnit::Microsecond), Literal::Time(value)) => {
            Arc::new(Time64MicrosecondArray::from(vec![*value]))
        }
        (DataType::Timestamp(TimeUnit::Microsecond, None), Literal::Timestamp(value)) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*value]))
        }
        (DataType::Timestamp(TimeUnit::Microsecond, Some(zone)), Literal::Timestamptz(value)) => {
            Arc::new(TimestampMicrosecondArray::from(vec![*value]).with_timezone(Arc::clone(zone)))
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, None), Literal::TimestampNs(value)) => {
            Arc::new(TimestampNanosecondArray::from(vec![*value]))
        }
        (DataType::Timestamp(TimeUnit::Nanosecond, Some(zone)), Literal::TimestamptzNs(value)) => {
            Arc::new(TimestampNanosecondArray::from(vec![*value]).with_timezone(Arc::clone(zone)))
        }
        (DataType::Utf8, Literal::String(value)) => {
            Arc::new(StringArray::from(vec![value.as_str()]))
        }
        (DataType::Binary, Literal::Binary(value) | Literal::Fixed(value)) => {
            Arc::new(BinaryArray::from(vec![&value[..]]))
        }
        (DataType::FixedSizeBinary(16), Literal::Uuid(value)) => fixed(value.as_bytes(), 16)?,
        (DataType::FixedSizeBinary(length), Literal::Fixed(value) | Literal::Binary(value)) => {
            fixed(value, *length)?
        }
        _ => return None,
    };
    Some((array, exactness))
}

fn fixed(bytes: &[u8], length: i32) -> Option<ArrayRef> {
    if i32::try_from(bytes.len()) != Ok(length) || bytes.is_empty() {
        return None;
    }
    let array = FixedSizeBinaryArray::try_from_iter(std::iter::once(bytes)).ok()?;
    Some(Arc::new(array))
}

/// `unscaled * 10^-from` as a multiple of `10^-to`, rounded down.
fn rescale(unscaled: i128, from: u32, to: u32) -> Option<(i128, Exactness)> {
    let factor = 10_i128.checked_pow(from.abs_diff(to))?;
    if to >= from {
        return Some((unscaled.checked_mul(factor)?, Exactness::Equal));
    }
    let exactness = match unscaled.rem_euclid(factor) {
        0 => Exactness::Equal,
        _ => Exactness::Floor,
    };
    Some((unscaled.div_euclid(factor), exactness))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rescaling_rounds_down_and_says_so() {
        assert_eq!(rescale(15, 1, 3), Some((1500, Exactness::Equal)));
        assert_eq!(rescale(1500, 3, 1), Some((15, Exactness::Equal)));
        assert_eq!(rescale(1501, 3, 1), Some((15, Exactness::Floor)));
        assert_eq!(rescale(-1501, 3, 1), Some((-16, Exactness::Floor)));
        assert_eq!(rescale(i128::MAX, 0, 1), None);
    }
}
