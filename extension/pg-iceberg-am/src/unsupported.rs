//! What cannot be done to Iceberg tables, and what to do instead.

use pg_lakebase_core::error::PgError;
use pg_lakebase_core::slot::SystemColumn;
use pg_lakebase_core::table_am::Operation;

/// The error for an operation that Iceberg tables do not have.
pub fn error(operation: Operation, table: &str) -> PgError {
    match operation {
        Operation::IndexFetch
        | Operation::IndexBuild
        | Operation::IndexValidate
        | Operation::IndexDelete => cannot("create an index on", table, INDEX_HINT),
        _ => cannot("do this with", table, REWRITE_HINT),
    }
}

/// The error for a system column that says which transaction made or removed a row.
pub fn system_column(column: SystemColumn, table: &str) -> PgError {
    let what = format!("read column \"{}\" of", column.name());
    cannot(&what, table, SYSTEM_COLUMN_HINT)
}

/// "cannot <do something to> Iceberg table", with what to do instead.
pub fn cannot(what: &str, table: &str, hint: &str) -> PgError {
    PgError::feature_not_supported(format!("cannot {what} Iceberg table \"{table}\""))
        .with_hint(hint)
}

/// What to do instead of what nothing else is known of.
const REWRITE_HINT: &str =
    "Write the rows into a new table with CREATE TABLE ... USING iceberg AS SELECT.";
/// What to do instead of reading `xmin` and its siblings.
const SYSTEM_COLUMN_HINT: &str = "Rows of Iceberg tables do not tell their transactions. Of the system columns there are ctid and tableoid.";
/// What to do before a table with indexes becomes an Iceberg table.
pub const DROP_INDEXES_HINT: &str =
    "Drop its indexes, and the PRIMARY KEY, UNIQUE and EXCLUDE constraints, first.";
/// What to do instead of an index on a partitioned table some of whose partitions can have none.
pub const PARTITION_INDEX_HINT: &str = "Partitions that are heap tables can have indexes of their own, which can be attached to one made ON ONLY the partitioned table.";
/// What to do instead of indexes and the constraints that need them.
pub const INDEX_HINT: &str = "Iceberg tables are searched by the column statistics of their files; leave the index, or the PRIMARY KEY, UNIQUE or EXCLUDE constraint, out.";
