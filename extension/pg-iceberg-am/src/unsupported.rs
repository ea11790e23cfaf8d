//! What cannot be done to Iceberg tables, and what to do instead.

use pg_lakebase_core::error::PgError;
use pg_lakebase_core::table_am::Operation;

/// The error for an operation that Iceberg tables do not have.
pub fn error(operation: Operation, table: &str) -> PgError {
    match operation {
        Operation::TupleUpdate => cannot("update rows of", table, REWRITE_HINT),
        Operation::TupleDelete => cannot("delete rows of", table, REWRITE_HINT),
        Operation::TupleLock => cannot("lock rows of", table, LOCK_HINT),
        Operation::TupleInsertSpeculative => cannot("use ON CONFLICT with", table, CONFLICT_HINT),
        Operation::IndexFetch
        | Operation::IndexBuild
        | Operation::IndexValidate
        | Operation::IndexDelete => cannot("create an index on", table, INDEX_HINT),
        _ => cannot("do this with", table, REWRITE_HINT),
    }
}

/// "cannot <do something to> Iceberg table", with what to do instead.
pub fn cannot(what: &str, table: &str, hint: &str) -> PgError {
    PgError::feature_not_supported(format!("cannot {what} Iceberg table \"{table}\""))
        .with_hint(hint)
}

/// What to do instead of UPDATE, DELETE and MERGE.
pub const REWRITE_HINT: &str = "Write the rows to keep into a new table with CREATE TABLE ... USING iceberg AS SELECT, or TRUNCATE the table.";
/// What to do instead of row locks.
pub const LOCK_HINT: &str = "Use LOCK TABLE to keep others from writing.";
/// What to do instead of ON CONFLICT.
pub const CONFLICT_HINT: &str = "Select the rows to insert with WHERE NOT EXISTS (SELECT ...).";
/// What to do instead of indexes and the constraints that need them.
pub const INDEX_HINT: &str = "Iceberg tables are searched by the column statistics of their files; leave the index, or the PRIMARY KEY, UNIQUE or EXCLUDE constraint, out.";
