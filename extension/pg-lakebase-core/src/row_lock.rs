//! What keeps those who want the same row of a table apart: a place in the queue for it, as heap gives, waiting for
//! transactions that have it, and a lock for the moment in which one looks and notes what one does (`storage/lmgr.h`).

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::guard::call_c;
use crate::relation::Relation;
use crate::slot::Tid;
use crate::table_am::LockTupleMode;

unsafe extern "C-unwind" {
    #[link_name = "LockTuple"]
    fn lock_tuple(rel: pg_sys::Relation, tid: *mut pg_sys::ItemPointerData, mode: pg_sys::LOCKMODE);
    #[link_name = "ConditionalLockTuple"]
    fn conditional_lock_tuple(
        rel: pg_sys::Relation,
        tid: *mut pg_sys::ItemPointerData,
        mode: pg_sys::LOCKMODE,
    ) -> bool;
    #[link_name = "UnlockTuple"]
    fn unlock_tuple(
        rel: pg_sys::Relation,
        tid: *mut pg_sys::ItemPointerData,
        mode: pg_sys::LOCKMODE,
    );
    #[link_name = "LockAcquire"]
    fn lock_acquire(
        tag: *const LockTag,
        mode: pg_sys::LOCKMODE,
        session: bool,
        dont_wait: bool,
    ) -> c_int;
    #[link_name = "LockRelease"]
    fn lock_release(tag: *const LockTag, mode: pg_sys::LOCKMODE, session: bool) -> bool;
    #[link_name = "XactLockTableWait"]
    fn xact_lock_table_wait(
        xid: pg_sys::TransactionId,
        rel: pg_sys::Relation,
        tid: *mut pg_sys::ItemPointerData,
        operation: c_int,
    );
    #[link_name = "ConditionalXactLockTableWait"]
    fn conditional_xact_lock_table_wait(xid: pg_sys::TransactionId) -> bool;
}

/// `LOCKTAG` (`storage/lock.h`).
#[repr(C)]
struct LockTag {
    database: u32,
    relation: u32,
    block: u32,
    offset: u16,
    kind: u8,
    method: u8,
}

/// What one waits to do, as error contexts tell (`XLTW_Oper`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum WaitingTo {
    Update = 1,
    Delete = 2,
    Lock = 3,
}

/// The lock manager's mode for a row lock (`tupleLockExtraInfo` in `heapam.c`).
fn lockmode(mode: LockTupleMode) -> pg_sys::LOCKMODE {
    (match mode {
        LockTupleMode::KeyShare => pg_sys::AccessShareLock,
        LockTupleMode::Share => pg_sys::RowShareLock,
        LockTupleMode::NoKeyExclusive => pg_sys::ExclusiveLock,
        LockTupleMode::Exclusive => pg_sys::AccessExclusiveLock,
    }) as pg_sys::LOCKMODE
}

/// Takes the place of the one who may have the row next in this mode. Those who have the place before are waited for;
/// or, unless `waits`, the answer is false.
pub fn queue(rel: Relation<'_>, tid: Tid, mode: LockTupleMode, waits: bool) -> bool {
    let mut raw = tid.to_raw();
    // SAFETY: an open relation; the TID is copied; may raise, guarded.
    unsafe {
        if waits {
            call_c!(lock_tuple, rel.as_ptr(), &mut raw, lockmode(mode));
            return true;
        }
        call_c!(
            conditional_lock_tuple,
            rel.as_ptr(),
            &mut raw,
            lockmode(mode)
        )
    }
}

/// Leaves the place that [`queue`] has given.
pub fn leave(rel: Relation<'_>, tid: Tid, mode: LockTupleMode) {
    let mut raw = tid.to_raw();
    // SAFETY: as for `queue`; the lock is held.
    unsafe { call_c!(unlock_tuple, rel.as_ptr(), &mut raw, lockmode(mode)) }
}

/// Waits until a transaction is over that has the row.
pub fn wait_for(xid: pg_sys::TransactionId, rel: Relation<'_>, tid: Tid, to: WaitingTo) {
    let mut raw = tid.to_raw();
    // SAFETY: as for `queue`.
    unsafe {
        call_c!(
            xact_lock_table_wait,
            xid,
            rel.as_ptr(),
            &mut raw,
            to as c_int
        )
    }
}

/// Whether a transaction is over, without waiting for it.
pub fn is_over(xid: pg_sys::TransactionId) -> bool {
    // SAFETY: a transaction id is looked up; may raise, guarded.
    unsafe { call_c!(conditional_xact_lock_table_wait, xid) }
}

/// Keeps others from looking at a row and from noting what they do to it, and from looking at all rows of its chunk. Not to
/// be held while waiting. After an error the resource owner lets go.
///
/// They are locks of the kind that is reserved for users (`LOCKTAG_USERLOCK`), which nobody else uses.
pub struct Latched {
    chunk: LockTag,
    row: LockTag,
}

/// Keeps others from noting anything of any row of a chunk. As for [`Latched`].
pub struct LatchedChunk(LockTag);

const ALONE: pg_sys::LOCKMODE = pg_sys::ExclusiveLock as pg_sys::LOCKMODE;
const TOGETHER: pg_sys::LOCKMODE = pg_sys::ShareLock as pg_sys::LOCKMODE;

impl Latched {
    /// Waits for whoever has it, or the chunk of this number.
    pub fn take(rel: Relation<'_>, chunk: u32, Tid { block, offset }: Tid) -> Self {
        let latched = Self {
            chunk: LockTag::of_chunk(rel, chunk),
            row: LockTag::for_users(rel, block, offset),
        };
        // SAFETY: declared as in the header; the tags are copied; may raise, guarded.
        unsafe {
            call_c!(lock_acquire, &latched.chunk, TOGETHER, false, false);
            call_c!(lock_acquire, &latched.row, ALONE, false, false);
        }
        latched
    }

    /// Lets go.
    pub fn release(self) {
        // SAFETY: declared as in the header; the locks are held.
        unsafe {
            call_c!(lock_release, &self.row, ALONE, false);
            call_c!(lock_release, &self.chunk, TOGETHER, false);
        }
    }
}

impl LatchedChunk {
    /// `None` if somebody has it, or a row of it.
    pub fn try_take(rel: Relation<'_>, chunk: u32) -> Option<Self> {
        /// `LOCKACQUIRE_NOT_AVAIL`.
        const NOT_AVAILABLE: c_int = 0;
        let tag = LockTag::of_chunk(rel, chunk);
        // SAFETY: as for `Latched::take`.
        let taken = unsafe { call_c!(lock_acquire, &tag, ALONE, false, true) };
        (taken != NOT_AVAILABLE).then_some(Self(tag))
    }

    /// Lets go.
    pub fn release(self) {
        // SAFETY: declared as in the header; the lock is held.
        unsafe { call_c!(lock_release, &self.0, ALONE, false) };
    }
}

impl LockTag {
    /// Rows have offsets from 1 on.
    fn of_chunk(rel: Relation<'_>, chunk: u32) -> Self {
        Self::for_users(rel, chunk, 0)
    }

    fn for_users(rel: Relation<'_>, block: u32, offset: u16) -> Self {
        /// `LOCKTAG_USERLOCK`.
        const USERLOCK: u8 = 9;
        /// `DEFAULT_LOCKMETHOD`.
        const DEFAULT_METHOD: u8 = 1;
        // SAFETY: an open relation.
        let id = unsafe { (*rel.as_ptr()).rd_lockInfo.lockRelId };
        Self {
            database: id.dbId.to_u32(),
            relation: id.relId.to_u32(),
            block,
            offset,
            kind: USERLOCK,
            method: DEFAULT_METHOD,
        }
    }
}
