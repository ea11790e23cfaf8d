//! Operations on single rows.

use std::marker::PhantomData;

use pgrx::pg_sys;

use super::{Operation, ScanMethods};
use crate::error::{PgError, PgResult};
use crate::relation::Relation;
use crate::slot::{Slot, Tid};
use crate::snapshot::Snapshot;

/// PostgreSQL's `TABLE_INSERT_*` options.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InsertOptions(i32);

impl InsertOptions {
    /// From the C bits.
    #[inline]
    pub const fn from_bits(bits: i32) -> Self {
        Self(bits)
    }

    /// The C bits.
    #[inline]
    pub const fn bits(self) -> i32 {
        self.0
    }

    /// `TABLE_INSERT_SKIP_FSM`: do not look for free space.
    pub const fn skip_fsm(self) -> bool {
        self.0 & pg_sys::TABLE_INSERT_SKIP_FSM as i32 != 0
    }

    /// `TABLE_INSERT_FROZEN`: make the rows visible to everyone at once (COPY FREEZE).
    pub const fn frozen(self) -> bool {
        self.0 & pg_sys::TABLE_INSERT_FROZEN as i32 != 0
    }

    /// `TABLE_INSERT_NO_LOGICAL`: keep the rows out of logical decoding.
    pub const fn no_logical(self) -> bool {
        self.0 & pg_sys::TABLE_INSERT_NO_LOGICAL as i32 != 0
    }
}

/// The slots of a `multi_insert`.
pub struct SlotBatch<'a> {
    raw: &'a mut [*mut pg_sys::TupleTableSlot],
}

impl<'a> SlotBatch<'a> {
    /// Borrows an array of slots.
    ///
    /// # Safety
    ///
    /// Each element is a slot as [`Slot::from_raw`] wants it, for all of `'a`, and no two are the
    /// same.
    pub unsafe fn from_raw(raw: &'a mut [*mut pg_sys::TupleTableSlot]) -> Self {
        Self { raw }
    }

    /// The number of slots.
    pub fn len(&self) -> usize {
        self.raw.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.raw.is_empty()
    }

    /// The slots, one after the other.
    pub fn iter_mut(&mut self) -> impl ExactSizeIterator<Item = Slot<'_>> {
        // SAFETY: each is a valid slot of its own, by the contract of `from_raw`.
        self.raw.iter().map(|raw| unsafe { Slot::from_raw(*raw) })
    }

    /// The C array.
    pub fn as_raw(&mut self) -> &mut [*mut pg_sys::TupleTableSlot] {
        self.raw
    }
}

/// PostgreSQL's `TM_Result`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TmResult {
    Ok,
    Invisible,
    SelfModified,
    Updated,
    Deleted,
    BeingModified,
    WouldBlock,
}

impl TmResult {
    /// The C number.
    pub const fn to_raw(self) -> pg_sys::TM_Result::Type {
        match self {
            Self::Ok => pg_sys::TM_Result::TM_Ok,
            Self::Invisible => pg_sys::TM_Result::TM_Invisible,
            Self::SelfModified => pg_sys::TM_Result::TM_SelfModified,
            Self::Updated => pg_sys::TM_Result::TM_Updated,
            Self::Deleted => pg_sys::TM_Result::TM_Deleted,
            Self::BeingModified => pg_sys::TM_Result::TM_BeingModified,
            Self::WouldBlock => pg_sys::TM_Result::TM_WouldBlock,
        }
    }
}

/// PostgreSQL's `TM_FailureData`: who was faster.
#[derive(Debug, Clone, Copy)]
pub struct FailureData {
    pub ctid: Tid,
    pub xmax: pg_sys::TransactionId,
    pub cmax: pg_sys::CommandId,
    pub traversed: bool,
}

impl Default for FailureData {
    fn default() -> Self {
        Self {
            ctid: Tid::INVALID,
            xmax: pg_sys::InvalidTransactionId,
            cmax: pg_sys::InvalidCommandId,
            traversed: false,
        }
    }
}

/// PostgreSQL's `LockTupleMode`, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockTupleMode {
    KeyShare,
    Share,
    NoKeyExclusive,
    Exclusive,
}

impl LockTupleMode {
    /// From the C number.
    pub const fn from_raw(raw: pg_sys::LockTupleMode::Type) -> Self {
        match raw {
            pg_sys::LockTupleMode::LockTupleKeyShare => Self::KeyShare,
            pg_sys::LockTupleMode::LockTupleShare => Self::Share,
            pg_sys::LockTupleMode::LockTupleNoKeyExclusive => Self::NoKeyExclusive,
            _ => Self::Exclusive,
        }
    }

    /// The C number.
    pub const fn to_raw(self) -> pg_sys::LockTupleMode::Type {
        match self {
            Self::KeyShare => pg_sys::LockTupleMode::LockTupleKeyShare,
            Self::Share => pg_sys::LockTupleMode::LockTupleShare,
            Self::NoKeyExclusive => pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
            Self::Exclusive => pg_sys::LockTupleMode::LockTupleExclusive,
        }
    }
}

/// PostgreSQL's `LockWaitPolicy`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LockWaitPolicy {
    Block,
    Skip,
    Error,
}

impl LockWaitPolicy {
    /// From the C number.
    pub const fn from_raw(raw: pg_sys::LockWaitPolicy::Type) -> Self {
        match raw {
            pg_sys::LockWaitPolicy::LockWaitSkip => Self::Skip,
            pg_sys::LockWaitPolicy::LockWaitError => Self::Error,
            _ => Self::Block,
        }
    }
}

/// PostgreSQL's `TUPLE_LOCK_FLAG_*`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TupleLockFlags(u8);

impl TupleLockFlags {
    /// From the C bits.
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits)
    }

    /// Follow rows whose update is in progress, when the lock modes do not conflict.
    pub const fn lock_update_in_progress(self) -> bool {
        self.0 & pg_sys::TUPLE_LOCK_FLAG_LOCK_UPDATE_IN_PROGRESS as u8 != 0
    }

    /// Lock the latest version of the row.
    pub const fn find_last_version(self) -> bool {
        self.0 & pg_sys::TUPLE_LOCK_FLAG_FIND_LAST_VERSION as u8 != 0
    }
}

/// PostgreSQL's `TU_UpdateIndexes`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UpdateIndexes {
    None,
    All,
    Summarizing,
}

impl UpdateIndexes {
    /// The C number.
    pub const fn to_raw(self) -> pg_sys::TU_UpdateIndexes::Type {
        match self {
            Self::None => pg_sys::TU_UpdateIndexes::TU_None,
            Self::All => pg_sys::TU_UpdateIndexes::TU_All,
            Self::Summarizing => pg_sys::TU_UpdateIndexes::TU_Summarizing,
        }
    }
}

/// The index entries that an index asks to be checked (`TM_IndexDeleteOp`).
pub struct IndexDeletion<'a> {
    raw: *mut pg_sys::TM_IndexDeleteOp,
    _owner: PhantomData<&'a mut pg_sys::TM_IndexDeleteOp>,
}

impl IndexDeletion<'_> {
    /// # Safety
    ///
    /// `raw` is valid for all of the handle's lifetime.
    pub(crate) unsafe fn from_raw(raw: *mut pg_sys::TM_IndexDeleteOp) -> Self {
        Self {
            raw,
            _owner: PhantomData,
        }
    }

    /// The C pointer.
    pub fn as_ptr(&self) -> *mut pg_sys::TM_IndexDeleteOp {
        self.raw
    }
}

/// Operations on the rows of a table.
///
/// Those that PostgreSQL requires of every access method and that this one does not support have a
/// default that fails with [`ModifyMethods::unsupported`].
pub trait ModifyMethods: ScanMethods {
    /// The error that refuses an operation, in the access method's own words. Usually
    /// [`PgError::feature_not_supported`] with a hint that names the way round.
    fn unsupported(operation: Operation, rel: Relation<'_>) -> PgError;

    /// Inserts the slot's tuple, and sets the slot's `tid` and `table_oid`.
    fn tuple_insert(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        options: InsertOptions,
    ) -> PgResult<()>;

    /// Inserts the slots' tuples, and sets each slot's `tid` and `table_oid`.
    fn multi_insert(
        rel: Relation<'_>,
        slots: &mut SlotBatch<'_>,
        cid: pg_sys::CommandId,
        options: InsertOptions,
    ) -> PgResult<()> {
        for mut slot in slots.iter_mut() {
            Self::tuple_insert(rel, &mut slot, cid, options)?;
        }
        Ok(())
    }

    /// Completes insertions that were made with these options.
    fn finish_bulk_insert(rel: Relation<'_>, options: InsertOptions) -> PgResult<()> {
        let _ = (rel, options);
        Ok(())
    }

    /// Stores the row that `tid` names and `snapshot` shows in the slot; `false` when there is none.
    fn tuple_fetch_row_version(
        rel: Relation<'_>,
        tid: Tid,
        snapshot: Snapshot<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool>;

    /// Whether `tid` may name a row of the scanned table.
    fn tuple_tid_valid(scan: &mut Self::Scan, rel: Relation<'_>, tid: Tid) -> PgResult<bool>;

    /// The identifier of the newest version of the row.
    fn tuple_get_latest_tid(scan: &mut Self::Scan, rel: Relation<'_>, tid: Tid) -> PgResult<Tid>;

    /// Whether `snapshot` shows the slot's tuple.
    fn tuple_satisfies_snapshot(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        snapshot: Snapshot<'_>,
    ) -> PgResult<bool>;

    /// Inserts a tuple that is not there yet for others, for INSERT … ON CONFLICT.
    fn tuple_insert_speculative(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        options: InsertOptions,
        spec_token: u32,
    ) -> PgResult<()> {
        let _ = (slot, cid, options, spec_token);
        Err(Self::unsupported(Operation::TupleInsertSpeculative, rel))
    }

    /// Makes a speculative insertion real, or undoes it.
    fn tuple_complete_speculative(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        spec_token: u32,
        succeeded: bool,
    ) -> PgResult<()> {
        let _ = (slot, spec_token, succeeded);
        Err(Self::unsupported(Operation::TupleInsertSpeculative, rel))
    }

    /// Deletes the row that `tid` names.
    #[expect(clippy::too_many_arguments, reason = "PostgreSQL's callback")]
    fn tuple_delete(
        rel: Relation<'_>,
        tid: Tid,
        cid: pg_sys::CommandId,
        snapshot: Option<Snapshot<'_>>,
        crosscheck: Option<Snapshot<'_>>,
        wait: bool,
        failure: &mut FailureData,
        changing_partition: bool,
    ) -> PgResult<TmResult> {
        let _ = (
            tid,
            cid,
            snapshot,
            crosscheck,
            wait,
            failure,
            changing_partition,
        );
        Err(Self::unsupported(Operation::TupleDelete, rel))
    }

    /// Replaces the row that `tid` names by the slot's tuple. With [`TmResult::Ok`] come the lock
    /// mode that was taken and the indexes that need new entries.
    #[expect(clippy::too_many_arguments, reason = "PostgreSQL's callback")]
    fn tuple_update(
        rel: Relation<'_>,
        tid: Tid,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        snapshot: Option<Snapshot<'_>>,
        crosscheck: Option<Snapshot<'_>>,
        wait: bool,
        failure: &mut FailureData,
    ) -> PgResult<(TmResult, LockTupleMode, UpdateIndexes)> {
        let _ = (tid, slot, cid, snapshot, crosscheck, wait, failure);
        Err(Self::unsupported(Operation::TupleUpdate, rel))
    }

    /// Locks the row that `tid` names, or a later version of it, and stores what was locked in the slot, with its `tid`.
    #[expect(clippy::too_many_arguments, reason = "PostgreSQL's callback")]
    fn tuple_lock(
        rel: Relation<'_>,
        tid: Tid,
        snapshot: Option<Snapshot<'_>>,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        mode: LockTupleMode,
        wait_policy: LockWaitPolicy,
        flags: TupleLockFlags,
        failure: &mut FailureData,
    ) -> PgResult<TmResult> {
        let _ = (tid, snapshot, slot, cid, mode, wait_policy, flags, failure);
        Err(Self::unsupported(Operation::TupleLock, rel))
    }

    /// Says which index entries point to nothing that anyone needs, and returns the latest
    /// transaction that must be gone on standbys before they are removed.
    fn index_delete_tuples(
        rel: Relation<'_>,
        deletion: IndexDeletion<'_>,
    ) -> PgResult<pg_sys::TransactionId> {
        let _ = deletion;
        Err(Self::unsupported(Operation::IndexDelete, rel))
    }
}
