//! Opening relations, with closing tied to scope.

use std::ops::Deref;

use pgrx::pg_sys;

use super::{LockMode, Relation};

/// A relation held open by this handle.
///
/// Dropping it gives the reference back and keeps the lock until the transaction ends, as
/// `relation_close(rel, NoLock)` does. While an error unwinds, and once the (sub)transaction is
/// aborting, the reference is left to the resource owner that it was taken under, which releases
/// it: the current resource owner may be another one by then.
pub struct OpenRelation {
    relation: Relation<'static>,
}

impl OpenRelation {
    /// Opens the relation and takes the lock; raises PostgreSQL's error when there is none.
    pub fn open(oid: pg_sys::Oid, lock_mode: LockMode) -> Self {
        // SAFETY: `relation_open` raises or returns an open relation, which stays so until drop.
        let relation =
            unsafe { Relation::from_raw(pg_sys::relation_open(oid, lock_mode.to_raw())) };
        Self { relation }
    }

    /// Opens the relation if the lock can be had at once; `None` otherwise, and when there is no such
    /// relation any more.
    pub fn open_unless_locked(oid: pg_sys::Oid, lock_mode: LockMode) -> Option<Self> {
        // SAFETY: takes the lock, which stays to the end of the transaction, or none.
        let locked = unsafe { pg_sys::ConditionalLockRelationOid(oid, lock_mode.to_raw()) };
        locked.then(|| Self::try_open(oid, LockMode::None))?
    }

    /// Opens the relation and takes the lock; `None` when there is no such relation any more.
    pub fn try_open(oid: pg_sys::Oid, lock_mode: LockMode) -> Option<Self> {
        // SAFETY: as in `open`; null when the relation does not exist.
        let relation =
            unsafe { Relation::from_nullable(pg_sys::try_relation_open(oid, lock_mode.to_raw())) };
        relation.map(|relation| Self { relation })
    }

    /// The handle, borrowed from this one.
    #[inline]
    pub fn relation(&self) -> Relation<'_> {
        self.relation
    }

    /// Closes the relation and gives back the lock that it was opened with, for who only looks.
    pub fn close_and_unlock(self, lock_mode: LockMode) {
        let raw = self.relation.as_ptr();
        std::mem::forget(self);
        // SAFETY: the handle was open and is forgotten, so it is closed once.
        unsafe { pg_sys::relation_close(raw, lock_mode.to_raw()) }
    }
}

impl Deref for OpenRelation {
    type Target = Relation<'static>;

    fn deref(&self) -> &Self::Target {
        &self.relation
    }
}

impl Drop for OpenRelation {
    fn drop(&mut self) {
        if std::thread::panicking() || !crate::xact::is_in_progress() {
            return;
        }
        // SAFETY: opened in `open` or `try_open`, closed once.
        unsafe { pg_sys::relation_close(self.relation.as_ptr(), LockMode::None.to_raw()) }
    }
}
