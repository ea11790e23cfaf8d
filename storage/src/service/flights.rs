//! Downloads under way: who wants what another is fetching already waits for that, and has its outcome.

use std::{
    collections::HashMap,
    ops::Range,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{cache::ObjectKey, protocol::Failure};

/// What came of a download: nothing more to say where the cache has it; bytes, and the first granule of them, that
/// the cache could not take.
pub(super) type Outcome = Result<Option<(u64, Bytes)>, Failure>;

/// A download that somebody else makes.
pub(super) type Waiting = watch::Receiver<Option<Outcome>>;

/// A version of an object: its key and its size.
type Target = (ObjectKey, u64);

/// What is being fetched, by object.
type UnderWay = HashMap<Target, Vec<(Range<u64>, Waiting)>>;

/// All downloads under way, by object.
#[derive(Debug, Default)]
pub(super) struct Flights {
    granules: Mutex<UnderWay>,
}

/// A download that the caller has to make: it tells all who wait for it.
pub(super) struct Flight {
    flights: Arc<Flights>,
    target: Target,
    pub(super) granules: Range<u64>,
    outcome: watch::Sender<Option<Outcome>>,
}

impl Flights {
    fn lock(&self) -> MutexGuard<'_, UnderWay> {
        self.granules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Divides runs of granules into those that the caller is to fetch and those that others are fetching.
    pub(super) fn join(
        self: &Arc<Self>,
        key: &ObjectKey,
        size: u64,
        runs: Vec<Range<u64>>,
    ) -> (Vec<Flight>, Vec<Waiting>) {
        let target = (key.clone(), size);
        let mut all = self.lock();
        let (mut own, mut others) = (Vec::new(), Vec::new());
        for granules in runs {
            let under_way = all.entry(target.clone()).or_default();
            let before = others.len();
            others.extend(
                (under_way.iter())
                    .filter(|(range, _)| range.start < granules.end && granules.start < range.end)
                    .map(|(_, waiting)| waiting.clone()),
            );
            if others.len() > before {
                // What it leaves of the run is looked for afterwards.
                continue;
            }
            let (outcome, waiting) = watch::channel(None);
            under_way.push((granules.clone(), waiting.clone()));
            others.push(waiting);
            own.push(Flight {
                flights: Arc::clone(self),
                target: target.clone(),
                granules,
                outcome,
            });
        }
        (own, others)
    }
}

impl Flight {
    /// Tells what came of it.
    pub(super) fn end(self, outcome: Outcome) {
        self.outcome.send_replace(Some(outcome));
    }
}

impl Drop for Flight {
    /// Those who wait see that nobody will tell.
    fn drop(&mut self) {
        let mut all = self.flights.lock();
        if let Some(under_way) = all.get_mut(&self.target) {
            under_way.retain(|(range, _)| *range != self.granules);
            if under_way.is_empty() {
                all.remove(&self.target);
            }
        }
    }
}
