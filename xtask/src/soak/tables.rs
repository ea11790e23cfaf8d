//! The tables, and what of them is on disk.

use crate::cluster::Connection;
use crate::psql;
use anyhow::{Context, Result};
use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::Path;

/// Columns of every table. Each row has a counterpart with the negative id.
pub const COLUMNS: &str = "id bigint, part int, note text";

/// The Iceberg tables: small transactions alone go to the first, bulk loads and some small ones to the second.
pub const TABLES: [&str; 2] = ["events", "facts"];
/// Its index in [`TABLES`].
pub const EVENTS: usize = 0;
pub const FACTS: usize = 1;
/// The heap table that tells what is the machine's doing.
pub const HEAP: &str = "control";

/// Makes them, the Iceberg tables in this tablespace.
pub fn create(connection: &Connection, tablespace: &str) -> Result<()> {
    for (table, method, tablespace) in TABLES
        .map(|table| (table, "iceberg", tablespace))
        .into_iter()
        .chain([(HEAP, "heap", "pg_default")])
    {
        psql::execute(
            connection,
            &format!("CREATE TABLE {table} ({COLUMNS}) USING {method} TABLESPACE {tablespace}"),
        )?;
    }
    Ok(())
}

/// The files below a table's directory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct OnDisk {
    pub data_files: u64,
    /// Metadata files, manifest lists and manifests.
    pub metadata_files: u64,
    pub metadata_bytes: u64,
}

impl OnDisk {
    pub fn look(location: &Path) -> Result<Self> {
        let (data_files, _) = count(&location.join("data"))?;
        let (metadata_files, metadata_bytes) = count(&location.join("metadata"))?;
        Ok(Self {
            data_files,
            metadata_files,
            metadata_bytes,
        })
    }
}

/// How many files a directory has, and their size. Files that go meanwhile do not count.
fn count(directory: &Path) -> Result<(u64, u64)> {
    Ok(entries(directory)?
        .filter_map(|entry| size(&entry.path()).ok())
        .fold((0, 0), |(files, bytes), size| (files + 1, bytes + size)))
}

/// The size of a file, or of what a MinIO has of an object in a directory.
pub fn size(path: &Path) -> Result<u64> {
    let metadata =
        fs::metadata(path).with_context(|| format!("cannot look at {}", path.display()))?;
    match metadata.is_dir() {
        true => entries(path)?.map(|entry| size(&entry.path())).sum(),
        false => Ok(metadata.len()),
    }
}

/// What a directory has; nothing if it is not there, as where there is no object below it.
fn entries(directory: &Path) -> Result<impl Iterator<Item = DirEntry> + use<>> {
    let entries = match fs::read_dir(directory) {
        Err(error) if error.kind() == ErrorKind::NotFound => None,
        entries => Some(entries.with_context(|| format!("cannot read {}", directory.display()))?),
    };
    Ok(entries.into_iter().flatten().flatten())
}
