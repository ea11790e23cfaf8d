//! How long to wait before the service is started again.

use std::time::Duration;

/// After a life of use,
const SHORTEST: Duration = Duration::from_millis(100);
/// after many short ones, in which it answered,
const LONGEST_FOR_SHORT: Duration = Duration::from_secs(1);
/// and after many in which it did not even do that.
const LONGEST: Duration = Duration::from_secs(30);
/// A life of use: one that fails at its start is over sooner.
const LIFE: Duration = Duration::from_secs(1);

/// What a life of the service was.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Life {
    /// It could not be started, or ended before it answered.
    Futile,
    /// It answered, and lasted so long.
    Of(Duration),
}

/// Pauses between lives of the service, longer each time as long as it does not get to live. Statements wait for one that
/// answers now and then.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// How long to wait after such a life.
    pub fn after(&mut self, life: Life) -> Duration {
        let longer = self.last.map_or(SHORTEST, |last| last * 2);
        let pause = match life {
            Life::Futile => longer.min(LONGEST),
            Life::Of(length) if length < LIFE => longer.min(LONGEST_FOR_SHORT),
            Life::Of(_) => SHORTEST,
        };
        self.last = Some(pause);
        pause
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_lives_is_started_soon_and_who_does_not_ever_later() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..12).map(|_| backoff.after(Life::Futile)).collect();
        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses[11], LONGEST);
        // The pause was longer than statements wait, after a few deaths in a row.
        let short = Life::Of(Duration::from_millis(5));
        assert_eq!(backoff.after(short), LONGEST_FOR_SHORT);
        let long = Life::Of(Duration::from_secs(2));
        assert_eq!(backoff.after(long), SHORTEST);
        assert_eq!(backoff.after(long), SHORTEST);
        assert_eq!(backoff.after(short), SHORTEST * 2);
    }
}
