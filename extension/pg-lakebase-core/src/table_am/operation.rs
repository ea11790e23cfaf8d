//! Names of operations, for refusing them.

/// An operation that an access method may refuse.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Operation {
    /// DELETE, and the deleting half of an UPDATE that moves a row between partitions.
    TupleDelete,
    /// UPDATE.
    TupleUpdate,
    /// SELECT FOR UPDATE and its kin; also what row locks of other commands need.
    TupleLock,
    /// INSERT … ON CONFLICT.
    TupleInsertSpeculative,
    /// Fetching rows through an index.
    IndexFetch,
    /// CREATE INDEX, REINDEX, and constraints that need an index.
    IndexBuild,
    /// The second pass of CREATE INDEX CONCURRENTLY.
    IndexValidate,
    /// Removal of dead index entries.
    IndexDelete,
    /// Serving as a TOAST table.
    ToastFetch,
}
