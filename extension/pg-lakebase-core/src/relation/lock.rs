//! Relation lock modes.

use pgrx::pg_sys;

/// PostgreSQL's table-level lock modes, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(i32)]
pub enum LockMode {
    /// `NoLock`: the caller holds a lock already.
    None = 0,
    AccessShare = 1,
    RowShare = 2,
    RowExclusive = 3,
    ShareUpdateExclusive = 4,
    Share = 5,
    ShareRowExclusive = 6,
    Exclusive = 7,
    AccessExclusive = 8,
}

impl LockMode {
    /// The C number.
    pub const fn to_raw(self) -> pg_sys::LOCKMODE {
        self as pg_sys::LOCKMODE
    }
}

const _: () = {
    assert!(LockMode::None.to_raw() == pg_sys::NoLock as pg_sys::LOCKMODE);
    assert!(LockMode::AccessShare.to_raw() == pg_sys::AccessShareLock as pg_sys::LOCKMODE);
    assert!(LockMode::RowExclusive.to_raw() == pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
    assert!(LockMode::AccessExclusive.to_raw() == pg_sys::AccessExclusiveLock as pg_sys::LOCKMODE);
};
