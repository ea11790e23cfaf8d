//! What has passed, by kind of request.

use super::kind::{KINDS, Kind};
use std::collections::BTreeMap;
use std::fmt;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Count {
    pub requests: u64,
    /// Bytes to the store, and from it, with the heads of messages.
    pub sent: u64,
    pub received: u64,
    /// Requests that met a fault.
    pub faults: u64,
}

#[derive(Clone, Debug, Default)]
pub struct Counts {
    by_kind: BTreeMap<Kind, Count>,
    /// The most requests of which each came after the answer to the one before: round trips that had to follow one another.
    trips: u64,
}

impl Counts {
    pub fn of(&mut self, kind: Kind) -> &mut Count {
        self.by_kind.entry(kind).or_default()
    }

    /// Counts a request. Returns what [`Self::answered`] is to be told of it.
    pub fn begin(&mut self, kind: Kind) -> u64 {
        self.of(kind).requests += 1;
        self.trips + 1
    }

    pub fn answered(&mut self, trip: u64) {
        self.trips = self.trips.max(trip);
    }

    pub fn forget(&mut self) {
        *self = Self::default();
    }
}

/// A line for every kind, also for those that did not occur, and one for the trips.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in KINDS {
            let count = self.by_kind.get(&kind).copied().unwrap_or_default();
            writeln!(
                f,
                "{kind} requests {} sent {} received {} faults {}",
                count.requests, count.sent, count.received, count.faults
            )?;
        }
        writeln!(f, "trips {}", self.trips)
    }
}
