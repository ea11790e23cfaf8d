//! A slot kind of our own: virtual, but its copies remember where the row is, and what it refuses is told by name.

use std::sync::OnceLock;

use pgrx::pg_sys;

use super::{Tid, own_rows, system_column};
use crate::error::PgError;
use crate::guard::{call_c, guard, guard_infallible};

/// The callbacks, in static memory.
struct Ops(pg_sys::TupleTableSlotOps);

// SAFETY: function pointers and sizes, written once before they are shared.
unsafe impl Sync for Ops {}
// SAFETY: as above.
unsafe impl Send for Ops {}

/// `TTSOpsVirtual`, but for rows copied into the slot and heap tuples copied out of it, which keep their TID, for errors about system
/// columns, and for rows of this transaction's, which foreign keys ask for.
///
/// ANALYZE sorts its sample by the TIDs of such copies (`compare_rows` in analyze.c), and a plain
/// virtual slot leaves them invalid.
pub(super) fn ops() -> *const pg_sys::TupleTableSlotOps {
    static OPS: OnceLock<Ops> = OnceLock::new();
    let ops = OPS.get_or_init(|| {
        // SAFETY: a constant of PostgreSQL's.
        let mut ops = unsafe { pg_sys::TTSOpsVirtual };
        ops.copyslot = Some(copyslot);
        ops.copy_heap_tuple = Some(copy_heap_tuple);
        ops.getsysattr = Some(getsysattr);
        ops.is_current_xact_tuple = Some(is_current_xact_tuple);
        Ops(ops)
    });
    &raw const ops.0
}

/// Logical replication locks the row that it has found by a copy of the scan's slot (`RelationFindReplTupleSeq`).
unsafe extern "C-unwind" fn copyslot(
    to: *mut pg_sys::TupleTableSlot,
    from: *mut pg_sys::TupleTableSlot,
) {
    guard_infallible(|| {
        // SAFETY: valid slots, of which the first is one of this kind, whose layout is a virtual slot's.
        unsafe {
            if let Some(copy) = pg_sys::TTSOpsVirtual.copyslot {
                call_c!(copy, to, from);
            }
            (*to).tts_tid = (*from).tts_tid;
        }
    });
}

unsafe extern "C-unwind" fn copy_heap_tuple(
    slot: *mut pg_sys::TupleTableSlot,
) -> pg_sys::HeapTuple {
    guard_infallible(|| {
        // SAFETY: the slot is one of this kind, whose layout is a virtual slot's; the copy is a
        // fresh heap tuple.
        unsafe {
            match pg_sys::TTSOpsVirtual.copy_heap_tuple {
                Some(copy) => {
                    let tuple = call_c!(copy, slot);
                    (*tuple).t_self = (*slot).tts_tid;
                    tuple
                }
                None => std::ptr::null_mut(),
            }
        }
    })
}

unsafe extern "C-unwind" fn is_current_xact_tuple(slot: *mut pg_sys::TupleTableSlot) -> bool {
    guard(|| {
        // SAFETY: a valid slot.
        let (table, tid) = unsafe { ((*slot).tts_tableOid, Tid::from_raw((*slot).tts_tid)) };
        own_rows::is_own(table, tid)
    })
}

unsafe extern "C-unwind" fn getsysattr(
    slot: *mut pg_sys::TupleTableSlot,
    number: std::ffi::c_int,
    is_null: *mut bool,
) -> pg_sys::Datum {
    guard(|| {
        // SAFETY: a valid slot of this kind, whose layout is a virtual slot's, and a valid pointer.
        unsafe {
            let attribute = i16::try_from(number).unwrap_or(0);
            match (
                system_column::refusal(attribute, (*slot).tts_tableOid),
                pg_sys::TTSOpsVirtual.getsysattr,
            ) {
                (Some(error), _) => Err(error),
                (None, Some(get)) => Ok(call_c!(get, slot, number, is_null)),
                (None, None) => Err(PgError::internal("virtual slots have no system columns")),
            }
        }
    })
}
