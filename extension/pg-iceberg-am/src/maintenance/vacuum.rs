//! VACUUM.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::pgstat;
use pg_lakebase_core::relation::Relation;
use pgrx::pg_sys;

use crate::scan::size;

/// Brings `pg_class` and the statistics collector up to date.
///
/// Data files hold no dead rows, so there is nothing to remove; VACUUM FULL rewrites small files
/// into large ones.
///
/// There are no transaction ids to freeze. But VACUUM FULL and REFRESH give the new table horizons, as if there
/// were (`finish_heap_swap`), which would keep those of the database from moving on.
pub fn vacuum(rel: Relation<'_>) -> PgResult<()> {
    let estimate = size::estimate(rel)?;
    // SAFETY: the relation is open and locked as VACUUM does. Invalid ids say that there is nothing new.
    unsafe {
        let (mut frozen, mut oldest_multi) = (
            pg_sys::InvalidTransactionId,
            pg_sys::MultiXactId::from(0u32),
        );
        if (*(*rel.as_ptr()).rd_rel).relfrozenxid != pg_sys::InvalidTransactionId {
            frozen = pg_sys::GetOldestNonRemovableTransactionId(rel.as_ptr());
            oldest_multi = pg_sys::GetOldestMultiXactId();
        }
        pg_sys::vac_update_relstats(
            rel.as_ptr(),
            estimate.pages,
            estimate.tuples,
            0,
            false,
            frozen,
            oldest_multi,
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            false,
        );
    }
    pgstat::report_vacuum(rel, estimate.tuples as i64, 0);
    Ok(())
}
