//! VACUUM.

use std::time::{Duration, Instant};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::pgstat;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::table_am::VacuumParams;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::upkeep::{PATIENCE, ask, failed};
use crate::directory::StorageKey;
use crate::publisher::orders::{Outcome, Summary, Task};
use crate::scan::size;

/// How long autovacuum waits until a publisher begins: other tables wait for autovacuum, and publishers merge files
/// without being asked.
const AUTOVACUUM_PATIENCE: Duration = Duration::from_secs(2);

/// Brings `pg_class` and the statistics collector up to date.
///
/// Data files hold no dead rows, so there is nothing to remove. The publisher merges small files, and VACUUM waits for
/// it: other sessions' snapshots leave a transaction that runs VACUUM out of account (`PROC_IN_VACUUM`), so that it must
/// write nothing itself.
///
/// There are no transaction ids to freeze. But VACUUM FULL and REFRESH give the new table horizons, as if there
/// were (`finish_heap_swap`), which would keep those of the database from moving on.
pub fn vacuum(rel: Relation<'_>, params: &VacuumParams) -> PgResult<()> {
    compact(rel, params)?;
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

fn is_autovacuum() -> bool {
    // SAFETY: what this process is, which does not change.
    unsafe { pg_sys::MyBackendType == pg_sys::BackendType::B_AUTOVAC_WORKER }
}

fn compact(rel: Relation<'_>, params: &VacuumParams) -> PgResult<()> {
    if StorageKey::of(rel).is_temporary() {
        return Ok(());
    }
    let began = Instant::now();
    let name = rel.name();
    let task = Task::Compact { everything: false };
    let patience = if is_autovacuum() {
        AUTOVACUUM_PATIENCE
    } else {
        PATIENCE
    };
    // VACUUM has other things to do as well, so that it only tells of what it could not do.
    let done = match ask(rel, task, patience) {
        Ok(Outcome::Done(done)) => Ok(done),
        Ok(Outcome::Locked) => Err(PgError::new(
            PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE,
            format!("skipping data files of table \"{name}\" --- lock not available"),
        )),
        Ok(Outcome::Failed(reason)) => Err(failed(rel, task, &reason)),
        Err(error) => Err(error),
    };
    let done = match done {
        Ok(done) => done,
        // Autovacuum comes again.
        Err(error)
            if is_autovacuum() && error.sqlstate == PgSqlErrorCode::ERRCODE_LOCK_NOT_AVAILABLE =>
        {
            return Ok(());
        }
        Err(error) => {
            error.warn();
            return Ok(());
        }
    };
    let text = match done {
        Summary {
            merged_files: 0, ..
        } => format!("Iceberg table \"{name}\" has no data files to merge"),
        done => format!(
            "Iceberg table \"{name}\": {} data files ({} bytes) merged into {} ({} bytes)",
            done.merged_files, done.merged_bytes, done.new_files, done.new_bytes
        ),
    };
    let is_slow = u128::try_from(params.log_min_duration)
        .is_ok_and(|least| began.elapsed().as_millis() >= least);
    if params.verbose {
        pgrx::info!("{text}");
    } else if is_slow {
        pgrx::log!("{text}");
    }
    Ok(())
}
