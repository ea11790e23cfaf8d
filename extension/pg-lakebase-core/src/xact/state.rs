//! The state of the present transaction.

use pgrx::pg_sys;

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
