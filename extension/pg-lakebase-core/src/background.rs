//! What background workers do that have no client.

use std::ffi::CStr;

use pgrx::bgworkers::BackgroundWorker;
use pgrx::pg_sys;

use crate::error::{PgError, PgResult, catch};

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

/// Reads the configuration again if the process was told to (SIGHUP), as every process does. Returns whether it was.
pub fn reload_configuration_if_asked() -> bool {
    let is_asked = BackgroundWorker::sighup_received();
    if is_asked {
        // SAFETY: called between transactions, in a background worker's main loop; may raise, guarded.
        unsafe { pg_sys::ProcessConfigFile(pg_sys::GucContext::PGC_SIGHUP) };
    }
    is_asked
}

/// Whether the process was told to end (SIGTERM), which its main loop does after what it is doing now.
pub fn is_to_end() -> bool {
    // SAFETY: the flag is written by signal handlers, hence the volatile read.
    unsafe { (&raw const pg_sys::ShutdownRequestPending).read_volatile() != 0 }
}

/// Has PostgreSQL treat the process as it does autovacuum workers: it is told to end when its database is to be
/// dropped, copied, renamed or moved (`CountOtherDBBackends`), and its transaction is cancelled when somebody has
/// waited `deadlock_timeout` for a lock of its (`ProcSleep`). CREATE INDEX CONCURRENTLY does not wait for its
/// snapshots. To be called before the process connects to its database.
pub fn give_way() {
    // SAFETY: as `InitProcess` does for autovacuum workers: the PGPROC is the process's own, and is not yet in the
    // array of those that others look at, to which `InitPostgres` adds it with these flags.
    unsafe { (*pg_sys::MyProc).statusFlags |= pg_sys::PROC_IS_AUTOVACUUM as u8 };
}

/// Has the process count as one of no database, though it goes on reading the catalogs of the one that it is connected to: whoever
/// copies that one does not find it there (`CountOtherDBBackends`). For processes that write nothing, and a database that
/// nobody writes to: its dead rows are removed whoever sees them here.
pub fn count_for_no_database() {
    // SAFETY: the PGPROC is the process's own; others read the number at any time, as when `InitPostgres` sets it.
    unsafe { (*pg_sys::MyProc).databaseId = pg_sys::InvalidOid };
}

/// Runs a transaction, with a snapshot, at the outermost level of the process; `None` if it fails, which
/// is logged.
pub fn in_transaction<T>(work: impl FnOnce() -> PgResult<T>) -> Option<T> {
    try_in_transaction(work).map_err(PgError::log).ok()
}

/// As [`in_transaction`], for those who tell of an error themselves. The transaction is over in any case.
pub fn try_in_transaction<T>(work: impl FnOnce() -> PgResult<T>) -> PgResult<T> {
    try_in_plain_transaction(|| {
        // SAFETY: in the transaction; the snapshot is popped at its end.
        unsafe { pg_sys::PushActiveSnapshot(pg_sys::GetTransactionSnapshot()) };
        work()
    })
}

/// As [`try_in_transaction`], without a snapshot: as long as `work` takes none, and no transaction id, it keeps nobody
/// from removing what is dead.
pub fn try_in_plain_transaction<T>(work: impl FnOnce() -> PgResult<T>) -> PgResult<T> {
    let result = catch(|| {
        // SAFETY: as background workers do; an error ends up below.
        unsafe {
            pg_sys::SetCurrentStatementStartTimestamp();
            pg_sys::StartTransactionCommand();
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
    let result = result.and_then(|result| result);
    if result.is_err() {
        // SAFETY: outside of all that the transaction did.
        unsafe { pg_sys::AbortCurrentTransaction() };
    }
    result
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
