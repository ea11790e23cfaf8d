//! VACUUM.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::pgstat;
use pg_lakebase_core::relation::Relation;
use pgrx::pg_sys;

use super::size;

/// Brings `pg_class` and the statistics collector up to date.
///
/// Appended files hold no dead rows, so there is nothing to remove; VACUUM FULL rewrites small files
/// into large ones.
pub fn vacuum(rel: Relation<'_>) -> PgResult<()> {
    let estimate = size::estimate(rel)?;
    // SAFETY: the relation is open and locked as VACUUM does. There are no transaction ids to
    // freeze, which the invalid ids say.
    unsafe {
        pg_sys::vac_update_relstats(
            rel.as_ptr(),
            estimate.pages,
            estimate.tuples,
            0,
            false,
            pg_sys::InvalidTransactionId,
            pg_sys::MultiXactId::from(0u32),
            std::ptr::null_mut(),
            std::ptr::null_mut(),
            false,
        );
    }
    pgstat::report_vacuum(rel, estimate.tuples as i64, 0);
    Ok(())
}
