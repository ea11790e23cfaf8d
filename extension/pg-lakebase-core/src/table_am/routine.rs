//! PostgreSQL's `TableAmRoutine`, filled.

use pgrx::pg_sys;

use super::TableAm;
use super::thunks::{ddl, index, modify, relation, scan};

/// The callbacks of `TableAmRoutine` in PostgreSQL 17, in their order.
pub const CALLBACKS: [&str; 45] = [
    "slot_callbacks",
    "scan_begin",
    "scan_end",
    "scan_rescan",
    "scan_getnextslot",
    "scan_set_tidrange",
    "scan_getnextslot_tidrange",
    "parallelscan_estimate",
    "parallelscan_initialize",
    "parallelscan_reinitialize",
    "index_fetch_begin",
    "index_fetch_reset",
    "index_fetch_end",
    "index_fetch_tuple",
    "tuple_fetch_row_version",
    "tuple_tid_valid",
    "tuple_get_latest_tid",
    "tuple_satisfies_snapshot",
    "index_delete_tuples",
    "tuple_insert",
    "tuple_insert_speculative",
    "tuple_complete_speculative",
    "multi_insert",
    "tuple_delete",
    "tuple_update",
    "tuple_lock",
    "finish_bulk_insert",
    "relation_set_new_filelocator",
    "relation_nontransactional_truncate",
    "relation_copy_data",
    "relation_copy_for_cluster",
    "relation_vacuum",
    "scan_analyze_next_block",
    "scan_analyze_next_tuple",
    "index_build_range_scan",
    "index_validate_scan",
    "relation_size",
    "relation_needs_toast_table",
    "relation_toast_am",
    "relation_fetch_toast_slice",
    "relation_estimate_size",
    "scan_bitmap_next_block",
    "scan_bitmap_next_tuple",
    "scan_sample_next_block",
    "scan_sample_next_tuple",
];

/// The callbacks that stay null unless the access method declares the kind of scan.
pub const OPTIONAL_CALLBACKS: [&str; 4] = [
    "scan_set_tidrange",
    "scan_getnextslot_tidrange",
    "scan_bitmap_next_block",
    "scan_bitmap_next_tuple",
];

/// A routine in static memory, as `#[pg_table_am]` makes it.
#[repr(transparent)]
pub struct Routine(pg_sys::TableAmRoutine);

// SAFETY: the routine is constant: function pointers and a tag.
unsafe impl Sync for Routine {}

impl Routine {
    /// The routine of an access method.
    pub const fn new<T: TableAm>() -> Self {
        Self(routine::<T>())
    }

    /// The C pointer, which an access method's handler function returns.
    pub const fn as_ptr(&'static self) -> *const pg_sys::TableAmRoutine {
        &raw const self.0
    }
}

/// The routine of an access method. Every field is named: a field that PostgreSQL adds makes this
/// fail to compile.
pub const fn routine<T: TableAm>() -> pg_sys::TableAmRoutine {
    pg_sys::TableAmRoutine {
        type_: pg_sys::NodeTag::T_TableAmRoutine,
        slot_callbacks: Some(scan::slot_callbacks::<T>),
        scan_begin: Some(scan::scan_begin::<T>),
        scan_end: Some(scan::scan_end::<T>),
        scan_rescan: Some(scan::scan_rescan::<T>),
        scan_getnextslot: Some(scan::scan_getnextslot::<T>),
        scan_set_tidrange: if T::TID_RANGE_SCAN {
            Some(scan::scan_set_tidrange::<T>)
        } else {
            None
        },
        scan_getnextslot_tidrange: if T::TID_RANGE_SCAN {
            Some(scan::scan_getnextslot_tidrange::<T>)
        } else {
            None
        },
        parallelscan_estimate: Some(scan::parallelscan_estimate::<T>),
        parallelscan_initialize: Some(scan::parallelscan_initialize::<T>),
        parallelscan_reinitialize: Some(scan::parallelscan_reinitialize::<T>),
        index_fetch_begin: Some(index::index_fetch_begin::<T>),
        index_fetch_reset: Some(index::index_fetch_reset),
        index_fetch_end: Some(index::index_fetch_end),
        index_fetch_tuple: Some(index::index_fetch_tuple),
        tuple_fetch_row_version: Some(modify::tuple_fetch_row_version::<T>),
        tuple_tid_valid: Some(modify::tuple_tid_valid::<T>),
        tuple_get_latest_tid: Some(modify::tuple_get_latest_tid::<T>),
        tuple_satisfies_snapshot: Some(modify::tuple_satisfies_snapshot::<T>),
        index_delete_tuples: Some(index::index_delete_tuples::<T>),
        tuple_insert: Some(modify::tuple_insert::<T>),
        tuple_insert_speculative: Some(modify::tuple_insert_speculative::<T>),
        tuple_complete_speculative: Some(modify::tuple_complete_speculative::<T>),
        multi_insert: Some(modify::multi_insert::<T>),
        tuple_delete: Some(modify::tuple_delete::<T>),
        tuple_update: Some(modify::tuple_update::<T>),
        tuple_lock: Some(modify::tuple_lock::<T>),
        finish_bulk_insert: Some(modify::finish_bulk_insert::<T>),
        relation_set_new_filelocator: Some(ddl::relation_set_new_filelocator::<T>),
        relation_nontransactional_truncate: Some(ddl::relation_nontransactional_truncate::<T>),
        relation_copy_data: Some(ddl::relation_copy_data::<T>),
        relation_copy_for_cluster: Some(ddl::relation_copy_for_cluster::<T>),
        relation_vacuum: Some(ddl::relation_vacuum::<T>),
        scan_analyze_next_block: Some(scan::scan_analyze_next_block::<T>),
        scan_analyze_next_tuple: Some(scan::scan_analyze_next_tuple::<T>),
        index_build_range_scan: Some(index::index_build_range_scan::<T>),
        index_validate_scan: Some(index::index_validate_scan::<T>),
        relation_size: Some(relation::relation_size::<T>),
        relation_needs_toast_table: Some(relation::relation_needs_toast_table::<T>),
        relation_toast_am: Some(relation::relation_toast_am::<T>),
        relation_fetch_toast_slice: Some(relation::relation_fetch_toast_slice::<T>),
        relation_estimate_size: Some(relation::relation_estimate_size::<T>),
        scan_bitmap_next_block: if T::BITMAP_SCAN {
            Some(scan::scan_bitmap_next_block::<T>)
        } else {
            None
        },
        scan_bitmap_next_tuple: if T::BITMAP_SCAN {
            Some(scan::scan_bitmap_next_tuple::<T>)
        } else {
            None
        },
        scan_sample_next_block: Some(scan::scan_sample_next_block::<T>),
        scan_sample_next_tuple: Some(scan::scan_sample_next_tuple::<T>),
    }
}

// The tag, padded to a pointer's alignment, and one pointer a callback.
const _: () = assert!(
    size_of::<pg_sys::TableAmRoutine>()
        == size_of::<usize>() + CALLBACKS.len() * size_of::<usize>()
);
