//! A worker's hold on its database's slot.

use std::time::Duration;

use pg_lakebase_core::xact::clock_timestamp;
use pgrx::pg_sys;

use super::carried::Carried;
use super::slot::{Stage, Thorough, after, wake};
use super::slots::SLOTS_IN_USE;
use super::worker_name::WorkerName;
use super::{merges, orders};

/// A publisher's hold on its slot.
pub struct Held(WorkerName);

/// What has been asked of a publisher.
pub struct Requests {
    /// How often anybody has asked.
    pub count: u64,
    /// Whether somebody waits for the metadata.
    pub urgent: bool,
    /// Whether all tables are to be looked at, and for what.
    pub thorough: Option<Thorough>,
}

impl Held {
    /// Takes the slot of the worker `name`, which this process is: the publisher's wake-ups are for it from
    /// now on. `None` if the slot has been given to another one since.
    pub fn take(name: WorkerName) -> Option<(Self, Carried)> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of_worker(name)?;
        slot.stage = Stage::IsServed;
        // SAFETY: the process's own latch.
        slot.latch = unsafe { pg_sys::MyLatch };
        let carried = std::mem::take(&mut slot.carried);
        Some((Self(name), carried))
    }

    /// What has been asked; `None` if the publisher has been dismissed.
    pub fn requests(&self) -> Option<Requests> {
        let mut slots = SLOTS_IN_USE.exclusive();
        let slot = slots.of_worker(self.0).filter(|slot| !slot.dismissed)?;
        Some(Requests {
            count: slot.requests,
            urgent: std::mem::take(&mut slot.urgent),
            thorough: std::mem::take(&mut slot.thorough),
        })
    }

    /// Whether it is another database's turn.
    pub fn others_wait(&self) -> bool {
        let now = clock_timestamp();
        let slots = SLOTS_IN_USE.share();
        slots.slots.iter().any(|slot| slot.due(now).is_some())
    }

    /// Gives the slot back unless somebody has asked for anything since there were `count` requests. The database's
    /// next turn comes after `pause`, if there is one.
    pub fn give_back(&self, count: u64, pause: Option<Duration>) -> bool {
        let now = clock_timestamp();
        let mut slots = SLOTS_IN_USE.exclusive();
        match slots.of_worker(self.0) {
            Some(slot) if slot.requests != count => false,
            Some(slot) => {
                slot.stage = Stage::IsLeft(pause.map(|pause| after(now, pause)));
                slot.only_waits_for_time = true;
                true
            }
            None => true,
        }
    }

    /// Lets the others have their turns; this database's next one comes after `pause`, or at once if somebody waits.
    pub fn take_turns(&self, pause: Duration, carried: Carried) {
        let now = clock_timestamp();
        let mut slots = SLOTS_IN_USE.exclusive();
        if let Some(slot) = slots.of_worker(self.0) {
            let pause = if slot.urgent { Duration::ZERO } else { pause };
            slot.carried = carried;
            slot.only_waits_for_time = false;
            slot.stage = Stage::IsLeft(Some(after(now, pause)));
        }
    }
}

/// Whether this publisher is to look for what dropped databases have left in stores: one of them does it for all.
pub fn takes_search_for_dropped() -> bool {
    std::mem::take(&mut SLOTS_IN_USE.exclusive().searches_for_dropped)
}

/// Ends a publisher's hold on its slot when its process exits, whatever ends it, and has the launcher look who is
/// next. `argument` is the worker's name: a successor's slot is left alone.
pub unsafe extern "C-unwind" fn free_slot(_code: std::ffi::c_int, argument: pg_sys::Datum) {
    let name = WorkerName::from_datum(argument);
    merges::forget_own();
    let mut slots = SLOTS_IN_USE.exclusive();
    if let Some(slot) = slots.of_worker(name) {
        orders::put_back(name.database);
        slot.worker_ended(clock_timestamp());
    }
    wake(slots.launcher);
}
