//! How far a database has got: whether it waits for a worker, and what its worker is to do.

use std::time::Duration;

use pgrx::pg_sys;

use super::carried::Carried;

/// How long the postmaster may take to start a publisher.
pub(super) const START: Duration = Duration::from_secs(10);
/// How long after a publisher was ended from outside its database gets another one.
pub(super) const PAUSE_AFTER_END: Duration = Duration::from_secs(1);
/// How soon after a turn what is asked for by those who do not wait may bring the next turn.
const PAUSE_AFTER_TURN: Duration = Duration::from_millis(100);

/// A storage of a database: relation file number and tablespace.
pub type Storage = (u32, u32);

/// What all tables are looked at for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Thorough {
    /// History that has grown old.
    History,
    /// That, and files that nobody needs.
    Orphans,
}

/// How far a database has got.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    /// It has no worker and gets one, in its turn, from this time on.
    Waits(pg_sys::TimestampTz),
    /// The postmaster was asked for a worker at this time.
    Starts(pg_sys::TimestampTz),
    /// A worker is connected.
    IsServed,
    /// The worker is about to end; after that the database waits until this time, if anybody has asked for it.
    IsLeft(Option<pg_sys::TimestampTz>),
}

#[derive(Clone, Copy)]
pub(super) struct Slot {
    /// `InvalidOid` for a free slot.
    pub(super) database: pg_sys::Oid,
    pub(super) stage: Stage,
    /// Of the worker that was started last for the database: another one has no say here.
    pub(super) ticket: u32,
    /// The worker's latch; null unless it is connected.
    pub(super) latch: *mut pg_sys::Latch,
    /// How often anybody has asked since; what a worker has not seen keeps it from giving the slot back.
    pub(super) requests: u64,
    /// Whether somebody waits for the metadata.
    pub(super) urgent: bool,
    /// Whether all tables are to be looked at, those included that nobody has written to, and for what.
    pub(super) thorough: Option<Thorough>,
    /// Whether the database waits for its files to be removed in time, and for nothing else.
    pub(super) only_waits_for_time: bool,
    /// Whether the database is about to be dropped.
    pub(super) dismissed: bool,
    pub(super) carried: Carried,
}

impl Slot {
    /// A slot of a database that waits since `now` for a worker; with `InvalidOid`, a free one.
    pub(super) fn waiting(database: pg_sys::Oid, now: pg_sys::TimestampTz) -> Self {
        Self {
            database,
            stage: Stage::Waits(now),
            ticket: 0,
            latch: std::ptr::null_mut(),
            requests: 0,
            urgent: false,
            thorough: None,
            only_waits_for_time: false,
            dismissed: false,
            carried: Carried::default(),
        }
    }

    pub(super) fn is_free(&self) -> bool {
        self.database == pg_sys::InvalidOid
    }

    /// Whether it has a worker, or the postmaster is about to start one.
    pub(super) fn is_active(&self, now: pg_sys::TimestampTz) -> bool {
        !self.is_free()
            && match self.stage {
                Stage::Waits(_) => false,
                Stage::Starts(since) => now < after(since, START),
                Stage::IsServed | Stage::IsLeft(_) => true,
            }
    }

    /// Since when it has been this database's turn, if it is.
    pub(super) fn due(&self, now: pg_sys::TimestampTz) -> Option<pg_sys::TimestampTz> {
        let due = match self.stage {
            _ if self.is_free() => return None,
            Stage::Waits(due) => due,
            // The postmaster could not start it.
            Stage::Starts(since) => after(since, START),
            Stage::IsServed | Stage::IsLeft(_) => return None,
        };
        (due <= now).then_some(due)
    }

    /// Notes that somebody asks for the publisher, and perhaps waits. Returns whether the database's turn comes sooner
    /// for it.
    pub(super) fn note_request(&mut self, waits: bool, now: pg_sys::TimestampTz) -> bool {
        self.requests += 1;
        self.only_waits_for_time = false;
        let pause = if waits {
            Duration::ZERO
        } else {
            PAUSE_AFTER_TURN
        };
        let soon = after(now, pause);
        match &mut self.stage {
            Stage::Waits(due) if *due > soon => {
                *due = soon;
                true
            }
            Stage::IsLeft(due) => {
                *due = Some(due.map_or(soon, |due| due.min(soon)));
                false
            }
            _ => false,
        }
    }

    /// The worker has ended. Inline commits may be left where something else than its own will has ended it, perhaps
    /// for the sake of ALTER DATABASE.
    pub(super) fn worker_ended(&mut self, now: pg_sys::TimestampTz) {
        let due = match self.stage {
            _ if self.dismissed => None,
            Stage::IsServed => Some(after(now, PAUSE_AFTER_END)),
            Stage::IsLeft(due) => due,
            Stage::Waits(due) => Some(due),
            // It could not connect.
            Stage::Starts(_) => None,
        };
        self.latch = std::ptr::null_mut();
        match due {
            Some(due) => self.stage = Stage::Waits(due),
            None => self.free(),
        }
    }

    pub(super) fn free(&mut self) {
        self.database = pg_sys::InvalidOid;
        self.latch = std::ptr::null_mut();
    }
}

/// Wakes the process that a latch is of, if any.
pub(super) fn wake(latch: *mut pg_sys::Latch) {
    if !latch.is_null() {
        // SAFETY: the latch of a PGPROC, which stays one whoever owns it now.
        unsafe { pg_sys::SetLatch(latch) };
    }
}

pub(super) fn after(time: pg_sys::TimestampTz, pause: Duration) -> pg_sys::TimestampTz {
    time.saturating_add(i64::try_from(pause.as_micros()).unwrap_or(i64::MAX))
}
