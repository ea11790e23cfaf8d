//! Which Iceberg tables have values of a type in their columns.

use std::collections::BTreeSet;
use std::ffi::{CStr, c_char};

use pg_lakebase_core::relation::name_text;
use pgrx::pg_sys;

use super::dependents::{Dependent, dependents};
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
        } in dependents(pg_sys::TypeRelationId, visited)
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
