//! What transforms make of values (specification, section "Partition Transforms" and appendix B).

use super::datum::{Datum, minimal_big_endian};
use super::transform::Transform;

const MICROSECONDS_PER_HOUR: i64 = 3_600_000_000;
const MICROSECONDS_PER_DAY: i64 = 24 * MICROSECONDS_PER_HOUR;

impl Transform {
    /// The transformed value; `None` where the transform gives null, or is not defined for the
    /// value's type, or is not known.
    pub fn apply(&self, value: &Datum) -> Option<Datum> {
        match self {
            Self::Identity => Some(value.clone()),
            Self::Bucket(buckets) => {
                let hash = bucket_hash(value)? & 0x7fff_ffff;
                i32::try_from(hash % buckets).ok().map(Datum::Int)
            }
            Self::Truncate(width) => truncate(value, *width),
            Self::Year => months(value).map(|months| Datum::Int(months.div_euclid(12))),
            Self::Month => months(value).map(Datum::Int),
            Self::Day => days(value).map(Datum::Date),
            // Times too far for 32 bits of hours wrap around, as they do in the reference implementation.
            Self::Hour => Some(Datum::Int(
                micros(value)?.div_euclid(MICROSECONDS_PER_HOUR) as i32
            )),
            Self::Void | Self::Unknown(_) => None,
        }
    }
}

/// Numbers are truncated towards negative infinity; those next to the least of their type wrap
/// around, as they do in the reference implementation.
fn truncate(value: &Datum, width: u32) -> Option<Datum> {
    Some(match value {
        Datum::Int(value) => {
            let rest = i64::from(*value).rem_euclid(width.into());
            Datum::Int(value.wrapping_sub(rest as i32))
        }
        Datum::Long(value) => Datum::Long(value.wrapping_sub(value.rem_euclid(width.into()))),
        &Datum::Decimal {
            unscaled,
            precision,
            scale,
        } => Datum::Decimal {
            unscaled: unscaled.checked_sub(unscaled.rem_euclid(width.into()))?,
            precision,
            scale,
        },
        Datum::String(text) => {
            let end = text.char_indices().nth(width as usize);
            let end = end.map_or(text.len(), |(end, _)| end);
            Datum::String(text[..end].to_owned())
        }
        Datum::Binary(bytes) => Datum::Binary(bytes[..bytes.len().min(width as usize)].to_vec()),
        _ => return None,
    })
}

/// Microseconds from 1970-01-01, rounded down.
fn micros(value: &Datum) -> Option<i64> {
    match value {
        Datum::Timestamp(micros) | Datum::Timestamptz(micros) => Some(*micros),
        Datum::TimestampNs(nanos) | Datum::TimestamptzNs(nanos) => Some(nanos.div_euclid(1000)),
        _ => None,
    }
}

fn days(value: &Datum) -> Option<i32> {
    match value {
        Datum::Date(days) => Some(*days),
        _ => i32::try_from(micros(value)?.div_euclid(MICROSECONDS_PER_DAY)).ok(),
    }
}

/// Months from 1970-01, in the proleptic Gregorian calendar.
fn months(value: &Datum) -> Option<i32> {
    let days = i64::from(days(value)?);
    // Years begin in March here, so that the leap day is a year's last.
    let from_year_zero = days + 719_468;
    let (cycle, day) = (
        from_year_zero.div_euclid(146_097),
        from_year_zero.rem_euclid(146_097),
    );
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day_of_year = day - (365 * year + year / 4 - year / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let months = (cycle * 400 + year) * 12 + month_from_march + 2;
    i32::try_from(months - 1970 * 12).ok()
}

/// The hash of appendix B; `None` for types without one.
fn bucket_hash(value: &Datum) -> Option<u32> {
    let long = |value: i64| Some(murmur3(&value.to_le_bytes()));
    match value {
        Datum::Int(value) | Datum::Date(value) => long((*value).into()),
        Datum::Long(value)
        | Datum::Time(value)
        | Datum::Timestamp(value)
        | Datum::Timestamptz(value) => long(*value),
        Datum::TimestampNs(_) | Datum::TimestamptzNs(_) => long(micros(value)?),
        Datum::Decimal { unscaled, .. } => Some(murmur3(&minimal_big_endian(*unscaled))),
        Datum::String(text) => Some(murmur3(text.as_bytes())),
        Datum::Uuid(uuid) => Some(murmur3(uuid.as_bytes())),
        Datum::Fixed(bytes) | Datum::Binary(bytes) => Some(murmur3(bytes)),
        Datum::Boolean(_) | Datum::Float(_) | Datum::Double(_) => None,
    }
}

/// The 32-bit Murmur3 hash, x86 variant, with seed 0.
fn murmur3(bytes: &[u8]) -> u32 {
    let mix = |block: u32| {
        block
            .wrapping_mul(0xcc9e_2d51)
            .rotate_left(15)
            .wrapping_mul(0x1b87_3593)
    };
    let mut hash = 0_u32;
    let blocks = bytes.chunks(4);
    for block in blocks {
        let mut word = [0; 4];
        word[..block.len()].copy_from_slice(block);
        hash ^= mix(u32::from_le_bytes(word));
        if block.len() == 4 {
            hash = hash
                .rotate_left(13)
                .wrapping_mul(5)
                .wrapping_add(0xe654_6b64);
        }
    }
    hash ^= bytes.len() as u32;
    hash ^= hash >> 16;
    hash = hash.wrapping_mul(0x85eb_ca6b);
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(0xc2b2_ae35);
    hash ^ hash >> 16
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    /// The examples of appendix B.
    #[test]
    fn hashes_are_those_of_the_specification() {
        let decimal = Datum::Decimal {
            unscaled: 1420,
            precision: 9,
            scale: 2,
        };
        let uuid = "f79c3e09-677c-4bbd-a479-3f349cb785e7".parse().unwrap();
        for (value, hash) in [
            (Datum::Int(34), 2_017_239_379),
            (Datum::Long(34), 2_017_239_379),
            (decimal, -500_754_589),
            (Datum::Date(17_486), -653_330_422),
            (Datum::Time(81_068_000_000), -662_762_989),
            (Datum::Timestamp(1_510_871_468_000_000), -2_047_944_441),
            (Datum::Timestamptz(1_510_871_468_000_001), -1_207_196_810),
            (
                Datum::TimestampNs(1_510_871_468_000_001_001),
                -1_207_196_810,
            ),
            (Datum::String("iceberg".to_owned()), 1_210_000_089),
            (Datum::Uuid(uuid), 1_488_055_340),
            (Datum::Fixed(vec![0, 1, 2, 3]), -188_683_207),
            (Datum::Binary(vec![0, 1, 2, 3]), -188_683_207),
        ] {
            let found = bucket_hash(&value).unwrap().cast_signed();
            assert_eq!(found, hash, "{value:?}");
        }
        let bucket = Transform::Bucket(16).apply(&Datum::String("iceberg".to_owned()));
        assert_eq!(bucket, Some(Datum::Int(1_210_000_089 % 16)));
        let negative = Transform::Bucket(10).apply(&Datum::Fixed(vec![0, 1, 2, 3]));
        assert_eq!(negative, Some(Datum::Int((-188_683_207 & i32::MAX) % 10)));
        assert_eq!(Transform::Bucket(10).apply(&Datum::Double(1.0)), None);
    }

    #[test]
    fn numbers_and_texts_are_truncated_as_the_specification_says() {
        let truncated =
            |width: u32, value: Datum| Transform::Truncate(width).apply(&value).unwrap();
        assert_eq!(truncated(10, Datum::Int(1)), Datum::Int(0));
        assert_eq!(truncated(10, Datum::Int(-1)), Datum::Int(-10));
        assert_eq!(truncated(10, Datum::Long(-20)), Datum::Long(-20));
        let decimal = |unscaled: i128| Datum::Decimal {
            unscaled,
            precision: 9,
            scale: 2,
        };
        assert_eq!(truncated(50, decimal(1065)), decimal(1050));
        assert_eq!(truncated(50, decimal(-1)), decimal(-50));
        let text = |text: &str| Datum::String(text.to_owned());
        assert_eq!(truncated(3, text("iceberg")), text("ice"));
        assert_eq!(truncated(2, text("größe")), text("gr"));
        assert_eq!(truncated(3, text("größe")), text("grö"));
        assert_eq!(truncated(9, text("größe")), text("größe"));
        let binary = |bytes: &[u8]| Datum::Binary(bytes.to_vec());
        assert_eq!(truncated(3, binary(&[1, 2, 3, 4])), binary(&[1, 2, 3]));
        // Nothing is below the least number: it wraps around.
        assert_eq!(
            truncated(10, Datum::Int(i32::MIN)),
            Datum::Int(i32::MAX - 1)
        );
    }

    #[test]
    fn years_months_days_and_hours_count_from_1970_also_before_it() {
        let parts = |value: Datum| {
            [
                Transform::Year,
                Transform::Month,
                Transform::Day,
                Transform::Hour,
            ]
            .map(|transform| transform.apply(&value))
        };
        let int = |value: i32| Some(Datum::Int(value));
        let date = |value: i32| Some(Datum::Date(value));
        // 2017-11-16 22:31:08
        let expected = [int(47), int(574), date(17_486), int(419_686)];
        assert_eq!(parts(Datum::Timestamp(1_510_871_468_000_000)), expected);
        assert_eq!(
            parts(Datum::TimestamptzNs(1_510_871_468_000_000_001)),
            expected
        );
        // The last microsecond of 1969.
        let expected = [int(-1), int(-1), date(-1), int(-1)];
        assert_eq!(parts(Datum::Timestamptz(-1)), expected);
        assert_eq!(parts(Datum::TimestampNs(-1)), expected);
        // Leap days, and the year 0.
        assert_eq!(parts(Datum::Date(11_016))[1], int(361));
        assert_eq!(parts(Datum::Date(11_017))[1], int(362));
        assert_eq!(
            parts(Datum::Date(-719_528))[..2],
            [int(-1970), int(-1970 * 12)]
        );
        assert_eq!(parts(Datum::Date(0)), [int(0), int(0), date(0), None]);
        assert_eq!(parts(Datum::Int(0)), [None, None, None, None]);
    }
}
