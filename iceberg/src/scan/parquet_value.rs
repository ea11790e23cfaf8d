//! Single values in Parquet's plain form, as statistics and page indexes hold them.

use parquet::basic::{LogicalType, TimeUnit, Type as PhysicalType};
use parquet::schema::types::ColumnDescriptor;

use crate::spec::{Datum, PrimitiveType};

/// The value of a column of type `primitive` whose plain form in the file is `bytes`; `None` where
/// the file's type has no value of that type by a plain widening.
pub(crate) fn datum_from_parquet(
    primitive: &PrimitiveType,
    leaf: &ColumnDescriptor,
    bytes: &[u8],
) -> Option<Datum> {
    use PrimitiveType as P;
    let physical = leaf.physical_type();
    let logical = leaf.logical_type_ref();
    let int = || {
        (physical == PhysicalType::INT32)
            .then(|| i32_from(bytes))
            .flatten()
    };
    let long = || {
        (physical == PhysicalType::INT64)
            .then(|| i64_from(bytes))
            .flatten()
    };
    let in_unit = |unit: TimeUnit, utc: bool| match logical {
        Some(LogicalType::Timestamp(t)) => t.unit == unit && t.is_adjusted_to_u_t_c == utc,
        _ => false,
    };
    Some(match primitive {
        P::Boolean if physical == PhysicalType::BOOLEAN => Datum::Boolean(*bytes.first()? != 0),
        P::Int if is_signed(logical) => Datum::Int(int()?),
        P::Long if is_signed(logical) => Datum::Long(int().map(i64::from).or_else(long)?),
        P::Float if physical == PhysicalType::FLOAT => {
            Datum::Float(f32::from_le_bytes(bytes.try_into().ok()?))
        }
        P::Double if physical == PhysicalType::FLOAT => {
            Datum::Double(f32::from_le_bytes(bytes.try_into().ok()?).into())
        }
        P::Double if physical == PhysicalType::DOUBLE => {
            Datum::Double(f64::from_le_bytes(bytes.try_into().ok()?))
        }
        &P::Decimal { precision, scale } if is_decimal(leaf, scale) => {
            let unscaled = match physical {
                PhysicalType::INT32 => i128::from(i32_from(bytes)?),
                PhysicalType::INT64 => i128::from(i64_from(bytes)?),
                PhysicalType::BYTE_ARRAY | PhysicalType::FIXED_LEN_BYTE_ARRAY => {
                    return Datum::from_bytes(primitive, bytes).ok().flatten();
                }
                _ => return None,
            };
            Datum::Decimal {
                unscaled,
                precision,
                scale,
            }
        }
        P::Date if logical == Some(&LogicalType::Date) => Datum::Date(int()?),
        P::Time => match logical {
            Some(LogicalType::Time(time)) if time.unit == TimeUnit::MICROS => Datum::Time(long()?),
            _ => return None,
        },
        P::Timestamp if in_unit(TimeUnit::MICROS, false) => Datum::Timestamp(long()?),
        P::Timestamptz if in_unit(TimeUnit::MICROS, true) => Datum::Timestamptz(long()?),
        P::TimestampNs if in_unit(TimeUnit::NANOS, false) => Datum::TimestampNs(long()?),
        P::TimestamptzNs if in_unit(TimeUnit::NANOS, true) => Datum::TimestamptzNs(long()?),
        P::String if physical == PhysicalType::BYTE_ARRAY => {
            Datum::String(std::str::from_utf8(bytes).ok()?.to_owned())
        }
        P::Binary if physical == PhysicalType::BYTE_ARRAY => Datum::Binary(bytes.to_vec()),
        P::Fixed(_) if physical == PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            Datum::Fixed(bytes.to_vec())
        }
        P::Uuid if physical == PhysicalType::FIXED_LEN_BYTE_ARRAY => {
            return Datum::from_bytes(primitive, bytes).ok().flatten();
        }
        _ => return None,
    })
}

fn i32_from(bytes: &[u8]) -> Option<i32> {
    bytes.try_into().ok().map(i32::from_le_bytes)
}

fn i64_from(bytes: &[u8]) -> Option<i64> {
    bytes.try_into().ok().map(i64::from_le_bytes)
}

fn is_signed(logical: Option<&LogicalType>) -> bool {
    match logical {
        None => true,
        Some(LogicalType::Integer(integer)) => integer.is_signed,
        Some(_) => false,
    }
}

fn is_decimal(leaf: &ColumnDescriptor, scale: u32) -> bool {
    match leaf.logical_type_ref() {
        Some(LogicalType::Decimal(decimal)) => u32::try_from(decimal.scale) == Ok(scale),
        _ => false,
    }
}
