//! Slots, scans, and the scans of ANALYZE, TABLESAMPLE and bitmaps.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::error::{PgError, PgResult};
use crate::guard::{guard, guard_infallible};
use crate::pgstat;
use crate::relation::Relation;
use crate::slot::{Slot, Tid};
use crate::snapshot::Snapshot;
use crate::table_am::scan_desc::ScanDesc;
use crate::table_am::{
    BlockStream, ParallelScan, RescanParams, SampleScan, ScanDirection, ScanFlags, TableAm,
};

pub(in crate::table_am) unsafe extern "C-unwind" fn slot_callbacks<T: TableAm>(
    rel: pg_sys::Relation,
) -> *const pg_sys::TupleTableSlotOps {
    // SAFETY: PostgreSQL passes an open relation.
    guard_infallible(|| T::slot_callbacks(unsafe { Relation::from_raw(rel) }).as_ptr())
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_begin<T: TableAm>(
    rel: pg_sys::Relation,
    snapshot: pg_sys::Snapshot,
    nkeys: c_int,
    _key: *mut pg_sys::ScanKeyData,
    pscan: pg_sys::ParallelTableScanDesc,
    flags: u32,
) -> pg_sys::TableScanDesc {
    guard(|| {
        let flags = ScanFlags::from_bits(flags);
        if nkeys != 0 {
            return Err(PgError::internal("scan keys are for catalogs only"));
        }
        // SAFETY: an open relation, a valid snapshot or none, a descriptor that this access
        // method's `parallelscan_initialize` filled or none.
        let (rel, visible, parallel) = unsafe {
            (
                Relation::from_raw(rel),
                Snapshot::from_nullable(snapshot),
                (!pscan.is_null()).then(|| ParallelScan::from_raw(pscan)),
            )
        };
        let state = T::scan_begin(rel, visible, parallel, flags)?;
        if flags.is_seq_scan() {
            pgstat::count_scan(rel);
        }
        Ok(ScanDesc::<T>::begin(rel, snapshot, pscan, flags, state))
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_end<T: TableAm>(
    scan: pg_sys::TableScanDesc,
) {
    // SAFETY: a scan that `scan_begin` made, used no more.
    guard(|| unsafe { ScanDesc::<T>::end(scan) })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_rescan<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    _key: *mut pg_sys::ScanKeyData,
    set_params: bool,
    allow_strat: bool,
    allow_sync: bool,
    allow_pagemode: bool,
) {
    guard(|| {
        let params = set_params.then_some(RescanParams {
            allow_strat,
            allow_sync,
            allow_pagemode,
        });
        // SAFETY: a scan that `scan_begin` made.
        let (flags, (state, rel, position)) = unsafe {
            (
                ScanFlags::from_bits((*scan).rs_flags),
                ScanDesc::<T>::from_raw(scan).parts()?,
            )
        };
        *position = None;
        T::scan_rescan(state, rel, params)?;
        if flags.is_seq_scan() {
            pgstat::count_scan(rel);
        }
        Ok(())
    })
}

/// Clears the slot, asks for a tuple, and clears again if there was none.
#[inline(always)]
unsafe fn next_slot<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    slot: *mut pg_sys::TupleTableSlot,
    next: impl FnOnce(&mut T::Scan, Relation<'_>, &mut Option<u32>, &mut Slot<'_>) -> PgResult<bool>,
) -> bool {
    guard(|| {
        // SAFETY: the callers pass on a scan that `scan_begin` made, and a valid slot.
        let (desc, mut slot) = unsafe { (ScanDesc::<T>::from_raw(scan), Slot::from_raw(slot)) };
        let (state, rel, position) = desc.parts()?;
        slot.clear();
        let found = next(state, rel, position, &mut slot)?;
        if found {
            slot.set_table_oid(rel.oid());
        } else {
            slot.clear();
        }
        Ok(found)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_getnextslot<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    direction: pg_sys::ScanDirection::Type,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    let direction = ScanDirection::from_raw(direction);
    // SAFETY: PostgreSQL passes a scan that `scan_begin` made, and a valid slot.
    unsafe {
        next_slot::<T>(scan, slot, |state, rel, _, slot| {
            let found = T::scan_getnextslot(state, rel, direction, slot)?;
            if found {
                pgstat::count_rows_returned(rel, 1);
            }
            Ok(found)
        })
    }
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_set_tidrange<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    min: pg_sys::ItemPointer,
    max: pg_sys::ItemPointer,
) {
    guard(|| {
        // SAFETY: a scan that `scan_begin` made; two valid pointers.
        let (desc, min, max) = unsafe {
            (
                ScanDesc::<T>::from_raw(scan),
                Tid::from_raw(*min),
                Tid::from_raw(*max),
            )
        };
        let (state, rel, _) = desc.parts()?;
        T::scan_set_tidrange(state, rel, min, max)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_getnextslot_tidrange<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    direction: pg_sys::ScanDirection::Type,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    let direction = ScanDirection::from_raw(direction);
    // SAFETY: PostgreSQL passes a scan that `scan_begin` made, and a valid slot.
    unsafe {
        next_slot::<T>(scan, slot, |state, rel, _, slot| {
            T::scan_getnextslot_tidrange(state, rel, direction, slot)
        })
    }
}

pub(in crate::table_am) unsafe extern "C-unwind" fn parallelscan_estimate<T: TableAm>(
    rel: pg_sys::Relation,
) -> pg_sys::Size {
    // SAFETY: PostgreSQL passes an open relation.
    guard_infallible(|| T::parallelscan_estimate(unsafe { Relation::from_raw(rel) }))
}

pub(in crate::table_am) unsafe extern "C-unwind" fn parallelscan_initialize<T: TableAm>(
    rel: pg_sys::Relation,
    pscan: pg_sys::ParallelTableScanDesc,
) -> pg_sys::Size {
    guard(|| {
        // SAFETY: an open relation, and memory of the estimated size.
        let (rel, parallel) = unsafe { (Relation::from_raw(rel), ParallelScan::from_raw(pscan)) };
        T::parallelscan_initialize(rel, parallel)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn parallelscan_reinitialize<T: TableAm>(
    rel: pg_sys::Relation,
    pscan: pg_sys::ParallelTableScanDesc,
) {
    guard_infallible(|| {
        // SAFETY: an open relation, and a descriptor that was initialised.
        let (rel, parallel) = unsafe { (Relation::from_raw(rel), ParallelScan::from_raw(pscan)) };
        T::parallelscan_reinitialize(rel, parallel);
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_analyze_next_block<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    stream: *mut pg_sys::ReadStream,
) -> bool {
    guard(|| {
        // SAFETY: a scan that `scan_begin` made, and a valid stream.
        let (desc, stream) =
            unsafe { (ScanDesc::<T>::from_raw(scan), BlockStream::from_raw(stream)) };
        let (state, rel, _) = desc.parts()?;
        T::scan_analyze_next_block(state, rel, stream)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_analyze_next_tuple<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    _oldest_xmin: pg_sys::TransactionId,
    liverows: *mut f64,
    deadrows: *mut f64,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: PostgreSQL passes a scan that `scan_begin` made, a valid slot, and two counters that
    // are different variables.
    unsafe {
        next_slot::<T>(scan, slot, |state, rel, _, slot| {
            T::scan_analyze_next_tuple(state, rel, &mut *liverows, &mut *deadrows, slot)
        })
    }
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_bitmap_next_block<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    page: *mut pg_sys::TBMIterateResult,
) -> bool {
    guard(|| {
        // SAFETY: a scan that `scan_begin` made, and a valid page of the bitmap.
        let (desc, page) = unsafe { (ScanDesc::<T>::from_raw(scan), &*page) };
        let (state, rel, _) = desc.parts()?;
        T::scan_bitmap_next_block(state, rel, page)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_bitmap_next_tuple<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    page: *mut pg_sys::TBMIterateResult,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: PostgreSQL passes a scan that `scan_begin` made, a page and a slot that are valid.
    unsafe {
        next_slot::<T>(scan, slot, |state, rel, _, slot| {
            T::scan_bitmap_next_tuple(state, rel, &*page, slot)
        })
    }
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_sample_next_block<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    scanstate: *mut pg_sys::SampleScanState,
) -> bool {
    guard(|| {
        // SAFETY: a scan that `scan_begin` made.
        let (state, rel, position) = unsafe { ScanDesc::<T>::from_raw(scan) }.parts()?;
        // SAFETY: a state whose sampling method has begun.
        let mut sampler = unsafe { SampleScan::from_raw(scanstate, position) };
        T::scan_sample_next_block(state, rel, &mut sampler)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn scan_sample_next_tuple<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    scanstate: *mut pg_sys::SampleScanState,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    // SAFETY: PostgreSQL passes a scan that `scan_begin` made, a valid slot, and a state whose
    // sampling method has begun.
    unsafe {
        next_slot::<T>(scan, slot, |state, rel, position, slot| {
            let mut sampler = SampleScan::from_raw(scanstate, position);
            let found = T::scan_sample_next_tuple(state, rel, &mut sampler, slot)?;
            if found {
                pgstat::count_rows_returned(rel, 1);
            }
            Ok(found)
        })
    }
}
