//! PostgreSQL's own storage of relations (`catalog/storage.h`).
//!
//! An access method that keeps its data elsewhere may still want the (empty) main fork: code of
//! PostgreSQL that walks relation files, such as CREATE DATABASE, expects it. It also makes the
//! relation file number visible on disk, so that no later relation is given the same one.

use pgrx::pg_sys;

use crate::guard::call_c;
use crate::relation::{Persistence, RelFileLocator, Relation};

unsafe extern "C-unwind" {
    /// `catalog/storage_xlog.h`, which pgrx has no binding of.
    fn log_smgrcreate(
        rlocator: *const pg_sys::RelFileLocator,
        fork_number: pg_sys::ForkNumber::Type,
    );
}

/// Creates an empty main fork, and for unlogged relations the initialisation fork, WAL-logged where
/// needed. It is removed if the transaction aborts (`RelationCreateStorage`).
pub fn create(locator: RelFileLocator, persistence: Persistence) {
    let raw = locator.to_raw();
    // SAFETY: calls as heapam's `relation_set_new_filelocator` makes them; each is guarded.
    unsafe {
        let smgr = pg_sys::RelationCreateStorage(raw, persistence.as_char(), true);
        if persistence == Persistence::Unlogged {
            pg_sys::smgrcreate(smgr, pg_sys::ForkNumber::INIT_FORKNUM, false);
            call_c!(
                log_smgrcreate,
                &raw const raw,
                pg_sys::ForkNumber::INIT_FORKNUM
            );
        }
        pg_sys::smgrclose(smgr);
    }
}

/// Has the relation's present storage removed when the transaction commits
/// (`RelationDropStorage`).
pub fn drop_at_commit(rel: Relation<'_>) {
    // SAFETY: the relation is open.
    unsafe { pg_sys::RelationDropStorage(rel.as_ptr()) }
}
