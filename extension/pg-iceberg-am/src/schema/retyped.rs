//! Columns that have got another type without their rows having been written anew.
//!
//! PostgreSQL takes their values for values of the new type as they are. How the table's fields hold them is settled at the end
//! of the statement (`ddl/attributes.rs`); until then they are read and written as values of the type before.

use std::cell::RefCell;
use std::collections::BTreeMap;

use pgrx::pg_sys;

use crate::directory::StorageKey;

/// A type and its modifier.
pub type OldType = (pg_sys::Oid, i32);

/// Columns by their attribute numbers, and the storages that have them.
pub type Retyped = BTreeMap<StorageKey, BTreeMap<i16, OldType>>;

thread_local! {
    static RETYPED: RefCell<Retyped> = RefCell::default();
}

/// Notes the type that a column, by its attribute number, had before.
pub fn note(key: StorageKey, number: i16, old: OldType) {
    RETYPED.with_borrow_mut(|retyped| {
        retyped.entry(key).or_default().entry(number).or_insert(old);
    });
}

/// The columns of `key` that were noted.
pub fn of(key: &StorageKey) -> BTreeMap<i16, OldType> {
    RETYPED.with_borrow(|retyped| retyped.get(key).cloned().unwrap_or_default())
}

/// Whether none are noted of any table.
pub fn is_empty() -> bool {
    RETYPED.with_borrow(BTreeMap::is_empty)
}

/// All that are noted.
pub fn all() -> Retyped {
    RETYPED.with_borrow(Clone::clone)
}

/// Goes back to what was noted before.
pub fn restore(before: Retyped) {
    RETYPED.set(before);
}
