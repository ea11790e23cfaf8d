//! What depends on an object, by `pg_depend`.

use pgrx::pg_sys;

use crate::bindings::pg_depend;

/// An object as `pg_depend` names it.
pub struct Dependent {
    /// The catalog that it is in.
    pub class: pg_sys::Oid,
    /// The object.
    pub object: pg_sys::Oid,
    /// Of a relation, its column, or 0.
    pub sub_object: i32,
}

/// What depends on an object of the catalog `class`.
pub fn dependents(class: pg_sys::Oid, object: pg_sys::Oid) -> Vec<Dependent> {
    let mut dependents = Vec::new();
    // SAFETY: a scan of a catalog by its index, with keys of the columns' types; each tuple is read before the
    // next is fetched. All is closed again here, or by the resource owner after an error.
    unsafe {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        for (key, column, value) in [
            (0, pg_depend::REFCLASSID, class),
            (1, pg_depend::REFOBJID, object),
        ] {
            pg_sys::ScanKeyInit(
                &mut keys[key],
                column,
                pg_sys::BTEqualStrategyNumber as u16,
                pg_sys::Oid::from_u32(pg_sys::F_OIDEQ),
                value.into(),
            );
        }
        let lock = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let catalog = pg_sys::table_open(pg_depend::RELATION, lock);
        let scan = pg_sys::systable_beginscan(
            catalog,
            pg_depend::REFERENCE_INDEX,
            true,
            std::ptr::null_mut(),
            keys.len() as i32,
            keys.as_mut_ptr(),
        );
        loop {
            let tuple = pg_sys::systable_getnext(scan);
            if tuple.is_null() {
                break;
            }
            let depend = pg_sys::GETSTRUCT(tuple).cast::<pg_depend::Form>();
            dependents.push(Dependent {
                class: (*depend).classid,
                object: (*depend).objid,
                sub_object: (*depend).objsubid,
            });
        }
        pg_sys::systable_endscan(scan);
        pg_sys::table_close(catalog, lock);
    }
    dependents
}
