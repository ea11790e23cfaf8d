//! Sizes, TOAST, and the planner's view.

use pgrx::pg_sys;

use crate::guard::{guard, guard_infallible};
use crate::relation::{ForkNumber, Relation};
use crate::table_am::TableAm;

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_size<T: TableAm>(
    rel: pg_sys::Relation,
    fork: pg_sys::ForkNumber::Type,
) -> u64 {
    guard(|| {
        // SAFETY: PostgreSQL passes an open relation.
        let rel = unsafe { Relation::from_raw(rel) };
        T::relation_size(rel, ForkNumber::from_raw(fork))
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_needs_toast_table<T: TableAm>(
    rel: pg_sys::Relation,
) -> bool {
    // SAFETY: PostgreSQL passes an open relation.
    guard_infallible(|| T::relation_needs_toast_table(unsafe { Relation::from_raw(rel) }))
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_toast_am<T: TableAm>(
    rel: pg_sys::Relation,
) -> pg_sys::Oid {
    // SAFETY: PostgreSQL passes an open relation.
    guard_infallible(|| T::relation_toast_am(unsafe { Relation::from_raw(rel) }))
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_fetch_toast_slice<T: TableAm>(
    toast_rel: pg_sys::Relation,
    value_id: pg_sys::Oid,
    attr_size: i32,
    slice_offset: i32,
    slice_length: i32,
    result: *mut pg_sys::varlena,
) {
    guard(|| {
        // SAFETY: PostgreSQL passes an open relation, and a result with room for the slice.
        unsafe {
            let toast_rel = Relation::from_raw(toast_rel);
            T::relation_fetch_toast_slice(
                toast_rel,
                value_id,
                attr_size,
                slice_offset,
                slice_length,
                result,
            )
        }
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_estimate_size<T: TableAm>(
    rel: pg_sys::Relation,
    attr_widths: *mut i32,
    pages: *mut pg_sys::BlockNumber,
    tuples: *mut f64,
    allvisfrac: *mut f64,
) {
    guard(|| {
        // SAFETY: PostgreSQL passes an open relation.
        let rel = unsafe { Relation::from_raw(rel) };
        let widths = (!attr_widths.is_null()).then(|| {
            // SAFETY: the array is indexed by column number, from zero for the whole row.
            unsafe { std::slice::from_raw_parts_mut(attr_widths.add(1), rel.tuple_desc().natts()) }
        });
        let estimate = T::relation_estimate_size(rel, widths)?;
        // SAFETY: all are outputs of the call.
        unsafe {
            *pages = estimate.pages;
            *tuples = estimate.tuples;
            *allvisfrac = estimate.all_visible_fraction;
        }
        Ok(())
    })
}
