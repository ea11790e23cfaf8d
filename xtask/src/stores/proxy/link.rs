//! The way between client and store: how long it is, how wide, and whether there is one.

use std::num::NonZeroU64;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// What may be sent at once after a pause; it makes up for sleeping longer than was asked for.
const BURST: Duration = Duration::from_millis(2);

#[derive(Clone, Copy, Debug, Default)]
pub struct Settings {
    /// What each answer takes longer, and each new connection.
    pub latency: Duration,
    /// Bytes a second in each direction, of all connections together.
    pub bandwidth: Option<NonZeroU64>,
    /// Nothing passes; what is under way waits.
    pub is_black_hole: bool,
    /// How far the store's clock is ahead, in seconds.
    pub skew: i64,
}

#[derive(Clone, Copy, Debug)]
pub enum Direction {
    ToStore,
    ToClient,
}

#[derive(Debug)]
pub struct Link {
    settings: Mutex<Settings>,
    /// When the last byte that was let through has left, in each direction.
    free: [Mutex<Instant>; 2],
}

impl Link {
    pub fn new() -> Self {
        let now = Instant::now();
        Self {
            settings: Mutex::default(),
            free: [Mutex::new(now), Mutex::new(now)],
        }
    }

    pub fn settings(&self) -> Settings {
        *lock(&self.settings)
    }

    pub fn set(&self, change: impl FnOnce(&mut Settings)) {
        change(&mut lock(&self.settings));
    }

    pub fn delay(&self) {
        thread::sleep(self.settings().latency);
    }

    /// Takes the time that so many bytes take.
    pub fn pass(&self, direction: Direction, bytes: usize) {
        let now = Instant::now();
        thread::sleep(
            self.through(direction, bytes, now)
                .saturating_duration_since(now),
        );
    }

    /// When so many bytes are through that come now.
    fn through(&self, direction: Direction, bytes: usize, now: Instant) -> Instant {
        let Some(bandwidth) = self.settings().bandwidth else {
            return now;
        };
        let time = Duration::from_secs_f64(bytes as f64 / bandwidth.get() as f64);
        let free = match direction {
            Direction::ToStore => &self.free[0],
            Direction::ToClient => &self.free[1],
        };
        let mut free = lock(free);
        let begin = now.checked_sub(BURST).map_or(*free, |now| now.max(*free));
        *free = begin + time;
        *free
    }
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn connections_share_the_bandwidth_of_a_direction() {
        let link = Link::new();
        let now = Instant::now() + BURST;
        assert_eq!(link.through(Direction::ToStore, 1_000_000, now), now);
        link.set(|settings| settings.bandwidth = NonZeroU64::new(10_000_000));
        let milliseconds = |count| now - BURST + Duration::from_millis(count);
        for (direction, through) in [
            (Direction::ToStore, 100),
            (Direction::ToStore, 200),
            (Direction::ToClient, 100),
            (Direction::ToStore, 300),
        ] {
            assert_eq!(
                link.through(direction, 1_000_000, now),
                milliseconds(through)
            );
        }
    }

    #[test]
    fn what_was_not_used_of_the_bandwidth_is_gone() {
        let link = Link::new();
        link.set(|settings| settings.bandwidth = NonZeroU64::new(10_000_000));
        let later = Instant::now() + Duration::from_secs(1);
        let through = link.through(Direction::ToStore, 1_000_000, later);
        assert_eq!(through, later - BURST + Duration::from_millis(100));
    }
}
