//! What background workers do that have no client.

use std::ffi::CStr;

use pgrx::pg_sys;

use crate::error::{PgResult, catch};

/// Gives a setting a value of the process's own, whatever the configuration says, as autovacuum workers do
/// (`AutoVacWorkerMain`).
pub fn override_setting(name: &CStr, value: &CStr) {
    // SAFETY: names and values are NUL-terminated; may raise, guarded.
    unsafe {
        pg_sys::SetConfigOption(
            name.as_ptr(),
            value.as_ptr(),
            pg_sys::GucContext::PGC_SUSET,
            pg_sys::GucSource::PGC_S_OVERRIDE,
        );
    }
}

/// Runs a transaction, with a snapshot, at the outermost level of the process; `None` if it fails, which
/// is logged.
pub fn in_transaction<T>(work: impl FnOnce() -> PgResult<T>) -> Option<T> {
    let result = catch(|| {
        // SAFETY: as background workers do; an error ends up below.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
            pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot());
        }
        let result = work()?;
        // SAFETY: as above. VACUUM has ended the transaction that it was called in, and its snapshot.
        unsafe {
            if pg_sys::ActiveSnapshotSet() {
                pg_sys::PopActiveSnapshot();
            }
            pg_sys::CommitTransactionCommand();
        }
        Ok(result)
    });
    match result.and_then(|result| result) {
        Ok(value) => Some(value),
        Err(error) => {
            // SAFETY: outside of all that the transaction did.
            unsafe { pg_sys::AbortCurrentTransaction() };
            error.log();
            None
        }
    }
}

/// VACUUM of a table, as autovacuum does it; nothing if the table is locked. It ends the transaction of
/// [`in_transaction`], in which nothing may be open any more, and begins another.
pub fn vacuum(relid: pg_sys::Oid) {
    let mut params = pg_sys::VacuumParams {
        options: pg_sys::VACOPT_VACUUM
            | pg_sys::VACOPT_SKIP_LOCKED
            | pg_sys::VACOPT_PROCESS_MAIN
            | pg_sys::VACOPT_SKIP_DATABASE_STATS,
        freeze_min_age: -1,
        freeze_table_age: -1,
        multixact_freeze_min_age: -1,
        multixact_freeze_table_age: -1,
        is_wraparound: false,
        log_min_duration: -1,
        index_cleanup: pg_sys::VacOptValue::VACOPTVALUE_ENABLED,
        // That takes an exclusive lock.
        truncate: pg_sys::VacOptValue::VACOPTVALUE_DISABLED,
        toast_parent: pg_sys::InvalidOid,
        nworkers: -1,
    };
    // SAFETY: a list in a memory context that outlives the transactions of VACUUM, as `vacuum` asks; this
    // is the outermost level of a process that runs no other command.
    unsafe {
        let context = pg_sys::AllocSetContextCreateInternal(
            pg_sys::TopMemoryContext,
            c"background vacuum".as_ptr(),
            pg_sys::ALLOCSET_DEFAULT_MINSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_INITSIZE as usize,
            pg_sys::ALLOCSET_DEFAULT_MAXSIZE as usize,
        );
        let before = pg_sys::MemoryContextSwitchTo(context);
        let relation =
            pg_sys::makeVacuumRelation(std::ptr::null_mut(), relid, std::ptr::null_mut());
        let relations = pg_sys::lappend(std::ptr::null_mut(), relation.cast());
        let strategy = pg_sys::GetAccessStrategy(pg_sys::BufferAccessStrategyType::BAS_VACUUM);
        pg_sys::MemoryContextSwitchTo(before);
        pg_sys::vacuum(relations, &mut params, strategy, context, true);
        pg_sys::MemoryContextDelete(context);
    }
}
