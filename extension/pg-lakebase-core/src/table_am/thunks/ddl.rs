//! What DDL and maintenance commands do to a table's storage.

use std::ffi::c_char;

use pgrx::pg_sys;

use crate::guard::guard;
use crate::relation::{Persistence, RelFileLocator, Relation};
use crate::table_am::{Horizons, TableAm, VacuumParams};

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_set_new_filelocator<T: TableAm>(
    rel: pg_sys::Relation,
    new: *const pg_sys::RelFileLocator,
    persistence: c_char,
    freeze_xid: *mut pg_sys::TransactionId,
    min_multi: *mut pg_sys::MultiXactId,
) {
    guard(|| {
        // SAFETY: an open relation and a valid locator.
        let (rel, new) = unsafe { (Relation::from_raw(rel), RelFileLocator::from_raw(*new)) };
        let persistence = Persistence::from_char(persistence);
        let horizons = T::relation_set_new_filelocator(rel, new, persistence)?;
        // SAFETY: both are outputs of the call.
        unsafe {
            *freeze_xid = horizons.freeze_xid;
            *min_multi = horizons.min_multi;
        }
        Ok(())
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_nontransactional_truncate<
    T: TableAm,
>(
    rel: pg_sys::Relation,
) {
    // SAFETY: PostgreSQL passes an open relation.
    guard(|| T::relation_nontransactional_truncate(unsafe { Relation::from_raw(rel) }))
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_copy_data<T: TableAm>(
    rel: pg_sys::Relation,
    new: *const pg_sys::RelFileLocator,
) {
    guard(|| {
        // SAFETY: an open relation and a valid locator.
        let (rel, new) = unsafe { (Relation::from_raw(rel), RelFileLocator::from_raw(*new)) };
        T::relation_copy_data(rel, new)
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_copy_for_cluster<T: TableAm>(
    old: pg_sys::Relation,
    new: pg_sys::Relation,
    old_index: pg_sys::Relation,
    use_sort: bool,
    oldest_xmin: pg_sys::TransactionId,
    xid_cutoff: *mut pg_sys::TransactionId,
    multi_cutoff: *mut pg_sys::MultiXactId,
    num_tuples: *mut f64,
    tups_vacuumed: *mut f64,
    tups_recently_dead: *mut f64,
) {
    guard(|| {
        // SAFETY: two open relations, an open index or none; both cutoffs are in- and outputs.
        let (old, new, old_index, mut cutoffs) = unsafe {
            (
                Relation::from_raw(old),
                Relation::from_raw(new),
                Relation::from_nullable(old_index),
                Horizons {
                    freeze_xid: *xid_cutoff,
                    min_multi: *multi_cutoff,
                },
            )
        };
        let counts =
            T::relation_copy_for_cluster(old, new, old_index, use_sort, oldest_xmin, &mut cutoffs)?;
        // SAFETY: all are outputs of the call.
        unsafe {
            *xid_cutoff = cutoffs.freeze_xid;
            *multi_cutoff = cutoffs.min_multi;
            *num_tuples = counts.num_tuples;
            *tups_vacuumed = counts.tups_vacuumed;
            *tups_recently_dead = counts.tups_recently_dead;
        }
        Ok(())
    })
}

pub(in crate::table_am) unsafe extern "C-unwind" fn relation_vacuum<T: TableAm>(
    rel: pg_sys::Relation,
    params: *mut pg_sys::VacuumParams,
    _bstrategy: pg_sys::BufferAccessStrategy,
) {
    guard(|| {
        // SAFETY: an open relation and valid parameters.
        let (rel, params) = unsafe { (Relation::from_raw(rel), VacuumParams::from_raw(&*params)) };
        T::relation_vacuum(rel, params)
    })
}
