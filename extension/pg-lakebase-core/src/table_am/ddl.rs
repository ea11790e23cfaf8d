//! What DDL and maintenance commands do to a table's storage.

use std::marker::PhantomData;

use pgrx::pg_sys;

use super::{ModifyMethods, Operation};
use crate::error::PgResult;
use crate::guard::call_c;
use crate::relation::{Persistence, RelFileLocator, Relation};
use crate::slot::Tid;
use crate::snapshot::Snapshot;

/// `pg_class.relfrozenxid` and `pg_class.relminmxid`. The default, both invalid, is right for
/// access methods that store no transaction identifiers.
#[derive(Debug, Clone, Copy)]
pub struct Horizons {
    pub freeze_xid: pg_sys::TransactionId,
    pub min_multi: pg_sys::MultiXactId,
}

impl Default for Horizons {
    fn default() -> Self {
        Self {
            freeze_xid: pg_sys::InvalidTransactionId,
            min_multi: pg_sys::InvalidTransactionId,
        }
    }
}

/// What VACUUM FULL or CLUSTER reports.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct CopyCounts {
    pub num_tuples: f64,
    pub tups_vacuumed: f64,
    pub tups_recently_dead: f64,
}

/// PostgreSQL's `VacOptValue`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IndexCleanup {
    Unspecified,
    Auto,
    Disabled,
    Enabled,
}

impl IndexCleanup {
    const fn from_raw(raw: pg_sys::VacOptValue::Type) -> Self {
        match raw {
            pg_sys::VacOptValue::VACOPTVALUE_AUTO => Self::Auto,
            pg_sys::VacOptValue::VACOPTVALUE_DISABLED => Self::Disabled,
            pg_sys::VacOptValue::VACOPTVALUE_ENABLED => Self::Enabled,
            _ => Self::Unspecified,
        }
    }
}

/// PostgreSQL's `VacuumParams`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VacuumParams {
    pub verbose: bool,
    pub freeze: bool,
    pub disable_page_skipping: bool,
    /// Whether ANALYZE follows.
    pub analyze: bool,
    pub freeze_min_age: i32,
    pub freeze_table_age: i32,
    pub is_wraparound: bool,
    /// Milliseconds from which on the run is logged; -1 for never.
    pub log_min_duration: i32,
    pub index_cleanup: IndexCleanup,
    pub truncate: IndexCleanup,
    pub nworkers: i32,
}

impl VacuumParams {
    pub(crate) fn from_raw(raw: &pg_sys::VacuumParams) -> Self {
        let option = |bit: u32| raw.options & bit != 0;
        Self {
            verbose: option(pg_sys::VACOPT_VERBOSE),
            freeze: option(pg_sys::VACOPT_FREEZE),
            disable_page_skipping: option(pg_sys::VACOPT_DISABLE_PAGE_SKIPPING),
            analyze: option(pg_sys::VACOPT_ANALYZE),
            freeze_min_age: raw.freeze_min_age,
            freeze_table_age: raw.freeze_table_age,
            is_wraparound: raw.is_wraparound,
            log_min_duration: raw.log_min_duration,
            index_cleanup: IndexCleanup::from_raw(raw.index_cleanup),
            truncate: IndexCleanup::from_raw(raw.truncate),
            nworkers: raw.nworkers,
        }
    }
}

/// The scan and the options of an index build.
pub struct IndexBuild<'a> {
    pub index_info: *mut pg_sys::IndexInfo,
    pub allow_sync: bool,
    pub anyvisible: bool,
    pub progress: bool,
    pub start_block: u32,
    /// `None` for all of the table.
    pub num_blocks: Option<u32>,
    /// A scan that the caller began, in parallel builds.
    pub scan: pg_sys::TableScanDesc,
    /// Where the rows go.
    pub state: IndexBuildState<'a>,
}

/// The index's side of a build.
pub struct IndexBuildState<'a> {
    pub(crate) callback: pg_sys::IndexBuildCallback,
    pub(crate) state: *mut std::ffi::c_void,
    pub(crate) index: Relation<'a>,
}

impl IndexBuildState<'_> {
    /// Hands a row to the index: its identifier, and the values of the index's columns.
    ///
    /// # Safety
    ///
    /// Both slices have as many elements as the index has columns, and each value that is not NULL
    /// is a valid datum of its column's type.
    pub unsafe fn add(
        &mut self,
        tid: Tid,
        values: &mut [pg_sys::Datum],
        nulls: &mut [bool],
        tuple_is_alive: bool,
    ) {
        let Some(callback) = self.callback else {
            return;
        };
        let index = self.index.as_ptr();
        let mut tid = tid.to_raw();
        let tid = &raw mut tid;
        let (values, nulls) = (values.as_mut_ptr(), nulls.as_mut_ptr());
        let state = self.state;
        // SAFETY: the callback is called as heapam does, with the caller's values; it is guarded.
        unsafe { call_c!(callback, index, tid, values, nulls, tuple_is_alive, state) }
    }
}

/// The state of an index validation (`ValidateIndexState`).
pub struct IndexValidation<'a> {
    pub index_info: *mut pg_sys::IndexInfo,
    pub state: *mut pg_sys::ValidateIndexState,
    pub(crate) _owner: PhantomData<&'a mut pg_sys::ValidateIndexState>,
}

/// Storage of a table.
pub trait DdlMethods: ModifyMethods {
    /// Creates storage at `new`. The relation's catalog entries may not exist yet, or still name the
    /// old storage, which PostgreSQL drops or keeps as the transaction ends.
    fn relation_set_new_filelocator(
        rel: Relation<'_>,
        new: RelFileLocator,
        persistence: Persistence,
    ) -> PgResult<Horizons>;

    /// Removes all rows of storage that this transaction created.
    fn relation_nontransactional_truncate(rel: Relation<'_>) -> PgResult<()>;

    /// Copies the storage to `new`, in another tablespace. The old one is dropped at commit.
    fn relation_copy_data(rel: Relation<'_>, new: RelFileLocator) -> PgResult<()>;

    /// Copies the live rows of `old` into the new table, in the order of the index if there is one.
    fn relation_copy_for_cluster(
        old: Relation<'_>,
        new: Relation<'_>,
        old_index: Option<Relation<'_>>,
        use_sort: bool,
        oldest_xmin: pg_sys::TransactionId,
        cutoffs: &mut Horizons,
    ) -> PgResult<CopyCounts>;

    /// VACUUM, also by autovacuum. Must not fail for a healthy table.
    fn relation_vacuum(rel: Relation<'_>, params: VacuumParams) -> PgResult<()>;

    /// Hands all rows to an index that is being built, and returns their number.
    fn index_build_range_scan(
        table: Relation<'_>,
        index: Relation<'_>,
        build: IndexBuild<'_>,
    ) -> PgResult<f64> {
        let _ = (index, build);
        Err(Self::unsupported(Operation::IndexBuild, table))
    }

    /// Hands the rows to an index that it misses, in CREATE INDEX CONCURRENTLY.
    fn index_validate_scan(
        table: Relation<'_>,
        index: Relation<'_>,
        snapshot: Snapshot<'_>,
        validation: IndexValidation<'_>,
    ) -> PgResult<()> {
        let _ = (index, snapshot, validation);
        Err(Self::unsupported(Operation::IndexValidate, table))
    }
}
