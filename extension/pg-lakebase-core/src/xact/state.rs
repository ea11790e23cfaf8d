//! The state of the present transaction.

use pgrx::pg_sys;

use crate::error::{PgResult, catch};

/// Whether a transaction is in progress and not aborting (`IsTransactionState`).
#[inline]
pub fn is_in_progress() -> bool {
    // SAFETY: reads the backend's transaction state.
    unsafe { pg_sys::IsTransactionState() }
}

/// The current subtransaction's identifier; 1 at the top level.
#[inline]
pub fn current_subxact_id() -> pg_sys::SubTransactionId {
    // SAFETY: reads the backend's transaction state.
    unsafe { pg_sys::GetCurrentSubTransactionId() }
}

/// The current command's number; `used` says that it will mark changes, so that the next command
/// gets another one.
pub fn current_command_id(used: bool) -> pg_sys::CommandId {
    // SAFETY: raises in a parallel worker when `used`; guarded.
    unsafe { pg_sys::GetCurrentCommandId(used) }
}

/// The top-level transaction's id, which is given to it now unless it has one, with its epoch.
pub fn full_transaction_id() -> u64 {
    // SAFETY: raises in parallel mode or in recovery, where nothing is written; guarded.
    unsafe { pg_sys::GetTopFullTransactionId().value }
}

/// The id, with its epoch, of a transaction that is in progress or was not long ago, or of the next one.
pub fn with_epoch(xid: pg_sys::TransactionId) -> u64 {
    // SAFETY: reads shared memory.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    let age = (next as u32).wrapping_sub(xid.into_inner());
    next.wrapping_sub(age.into())
}

/// Whether a transaction, named with its epoch, has ended; one that is prepared has not.
pub fn is_over(full_xid: u64) -> bool {
    // SAFETY: reads shared memory.
    let next = unsafe { pg_sys::ReadNextFullTransactionId() }.value;
    // One that is not known yet has been forgotten by a crash.
    let Some(age) = next.checked_sub(full_xid).filter(|&age| age > 0) else {
        return true;
    };
    let xid = pg_sys::TransactionId::from(full_xid as u32);
    // SAFETY: as above.
    age >= 1 << 31 || !unsafe { pg_sys::TransactionIdIsInProgress(xid) }
}

/// Runs `work` in a subtransaction, which is rolled back if it fails.
pub fn in_subtransaction<T>(work: impl FnOnce() -> PgResult<T>) -> PgResult<T> {
    // SAFETY: inside a transaction; memory context and resource owner become again what they were, as
    // PL/pgSQL's blocks see to it.
    unsafe {
        let (context, owner) = (pg_sys::CurrentMemoryContext, pg_sys::CurrentResourceOwner);
        pg_sys::BeginInternalSubTransaction(std::ptr::null());
        pg_sys::MemoryContextSwitchTo(context);
        let result = catch(work).and_then(|result| result);
        match &result {
            Ok(_) => pg_sys::ReleaseCurrentSubTransaction(),
            Err(_) => pg_sys::RollbackAndReleaseCurrentSubTransaction(),
        }
        pg_sys::MemoryContextSwitchTo(context);
        pg_sys::CurrentResourceOwner = owner;
        result
    }
}

/// Whether this process is a parallel worker.
pub fn is_parallel_worker() -> bool {
    // SAFETY: a number that the process got when it began.
    unsafe { pg_sys::ParallelWorkerNumber >= 0 }
}

/// How deep subtransactions are nested: 1 at the top level, 0 outside of transactions.
pub fn nest_level() -> i32 {
    // SAFETY: reads the backend's transaction state.
    unsafe { pg_sys::GetCurrentTransactionNestLevel() }
}

/// The time now, whenever the transaction began: microseconds since 2000 (`GetCurrentTimestamp`).
pub fn clock_timestamp() -> pg_sys::TimestampTz {
    // SAFETY: reads the clock.
    unsafe { pg_sys::GetCurrentTimestamp() }
}
