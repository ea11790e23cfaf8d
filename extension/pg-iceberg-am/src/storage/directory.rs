//! The directory of one table's storage.

use std::ffi::CStr;
use std::fmt;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use pg_lakebase_core::relation::RelFileLocator;

use pgrx::pg_sys;

use super::StorageKey;

/// Subdirectory of data files.
const DATA: &str = "data";
/// Subdirectory of metadata files, manifest lists and manifests.
const METADATA: &str = "metadata";

/// The directory that holds everything of one table's storage.
///
/// `<database directory>/iceberg_<relfilenumber>` (`iceberg_t<backend>_<relfilenumber>` for a
/// temporary table). The name cannot be taken for a relation's fork: PostgreSQL's file name parsers
/// (`parse_filename_for_nontemp_relation`, `looks_like_temp_rel_name`) want a digit or a `t` first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TableDirectory {
    name: String,
    relative: String,
}

impl TableDirectory {
    /// The directory of the storage `key`, whether or not it exists.
    pub fn of(key: &StorageKey) -> Self {
        let name = if key.is_temporary() {
            format!("iceberg_t{}_{}", key.backend, key.rel_number)
        } else {
            format!("iceberg_{}", key.rel_number)
        };
        let database = file::relation_directory(RelFileLocator {
            spc_oid: key.tablespace.into(),
            db_oid: key.database.into(),
            rel_number: key.rel_number.into(),
        });
        Self {
            relative: format!("{database}/{name}"),
            name,
        }
    }

    /// Whether a database has any such directory, in any tablespace.
    pub fn exist_in(database: u32) -> bool {
        let below = |path: String| std::fs::read_dir(path).into_iter().flatten().flatten();
        let holds_tables = |path: String| {
            below(path).any(|entry| entry.file_name().to_string_lossy().starts_with("iceberg_"))
        };
        holds_tables(format!("base/{database}"))
            || below("pg_tblspc".to_owned())
                .flat_map(|tablespace| below(tablespace.path().to_string_lossy().into_owned()))
                .any(|version| {
                    holds_tables(format!("{}/{database}", version.path().to_string_lossy()))
                })
    }

    /// The absolute path, which is what Iceberg metadata records.
    pub fn location(&self) -> String {
        format!("{}/{}", data_directory(), self.relative)
    }

    /// Makes the directory with its two subdirectories.
    ///
    /// What a crashed transaction left under the same name is removed first: PostgreSQL hands out a
    /// relfilenumber only when no relation has it.
    pub fn create(&self) -> PgResult<()> {
        let failed = |source: std::io::Error| {
            PgError::file_access("create directory", &self.relative, &source)
        };
        self.remove().map_err(failed)?;
        let parent = self
            .relative
            .rsplit_once('/')
            .map_or(".", |(parent, _)| parent);
        if !std::path::Path::new(parent).is_dir() {
            file::make_directory(parent).map_err(failed)?;
        }
        file::make_directory(&self.relative).map_err(failed)?;
        for sub in [DATA, METADATA] {
            file::make_directory(&format!("{}/{sub}", self.relative)).map_err(failed)?;
        }
        Ok(())
    }

    /// Makes the directory entries themselves durable.
    pub fn sync(&self) -> PgResult<()> {
        for sub in [DATA, METADATA] {
            let path = format!("{}/{sub}", self.relative);
            file::fsync_directory(&path)
                .map_err(|source| PgError::file_access("sync directory", &path, &source))?;
        }
        Ok(())
    }

    /// Removes the directory and all below it; it is no error when there is none.
    pub fn remove(&self) -> std::io::Result<()> {
        file::remove_tree(&self.relative)
    }

    /// Bytes of all files in the directory: data, metadata, and what no snapshot needs any more.
    ///
    /// Files may come and go meanwhile; one that is gone when its turn comes counts as nothing.
    pub fn size(&self) -> u64 {
        [DATA, METADATA]
            .iter()
            .filter_map(|sub| std::fs::read_dir(format!("{}/{sub}", self.relative)).ok())
            .flatten()
            .filter_map(|entry| entry.ok()?.metadata().ok())
            .map(|metadata| metadata.len())
            .sum()
    }

    /// The path, below the data directory, of a file that Iceberg metadata names.
    ///
    /// Metadata holds absolute paths from the time of writing. The part below the table's directory
    /// is what counts, so a cluster copied to another place still finds its files.
    pub fn resolve(&self, recorded: &str) -> Option<String> {
        let marker = format!("/{}/", self.name);
        let (_, suffix) = recorded.rsplit_once(&marker)?;
        let climbs = suffix.split('/').any(|part| part == "..");
        (!climbs).then(|| format!("{}/{suffix}", self.relative))
    }
}

/// The cluster's data directory, as an absolute path.
fn data_directory() -> String {
    // SAFETY: set when the server starts, NUL-terminated, never changed afterwards.
    unsafe { CStr::from_ptr(pg_sys::DataDir) }
        .to_string_lossy()
        .into_owned()
}

impl fmt::Display for TableDirectory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.relative)
    }
}
