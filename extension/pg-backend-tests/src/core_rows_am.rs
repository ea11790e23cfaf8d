//! Access method `core_rows`: tables whose rows live in the memory of one backend.
//!
//! Small and complete: transactions, savepoints, command visibility, backward scans, sampling. Ten
//! rows make a block. Faults can be injected into scans, and live scan states are counted.

use std::cell::{Cell, RefCell};
use std::collections::HashMap;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::memory::MemoryContext;
use pg_lakebase_core::relation::{ForkNumber, Persistence, RelFileLocator, Relation};
use pg_lakebase_core::slot::{Slot, SlotKind, Tid};
use pg_lakebase_core::snapshot::{Snapshot, SnapshotKind};
use pg_lakebase_core::table_am::{
    BlockStream, CopyCounts, DdlMethods, Horizons, IndexFetchMethods, InsertOptions, ModifyMethods,
    Operation, ParallelScan, RelationMethods, RescanParams, SampleScan, ScanDirection, ScanFlags,
    ScanMethods, SizeEstimate, TableAm, VacuumParams,
};
use pg_lakebase_core::xact::TransactionCallbacks;
use pg_lakebase_core::{pg_table_am, smgr, xact};
use pgrx::PgSqlErrorCode;
use pgrx::pg_sys;
use pgrx::prelude::*;

const ROWS_PER_BLOCK: usize = 10;

extension_sql!(
    r#"
CREATE FUNCTION core_rows_tableam_handler(internal) RETURNS table_am_handler
    LANGUAGE C STRICT AS 'MODULE_PATHNAME', 'core_rows_tableam_handler';
CREATE ACCESS METHOD core_rows TYPE TABLE HANDLER core_rows_tableam_handler;
"#,
    name = "core_rows_access_method"
);

#[pg_table_am(handler = "core_rows_tableam_handler")]
pub struct RowsAm;

/// A row, copied into `TopMemoryContext` and never freed: the tests are short.
#[derive(Clone, Copy)]
struct Row {
    tuple: pg_sys::HeapTuple,
    /// The (sub)transaction and command that inserted it, until the transaction ends.
    inserted: Option<(pg_sys::SubTransactionId, pg_sys::CommandId)>,
    dead: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Error,
    Panic,
}

thread_local! {
    static TABLES: RefCell<HashMap<u32, Vec<Row>>> = RefCell::new(HashMap::new());
    static LIVE_SCANS: Cell<i32> = const { Cell::new(0) };
    static BEGUN_SCANS: Cell<i32> = const { Cell::new(0) };
    static ENDED_SCANS: Cell<i32> = const { Cell::new(0) };
    static FAULT: Cell<Option<(usize, Fault)>> = const { Cell::new(None) };
}

/// Scan states that were made and not dropped.
pub fn live_scans() -> i32 {
    LIVE_SCANS.get()
}

/// Scan states ever made, and ever ended in good order.
pub fn scan_counts() -> (i32, i32) {
    (BEGUN_SCANS.get(), ENDED_SCANS.get())
}

/// Has the next scan that reaches row `at` fail.
pub fn inject(at: usize, fault: Fault) {
    FAULT.set(Some((at, fault)));
}

/// Counts a scan state while it lives.
struct Live;

impl Live {
    fn new() -> Self {
        LIVE_SCANS.set(LIVE_SCANS.get() + 1);
        BEGUN_SCANS.set(BEGUN_SCANS.get() + 1);
        Self
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        LIVE_SCANS.set(LIVE_SCANS.get() - 1);
    }
}

pub struct Scan {
    /// Visible rows with their index in the table.
    rows: Vec<(usize, pg_sys::HeapTuple)>,
    /// The index in `rows` of the row last returned; -1 before the first, `rows.len()` at the end.
    at: isize,
    begun: bool,
    block: u32,
    in_block: usize,
    _live: Live,
}

fn key(locator: RelFileLocator) -> u32 {
    u32::from(locator.rel_number)
}

fn with_table<R>(rel: Relation<'_>, body: impl FnOnce(&mut Vec<Row>) -> R) -> R {
    TABLES.with_borrow_mut(|tables| body(tables.entry(key(rel.locator())).or_default()))
}

fn tid_of(index: usize) -> Tid {
    Tid {
        block: (index / ROWS_PER_BLOCK) as u32,
        offset: (index % ROWS_PER_BLOCK + 1) as u16,
    }
}

fn index_of(tid: Tid) -> Option<usize> {
    let offset = usize::from(tid.offset).checked_sub(1)?;
    (offset < ROWS_PER_BLOCK).then(|| tid.block as usize * ROWS_PER_BLOCK + offset)
}

fn is_visible(row: &Row, snapshot: Option<Snapshot<'_>>) -> bool {
    if row.dead {
        return false;
    }
    match (row.inserted, snapshot) {
        (Some((_, cid)), Some(snapshot)) if snapshot.kind() == SnapshotKind::Mvcc => {
            cid < snapshot.cur_cid()
        }
        _ => true,
    }
}

fn visible_rows(
    rel: Relation<'_>,
    snapshot: Option<Snapshot<'_>>,
) -> Vec<(usize, pg_sys::HeapTuple)> {
    with_table(rel, |rows| {
        rows.iter()
            .enumerate()
            .filter(|(_, row)| is_visible(row, snapshot))
            .map(|(index, row)| (index, row.tuple))
            .collect()
    })
}

fn block_count(rel: Relation<'_>) -> u32 {
    with_table(rel, |rows| rows.len().div_ceil(ROWS_PER_BLOCK) as u32)
}

fn store(slot: &mut Slot<'_>, index: usize, tuple: pg_sys::HeapTuple) {
    let tuple_desc = slot.tuple_desc().as_ptr();
    let (values, nulls) = slot.columns_mut();
    // SAFETY: the tuple was formed with the table's descriptor; the arrays have its columns.
    unsafe {
        pg_sys::heap_deform_tuple(tuple, tuple_desc, values.as_mut_ptr(), nulls.as_mut_ptr());
    }
    slot.store_virtual();
    slot.set_tid(tid_of(index));
}

impl ScanMethods for RowsAm {
    type Scan = Scan;

    fn scan_begin(
        rel: Relation<'_>,
        snapshot: Option<Snapshot<'_>>,
        _parallel: Option<ParallelScan>,
        _flags: ScanFlags,
    ) -> PgResult<Scan> {
        Ok(Scan {
            rows: visible_rows(rel, snapshot),
            at: -1,
            begun: false,
            block: 0,
            in_block: 0,
            _live: Live::new(),
        })
    }

    fn scan_end(scan: Scan, _rel: Relation<'_>) -> PgResult<()> {
        ENDED_SCANS.set(ENDED_SCANS.get() + 1);
        drop(scan);
        Ok(())
    }

    fn scan_rescan(
        scan: &mut Scan,
        _rel: Relation<'_>,
        _set_params: Option<RescanParams>,
    ) -> PgResult<()> {
        scan.at = -1;
        scan.begun = false;
        Ok(())
    }

    fn scan_getnextslot(
        scan: &mut Scan,
        rel: Relation<'_>,
        direction: ScanDirection,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let end = scan.rows.len() as isize;
        match direction {
            ScanDirection::Forward => scan.at = (scan.at + 1).min(end),
            ScanDirection::Backward if scan.begun => scan.at = (scan.at - 1).max(-1),
            ScanDirection::Backward => scan.at = end - 1,
            ScanDirection::NoMovement => {}
        }
        scan.begun = true;
        let Some((index, tuple)) = usize::try_from(scan.at)
            .ok()
            .and_then(|at| scan.rows.get(at))
            .copied()
        else {
            return Ok(false);
        };
        if let Some((_, fault)) = FAULT.get().filter(|(at, _)| *at == index) {
            FAULT.set(None);
            match fault {
                Fault::Panic => panic!("a panic in a scan"),
                Fault::Error => {
                    return Err(PgError::new(
                        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                        format!("row {index} of \"{}\" is damaged", rel.name()),
                    )
                    .with_detail("The test said so.")
                    .with_hint("Run another test."));
                }
            }
        }
        store(slot, index, tuple);
        Ok(true)
    }

    fn scan_analyze_next_block(
        scan: &mut Scan,
        _rel: Relation<'_>,
        mut stream: BlockStream<'_>,
    ) -> PgResult<bool> {
        scan.in_block = 0;
        match stream.next_block() {
            Some(block) => {
                scan.block = block;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn scan_analyze_next_tuple(
        scan: &mut Scan,
        rel: Relation<'_>,
        live: &mut f64,
        dead: &mut f64,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        while scan.in_block < ROWS_PER_BLOCK {
            let index = scan.block as usize * ROWS_PER_BLOCK + scan.in_block;
            scan.in_block += 1;
            let Some(row) = with_table(rel, |rows| rows.get(index).copied()) else {
                return Ok(false);
            };
            if row.dead {
                *dead += 1.0;
                continue;
            }
            *live += 1.0;
            store(slot, index, row.tuple);
            return Ok(true);
        }
        Ok(false)
    }

    fn scan_sample_next_block(
        scan: &mut Scan,
        rel: Relation<'_>,
        sampler: &mut SampleScan<'_>,
    ) -> PgResult<bool> {
        match sampler.next_block(block_count(rel)) {
            Some(block) => {
                scan.block = block;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    fn scan_sample_next_tuple(
        scan: &mut Scan,
        _rel: Relation<'_>,
        sampler: &mut SampleScan<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        while let Some(offset) = sampler.next_tuple(scan.block, ROWS_PER_BLOCK as u16) {
            let tid = Tid {
                block: scan.block,
                offset,
            };
            let found = scan
                .rows
                .iter()
                .find(|(index, _)| Some(*index) == index_of(tid));
            if let Some((index, tuple)) = found {
                store(slot, *index, *tuple);
                return Ok(true);
            }
        }
        Ok(false)
    }
}

impl IndexFetchMethods for RowsAm {}

impl ModifyMethods for RowsAm {
    fn unsupported(operation: Operation, rel: Relation<'_>) -> PgError {
        PgError::feature_not_supported(format!("{operation:?} on \"{}\"", rel.name()))
            .with_hint("Use another access method.")
    }

    fn tuple_insert(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        cid: pg_sys::CommandId,
        _options: InsertOptions,
    ) -> PgResult<()> {
        let raw = slot.as_ptr();
        // SAFETY: the slot holds a tuple; the copy lives as long as the backend.
        let tuple =
            MemoryContext::top().switch_to(|| unsafe { pg_sys::ExecCopySlotHeapTuple(raw) });
        let index = with_table(rel, |rows| {
            rows.push(Row {
                tuple,
                inserted: Some((xact::current_subxact_id(), cid)),
                dead: false,
            });
            rows.len() - 1
        });
        slot.set_tid(tid_of(index));
        slot.set_table_oid(rel.oid());
        Ok(())
    }

    fn tuple_fetch_row_version(
        rel: Relation<'_>,
        tid: Tid,
        snapshot: Snapshot<'_>,
        slot: &mut Slot<'_>,
    ) -> PgResult<bool> {
        let row = index_of(tid).and_then(|index| {
            with_table(rel, |rows| rows.get(index).copied()).map(|row| (index, row))
        });
        match row {
            Some((index, row)) if is_visible(&row, Some(snapshot)) => {
                store(slot, index, row.tuple);
                Ok(true)
            }
            _ => Ok(false),
        }
    }

    fn tuple_tid_valid(_scan: &mut Scan, rel: Relation<'_>, tid: Tid) -> PgResult<bool> {
        Ok(index_of(tid).is_some_and(|index| with_table(rel, |rows| index < rows.len())))
    }

    fn tuple_get_latest_tid(_scan: &mut Scan, _rel: Relation<'_>, tid: Tid) -> PgResult<Tid> {
        Ok(tid)
    }

    fn tuple_satisfies_snapshot(
        rel: Relation<'_>,
        slot: &mut Slot<'_>,
        snapshot: Snapshot<'_>,
    ) -> PgResult<bool> {
        let tid = slot.tid();
        Ok(index_of(tid).is_some_and(|index| {
            with_table(rel, |rows| {
                rows.get(index)
                    .is_some_and(|row| is_visible(row, Some(snapshot)))
            })
        }))
    }
}

impl DdlMethods for RowsAm {
    fn relation_set_new_filelocator(
        _rel: Relation<'_>,
        new: RelFileLocator,
        persistence: Persistence,
    ) -> PgResult<Horizons> {
        smgr::create(new, persistence);
        TABLES.with_borrow_mut(|tables| tables.insert(key(new), Vec::new()));
        Ok(Horizons::default())
    }

    fn relation_nontransactional_truncate(rel: Relation<'_>) -> PgResult<()> {
        with_table(rel, Vec::clear);
        Ok(())
    }

    fn relation_copy_data(rel: Relation<'_>, new: RelFileLocator) -> PgResult<()> {
        smgr::create(new, rel.persistence());
        let rows = with_table(rel, |rows| rows.clone());
        TABLES.with_borrow_mut(|tables| tables.insert(key(new), rows));
        smgr::drop_at_commit(rel);
        Ok(())
    }

    fn relation_copy_for_cluster(
        old: Relation<'_>,
        new: Relation<'_>,
        _old_index: Option<Relation<'_>>,
        _use_sort: bool,
        _oldest_xmin: pg_sys::TransactionId,
        _cutoffs: &mut Horizons,
    ) -> PgResult<CopyCounts> {
        let rows: Vec<Row> = with_table(old, |rows| {
            rows.iter().filter(|row| !row.dead).copied().collect()
        });
        let num_tuples = rows.len() as f64;
        with_table(new, |target| *target = rows);
        Ok(CopyCounts {
            num_tuples,
            ..CopyCounts::default()
        })
    }

    fn relation_vacuum(_rel: Relation<'_>, _params: VacuumParams) -> PgResult<()> {
        Ok(())
    }
}

impl RelationMethods for RowsAm {
    fn relation_size(rel: Relation<'_>, fork: ForkNumber) -> PgResult<u64> {
        Ok(match fork {
            ForkNumber::Main | ForkNumber::All => {
                u64::from(block_count(rel)) * u64::from(pg_sys::BLCKSZ)
            }
            _ => 0,
        })
    }

    fn relation_estimate_size(
        rel: Relation<'_>,
        attr_widths: Option<&mut [i32]>,
    ) -> PgResult<SizeEstimate> {
        if let Some(widths) = attr_widths {
            assert_eq!(widths.len(), rel.tuple_desc().natts());
        }
        Ok(SizeEstimate {
            pages: block_count(rel),
            tuples: with_table(rel, |rows| rows.len()) as f64,
            all_visible_fraction: 0.0,
        })
    }
}

impl TableAm for RowsAm {
    const NAME: &'static str = "core_rows";

    fn slot_callbacks(_rel: Relation<'_>) -> SlotKind {
        SlotKind::VirtualWithTid
    }
}

/// Settles rows as (sub)transactions end.
pub struct RowsTransactions;

fn settle(mut change: impl FnMut(&mut Row)) {
    TABLES.with_borrow_mut(|tables| tables.values_mut().flatten().for_each(&mut change));
}

impl TransactionCallbacks for RowsTransactions {
    fn commit() {
        settle(|row| row.inserted = None);
    }

    fn abort() {
        settle(|row| row.dead |= row.inserted.is_some());
    }

    fn sub_commit(me: pg_sys::SubTransactionId, parent: pg_sys::SubTransactionId) {
        settle(|row| match &mut row.inserted {
            Some((owner, _)) if *owner == me => *owner = parent,
            _ => {}
        });
    }

    fn sub_abort(me: pg_sys::SubTransactionId, _parent: pg_sys::SubTransactionId) {
        settle(|row| row.dead |= row.inserted.is_some_and(|(owner, _)| owner == me));
    }
}
