//! Arrow types other than a column's own that hold the same values: narrower numbers, and other
//! layouts of strings and lists.

use crate::codec::numeric::MAX_PRECISION;
use crate::error::ValueError;
use crate::types::{ColumnType, TypeKind};
use arrow::array::{Array, ArrayRef};
use arrow::compute::{CastOptions, cast_with_options};
use arrow::datatypes::DataType;
use std::borrow::Cow;

/// The array as one of the types that the column's decoder reads.
///
/// `int2` and `int4` are read from Int32, or from Int64 with a check of the range; `numeric` from
/// a Decimal128 of its scale, or of any scale if it has none, and then also from Utf8; arrays and composites from any List and Struct, whose children are
/// promoted in their turn; all others from the column's own Arrow type.
pub(super) fn promote<'a>(
    column: &ColumnType,
    array: &'a ArrayRef,
) -> Result<Cow<'a, ArrayRef>, ValueError> {
    let found = array.data_type();
    let Some(target) = target(column, found) else {
        return Err(mismatch(column, found));
    };
    if target == *found {
        return Ok(Cow::Borrowed(array));
    }
    let options = CastOptions {
        safe: false,
        ..CastOptions::default()
    };
    cast_with_options(array, &target, &options)
        .map(Cow::Owned)
        .map_err(|_| mismatch(column, found))
}

fn mismatch(column: &ColumnType, found: &DataType) -> ValueError {
    ValueError::ArrowType {
        expected: column.arrow_type(),
        found: found.clone(),
    }
}

/// What to cast `found` to without loss; `None` if there is no such type.
fn target(column: &ColumnType, found: &DataType) -> Option<DataType> {
    use DataType as Type;
    let own = column.arrow_type();
    Some(match (column.kind(), found) {
        (TypeKind::Int2 | TypeKind::Int4, Type::Int8 | Type::Int16 | Type::Int32)
        | (TypeKind::Int2 | TypeKind::Int4, Type::UInt8 | Type::UInt16) => Type::Int32,
        (TypeKind::Int2 | TypeKind::Int4, Type::Int64 | Type::UInt32) => Type::Int64,
        (
            TypeKind::Int8 | TypeKind::Oid,
            Type::Int8
            | Type::Int16
            | Type::Int32
            | Type::Int64
            | Type::UInt8
            | Type::UInt16
            | Type::UInt32,
        ) => Type::Int64,
        (TypeKind::Float8, Type::Float32) => own,
        (TypeKind::Numeric { scale, .. }, Type::Decimal128(precision, found_scale))
            if i16::from(*found_scale) == i16::from(*scale) =>
        {
            Type::Decimal128(*precision, *found_scale)
        }
        (
            TypeKind::Numeric { scale, .. },
            Type::Decimal32(precision, found_scale) | Type::Decimal64(precision, found_scale),
        ) if i16::from(*found_scale) == i16::from(*scale) => {
            Type::Decimal128(*precision, *found_scale)
        }
        (TypeKind::UnconstrainedNumeric { .. }, Type::Utf8 | Type::LargeUtf8 | Type::Utf8View) => {
            Type::Utf8
        }
        (
            TypeKind::UnconstrainedNumeric { .. },
            Type::Decimal32(precision, scale)
            | Type::Decimal64(precision, scale)
            | Type::Decimal128(precision, scale),
        ) if (0..=MAX_PRECISION as i8).contains(scale) => Type::Decimal128(*precision, *scale),
        (
            TypeKind::Xid8,
            Type::Decimal32(precision, 0)
            | Type::Decimal64(precision, 0)
            | Type::Decimal128(precision, 0),
        ) => Type::Decimal128(*precision, 0),
        (_, Type::LargeUtf8 | Type::Utf8View) if own == Type::Utf8 => own,
        (_, Type::LargeBinary | Type::BinaryView | Type::FixedSizeBinary(_))
            if own == Type::Binary =>
        {
            own
        }
        (_, Type::Dictionary(_, values)) if **values == own => own,
        // Any zone names the same instants.
        (TypeKind::Timestamptz, Type::Timestamp(unit, Some(_))) if own_unit(&own) == Some(unit) => {
            found.clone()
        }
        (TypeKind::Array(_), Type::List(_)) => found.clone(),
        (TypeKind::Array(_), Type::LargeList(field) | Type::FixedSizeList(field, _)) => {
            Type::List(field.clone())
        }
        (TypeKind::Composite(_), Type::Struct(_)) => found.clone(),
        _ if own == *found => own,
        _ => return None,
    })
}

fn own_unit(own: &DataType) -> Option<&arrow::datatypes::TimeUnit> {
    match own {
        DataType::Timestamp(unit, _) => Some(unit),
        _ => None,
    }
}
