//! What is put in order before the server lets anybody in.
//!
//! As PostgreSQL does with its own files (`RemovePgTempFiles`, `ResetUnloggedRelations`), tables of
//! sessions that are gone are removed, and after a crash unlogged tables are emptied.

use std::fs;
use std::path::Path;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::shmem;

use super::table_directory::{database_directories, entries};

/// Registers the work; called once, from `_PG_init`.
pub fn register() {
    shmem::register_startup(startup);
}

fn startup() -> PgResult<()> {
    let recovery_is_due = shmem::recovery_is_due();
    for_each_table(|database, name, table| {
        if name.starts_with("iceberg_t") {
            // What cannot be removed is left: the next owner of the name removes it.
            let _ = fs::remove_dir_all(table);
        } else if recovery_is_due {
            empty_if_unlogged(database, name, table);
        }
    });
    Ok(())
}

/// Empties all unlogged tables, whose data may be anything after a crash.
///
/// Called before recovery and again after it, when the tables whose creation was replayed are known
/// as well.
pub fn empty_unlogged() {
    for_each_table(empty_if_unlogged);
}

/// An unlogged table is one whose relation has an initialisation fork. Its pointer row still names a
/// metadata file: that it is gone is how everybody knows that the table is empty.
fn empty_if_unlogged(database: &Path, name: &str, table: &Path) {
    let is_unlogged = name
        .strip_prefix("iceberg_")
        .is_some_and(|number| database.join(format!("{number}_init")).exists());
    if is_unlogged {
        for sub in entries(table) {
            for file in entries(&sub.path()) {
                let _ = fs::remove_file(file.path());
            }
        }
    }
}

/// Calls `work` with each table's database directory, name and directory.
fn for_each_table(work: impl Fn(&Path, &str, &Path)) {
    for database in database_directories(None) {
        for entry in entries(&database) {
            if let Some(name) = entry.file_name().to_str()
                && name.starts_with("iceberg_")
            {
                work(&database, name, &entry.path());
            }
        }
    }
}
