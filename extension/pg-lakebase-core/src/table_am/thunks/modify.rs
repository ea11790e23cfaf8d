//! Operations on single rows.

use std::ffi::c_int;

use pgrx::pg_sys;

use crate::guard::guard;
use crate::pgstat;
use crate::relation::Relation;
use crate::slot::{Slot, Tid};
use crate::snapshot::Snapshot;
use crate::table_am::scan_desc::ScanDesc;
use crate::table_am::{
    FailureData, InsertOptions, LockTupleMode, LockWaitPolicy, SlotBatch, TableAm, TmResult,
    TupleLockFlags,
};

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_fetch_row_version<T: TableAm>(
    rel: pg_sys::Relation,
    tid: pg_sys::ItemPointer,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
) -> bool {
    guard(|| {
        // SAFETY: an open relation, and valid pointers.
        let (rel, tid, snapshot, mut slot) = unsafe {
            (
                Relation::from_raw(rel),
                Tid::from_raw(*tid),
                Snapshot::from_raw(snapshot),
                Slot::from_raw(slot),
            )
        };
        slot.clear();
        let found = T::tuple_fetch_row_version(rel, tid, snapshot, &mut slot)?;
        if found {
            slot.set_tid(tid);
            slot.set_table_oid(rel.oid());
        } else {
            slot.clear();
        }
        Ok(found)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_tid_valid<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    tid: pg_sys::ItemPointer,
) -> bool {
    guard(|| {
        // SAFETY: a scan that `scan_begin` made, and a valid pointer.
        let (desc, tid) = unsafe { (ScanDesc::<T>::from_raw(scan), Tid::from_raw(*tid)) };
        let (state, rel, _) = desc.parts()?;
        T::tuple_tid_valid(state, rel, tid)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_get_latest_tid<T: TableAm>(
    scan: pg_sys::TableScanDesc,
    tid: pg_sys::ItemPointer,
) {
    guard(|| {
        // SAFETY: a scan that `scan_begin` made, and a valid pointer to in- and output.
        let (desc, tid) = unsafe { (ScanDesc::<T>::from_raw(scan), &mut *tid) };
        let (state, rel, _) = desc.parts()?;
        *tid = T::tuple_get_latest_tid(state, rel, Tid::from_raw(*tid))?.to_raw();
        Ok(())
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_satisfies_snapshot<T: TableAm>(
    rel: pg_sys::Relation,
    slot: *mut pg_sys::TupleTableSlot,
    snapshot: pg_sys::Snapshot,
) -> bool {
    guard(|| {
        // SAFETY: an open relation, and valid pointers.
        let (rel, mut slot, snapshot) = unsafe {
            (
                Relation::from_raw(rel),
                Slot::from_raw(slot),
                Snapshot::from_raw(snapshot),
            )
        };
        T::tuple_satisfies_snapshot(rel, &mut slot, snapshot)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_insert<T: TableAm>(
    rel: pg_sys::Relation,
    slot: *mut pg_sys::TupleTableSlot,
    cid: pg_sys::CommandId,
    options: c_int,
    _bistate: *mut pg_sys::BulkInsertStateData,
) {
    guard(|| {
        // SAFETY: an open relation and a slot that holds a tuple.
        let (rel, mut slot) = unsafe { (Relation::from_raw(rel), Slot::from_raw(slot)) };
        T::tuple_insert(rel, &mut slot, cid, InsertOptions::from_bits(options))?;
        pgstat::count_inserts(rel, 1);
        Ok(())
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_insert_speculative<T: TableAm>(
    rel: pg_sys::Relation,
    slot: *mut pg_sys::TupleTableSlot,
    cid: pg_sys::CommandId,
    options: c_int,
    _bistate: *mut pg_sys::BulkInsertStateData,
    spec_token: u32,
) {
    guard(|| {
        // SAFETY: an open relation and a slot that holds a tuple.
        let (rel, mut slot) = unsafe { (Relation::from_raw(rel), Slot::from_raw(slot)) };
        let options = InsertOptions::from_bits(options);
        T::tuple_insert_speculative(rel, &mut slot, cid, options, spec_token)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_complete_speculative<T: TableAm>(
    rel: pg_sys::Relation,
    slot: *mut pg_sys::TupleTableSlot,
    spec_token: u32,
    succeeded: bool,
) {
    guard(|| {
        // SAFETY: an open relation and a slot that holds a tuple.
        let (rel, mut slot) = unsafe { (Relation::from_raw(rel), Slot::from_raw(slot)) };
        T::tuple_complete_speculative(rel, &mut slot, spec_token, succeeded)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn multi_insert<T: TableAm>(
    rel: pg_sys::Relation,
    slots: *mut *mut pg_sys::TupleTableSlot,
    nslots: c_int,
    cid: pg_sys::CommandId,
    options: c_int,
    _bistate: *mut pg_sys::BulkInsertStateData,
) {
    guard(|| {
        let count = usize::try_from(nslots).unwrap_or(0);
        if count == 0 {
            return Ok(());
        }
        // SAFETY: an open relation, and an array of that many different slots that hold tuples.
        let (rel, mut slots) = unsafe {
            (
                Relation::from_raw(rel),
                SlotBatch::from_raw(std::slice::from_raw_parts_mut(slots, count)),
            )
        };
        T::multi_insert(rel, &mut slots, cid, InsertOptions::from_bits(options))?;
        pgstat::count_inserts(rel, i64::from(nslots));
        Ok(())
    })
}

/// Hands a failure to PostgreSQL.
fn store_failure(target: Option<&mut pg_sys::TM_FailureData>, failure: FailureData) {
    if let Some(target) = target {
        *target = pg_sys::TM_FailureData {
            ctid: failure.ctid.to_raw(),
            xmax: failure.xmax,
            cmax: failure.cmax,
            traversed: failure.traversed,
        };
    }
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_delete<T: TableAm>(
    rel: pg_sys::Relation,
    tid: pg_sys::ItemPointer,
    cid: pg_sys::CommandId,
    snapshot: pg_sys::Snapshot,
    crosscheck: pg_sys::Snapshot,
    wait: bool,
    tmfd: *mut pg_sys::TM_FailureData,
    changing_part: bool,
) -> pg_sys::TM_Result::Type {
    guard(|| {
        // SAFETY: an open relation; valid pointers, of which the snapshots may be null.
        let (rel, tid, snapshot, crosscheck, tmfd) = unsafe {
            (
                Relation::from_raw(rel),
                Tid::from_raw(*tid),
                Snapshot::from_nullable(snapshot),
                Snapshot::from_nullable(crosscheck),
                tmfd.as_mut(),
            )
        };
        let mut failure = FailureData::default();
        let result = T::tuple_delete(
            rel,
            tid,
            cid,
            snapshot,
            crosscheck,
            wait,
            &mut failure,
            changing_part,
        )?;
        store_failure(tmfd, failure);
        if result == TmResult::Ok {
            pgstat::count_delete(rel);
        }
        Ok(result.to_raw())
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_update<T: TableAm>(
    rel: pg_sys::Relation,
    otid: pg_sys::ItemPointer,
    slot: *mut pg_sys::TupleTableSlot,
    cid: pg_sys::CommandId,
    snapshot: pg_sys::Snapshot,
    crosscheck: pg_sys::Snapshot,
    wait: bool,
    tmfd: *mut pg_sys::TM_FailureData,
    lock_mode: *mut pg_sys::LockTupleMode::Type,
    update_indexes: *mut pg_sys::TU_UpdateIndexes::Type,
) -> pg_sys::TM_Result::Type {
    guard(|| {
        // SAFETY: an open relation; valid pointers, of which the snapshots may be null.
        let (rel, tid, mut slot, snapshot, crosscheck, tmfd) = unsafe {
            (
                Relation::from_raw(rel),
                Tid::from_raw(*otid),
                Slot::from_raw(slot),
                Snapshot::from_nullable(snapshot),
                Snapshot::from_nullable(crosscheck),
                tmfd.as_mut(),
            )
        };
        let mut failure = FailureData::default();
        let (result, mode, indexes) = T::tuple_update(
            rel,
            tid,
            &mut slot,
            cid,
            snapshot,
            crosscheck,
            wait,
            &mut failure,
        )?;
        store_failure(tmfd, failure);
        if result == TmResult::Ok {
            pgstat::count_update(rel);
        }
        // SAFETY: both are outputs of the call.
        unsafe {
            *lock_mode = mode.to_raw();
            *update_indexes = indexes.to_raw();
        }
        Ok(result.to_raw())
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn tuple_lock<T: TableAm>(
    rel: pg_sys::Relation,
    tid: pg_sys::ItemPointer,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
    cid: pg_sys::CommandId,
    mode: pg_sys::LockTupleMode::Type,
    wait_policy: pg_sys::LockWaitPolicy::Type,
    flags: u8,
    tmfd: *mut pg_sys::TM_FailureData,
) -> pg_sys::TM_Result::Type {
    guard(|| {
        // SAFETY: an open relation; valid pointers, of which the snapshot may be null.
        let (rel, locked, snapshot, mut slot, tmfd) = unsafe {
            (
                Relation::from_raw(rel),
                Tid::from_raw(*tid),
                Snapshot::from_nullable(snapshot),
                Slot::from_raw(slot),
                tmfd.as_mut(),
            )
        };
        let mode = LockTupleMode::from_raw(mode);
        let wait_policy = LockWaitPolicy::from_raw(wait_policy);
        let flags = TupleLockFlags::from_bits(flags);
        let mut failure = FailureData::default();
        let result = T::tuple_lock(
            rel,
            locked,
            snapshot,
            &mut slot,
            cid,
            mode,
            wait_policy,
            flags,
            &mut failure,
        )?;
        store_failure(tmfd, failure);
        if result == TmResult::Ok {
            // Callers go on with the version that was locked.
            // SAFETY: in- and output of the call.
            unsafe { *tid = slot.tid().to_raw() };
        }
        Ok(TmResult::to_raw(result))
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn finish_bulk_insert<T: TableAm>(
    rel: pg_sys::Relation,
    options: c_int,
) {
    guard(|| {
        // SAFETY: PostgreSQL passes an open relation.
        let rel = unsafe { Relation::from_raw(rel) };
        T::finish_bulk_insert(rel, InsertOptions::from_bits(options))
    })
}
