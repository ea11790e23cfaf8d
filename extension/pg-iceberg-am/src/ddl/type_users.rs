//! Which Iceberg tables have values of a type in their columns.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};

use pg_lakebase_core::relation::name_text;
use pgrx::pg_sys;

use crate::bindings::pg_depend;
use crate::catalog::is_iceberg_relid;

/// A column of an Iceberg table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TypeUser {
    /// The table.
    pub table: pg_sys::Oid,
    /// The attribute number.
    pub column: i16,
}

/// The columns of Iceberg tables whose types contain `type_oid` at any depth: in arrays, domains, ranges,
/// composite types and the row types of other relations.
///
/// `find_composite_type_dependencies` goes the same ways, but takes a table of any kind for a user and
/// goes no further.
pub fn type_users(type_oid: pg_sys::Oid) -> Vec<TypeUser> {
    let mut users = Vec::new();
    let mut seen = BTreeSet::new();
    let mut to_visit = vec![type_oid];
    while let Some(visited) = to_visit.pop() {
        if visited == pg_sys::InvalidOid || !seen.insert(visited.to_u32()) {
            continue;
        }
        for Dependent {
            class,
            object,
            sub_object,
        } in dependents_of_type(visited)
        {
            match (class, i16::try_from(sub_object)) {
                (pg_sys::TypeRelationId, _) => to_visit.push(object),
                // A column has the type. Without a column it is a typed table, which has its own
                // attributes, or something that only computes with the type.
                (pg_sys::RelationRelationId, Ok(column @ 1..)) => {
                    if is_iceberg_relid(object) {
                        users.push(TypeUser {
                            table: object,
                            column,
                        });
                    }
                    // SAFETY: a look-up in the system cache.
                    to_visit.push(unsafe { pg_sys::get_rel_type_id(object) });
                }
                _ => {}
            }
        }
    }
    users
}

/// An object as `pg_depend` names it.
struct Dependent {
    class: pg_sys::Oid,
    object: pg_sys::Oid,
    sub_object: i32,
}

fn dependents_of_type(type_oid: pg_sys::Oid) -> Vec<Dependent> {
    let mut dependents = Vec::new();
    // SAFETY: a scan of a catalog by its index, with keys of the columns' types; each tuple is read before the
    // next is fetched. All is closed again here, or by the resource owner after an error.
    unsafe {
        let mut keys = [pg_sys::ScanKeyData::default(); 2];
        for (key, column, value) in [
            (0, pg_depend::REFCLASSID, pg_sys::TypeRelationId),
            (1, pg_depend::REFOBJID, type_oid),
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

impl TypeUser {
    /// `table.column`.
    pub fn column_name(&self) -> String {
        // SAFETY: look-ups in the system cache, whose results are palloc'd.
        let (table, column) = unsafe {
            (
                string(pg_sys::get_rel_name(self.table)),
                string(pg_sys::get_attname(self.table, self.column, true)),
            )
        };
        format!("{table}.{column}")
    }
}

/// A name as text, or nothing for null.
///
/// # Safety
///
/// `text` is null or terminated.
unsafe fn string(text: *const c_char) -> String {
    if text.is_null() {
        return String::new();
    }
    // SAFETY: the caller's promise.
    name_text(unsafe { CStr::from_ptr(text) })
}
