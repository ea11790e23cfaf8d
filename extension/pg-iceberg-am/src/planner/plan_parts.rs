//! Parts of finished plans.

use pgrx::pg_sys;

use crate::catalog::is_iceberg_relid;

/// The name of range table entry `rti` of a plan if it is an Iceberg table.
///
/// # Safety
///
/// `rtable` is the plan's range table.
pub unsafe fn iceberg_table(rti: pg_sys::Index, rtable: *mut pg_sys::List) -> Option<String> {
    // SAFETY: range table indexes in a plan are valid, from 1.
    unsafe {
        let entry = pg_sys::list_nth(rtable, rti as i32 - 1).cast::<pg_sys::RangeTblEntry>();
        let relid = (*entry).relid;
        if (*entry).rtekind != pg_sys::RTEKind::RTE_RELATION || !is_iceberg_relid(relid) {
            return None;
        }
        let name = pg_sys::get_rel_name(relid);
        (!name.is_null())
            .then(|| pg_lakebase_core::relation::name_text(std::ffi::CStr::from_ptr(name)))
    }
}

unsafe fn list_length(list: *mut pg_sys::List) -> i32 {
    // SAFETY: NIL is the null pointer; anything else is a list.
    unsafe { if list.is_null() { 0 } else { (*list).length } }
}

/// The elements of a list.
///
/// # Safety
///
/// `list` is NIL, or a list of pointers to `T`.
pub unsafe fn cells<T>(list: *mut pg_sys::List) -> impl Iterator<Item = *mut T> {
    // SAFETY: the caller passes a list of pointers to T, or NIL.
    unsafe { (0..list_length(list)).map(move |index| pg_sys::list_nth(list, index).cast::<T>()) }
}

/// The elements of a list of integers.
///
/// # Safety
///
/// `list` is NIL, or a list of integers.
pub unsafe fn int_cells(list: *mut pg_sys::List) -> impl Iterator<Item = i32> {
    // SAFETY: the caller's promise.
    unsafe { (0..list_length(list)).map(move |index| pg_sys::list_nth_int(list, index)) }
}
