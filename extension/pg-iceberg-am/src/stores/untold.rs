//! Stores that are still to be told that several servers have an identity, which this one has left.
//!
//! It leaves an identity at once, whether all stores answer or not: one that does not keeps it from none of the others. So
//! there is a file of the data directory for each store that is to be told, which is empty and goes when that is done.

use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;
use std::sync::Arc;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;

use super::claim::place_of;
use super::store::Store;
use crate::directory::identity_file::{self, DIRECTORY};

/// How the names of the files begin; identity, tablespace and place come after it.
pub(super) const FILE: &str = "untold.";

/// Notes, durably, that these stores are to be told of an identity.
pub fn note(stores: &[Arc<Store>], identity: &str) -> PgResult<()> {
    for store in stores {
        make(&path_of(store, identity))?;
    }
    synced()
}

/// The identities of which a store is still to be told.
pub fn identities(store: &Store) -> PgResult<Vec<String>> {
    let place = place_of(store);
    let identity = |name: String| {
        let (identity, of) = name.strip_prefix(FILE)?.split_once('.')?;
        (of == place).then(|| identity.to_owned())
    };
    Ok((identity_file::names()?.into_iter())
        .filter_map(identity)
        .collect())
}

/// Notes that a store has been told, or need not be.
pub fn forget(store: &Store, identity: &str) -> PgResult<()> {
    let path = path_of(store, identity);
    file::remove_file(&path)
        .map_err(|source| PgError::file_access("remove file", &path, &source))?;
    synced()
}

/// Makes one that stands for what another data directory's stands for, as its name says.
pub(super) fn adopt(name: &str) -> PgResult<()> {
    make(&format!("{DIRECTORY}/{name}"))
}

fn path_of(store: &Store, identity: &str) -> String {
    format!("{DIRECTORY}/{FILE}{identity}.{}", place_of(store))
}

fn make(path: &str) -> PgResult<()> {
    (File::options())
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(path)
        .and_then(|file| file.sync_all())
        .map_err(|source| PgError::file_access("create file", path, &source))
}

fn synced() -> PgResult<()> {
    file::fsync_directory(DIRECTORY)
        .map_err(|source| PgError::file_access("fsync directory", DIRECTORY, &source))
}
