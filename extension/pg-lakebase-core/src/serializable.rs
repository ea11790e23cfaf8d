//! Serializable isolation: what a table access method tells PostgreSQL of its reads and writes
//! (`storage/lmgr/predicate.c`, README-SSI), for a method that tells it by whole tables.
//!
//! All functions do nothing unless the transaction, or for writes any concurrent one, is serializable.

use pgrx::pg_sys;

use crate::guard::call_c;
use crate::relation::Relation;
use crate::snapshot::Snapshot;

unsafe extern "C-unwind" {
    /// `storage/predicate.h`, which pgrx has no bindings of.
    #[link_name = "PredicateLockRelation"]
    fn predicate_lock_relation(relation: pg_sys::Relation, snapshot: pg_sys::Snapshot);
    #[link_name = "CheckForSerializableConflictIn"]
    fn check_conflict_in(
        relation: pg_sys::Relation,
        tid: *const pg_sys::ItemPointerData,
        block: pg_sys::BlockNumber,
    );
    #[link_name = "CheckForSerializableConflictOut"]
    fn check_conflict_out(
        relation: pg_sys::Relation,
        xid: pg_sys::TransactionId,
        snapshot: pg_sys::Snapshot,
    );
}

/// Whether the transaction is serializable (`IsolationIsSerializable`).
pub fn is_serializable() -> bool {
    // SAFETY: the backend's own setting.
    unsafe { pg_sys::XactIsoLevel == pg_sys::XACT_SERIALIZABLE as i32 }
}

/// Notes that the transaction has read the table as `snapshot` sees it: whoever writes to it from now
/// on conflicts.
pub fn note_read(rel: Relation<'_>, snapshot: Snapshot<'_>) {
    // SAFETY: an open relation and a valid snapshot; may raise, guarded.
    unsafe { call_c!(predicate_lock_relation, rel.as_ptr(), snapshot.as_ptr()) }
}

/// Notes that transaction `xid` has written to the table what `snapshot` does not see, and that this
/// transaction has read around it. Raises when it cannot be serialized any more.
pub fn note_unseen_write(rel: Relation<'_>, xid: pg_sys::TransactionId, snapshot: Snapshot<'_>) {
    // SAFETY: transaction ids are looked up; an open relation and a valid snapshot; guarded.
    unsafe {
        let is_of_interest = !pg_sys::TransactionIdPrecedes(xid, pg_sys::TransactionXmin)
            && xid != pg_sys::GetTopTransactionIdIfAny()
            && (pg_sys::TransactionIdIsInProgress(xid) || pg_sys::TransactionIdDidCommit(xid));
        if is_of_interest {
            call_c!(check_conflict_out, rel.as_ptr(), xid, snapshot.as_ptr());
        }
    }
}

/// Notes that the transaction writes to the table: whoever has read it conflicts. Raises when it cannot
/// be serialized any more.
pub fn note_write(rel: Relation<'_>) {
    // SAFETY: an open relation; no TID and no block mean the table as a whole; guarded.
    unsafe {
        call_c!(
            check_conflict_in,
            rel.as_ptr(),
            std::ptr::null(),
            pg_sys::InvalidBlockNumber
        );
    }
}
