//! How long a table is left alone.

use std::time::Duration;

use pgrx::pg_sys;

/// How long after a failure a table is tried again; with each further failure, twice as long,
const RETRY: Duration = Duration::from_secs(1);
/// up to this.
const LONGEST_RETRY: Duration = Duration::from_secs(300);

/// A table's rest, after its metadata was replaced or could not be. By the wall clock, since the worker that heeds
/// it may be another process than the one that laid it down.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rest {
    begins: pg_sys::TimestampTz,
    length: Duration,
    has_failed: bool,
}

impl Rest {
    /// After a success.
    pub fn of(length: Duration, now: pg_sys::TimestampTz) -> Self {
        Self {
            begins: now,
            length,
            has_failed: false,
        }
    }

    /// After a failure, `before` being the rest before it.
    pub fn after_failure(before: Option<Self>, now: pg_sys::TimestampTz) -> Self {
        let before = before.filter(|before| before.has_failed);
        Self {
            begins: now,
            length: before.map_or(RETRY, |before| (before.length * 2).min(LONGEST_RETRY)),
            has_failed: true,
        }
    }

    /// What is left of it. Nothing, if the clock has been put back to before it began.
    pub fn left(&self, now: pg_sys::TimestampTz) -> Duration {
        match u64::try_from(now - self.begins) {
            Ok(gone) => self.length.saturating_sub(Duration::from_micros(gone)),
            Err(_) => Duration::ZERO,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_that_follow_one_another_are_told_less_and_less_often() {
        let first = Rest::after_failure(Some(Rest::of(LONGEST_RETRY, 0)), 0);
        assert_eq!(first.left(0), RETRY);
        let second = Rest::after_failure(Some(first), 0);
        assert_eq!(second.left(0), 2 * RETRY);
        let hundredth = (2..100).fold(second, |before, _| Rest::after_failure(Some(before), 0));
        assert_eq!(hundredth.left(0), LONGEST_RETRY);
    }

    /// A table was left alone for as long as the clock was put back.
    #[test]
    fn a_rest_ends_when_the_clock_is_put_back() {
        let rest = Rest::of(Duration::from_micros(10), 100);
        assert_eq!(rest.left(104), Duration::from_micros(6));
        assert_eq!(rest.left(111), Duration::ZERO);
        assert_eq!(rest.left(99), Duration::ZERO);
    }
}
