//! What a worker leaves to the next one in its database.

use pgrx::pg_sys;

use super::rest::Rest;
use super::slot::Storage;

/// Tables of a database whose rests are remembered from one worker to the next.
const RESTS: usize = 8;

/// What a worker leaves to the next one.
#[derive(Clone, Copy, Default)]
pub struct Carried {
    /// Tables that are left alone, those with the longest rests.
    rests: [Option<(Storage, Rest)>; RESTS],
    /// Inline commits folded, and rows of garbage cleared away, since their tables were vacuumed.
    pub folded: usize,
    pub cleared: usize,
}

impl Carried {
    /// Remembers the longest of `rests`.
    pub fn new(
        rests: impl IntoIterator<Item = (Storage, Rest)>,
        folded: usize,
        cleared: usize,
        now: pg_sys::TimestampTz,
    ) -> Self {
        let mut longest: Vec<_> = rests.into_iter().collect();
        longest.sort_by_key(|(_, rest)| std::cmp::Reverse(rest.left(now)));
        let mut rests = [None; RESTS];
        for (place, rest) in rests.iter_mut().zip(longest) {
            *place = Some(rest);
        }
        Self {
            rests,
            folded,
            cleared,
        }
    }

    /// The tables that are left alone.
    pub fn rests(&self) -> impl Iterator<Item = (Storage, Rest)> {
        self.rests.into_iter().flatten()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_longest_rests_are_remembered() {
        let rests = (0..20).map(|n| ((n, 0), Rest::of(Duration::from_secs(n.into()), 0)));
        let carried = Carried::new(rests, 3, 4, 0);
        let kept: Vec<_> = carried.rests().map(|((n, _), _)| n).collect();
        assert_eq!(kept, [19, 18, 17, 16, 15, 14, 13, 12]);
        assert_eq!((carried.folded, carried.cleared), (3, 4));
    }
}
