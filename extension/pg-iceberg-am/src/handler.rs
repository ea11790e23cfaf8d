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
    TableAm, TmResult, TupleLockFlags, UpdateIndexes, VacuumParams,
};
use pgrx::pg_sys;

use crate::catalog::{Origin, Successor};
use crate::row_id::RowId;
use crate::scan::TableScan;
use crate::{ddl, maintenance, modify, scan, transaction, unsupported};

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
        rel: Relation<'_>,
        _params: Option<RescanParams>,
    ) -> PgResult<()> {
        scan.rescan(rel)
    }

    fn scan_getnextslot(
        scan: &mut TableScan,
        rel: Relation<'_>,
        direction: ScanDirection,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        scan.next(rel, direction, slot)
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
        dead: &mut f64,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let found = scan.next_analyze_row(slot, dead)?;
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

    fn tuple_get_latest_tid(scan: &mut TableScan, rel: Relation<'_>, tid: Tid) -> PgResult<Tid> {
        match scan.snapshot() {
            Some(snapshot) => modify::latest_version(rel, tid, snapshot),
            None => Ok(tid),
        }
    }

    fn tuple_delete(
        rel: Relation<'_>,
        tid: Tid,
        cid: pg_sys::CommandId,
        _snapshot: Option<Snapshot<'_>>,
        crosscheck: Option<Snapshot<'_>>,
        _wait: bool,
        failure: &mut FailureData,
        changing_partition: bool,
    ) -> PgResult<TmResult> {
        let successor = if changing_partition {
            Successor::Elsewhere
        } else {
            Successor::None
        };
        modify::delete(rel, tid, cid, crosscheck, failure, successor)
    }

    fn tuple_update(
        rel: Relation<'_>,
        tid: Tid,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        _snapshot: Option<Snapshot<'_>>,
        crosscheck: Option<Snapshot<'_>>,
        _wait: bool,
        failure: &mut FailureData,
    ) -> PgResult<(TmResult, LockTupleMode, UpdateIndexes)> {
        let result = modify::update(rel, tid, slot, cid, crosscheck, failure)?;
        Ok((result, LockTupleMode::NoKeyExclusive, UpdateIndexes::None))
    }

    fn tuple_lock(
        rel: Relation<'_>,
        tid: Tid,
        _snapshot: Option<Snapshot<'_>>,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        mode: LockTupleMode,
        wait_policy: LockWaitPolicy,
        flags: TupleLockFlags,
        failure: &mut FailureData,
    ) -> PgResult<TmResult> {
        modify::lock(rel, tid, slot, cid, mode, wait_policy, flags, failure)
    }

    fn tuple_satisfies_snapshot(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        snapshot: Snapshot<'_>,
    ) -> PgResult<bool> {
        modify::is_live(rel, slot.tid(), snapshot)
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
