//! The directory of one table's storage.

use std::ffi::CStr;
use std::fmt;
use std::fs::{self, DirEntry};
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::{file, interrupt};

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
        let database = file::relation_directory(key.locator());
        Self {
            relative: format!("{database}/{name}"),
            name,
        }
    }

    /// Whether a database has any such directory, in any tablespace.
    pub fn exist_in(database: u32) -> bool {
        database_directories(Some(database))
            .iter()
            .any(|path| holds_tables(path))
    }

    /// Its name in the database's directory.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The absolute path, which is what Iceberg metadata records.
    pub fn location(&self) -> String {
        format!("{}/{}", data_directory(), self.relative)
    }

    /// Makes the directory anew, with its two subdirectories.
    ///
    /// What a crashed transaction left under the same name is removed first: PostgreSQL hands out a
    /// relfilenumber only when no relation has it.
    pub fn create(&self) -> PgResult<()> {
        self.remove()
            .map_err(|source| PgError::file_access("create directory", &self.relative, &source))?;
        self.make()
    }

    /// Makes what of the directory and its subdirectories is missing, durably.
    pub fn make(&self) -> PgResult<()> {
        let failed = |source: std::io::Error| {
            PgError::file_access("create directory", &self.relative, &source)
        };
        let parent = self.parent();
        if !Path::new(parent).is_dir() {
            // The database has had nothing in this tablespace.
            fs::create_dir_all(parent).map_err(failed)?;
        }
        let mut made = false;
        for path in [
            self.relative.clone(),
            format!("{}/{DATA}", self.relative),
            format!("{}/{METADATA}", self.relative),
        ] {
            match file::make_directory(&path) {
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                result => {
                    result.map_err(failed)?;
                    made = true;
                }
            }
        }
        if made {
            for path in [&self.relative, parent] {
                file::fsync_directory(path).map_err(failed)?;
            }
        }
        Ok(())
    }

    /// Whether the tablespace that the directory lies in exists; the default ones always do.
    pub fn tablespace_exists(&self) -> bool {
        match self.relative.strip_prefix("pg_tblspc/") {
            Some(below) => below
                .split('/')
                .next()
                .is_some_and(|oid| Path::new(&format!("pg_tblspc/{oid}")).exists()),
            None => true,
        }
    }

    fn parent(&self) -> &str {
        self.relative
            .rsplit_once('/')
            .map_or(".", |(parent, _)| parent)
    }

    /// Makes the entries of the subdirectories durable.
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

    /// Removes the metadata, which lead to all the rest.
    pub fn remove_metadata(&self) -> std::io::Result<()> {
        file::remove_tree(&format!("{}/{METADATA}", self.relative))
    }

    /// Whether the directory is there.
    pub fn exists(&self) -> bool {
        Path::new(&self.relative).is_dir()
    }

    /// Whether there is a file of this name, relative to the directory.
    pub fn has_file(&self, name: &str) -> bool {
        Path::new(&format!("{}/{name}", self.relative)).is_file()
    }

    /// The files in the subdirectories, by their names relative to this directory: data, metadata, and
    /// what nothing needs any more. One that is removed before its turn comes is left out.
    pub fn files(&self) -> impl Iterator<Item = (String, fs::Metadata)> {
        [DATA, METADATA].into_iter().flat_map(|sub| {
            entries(Path::new(&format!("{}/{sub}", self.relative))).filter_map(move |entry| {
                let name = format!("{sub}/{}", entry.file_name().to_str()?);
                Some((name, entry.metadata().ok()?))
            })
        })
    }

    /// The files in the subdirectory of metadata, as [`Self::files`] names them.
    pub fn metadata_files(&self) -> impl Iterator<Item = String> {
        entries(Path::new(&format!("{}/{METADATA}", self.relative)))
            .filter_map(|entry| Some(format!("{METADATA}/{}", entry.file_name().to_str()?)))
    }

    /// Bytes of all files.
    pub fn size(&self) -> u64 {
        self.files().map(|(_, file)| file.len()).sum()
    }

    /// The name, relative to this directory, of a file that Iceberg metadata names.
    ///
    /// Metadata holds absolute paths from the time of writing. The part below the table's directory
    /// is what counts, so a cluster copied to another place still finds its files.
    pub fn name_of<'a>(&self, recorded: &'a str) -> Option<&'a str> {
        let marker = format!("/{}/", self.name);
        let (_, name) = recorded.rsplit_once(&marker)?;
        let climbs = name.split('/').any(|part| part == "..");
        (!climbs).then_some(name)
    }
}

/// The directories of a database, or of all, in all tablespaces, relative to the data directory.
pub fn database_directories(database: Option<u32>) -> Vec<PathBuf> {
    let wanted = database.map(|database| database.to_string());
    let databases = |path: &Path| {
        entries(path)
            .filter(|entry| {
                let name = entry.file_name();
                wanted.as_ref().is_none_or(|wanted| name == wanted.as_str())
            })
            .map(|entry| entry.path())
            .collect::<Vec<_>>()
    };
    let mut found = databases(Path::new("base"));
    for tablespace in entries(Path::new("pg_tblspc")) {
        found.extend(databases(&tablespace.path().join(version_directory())));
    }
    found
}

/// `TABLESPACE_VERSION_DIRECTORY`: where in a tablespace this server's files are. Another one's, of a cluster
/// that was upgraded, may lie beside it.
fn version_directory() -> String {
    let major = pg_sys::PG_MAJORVERSION.to_string_lossy();
    format!("PG_{major}_{}", pg_sys::CATALOG_VERSION_NO)
}

/// Bytes of all that is in the directories of a database's tables, in all tablespaces.
pub fn tables_size_in_database(database: u32) -> u64 {
    database_directories(Some(database))
        .iter()
        .map(|directory| tables_size(directory))
        .sum()
}

/// The directory in which a tablespace has those of databases, relative to the data directory.
pub fn tablespace_directory(tablespace: u32) -> PathBuf {
    match pg_sys::Oid::from(tablespace) {
        pg_sys::DEFAULTTABLESPACE_OID => PathBuf::from("base"),
        _ => PathBuf::from(format!("pg_tblspc/{tablespace}")).join(version_directory()),
    }
}

/// Bytes of all that is in the directories of tables in a tablespace, of all databases.
pub fn tables_size_in_tablespace(tablespace: u32) -> u64 {
    entries(&tablespace_directory(tablespace))
        .map(|database| tables_size(&database.path()))
        .sum()
}

/// Bytes of what is in the directories of tables below a database's directory; not of those themselves,
/// which PostgreSQL's own functions count (`db_dir_size`).
fn tables_size(database: &Path) -> u64 {
    entries(database)
        .filter(is_table)
        .map(|table| tree_size(&table.path()))
        .sum()
}

/// Bytes of all that is below `directory`; what goes meanwhile counts or does not.
fn tree_size(directory: &Path) -> u64 {
    interrupt::check();
    entries(directory)
        .filter_map(|entry| Some((entry.path(), entry.metadata().ok()?)))
        .map(|(path, meta)| {
            let below = if meta.is_dir() { tree_size(&path) } else { 0 };
            meta.len() + below
        })
        .sum()
}

/// Whether an entry of a database's directory is a table's directory.
fn is_table(entry: &DirEntry) -> bool {
    entry.file_name().to_string_lossy().starts_with("iceberg_")
}

/// Whether one of a database's directories has directories of tables.
pub fn holds_tables(database: &Path) -> bool {
    entries(database).any(|entry| is_table(&entry))
}

/// What is in a directory; nothing, if it cannot be read.
pub fn entries(directory: &Path) -> impl Iterator<Item = DirEntry> + use<> {
    fs::read_dir(directory).into_iter().flatten().flatten()
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
