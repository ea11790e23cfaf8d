//! Single values of primitive types, and their binary form (specification, appendix D).

use std::cmp::Ordering;

use uuid::Uuid;

use super::primitive::PrimitiveType;

/// A value of a primitive type that is not null.
#[derive(Debug, Clone, PartialEq)]
pub enum Datum {
    /// Of type `boolean`.
    Boolean(bool),
    /// Of type `int`.
    Int(i32),
    /// Of type `long`.
    Long(i64),
    /// Of type `float`.
    Float(f32),
    /// Of type `double`.
    Double(f64),
    /// Of type `decimal(P, S)`: `unscaled` / 10^`scale`.
    Decimal {
        /// The value without its point.
        unscaled: i128,
        /// Digits in all.
        precision: u32,
        /// Digits after the point.
        scale: u32,
    },
    /// Of type `date`: days from 1970-01-01.
    Date(i32),
    /// Of type `time`: microseconds from midnight.
    Time(i64),
    /// Of type `timestamp`: microseconds from 1970-01-01.
    Timestamp(i64),
    /// Of type `timestamptz`: microseconds from 1970-01-01 UTC.
    Timestamptz(i64),
    /// Of type `timestamp_ns`: nanoseconds from 1970-01-01.
    TimestampNs(i64),
    /// Of type `timestamptz_ns`: nanoseconds from 1970-01-01 UTC.
    TimestamptzNs(i64),
    /// Of type `string`.
    String(String),
    /// Of type `uuid`.
    Uuid(Uuid),
    /// Of type `fixed[L]`.
    Fixed(Vec<u8>),
    /// Of type `binary`.
    Binary(Vec<u8>),
}

impl Datum {
    /// The type it is a value of.
    pub fn primitive_type(&self) -> PrimitiveType {
        match self {
            Self::Boolean(_) => PrimitiveType::Boolean,
            Self::Int(_) => PrimitiveType::Int,
            Self::Long(_) => PrimitiveType::Long,
            Self::Float(_) => PrimitiveType::Float,
            Self::Double(_) => PrimitiveType::Double,
            &Self::Decimal {
                precision, scale, ..
            } => PrimitiveType::Decimal { precision, scale },
            Self::Date(_) => PrimitiveType::Date,
            Self::Time(_) => PrimitiveType::Time,
            Self::Timestamp(_) => PrimitiveType::Timestamp,
            Self::Timestamptz(_) => PrimitiveType::Timestamptz,
            Self::TimestampNs(_) => PrimitiveType::TimestampNs,
            Self::TimestamptzNs(_) => PrimitiveType::TimestamptzNs,
            Self::String(_) => PrimitiveType::String,
            Self::Uuid(_) => PrimitiveType::Uuid,
            Self::Fixed(bytes) => PrimitiveType::Fixed(bytes.len() as u64),
            Self::Binary(_) => PrimitiveType::Binary,
        }
    }

    /// The single-value binary form, as bounds are stored.
    pub fn to_bytes(&self) -> Vec<u8> {
        match self {
            Self::Boolean(value) => vec![u8::from(*value)],
            Self::Int(value) | Self::Date(value) => value.to_le_bytes().to_vec(),
            Self::Long(value)
            | Self::Time(value)
            | Self::Timestamp(value)
            | Self::Timestamptz(value)
            | Self::TimestampNs(value)
            | Self::TimestamptzNs(value) => value.to_le_bytes().to_vec(),
            Self::Float(value) => value.to_le_bytes().to_vec(),
            Self::Double(value) => value.to_le_bytes().to_vec(),
            Self::Decimal { unscaled, .. } => minimal_big_endian(*unscaled),
            Self::String(value) => value.as_bytes().to_vec(),
            Self::Uuid(value) => value.as_bytes().to_vec(),
            Self::Fixed(value) | Self::Binary(value) => value.clone(),
        }
    }

    /// Reads the single-value binary form of a value of type `primitive`.
    ///
    /// A value written before its column's type was promoted (`int` to `long`, `float` to `double`,
    /// `date` to `timestamp`, decimals to a larger precision) is read as the new type. Types that
    /// have no ordered single values (`unknown`, `variant`, `geometry`, `geography` and those this
    /// library does not know) give `Ok(None)`. The error is a sentence for the user.
    pub fn from_bytes(primitive: &PrimitiveType, bytes: &[u8]) -> Result<Option<Self>, String> {
        use PrimitiveType as P;
        let long = || le_array(primitive, bytes).map(i64::from_le_bytes);
        let int = || le_array(primitive, bytes).map(i32::from_le_bytes);
        Ok(Some(match primitive {
            P::Boolean => {
                let [byte] = le_array(primitive, bytes)?;
                Self::Boolean(byte != 0)
            }
            P::Int => Self::Int(int()?),
            P::Date => Self::Date(int()?),
            P::Long if bytes.len() == 4 => Self::Long(int()?.into()),
            P::Long => Self::Long(long()?),
            P::Float => Self::Float(f32::from_le_bytes(le_array(primitive, bytes)?)),
            P::Double if bytes.len() == 4 => {
                Self::Double(f32::from_le_bytes(le_array(primitive, bytes)?).into())
            }
            P::Double => Self::Double(f64::from_le_bytes(le_array(primitive, bytes)?)),
            &P::Decimal { precision, scale } => Self::Decimal {
                unscaled: big_endian_i128(primitive, bytes)?,
                precision,
                scale,
            },
            P::Time => Self::Time(long()?),
            P::Timestamp if bytes.len() == 4 => {
                Self::Timestamp(i64::from(int()?) * MICROSECONDS_PER_DAY)
            }
            P::Timestamp => Self::Timestamp(long()?),
            P::Timestamptz => Self::Timestamptz(long()?),
            P::TimestampNs if bytes.len() == 4 => {
                match i64::from(int()?).checked_mul(MICROSECONDS_PER_DAY * 1000) {
                    Some(value) => Self::TimestampNs(value),
                    None => return Err("a date is out of the range of timestamp_ns".to_owned()),
                }
            }
            P::TimestampNs => Self::TimestampNs(long()?),
            P::TimestamptzNs => Self::TimestamptzNs(long()?),
            P::String => match std::str::from_utf8(bytes) {
                Ok(text) => Self::String(text.to_owned()),
                Err(error) => return Err(format!("a string value is not UTF-8: {error}")),
            },
            P::Uuid => Self::Uuid(Uuid::from_bytes(le_array(primitive, bytes)?)),
            // Bounds of binary types may be truncated, so a fixed bound need not be whole.
            P::Fixed(_) => Self::Fixed(bytes.to_vec()),
            P::Binary => Self::Binary(bytes.to_vec()),
            P::Unknown | P::Variant | P::Geometry(_) | P::Geography(_) | P::Other(_) => {
                return Ok(None);
            }
        }))
    }

    /// The same value as one of type `primitive`, which may be the same or one that schema evolution
    /// can promote to; `None` for any other type.
    pub fn promoted_to(&self, primitive: &PrimitiveType) -> Option<Self> {
        let given = self.primitive_type();
        let allowed = match (&given, primitive) {
            (PrimitiveType::Int, PrimitiveType::Long)
            | (PrimitiveType::Float, PrimitiveType::Double)
            | (PrimitiveType::Date, PrimitiveType::Timestamp | PrimitiveType::TimestampNs) => true,
            (
                PrimitiveType::Decimal { precision, scale },
                PrimitiveType::Decimal {
                    precision: to_precision,
                    scale: to_scale,
                },
            ) => precision <= to_precision && scale == to_scale,
            _ => given == *primitive,
        };
        if !allowed {
            return None;
        }
        Self::from_bytes(primitive, &self.to_bytes()).ok().flatten()
    }

    /// Whether it is a floating-point NaN, which bounds must not be.
    pub fn is_nan(&self) -> bool {
        match self {
            Self::Float(value) => value.is_nan(),
            Self::Double(value) => value.is_nan(),
            _ => false,
        }
    }

    /// How it compares with a value of the same type, in the order that bounds are taken in;
    /// `None` for values of different types. Zeros are equal whatever their sign; NaN is greater
    /// than every number.
    pub fn compare(&self, other: &Self) -> Option<Ordering> {
        Some(match (self, other) {
            (Self::Boolean(a), Self::Boolean(b)) => a.cmp(b),
            (Self::Int(a), Self::Int(b)) | (Self::Date(a), Self::Date(b)) => a.cmp(b),
            (Self::Long(a), Self::Long(b))
            | (Self::Time(a), Self::Time(b))
            | (Self::Timestamp(a), Self::Timestamp(b))
            | (Self::Timestamptz(a), Self::Timestamptz(b))
            | (Self::TimestampNs(a), Self::TimestampNs(b))
            | (Self::TimestamptzNs(a), Self::TimestamptzNs(b)) => a.cmp(b),
            (Self::Float(a), Self::Float(b)) => compare_floats((*a).into(), (*b).into()),
            (Self::Double(a), Self::Double(b)) => compare_floats(*a, *b),
            (
                Self::Decimal {
                    unscaled: a,
                    scale: a_scale,
                    ..
                },
                Self::Decimal {
                    unscaled: b,
                    scale: b_scale,
                    ..
                },
            ) if a_scale == b_scale => a.cmp(b),
            (Self::String(a), Self::String(b)) => a.cmp(b),
            (Self::Uuid(a), Self::Uuid(b)) => a.cmp(b),
            (Self::Fixed(a), Self::Fixed(b)) | (Self::Binary(a), Self::Binary(b)) => a.cmp(b),
            _ => return None,
        })
    }
}

const MICROSECONDS_PER_DAY: i64 = 86_400_000_000;

fn compare_floats(a: f64, b: f64) -> Ordering {
    a.partial_cmp(&b)
        .unwrap_or_else(|| a.is_nan().cmp(&b.is_nan()))
}

fn le_array<const N: usize>(primitive: &PrimitiveType, bytes: &[u8]) -> Result<[u8; N], String> {
    bytes.try_into().map_err(|_| {
        format!(
            "a value of type {primitive} has {} bytes, {N} were expected",
            bytes.len()
        )
    })
}

/// Two's complement, big-endian, in the least number of bytes.
pub(crate) fn minimal_big_endian(value: i128) -> Vec<u8> {
    let bytes = value.to_be_bytes();
    let sign = if value < 0 { 0xff } else { 0 };
    let redundant = bytes
        .windows(2)
        .take_while(|pair| pair[0] == sign && (pair[1] ^ sign) & 0x80 == 0)
        .count();
    bytes[redundant..].to_vec()
}

/// Two's complement, big-endian, of any length whose value fits.
pub(crate) fn big_endian_i128(primitive: &PrimitiveType, bytes: &[u8]) -> Result<i128, String> {
    let Some(&first) = bytes.first() else {
        return Err(format!("a value of type {primitive} has no bytes"));
    };
    let sign = if first & 0x80 == 0 { 0 } else { 0xff };
    let skipped = bytes.len().saturating_sub(16);
    let rest = &bytes[skipped..];
    if bytes[..skipped].iter().any(|&byte| byte != sign) || (rest[0] ^ sign) & 0x80 != 0 {
        return Err(format!("a value of type {primitive} is too large"));
    }
    let mut wide = [sign; 16];
    wide[16 - rest.len()..].copy_from_slice(rest);
    Ok(i128::from_be_bytes(wide))
}

#[cfg(test)]
#[path = "datum_tests.rs"]
mod tests;
