//! Where PostgreSQL keeps a relation's files, relative to the data directory.

use std::ffi::{CStr, CString};
use std::io;

use pgrx::pg_sys;

use crate::relation::{RelFileLocator, Relation};

/// A path for C.
pub(super) fn c_path(path: &str) -> io::Result<CString> {
    CString::new(path).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "a path cannot contain a zero byte",
        )
    })
}

/// # Safety
///
/// `raw` is a palloc'd, terminated string that nobody else uses.
unsafe fn take_palloced(raw: *mut std::ffi::c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe {
        let path = CStr::from_ptr(raw).to_string_lossy().into_owned();
        pg_sys::pfree(raw.cast());
        path
    }
}

/// The directory of the locator's database in its tablespace (`GetDatabasePath`): `base/…`,
/// `global`, or `pg_tblspc/…`.
pub fn relation_directory(locator: RelFileLocator) -> String {
    // SAFETY: gives a palloc'd string.
    unsafe { take_palloced(pg_sys::GetDatabasePath(locator.db_oid, locator.spc_oid)) }
}

/// The path of the relation's main fork (`relpathbackend`), with the prefix of temporary relations.
pub fn relation_path(rel: Relation<'_>) -> String {
    let locator = rel.locator();
    // SAFETY: the relation is open; gives a palloc'd string.
    unsafe {
        take_palloced(pg_sys::GetRelationPath(
            locator.db_oid,
            locator.spc_oid,
            locator.rel_number,
            (*rel.as_ptr()).rd_backend,
            pg_sys::ForkNumber::MAIN_FORKNUM,
        ))
    }
}
