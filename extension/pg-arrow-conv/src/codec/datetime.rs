//! Shifts between PostgreSQL's epoch (2000-01-01) and Unix's (1970-01-01).
//!
//! Ranges are those of `datatype/timestamp.h`: `IS_VALID_DATE` and `IS_VALID_TIMESTAMP`.

use crate::error::ValueError;

const EPOCH_SHIFT_DAYS: i32 = 10_957;
const MICROS_PER_DAY: i64 = 86_400_000_000;
const EPOCH_SHIFT_MICROS: i64 = EPOCH_SHIFT_DAYS as i64 * MICROS_PER_DAY;

const POSTGRES_EPOCH_JDATE: i32 = 2_451_545;
/// 4714-11-24 BC, the first date allowed.
const MIN_DATE: i32 = -POSTGRES_EPOCH_JDATE;
/// 5874898-01-01, the first date not allowed.
const END_DATE: i32 = 2_147_483_494 - POSTGRES_EPOCH_JDATE;
/// 4714-11-24 00:00:00 BC.
const MIN_TIMESTAMP: i64 = MIN_DATE as i64 * MICROS_PER_DAY;
/// 294277-01-01 00:00:00, the first timestamp not allowed.
const END_TIMESTAMP: i64 = 9_223_371_331_200_000_000;

/// `DateADT` to days since 1970-01-01.
#[inline]
pub(crate) fn date_to_unix_days(date: i32) -> Result<i32, ValueError> {
    if (MIN_DATE..END_DATE).contains(&date) {
        // END_DATE + EPOCH_SHIFT_DAYS is below i32::MAX.
        return Ok(date + EPOCH_SHIFT_DAYS);
    }
    Err(match date {
        i32::MIN => infinity("date", "-infinity"),
        i32::MAX => infinity("date", "infinity"),
        _ => ValueError::Corrupt("date"),
    })
}

/// Days since 1970-01-01 to `DateADT`.
#[inline]
pub(crate) fn unix_days_to_date(days: i32) -> Result<i32, ValueError> {
    match days.checked_sub(EPOCH_SHIFT_DAYS) {
        Some(date) if (MIN_DATE..END_DATE).contains(&date) => Ok(date),
        _ => Err(overflow("date", format!("{days} days from 1970-01-01"))),
    }
}

/// `Timestamp` to microseconds since 1970-01-01 00:00:00. `type_name` is for the error.
#[inline]
pub(crate) fn timestamp_to_unix_micros(
    timestamp: i64,
    type_name: &'static str,
) -> Result<i64, ValueError> {
    if (MIN_TIMESTAMP..END_TIMESTAMP).contains(&timestamp) {
        return timestamp
            .checked_add(EPOCH_SHIFT_MICROS)
            .ok_or(ValueError::TimestampTooLate { type_name });
    }
    Err(match timestamp {
        i64::MIN => infinity(type_name, "-infinity"),
        i64::MAX => infinity(type_name, "infinity"),
        _ => ValueError::Corrupt(type_name),
    })
}

/// Microseconds since 1970-01-01 00:00:00 to `Timestamp`.
#[inline]
pub(crate) fn unix_micros_to_timestamp(
    micros: i64,
    type_name: &'static str,
) -> Result<i64, ValueError> {
    match micros.checked_sub(EPOCH_SHIFT_MICROS) {
        Some(timestamp) if (MIN_TIMESTAMP..END_TIMESTAMP).contains(&timestamp) => Ok(timestamp),
        _ => Err(overflow(
            type_name,
            format!("{micros} microseconds from 1970-01-01"),
        )),
    }
}

/// `TimeADT` to microseconds since midnight; the unit is the same, the range is not.
#[inline]
pub(crate) fn time_to_micros(time: i64) -> Result<i64, ValueError> {
    match time {
        0..MICROS_PER_DAY => Ok(time),
        MICROS_PER_DAY => Err(ValueError::TimeEndOfDay),
        _ => Err(ValueError::Corrupt("time")),
    }
}

/// Microseconds since midnight to `TimeADT`.
#[inline]
pub(crate) fn micros_to_time(micros: i64) -> Result<i64, ValueError> {
    if (0..MICROS_PER_DAY).contains(&micros) {
        Ok(micros)
    } else {
        Err(overflow(
            "time",
            format!("{micros} microseconds from midnight"),
        ))
    }
}

#[cold]
fn infinity(type_name: &'static str, value: &'static str) -> ValueError {
    ValueError::DatetimeInfinity { type_name, value }
}

#[cold]
fn overflow(type_name: &'static str, found: String) -> ValueError {
    ValueError::DatetimeOverflow { type_name, found }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn epochs_are_shifted_by_thirty_years() {
        assert_eq!(date_to_unix_days(0), Ok(10_957));
        assert_eq!(unix_days_to_date(0), Ok(-10_957));
        assert_eq!(
            timestamp_to_unix_micros(0, "timestamp"),
            Ok(946_684_800_000_000)
        );
        assert_eq!(
            unix_micros_to_timestamp(0, "timestamp"),
            Ok(-946_684_800_000_000)
        );
    }

    #[test]
    fn first_and_last_dates_pass_and_their_neighbours_do_not() {
        for date in [MIN_DATE, END_DATE - 1] {
            let days = date_to_unix_days(date);
            assert_eq!(days.and_then(unix_days_to_date), Ok(date));
        }
        assert_eq!(
            date_to_unix_days(END_DATE),
            Err(ValueError::Corrupt("date"))
        );
        assert!(matches!(
            unix_days_to_date(MIN_DATE + EPOCH_SHIFT_DAYS - 1),
            Err(ValueError::DatetimeOverflow { .. })
        ));
        assert!(matches!(
            unix_days_to_date(END_DATE + EPOCH_SHIFT_DAYS),
            Err(ValueError::DatetimeOverflow { .. })
        ));
        assert!(unix_days_to_date(i32::MIN).is_err());
        assert!(unix_days_to_date(i32::MAX).is_err());
    }

    #[test]
    fn infinities_are_named() {
        assert_eq!(
            date_to_unix_days(i32::MAX),
            Err(infinity("date", "infinity"))
        );
        assert_eq!(
            date_to_unix_days(i32::MIN),
            Err(infinity("date", "-infinity"))
        );
        assert_eq!(
            timestamp_to_unix_micros(i64::MIN, "timestamp"),
            Err(infinity("timestamp", "-infinity"))
        );
        assert_eq!(
            timestamp_to_unix_micros(i64::MAX, "timestamp"),
            Err(infinity("timestamp", "infinity"))
        );
    }

    #[test]
    fn timestamps_past_the_unix_range_overflow() {
        let last = i64::MAX - EPOCH_SHIFT_MICROS;
        assert_eq!(timestamp_to_unix_micros(last, "timestamp"), Ok(i64::MAX));
        assert!(matches!(
            timestamp_to_unix_micros(last + 1, "timestamp"),
            Err(ValueError::TimestampTooLate { .. })
        ));
        assert!(unix_micros_to_timestamp(i64::MIN, "timestamp").is_err());
    }

    #[test]
    fn midnight_at_the_end_of_the_day_is_refused() {
        assert_eq!(time_to_micros(MICROS_PER_DAY - 1), Ok(MICROS_PER_DAY - 1));
        assert_eq!(
            time_to_micros(MICROS_PER_DAY),
            Err(ValueError::TimeEndOfDay)
        );
        assert!(micros_to_time(MICROS_PER_DAY).is_err());
        assert!(micros_to_time(-1).is_err());
    }

    proptest! {
        #[test]
        fn dates_round_trip(date in MIN_DATE..END_DATE) {
            prop_assert_eq!(date_to_unix_days(date).and_then(unix_days_to_date), Ok(date));
        }

        #[test]
        fn timestamps_round_trip(timestamp in MIN_TIMESTAMP..=(i64::MAX - EPOCH_SHIFT_MICROS)) {
            let micros = timestamp_to_unix_micros(timestamp, "timestamp");
            prop_assert_eq!(
                micros.and_then(|micros| unix_micros_to_timestamp(micros, "timestamp")),
                Ok(timestamp)
            );
        }
    }
}
