//! Fetches through an index, and index builds.

use std::ffi::c_void;
use std::marker::PhantomData;

use pgrx::pg_sys;

use crate::error::PgError;
use crate::guard::{guard, guard_infallible};
use crate::relation::Relation;
use crate::slot::{Slot, Tid};
use crate::snapshot::Snapshot;
use crate::table_am::scan_desc::IndexFetchDesc;
use crate::table_am::{
    IndexBuild, IndexBuildState, IndexDeletion, IndexFetchOutcome, IndexValidation, TableAm,
};

pub(in crate::table_am) unsafe extern "C-unwind" fn index_fetch_begin<T: TableAm>(
    rel: pg_sys::Relation,
) -> *mut pg_sys::IndexFetchTableData {
    guard(|| {
        // SAFETY: PostgreSQL passes an open relation.
        let rel = unsafe { Relation::from_raw(rel) };
        Ok(IndexFetchDesc::begin(rel, T::index_fetch_begin(rel)?))
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn index_fetch_reset(
    fetch: *mut pg_sys::IndexFetchTableData,
) {
    guard_infallible(|| {
        // SAFETY: a fetch that `index_fetch_begin` made.
        if let Some((state, rel)) = unsafe { IndexFetchDesc::parts(fetch) } {
            state.reset(rel);
        }
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn index_fetch_end(
    fetch: *mut pg_sys::IndexFetchTableData,
) {
    // SAFETY: a fetch that `index_fetch_begin` made, used no more.
    guard_infallible(|| unsafe { IndexFetchDesc::end(fetch) })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn index_fetch_tuple(
    fetch: *mut pg_sys::IndexFetchTableData,
    tid: pg_sys::ItemPointer,
    snapshot: pg_sys::Snapshot,
    slot: *mut pg_sys::TupleTableSlot,
    call_again: *mut bool,
    all_dead: *mut bool,
) -> bool {
    guard(|| {
        // SAFETY: a fetch that `index_fetch_begin` made; valid pointers, of which `all_dead` may be
        // null.
        let (parts, tid, snapshot, mut slot, call_again, all_dead) = unsafe {
            (
                IndexFetchDesc::parts(fetch),
                Tid::from_raw(*tid),
                Snapshot::from_raw(snapshot),
                Slot::from_raw(slot),
                &mut *call_again,
                all_dead.as_mut(),
            )
        };
        let (state, rel) = parts.ok_or_else(|| PgError::internal("index fetch has ended"))?;
        let mut outcome = IndexFetchOutcome {
            call_again: *call_again,
            all_dead: false,
        };
        slot.clear();
        let found = state.fetch_tuple(rel, tid, snapshot, &mut slot, &mut outcome)?;
        *call_again = outcome.call_again;
        if let Some(all_dead) = all_dead {
            *all_dead = outcome.all_dead;
        }
        Ok(found)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn index_delete_tuples<T: TableAm>(
    rel: pg_sys::Relation,
    delstate: *mut pg_sys::TM_IndexDeleteOp,
) -> pg_sys::TransactionId {
    guard(|| {
        // SAFETY: an open relation and a valid request.
        let (rel, deletion) =
            unsafe { (Relation::from_raw(rel), IndexDeletion::from_raw(delstate)) };
        T::index_delete_tuples(rel, deletion)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn index_build_range_scan<T: TableAm>(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    index_info: *mut pg_sys::IndexInfo,
    allow_sync: bool,
    anyvisible: bool,
    progress: bool,
    start_block: pg_sys::BlockNumber,
    num_blocks: pg_sys::BlockNumber,
    callback: pg_sys::IndexBuildCallback,
    state: *mut c_void,
    scan: pg_sys::TableScanDesc,
) -> f64 {
    guard(|| {
        // SAFETY: two open relations.
        let (table, index) = unsafe { (Relation::from_raw(table), Relation::from_raw(index)) };
        let build = IndexBuild {
            index_info,
            allow_sync,
            anyvisible,
            progress,
            start_block,
            num_blocks: (num_blocks != pg_sys::InvalidBlockNumber).then_some(num_blocks),
            scan,
            state: IndexBuildState {
                callback,
                state,
                index,
            },
        };
        T::index_build_range_scan(table, index, build)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn index_validate_scan<T: TableAm>(
    table: pg_sys::Relation,
    index: pg_sys::Relation,
    index_info: *mut pg_sys::IndexInfo,
    snapshot: pg_sys::Snapshot,
    state: *mut pg_sys::ValidateIndexState,
) {
    guard(|| {
        // SAFETY: two open relations and a valid snapshot.
        let (table, index, snapshot) = unsafe {
            (
                Relation::from_raw(table),
                Relation::from_raw(index),
                Snapshot::from_raw(snapshot),
            )
        };
        let validation = IndexValidation {
            index_info,
            state,
            _owner: PhantomData,
        };
        T::index_validate_scan(table, index, snapshot, validation)
    })
}
