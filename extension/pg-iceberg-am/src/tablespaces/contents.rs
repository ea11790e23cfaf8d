//! What lies in a tablespace.

use std::path::Path;

use pgrx::pg_sys;

use crate::bindings;
use crate::directory::{entries, tablespace_directory};

/// Whether a tablespace has files of relations, of whichever database: each table has one there, wherever its rows
/// are. Temporary files, which PostgreSQL has in a directory beside those of databases, do not count.
///
/// A dropped relation leaves an empty file until the next checkpoint, as DROP TABLESPACE knows (`DropTableSpace`).
pub fn holds_anything(tablespace: pg_sys::Oid) -> bool {
    let path = tablespace_directory(tablespace.to_u32());
    if !has_files(&path) {
        return false;
    }
    bindings::checkpoint_now();
    has_files(&path)
}

fn has_files(tablespace: &Path) -> bool {
    entries(tablespace)
        .filter(|database| {
            let name = database.file_name();
            name.as_encoded_bytes().iter().all(u8::is_ascii_digit)
        })
        .any(|database| entries(&database.path()).next().is_some())
}
