//! Reading PostgreSQL's own catalogs.

use std::collections::BTreeSet;

use pgrx::pg_sys;

/// Gives all rows of a catalog, as far as committed transactions tell and this one, in no order.
///
/// # Safety
///
/// The catalog's rows have the fixed part `T`, and `each` keeps no reference to one.
pub unsafe fn each_row<T>(catalog: pg_sys::Oid, mut each: impl FnMut(&T)) {
    // SAFETY: a scan of a whole catalog; all is closed again here, or by the resource owner after an error. The rest is the
    // caller's promise.
    unsafe {
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(catalog, lock);
        let scan = pg_sys::systable_beginscan(
            catalog,
            pg_sys::InvalidOid,
            false,
            std::ptr::null_mut(),
            0,
            std::ptr::null_mut(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            each(&*pg_sys::GETSTRUCT(tuple).cast::<T>());
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, lock);
    }
}

/// The numbers of all databases, those included that are about to be dropped, or were not dropped to the end.
pub fn databases() -> BTreeSet<u32> {
    let mut all = BTreeSet::new();
    // SAFETY: the rows of `pg_database`.
    unsafe {
        each_row(
            pg_sys::DatabaseRelationId,
            |row: &pg_sys::FormData_pg_database| {
                all.insert(row.oid.to_u32());
            },
        );
    }
    all
}
