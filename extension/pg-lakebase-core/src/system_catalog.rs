//! Reading PostgreSQL's own catalogs.

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
