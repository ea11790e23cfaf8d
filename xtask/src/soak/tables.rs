//! The tables, and what of them is on disk.

use crate::cluster::Connection;
use crate::psql;
use anyhow::{Context, Result};
use std::fs;
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

pub fn create(connection: &Connection) -> Result<()> {
    for (table, method) in TABLES
        .map(|table| (table, "iceberg"))
        .into_iter()
        .chain([(HEAP, "heap")])
    {
        psql::execute(
            connection,
            &format!("CREATE TABLE {table} ({COLUMNS}) USING {method}"),
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
    let entries =
        fs::read_dir(directory).with_context(|| format!("cannot read {}", directory.display()))?;
    Ok(entries
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .fold((0, 0), |(files, bytes), metadata| {
            (files + 1, bytes + metadata.len())
        }))
}
