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
pub struct Counts(BTreeMap<Kind, Count>);

impl Counts {
    pub fn of(&mut self, kind: Kind) -> &mut Count {
        self.0.entry(kind).or_default()
    }

    pub fn forget(&mut self) {
        self.0.clear();
    }
}

/// A line for every kind, also for those that did not occur.
impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for kind in KINDS {
            let count = self.0.get(&kind).copied().unwrap_or_default();
            writeln!(
                f,
                "{kind} requests {} sent {} received {} faults {}",
                count.requests, count.sent, count.received, count.faults
            )?;
        }
        Ok(())
    }
}
