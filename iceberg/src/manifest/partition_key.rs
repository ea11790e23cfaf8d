//! Partition tuples as they are compared with one another.

use super::data_file::DataFile;
use crate::spec::Datum;

/// A data or delete file's partition: the spec, and the values in a form that does not depend on the
/// types that the source columns had when the file's manifest was written.
///
/// Promotions keep values (specification, section "Schema Evolution"), so values of all types that a
/// column can have had are brought into one. All NaNs are one value, and zeros of different signs are
/// two, as in the order of section "Sorting".
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PartitionKey {
    spec_id: i32,
    values: Box<[Option<KeyValue>]>,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum KeyValue {
    Boolean(bool),
    /// `int` and `long`.
    Integer(i64),
    /// `float` and `double`, as bits.
    Floating(u64),
    /// Unscaled: promotion keeps the scale.
    Decimal(i128),
    /// `date`, `timestamp` and `timestamp_ns`, in nanoseconds from 1970-01-01.
    Instant(i128),
    /// Types that are not promoted.
    Time(i64),
    Timestamptz(i64),
    TimestamptzNs(i64),
    String(Box<str>),
    Bytes(Box<[u8]>),
}

const NANOSECONDS_PER_DAY: i128 = 86_400_000_000_000;

impl PartitionKey {
    /// The partition of a file.
    pub fn of(file: &DataFile) -> Self {
        Self {
            spec_id: file.partition_spec_id,
            values: file
                .partition
                .iter()
                .map(|value| value.as_ref().map(KeyValue::of))
                .collect(),
        }
    }
}

impl KeyValue {
    fn of(datum: &Datum) -> Self {
        match datum {
            Datum::Boolean(value) => Self::Boolean(*value),
            Datum::Int(value) => Self::Integer((*value).into()),
            Datum::Long(value) => Self::Integer(*value),
            Datum::Float(value) => Self::floating((*value).into()),
            Datum::Double(value) => Self::floating(*value),
            Datum::Decimal { unscaled, .. } => Self::Decimal(*unscaled),
            Datum::Date(days) => Self::Instant(i128::from(*days) * NANOSECONDS_PER_DAY),
            Datum::Timestamp(micros) => Self::Instant(i128::from(*micros) * 1000),
            Datum::TimestampNs(nanos) => Self::Instant((*nanos).into()),
            Datum::Time(value) => Self::Time(*value),
            Datum::Timestamptz(value) => Self::Timestamptz(*value),
            Datum::TimestamptzNs(value) => Self::TimestamptzNs(*value),
            Datum::String(value) => Self::String(value.as_str().into()),
            Datum::Uuid(value) => Self::Bytes(value.as_bytes()[..].into()),
            Datum::Fixed(value) | Datum::Binary(value) => Self::Bytes(value[..].into()),
        }
    }

    fn floating(value: f64) -> Self {
        let value = if value.is_nan() { f64::NAN } else { value };
        Self::Floating(value.to_bits())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(value: Datum) -> PartitionKey {
        PartitionKey::of(&DataFile {
            partition: vec![Some(value), None],
            ..DataFile::default()
        })
    }

    fn decimal(unscaled: i128, precision: u32) -> Datum {
        Datum::Decimal {
            unscaled,
            precision,
            scale: 2,
        }
    }

    #[test]
    fn values_from_before_and_after_a_promotion_are_one_partition() {
        for (before, after, other) in [
            (Datum::Int(-7), Datum::Long(-7), Datum::Long(7)),
            (
                Datum::Float(0.1),
                Datum::Double(0.1_f32.into()),
                Datum::Double(0.1),
            ),
            (decimal(150, 5), decimal(150, 20), decimal(15, 20)),
            (
                Datum::Date(-1),
                Datum::Timestamp(-86_400_000_000),
                Datum::Timestamp(-86_400_000),
            ),
            (
                Datum::Date(1),
                Datum::TimestampNs(86_400_000_000_000),
                Datum::TimestampNs(86_400_000_000),
            ),
        ] {
            assert_eq!(key(before.clone()), key(after));
            assert_ne!(key(before), key(other));
        }
    }

    #[test]
    fn all_nans_are_one_partition_and_zeros_of_different_signs_are_two() {
        let negative_nan = f64::from_bits(f64::NAN.to_bits() | 1 << 63);
        let signalling = f32::from_bits(0x7fa0_0001);
        for nan in [
            Datum::Double(negative_nan),
            Datum::Float(f32::NAN),
            Datum::Float(signalling),
        ] {
            assert_eq!(key(nan), key(Datum::Double(f64::NAN)));
        }
        assert_ne!(key(Datum::Double(-0.0)), key(Datum::Double(0.0)));
        assert_eq!(key(Datum::Float(-0.0)), key(Datum::Double(-0.0)));
    }

    #[test]
    fn partitions_of_different_specs_and_nulls_differ() {
        let file = |spec: i32, value: Option<i32>| DataFile {
            partition_spec_id: spec,
            partition: vec![value.map(Datum::Int)],
            ..DataFile::default()
        };
        let key = |spec, value| PartitionKey::of(&file(spec, value));
        assert_eq!(key(1, None), key(1, None));
        assert_ne!(key(1, None), key(1, Some(0)));
        assert_ne!(key(1, Some(0)), key(2, Some(0)));
    }
}
