//! Cumulative statistics of tables, as `pg_stat_all_tables` shows them and autovacuum goes by.
//!
//! The thunks of [`crate::table_am`] count scans, rows returned and rows inserted; custom scans and
//! VACUUM report through these functions themselves.

use pgrx::pg_sys;

use crate::relation::Relation;

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

/// Counts inserted rows; they become dead rows if the transaction aborts.
pub fn count_inserts(rel: Relation<'_>, rows: i64) {
    // SAFETY: the relation is open, and a transaction is in progress.
    unsafe { pg_sys::pgstat_count_heap_insert(rel.as_ptr(), rows) }
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
