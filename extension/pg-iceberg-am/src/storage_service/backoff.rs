//! How long to wait before the service is started again.

use std::time::Duration;

/// After a life in which it was of use,
const SHORTEST: Duration = Duration::from_millis(100);
/// and after many that were none.
const LONGEST: Duration = Duration::from_secs(30);
/// A life of use: one that fails at its start is over sooner.
const LIFE: Duration = Duration::from_secs(1);

/// Pauses between lives of the service, longer each time as long as it does not get to live.
#[derive(Debug, Default)]
pub struct Backoff {
    last: Option<Duration>,
}

impl Backoff {
    /// How long to wait after a life of this length.
    pub fn after(&mut self, life: Duration) -> Duration {
        let pause = match self.last {
            Some(last) if life < LIFE => (last * 2).min(LONGEST),
            _ => SHORTEST,
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
        let short = Duration::from_millis(5);
        let pauses: Vec<_> = (0..12).map(|_| backoff.after(short)).collect();
        assert_eq!(pauses[..3], [100, 200, 400].map(Duration::from_millis));
        assert_eq!(pauses[11], LONGEST);
        assert_eq!(backoff.after(Duration::from_secs(2)), SHORTEST);
        assert_eq!(backoff.after(Duration::from_secs(2)), SHORTEST);
        assert_eq!(backoff.after(short), SHORTEST * 2);
    }
}
