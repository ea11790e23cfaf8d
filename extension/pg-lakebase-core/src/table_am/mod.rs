//! Table access methods: traits in PostgreSQL's terms, and the routine that calls them.
//!
//! An access method is a unit struct that implements [`ScanMethods`], [`IndexFetchMethods`],
//! [`ModifyMethods`], [`DdlMethods`], [`RelationMethods`] and [`TableAm`]. The attribute
//! `#[pg_table_am(handler = "…")]` on the struct makes the handler function that CREATE ACCESS
//! METHOD wants. The comments of PostgreSQL's `access/tableam.h` are each method's contract; what
//! is said here is what this crate adds.
//!
//! Methods return [`PgResult`](crate::error::PgResult): the thunk that PostgreSQL called raises the
//! error when the method's frame is gone. Methods that PostgreSQL requires and an access method may
//! not support have bodies that refuse, in the words of [`ModifyMethods::unsupported`].

mod ddl;
mod index_fetch;
mod modify;
mod operation;
mod parallel;
mod relation;
mod routine;
mod sampling;
mod scan;
mod scan_desc;
mod thunks;

pub use ddl::{
    CopyCounts, DdlMethods, Horizons, IndexBuild, IndexBuildState, IndexCleanup, IndexValidation,
    VacuumParams,
};
pub use index_fetch::{IndexFetch, IndexFetchMethods, IndexFetchOutcome};
pub use modify::{
    FailureData, IndexDeletion, InsertOptions, LockTupleMode, LockWaitPolicy, ModifyMethods,
    SlotBatch, TmResult, TupleLockFlags, UpdateIndexes,
};
pub use operation::Operation;
pub use parallel::ParallelScan;
pub use relation::{RelationMethods, SizeEstimate, TableAm};
pub use routine::{CALLBACKS, OPTIONAL_CALLBACKS, Routine, routine};
pub use sampling::{BlockStream, SampleScan};
pub use scan::{RescanParams, ScanDirection, ScanFlags, ScanMethods};
pub use scan_desc::ScanDesc;

/// What the attribute macro's output needs, and nothing else should use.
#[doc(hidden)]
pub mod __private {
    pub use pgrx::pg_sys;
}
