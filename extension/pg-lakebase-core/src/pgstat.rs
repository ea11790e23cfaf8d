//! Cumulative statistics of tables, as `pg_stat_all_tables` shows them and autovacuum goes by.
//!
//! The thunks of [`crate::table_am`] count scans, rows returned and rows changed; custom scans, transactions that
//! roll back and VACUUM report through these functions themselves.

use std::collections::HashSet;
use std::ffi::c_int;

use pgrx::pg_sys;

use crate::guard::call_c;
use crate::relation::Relation;

unsafe extern "C-unwind" {
    /// `utils/pgstat_internal.h`.
    fn pgstat_get_xact_stack_level(nest_level: c_int) -> *mut SubXactStatus;
}

/// `PgStat_SubXactStatus`: what one (sub)transaction has counted.
#[repr(C)]
struct SubXactStatus {
    nest_level: c_int,
    prev: *mut SubXactStatus,
    pending_drops: pg_sys::dclist_head,
    first: *mut pg_sys::PgStat_TableXactStatus,
}

/// The relation's counters, if it has any.
#[inline]
fn counts<'a>(rel: Relation<'a>) -> Option<&'a mut pg_sys::PgStat_TableCounts> {
    let raw = rel.as_ptr();
    // SAFETY: `pgstat_should_count_relation`, spelled out: the relation is open, and its counters
    // live as long as the relcache entry is linked to them. They belong to this process.
    unsafe {
        if (*raw).pgstat_info.is_null() {
            if !(*raw).pgstat_enabled {
                return None;
            }
            pg_sys::pgstat_assoc_relation(raw);
        }
        (*raw).pgstat_info.as_mut().map(|info| &mut info.counts)
    }
}

/// Counts the beginning of a sequential scan.
pub fn count_scan(rel: Relation<'_>) {
    if let Some(counts) = counts(rel) {
        counts.numscans += 1;
    }
}

/// Counts rows that a scan returned.
#[inline]
pub fn count_rows_returned(rel: Relation<'_>, rows: i64) {
    if let Some(counts) = counts(rel) {
        counts.tuples_returned += rows;
    }
}

/// Counts inserted rows. PostgreSQL takes them for dead rows if the transaction aborts, other than
/// [`leave_no_dead_rows`] says.
pub fn count_inserts(rel: Relation<'_>, rows: i64) {
    // SAFETY: the relation is open, and a transaction is in progress.
    unsafe { pg_sys::pgstat_count_heap_insert(rel.as_ptr(), rows) }
}

/// Counts a row that was updated.
pub fn count_update(rel: Relation<'_>) {
    // SAFETY: as for `count_inserts`.
    unsafe { pg_sys::pgstat_count_heap_update(rel.as_ptr(), false, false) }
}

/// Counts a row that was deleted.
pub fn count_delete(rel: Relation<'_>) {
    // SAFETY: as for `count_inserts`.
    unsafe { pg_sys::pgstat_count_heap_delete(rel.as_ptr()) }
}

/// The rows that the innermost (sub)transaction, which is aborting, has added to `tables` are gone: they will
/// not count as dead rows. To be called once, by the callback at the abort, which comes before the counters are added
/// up (`AtEOXact_PgStat`, `AtEOSubXact_PgStat`). It looks into no catalog.
pub fn leave_no_dead_rows(tables: &HashSet<pg_sys::Oid>) {
    if tables.is_empty() {
        return;
    }
    // SAFETY: the counters of this process, which live as long as the (sub)transaction; the level is the innermost,
    // and made where there is none.
    unsafe {
        let nest_level = pg_sys::GetCurrentTransactionNestLevel();
        let level = call_c!(pgstat_get_xact_stack_level, nest_level);
        let mut next = (*level).first;
        while let Some(counted) = next.as_ref() {
            let table = &mut *counted.parent;
            if tables.contains(&table.id) {
                // What is added then, and is put back first (`restore_truncdrop_counters`).
                table.counts.delta_dead_tuples -= if counted.truncdropped {
                    counted.inserted_pre_truncdrop + counted.updated_pre_truncdrop
                } else {
                    counted.tuples_inserted + counted.tuples_updated
                };
            }
            next = counted.next;
        }
    }
}

/// Reports a finished VACUUM, with the rows that it found.
pub fn report_vacuum(rel: Relation<'_>, live_rows: i64, dead_rows: i64) {
    // SAFETY: the relation is open; the function takes its identity only.
    unsafe {
        pg_sys::pgstat_report_vacuum(
            rel.oid(),
            (*(*rel.as_ptr()).rd_rel).relisshared,
            live_rows,
            dead_rows,
        );
    }
}
