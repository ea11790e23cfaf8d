//! Tables that pg_upgrade takes from one cluster to another.
//!
//! pg_upgrade makes the old cluster's tables anew in the new one, under the same relfilenumbers, in databases
//! and tablespaces of the same Oids, and then replaces their relation files by the old ones: those of
//! `lakebase.iceberg_pointer` and its siblings too. It knows nothing of table directories. So when it makes
//! an Iceberg table, the table's directory is taken over from the old cluster, which is shut down by then, and
//! nothing is written to the catalog tables. Without knowing where the old cluster is, making the table
//! fails, and pg_upgrade with it, which has not touched the old cluster by then.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::interrupt;
use pgrx::{PgSqlErrorCode, pg_sys};

use super::{StorageKey, TableDirectory};
use crate::guc::{self, UpgradeTransfer};

/// Whether pg_upgrade runs this server: the old one or the new one (`postgres -b`).
///
/// In the old one nothing may take a transaction id: pg_upgrade has read the next one before it starts it.
pub fn is_running() -> bool {
    // SAFETY: a flag of the process, set when it starts.
    unsafe { pg_sys::IsBinaryUpgrade }
}

/// The data directory of the old cluster.
pub fn old_cluster() -> PgResult<PathBuf> {
    guc::upgrade_from().ok_or_else(|| {
        PgError::new(
            PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
            "cannot upgrade Iceberg tables without the data directory of the old cluster",
        )
        .with_detail("pg_upgrade itself leaves the files of Iceberg tables behind.")
        .with_hint("Run pg_upgrade with --new-options='-c pg_iceberg_am.upgrade_from=/old/data/directory'.")
    })
}

/// Gives the storage `key`, which is being made, the files that it has in the old cluster.
///
/// What is made here is not synced: pg_upgrade syncs the new cluster as a whole.
pub fn take_over(key: &StorageKey) -> PgResult<()> {
    let cluster = old_cluster()?;
    let table = TableDirectory::of(key);
    let failed = |path: &Path| {
        let path = path.display().to_string();
        move |source: io::Error| PgError::file_access("take over", &path, &source)
    };
    let old_table = table_in(&cluster, key, table.name()).map_err(failed(&cluster))?;
    table.create()?;
    for old in fs::read_dir(&old_table).map_err(failed(&old_table))? {
        let old = old.map_err(failed(&old_table))?;
        let new = Path::new(&table.to_string()).join(old.file_name());
        if new.is_dir() {
            for file in fs::read_dir(old.path()).map_err(failed(&old.path()))? {
                interrupt::check();
                let file = file.map_err(failed(&old.path()))?;
                transfer(&file.path(), &new.join(file.file_name()))
                    .map_err(failed(&file.path()))?;
            }
        }
    }
    Ok(())
}

/// Files of Iceberg tables are never changed once they are written, so that two clusters may share them.
fn transfer(old: &Path, new: &Path) -> io::Result<()> {
    match guc::upgrade_transfer() {
        UpgradeTransfer::Link => fs::hard_link(old, new),
        UpgradeTransfer::Copy => {
            // Not `fs::copy`, which gives the new file the old one's mode: it gets that of this cluster, by the
            // server's umask.
            io::copy(&mut File::open(old)?, &mut File::create_new(new)?).map(drop)
        }
    }
}

/// Where the directory `name` of the storage `key` is in the cluster with this data directory.
fn table_in(cluster: &Path, key: &StorageKey, name: &str) -> io::Result<PathBuf> {
    let database = key.database.to_string();
    let tablespace = match pg_sys::Oid::from(key.tablespace) {
        pg_sys::DEFAULTTABLESPACE_OID => cluster.join("base"),
        _ => cluster
            .join("pg_tblspc")
            .join(key.tablespace.to_string())
            .join(version_directory_of(cluster)?),
    };
    Ok(tablespace.join(database).join(name))
}

/// `TABLESPACE_VERSION_DIRECTORY` of a cluster's server, which may be of another version.
fn version_directory_of(cluster: &Path) -> io::Result<String> {
    let major = fs::read_to_string(cluster.join("PG_VERSION"))?;
    let control = fs::read(cluster.join("global/pg_control"))?;
    version_directory(major.trim(), &control).ok_or(io::ErrorKind::UnexpectedEof.into())
}

/// The same from the contents of `PG_VERSION` and `pg_control`. `ControlFileData` begins with the system
/// identifier (8 bytes), `pg_control_version` and `catalog_version_no` (4 bytes each), in all versions.
fn version_directory(major: &str, control: &[u8]) -> Option<String> {
    let catalog = u32::from_ne_bytes(control.get(12..16)?.try_into().ok()?);
    Some(format!("PG_{major}_{catalog}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tablespace_of_the_old_cluster_is_searched_by_the_versions_of_that_cluster() {
        let mut control = [0; 32];
        control[12..16].copy_from_slice(&202_307_071_u32.to_ne_bytes());
        let expected = Some("PG_16_202307071".to_owned());
        assert_eq!(version_directory("16", &control), expected);
        assert_eq!(version_directory("16", &control[..15]), None);
    }
}
