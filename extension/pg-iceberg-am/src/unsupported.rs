//! What cannot be done to Iceberg tables, and what to do instead.

use pg_lakebase_core::error::PgError;
use pg_lakebase_core::slot::SystemColumn;
use pg_lakebase_core::table_am::{LockTupleMode, Operation, TupleLockFlags};
use pgrx::pg_sys;

/// The error for an operation that Iceberg tables do not have.
pub fn error(operation: Operation, table: &str) -> PgError {
    match operation {
        Operation::TupleUpdate => cannot("update rows of", table, change_hint()),
        Operation::TupleDelete => cannot("delete rows of", table, change_hint()),
        Operation::TupleLock => cannot("lock rows of", table, LOCK_HINT),
        Operation::TupleInsertSpeculative => cannot("use ON CONFLICT with", table, CONFLICT_HINT),
        Operation::IndexFetch
        | Operation::IndexBuild
        | Operation::IndexValidate
        | Operation::IndexDelete => cannot("create an index on", table, INDEX_HINT),
        _ => cannot("do this with", table, REWRITE_HINT),
    }
}

/// The error for a row that is to be locked: by row locks, or because it is about to be changed and has BEFORE
/// triggers, which see the row once it is locked (`GetTupleForTrigger`). Only `ExecLockRows` asks for updates in
/// progress; and rows are deleted under the strongest lock, while updates leave keys alone where there are none.
pub fn lock_error(mode: LockTupleMode, flags: TupleLockFlags, table: &str) -> PgError {
    let operation = match mode {
        _ if flags.lock_update_in_progress() => Operation::TupleLock,
        LockTupleMode::NoKeyExclusive => Operation::TupleUpdate,
        LockTupleMode::Exclusive => Operation::TupleDelete,
        LockTupleMode::KeyShare | LockTupleMode::Share => Operation::TupleLock,
    };
    error(operation, table)
}

/// Whether the query that runs, or is planned, is one that a foreign key's trigger has made: nobody else uses this
/// security context (`ri_PerformCheck`).
pub fn is_foreign_key_query() -> bool {
    // SAFETY: reads a variable of the backend.
    unsafe { pg_sys::InNoForceRLSOperation() }
}

/// The error for a system column that says which transaction made or removed a row.
pub fn system_column(column: SystemColumn, table: &str) -> PgError {
    let what = format!("read column \"{}\" of", column.name());
    cannot(&what, table, SYSTEM_COLUMN_HINT)
}

fn change_hint() -> &'static str {
    if is_foreign_key_query() {
        FOREIGN_KEY_HINT
    } else {
        REWRITE_HINT
    }
}

/// "cannot <do something to> Iceberg table", with what to do instead.
pub fn cannot(what: &str, table: &str, hint: &str) -> PgError {
    PgError::feature_not_supported(format!("cannot {what} Iceberg table \"{table}\""))
        .with_hint(hint)
}

/// What to do instead of UPDATE, DELETE and MERGE.
pub const REWRITE_HINT: &str = "Write the rows to keep into a new table with CREATE TABLE ... USING iceberg AS SELECT, or TRUNCATE the table.";
/// What to do instead of reading `xmin` and its siblings.
const SYSTEM_COLUMN_HINT: &str = "Rows of Iceberg tables do not tell their transactions. Of the system columns there are ctid and tableoid.";
/// What to do instead of changes that a foreign key passes on.
const FOREIGN_KEY_HINT: &str = "A foreign key passes on what happens to the row that rows here refer to. Only rows that nobody refers to can be deleted, or get another key.";
/// What to do instead of row locks.
pub const LOCK_HINT: &str = "Use LOCK TABLE to keep others from writing.";
/// What to do instead of ON CONFLICT.
pub const CONFLICT_HINT: &str = "Select the rows to insert with WHERE NOT EXISTS (SELECT ...).";
/// What to do before a table with indexes becomes an Iceberg table.
pub const DROP_INDEXES_HINT: &str =
    "Drop its indexes, and the PRIMARY KEY, UNIQUE and EXCLUDE constraints, first.";
/// What to do instead of an index on a partitioned table some of whose partitions can have none.
pub const PARTITION_INDEX_HINT: &str = "Partitions that are heap tables can have indexes of their own, which can be attached to one made ON ONLY the partitioned table.";
/// What to do instead of indexes and the constraints that need them.
pub const INDEX_HINT: &str = "Iceberg tables are searched by the column statistics of their files; leave the index, or the PRIMARY KEY, UNIQUE or EXCLUDE constraint, out.";
