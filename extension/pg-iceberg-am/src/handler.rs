//! The table access method: only wiring, in the order of `tableam.h`.

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::pg_table_am;
use pg_lakebase_core::relation::{ForkNumber, Persistence, RelFileLocator, Relation};
use pg_lakebase_core::slot::{Slot, SlotKind, Tid};
use pg_lakebase_core::snapshot::Snapshot;
use pg_lakebase_core::table_am::{
    BlockStream, CopyCounts, DdlMethods, FailureData, Horizons, IndexFetchMethods, InsertOptions,
    LockTupleMode, LockWaitPolicy, ModifyMethods, Operation, ParallelScan, RelationMethods,
    RescanParams, SampleScan, ScanDirection, ScanFlags, ScanMethods, SizeEstimate, SlotBatch,
    TableAm, TmResult, TupleLockFlags, VacuumParams,
};
use pgrx::pg_sys;

use crate::catalog::Origin;
use crate::row_id::RowId;
use crate::scan::TableScan;
use crate::{ddl, maintenance, scan, transaction, unsupported};

/// The access method `iceberg`.
#[pg_table_am(handler = "iceberg_tableam_handler")]
pub struct IcebergAm;

impl TableAm for IcebergAm {
    const NAME: &'static str = "iceberg";

    fn slot_callbacks(_rel: Relation<'_>) -> SlotKind {
        SlotKind::VirtualWithTid
    }
}

impl ScanMethods for IcebergAm {
    type Scan = TableScan;

    fn scan_begin(
        rel: Relation<'_>,
        snapshot: Option<Snapshot<'_>>,
        parallel: Option<ParallelScan>,
        _flags: ScanFlags,
    ) -> PgResult<TableScan> {
        match parallel {
            None => TableScan::begin(rel, snapshot),
            Some(_) => Err(PgError::internal(
                "Iceberg tables have no parallel sequential scan",
            )),
        }
    }

    fn scan_rescan(
        scan: &mut TableScan,
        _rel: Relation<'_>,
        _params: Option<RescanParams>,
    ) -> PgResult<()> {
        scan.rescan();
        Ok(())
    }

    fn scan_getnextslot(
        scan: &mut TableScan,
        _rel: Relation<'_>,
        direction: ScanDirection,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        scan.next(direction, slot)
    }

    fn scan_analyze_next_block(
        scan: &mut TableScan,
        _rel: Relation<'_>,
        stream: BlockStream<'_>,
    ) -> PgResult<bool> {
        scan.next_analyze_block(stream)
    }

    fn scan_analyze_next_tuple(
        scan: &mut TableScan,
        _rel: Relation<'_>,
        live: &mut f64,
        _dead: &mut f64,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let found = scan.next_analyze_row(slot)?;
        if found {
            *live += 1.0;
        }
        Ok(found)
    }

    fn scan_sample_next_block(
        scan: &mut TableScan,
        _rel: Relation<'_>,
        sampler: &mut SampleScan<'_>,
    ) -> PgResult<bool> {
        scan.next_sample_block(sampler)
    }

    fn scan_sample_next_tuple(
        scan: &mut TableScan,
        _rel: Relation<'_>,
        sampler: &mut SampleScan<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        scan.next_sample_row(sampler, slot)
    }
}

impl IndexFetchMethods for IcebergAm {}

/// What a new storage into which rows are inserted so is to older snapshots.
fn origin(options: InsertOptions) -> Origin {
    if options.frozen() {
        Origin::Frozen
    } else {
        Origin::New
    }
}

impl ModifyMethods for IcebergAm {
    fn unsupported(operation: Operation, rel: Relation<'_>) -> PgError {
        // SAFETY: reads a variable of the backend.
        let is_reindexed = || unsafe { pg_sys::ReindexIsProcessingHeap(rel.oid()) };
        if operation == Operation::IndexBuild && is_reindexed() {
            // Only a table that has just become an Iceberg table has indexes already.
            return unsupported::cannot(
                "keep an index on",
                &rel.name(),
                unsupported::DROP_INDEXES_HINT,
            );
        }
        unsupported::error(operation, &rel.name())
    }

    fn tuple_insert(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        options: InsertOptions,
    ) -> PgResult<()> {
        transaction::insert(rel, std::iter::once(slot), cid, origin(options))
    }

    fn multi_insert(
        rel: Relation<'_>,
        slots: &mut SlotBatch<'_>,
        cid: pg_sys::CommandId,
        options: InsertOptions,
    ) -> PgResult<()> {
        transaction::insert(rel, slots.iter_mut(), cid, origin(options))
    }

    fn tuple_fetch_row_version(
        rel: Relation<'_>,
        tid: Tid,
        snapshot: Snapshot<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        scan::fetch::fetch(rel, tid, snapshot, slot)
    }

    fn tuple_tid_valid(_scan: &mut TableScan, _rel: Relation<'_>, tid: Tid) -> PgResult<bool> {
        Ok(RowId::from_tid(tid).is_some())
    }

    fn tuple_get_latest_tid(_scan: &mut TableScan, _rel: Relation<'_>, tid: Tid) -> PgResult<Tid> {
        // Rows have no later versions yet.
        Ok(tid)
    }

    fn tuple_delete(
        rel: Relation<'_>,
        _tid: Tid,
        _cid: pg_sys::CommandId,
        _snapshot: Option<Snapshot<'_>>,
        _crosscheck: Option<Snapshot<'_>>,
        _wait: bool,
        _failure: &mut FailureData,
        changing_partition: bool,
    ) -> PgResult<TmResult> {
        let operation = if changing_partition {
            Operation::TupleUpdate
        } else {
            Operation::TupleDelete
        };
        Err(unsupported::error(operation, &rel.name()))
    }

    fn tuple_lock(
        rel: Relation<'_>,
        tid: Tid,
        snapshot: Option<Snapshot<'_>>,
        slot: &mut Slot<'_>,
        _cid: pg_sys::CommandId,
        mode: LockTupleMode,
        _wait_policy: LockWaitPolicy,
        flags: TupleLockFlags,
        _failure: &mut FailureData,
    ) -> PgResult<TmResult> {
        match (mode, snapshot) {
            // No row's key ever changes and no row goes away while its table is locked for reading,
            // so there is nothing to wait for.
            (LockTupleMode::KeyShare, Some(snapshot)) if unsupported::is_foreign_key_query() => {
                let found = scan::fetch::fetch(rel, tid, snapshot, slot)?;
                Ok(if found {
                    TmResult::Ok
                } else {
                    TmResult::Invisible
                })
            }
            _ => Err(unsupported::lock_error(mode, flags, &rel.name())),
        }
    }

    fn tuple_satisfies_snapshot(
        _rel: Relation<'_>,
        _slot: &mut Slot<'_>,
        _snapshot: Snapshot<'_>,
    ) -> PgResult<bool> {
        // Asked by foreign key triggers of rows just inserted; no row is ever deleted yet.
        Ok(true)
    }
}

impl DdlMethods for IcebergAm {
    fn relation_set_new_filelocator(
        rel: Relation<'_>,
        new: RelFileLocator,
        persistence: Persistence,
    ) -> PgResult<Horizons> {
        ddl::filelocator::set_new_filelocator(rel, new, persistence)
    }

    fn relation_nontransactional_truncate(rel: Relation<'_>) -> PgResult<()> {
        scan::fetch::forget();
        transaction::empty_storage(rel)
    }

    fn relation_copy_data(rel: Relation<'_>, new: RelFileLocator) -> PgResult<()> {
        ddl::filelocator::copy_data(rel, new)
    }

    fn relation_copy_for_cluster(
        old: Relation<'_>,
        new: Relation<'_>,
        _old_index: Option<Relation<'_>>,
        _use_sort: bool,
        _oldest_xmin: pg_sys::TransactionId,
        _cutoffs: &mut Horizons,
    ) -> PgResult<CopyCounts> {
        ddl::filelocator::copy_for_cluster(old, new)
    }

    fn relation_vacuum(rel: Relation<'_>, params: VacuumParams) -> PgResult<()> {
        maintenance::vacuum::vacuum(rel, &params)
    }
}

impl RelationMethods for IcebergAm {
    fn relation_size(rel: Relation<'_>, fork: ForkNumber) -> PgResult<u64> {
        scan::size::relation_size(rel, fork)
    }

    fn relation_estimate_size(
        rel: Relation<'_>,
        _attr_widths: Option<&mut [i32]>,
    ) -> PgResult<SizeEstimate> {
        scan::size::estimate(rel)
    }
}
