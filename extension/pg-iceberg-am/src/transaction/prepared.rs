//! Prepared transactions: what is left to do when they are committed or rolled back.
//!
//! PREPARE TRANSACTION publishes as COMMIT does: the pointer rows are replaced by the prepared transaction,
//! and count once it is committed. Whoever commits to the same table meanwhile waits, since the row has one
//! next version only. The removal of directories and files, which follows the outcome, is written
//! down in a file, because another session, or the server after a restart, has to do it.
//!
//! The file is a convenience: what is not removed for want of it (on a promoted standby, say) names no
//! metadata, and `lakebase.remove_orphan_files` finds it.

use std::cell::RefCell;
use std::fs;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::file;
use serde_json::{Value, json};

use super::state::TransactionState;
use crate::storage::{self, StorageKey, TableDirectory};
use crate::wal;

/// Where the files are, below the data directory.
const DIRECTORY: &str = "pg_iceberg_prepared";

thread_local! {
    /// The name that PREPARE TRANSACTION gives the transaction that is about to end.
    static NAME: RefCell<Option<String>> = const { RefCell::new(None) };
}

/// Notes the name of the transaction that is about to be prepared.
pub fn name_transaction(name: &str) {
    NAME.set(Some(name.to_owned()));
}

/// Writes down what follows the outcome of the transaction about to be prepared.
pub fn write_down(state: &TransactionState) -> PgResult<()> {
    let Some(name) = NAME.take() else {
        return Ok(());
    };
    let key = |key: &StorageKey| json!([key.tablespace, key.database, key.rel_number]);
    let created = state.storages.iter().filter(|(_, storage)| storage.created);
    let changed = state
        .storages
        .iter()
        .filter(|(_, storage)| !storage.created);
    let text = json!({
        "commit": state.dropped.iter().map(key).collect::<Vec<_>>(),
        "rollback": created.map(|(storage, _)| key(storage)).collect::<Vec<_>>(),
        "rollback_files": changed
            .map(|(storage, state)| json!({ "storage": key(storage), "files": state.io.created() }))
            .collect::<Vec<_>>(),
    });
    let path = path_of(&name);
    let failed = |source: std::io::Error| PgError::file_access("write file", &path, &source);
    fs::create_dir_all(DIRECTORY).map_err(failed)?;
    fs::write(&path, text.to_string()).map_err(failed)?;
    file::fsync_file(&path).map_err(failed)?;
    file::fsync_directory(DIRECTORY).map_err(failed)
}

/// Does what follows the outcome of a prepared transaction.
pub fn finish(name: &str, committed: bool) {
    let path = path_of(name);
    let Ok(text) = fs::read(&path) else {
        return;
    };
    if let Ok(plan) = serde_json::from_slice::<Value>(&text) {
        let directories = &plan[if committed { "commit" } else { "rollback" }];
        for key in directories
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(read_key)
        {
            storage::remove_directory(&key);
        }
        if !committed {
            for entry in plan["rollback_files"].as_array().into_iter().flatten() {
                remove_files(entry);
            }
        }
    }
    let _ = file::remove_file(&path);
}

fn remove_files(entry: &Value) {
    let Some(key) = read_key(&entry["storage"]) else {
        return;
    };
    let names: Vec<&str> = entry["files"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Value::as_str)
        .filter(|name| !name.split('/').any(|part| part == ".."))
        .collect();
    let directory = TableDirectory::of(&key);
    for name in &names {
        let _ = file::remove_file(&format!("{directory}/{name}"));
    }
    if !names.is_empty() && pg_lakebase_core::wal::is_needed() {
        wal::remove_files(&key, names.into_iter());
    }
}

fn read_key(value: &Value) -> Option<StorageKey> {
    let number = |index: usize| u32::try_from(value.get(index)?.as_u64()?).ok();
    Some(StorageKey {
        tablespace: number(0)?,
        database: number(1)?,
        rel_number: number(2)?,
        backend: pgrx::pg_sys::INVALID_PROC_NUMBER,
    })
}

/// Names of transactions may hold any character, and more of them than a file name can spell out.
fn path_of(name: &str) -> String {
    let file = uuid::Uuid::new_v5(&uuid::Uuid::NAMESPACE_OID, name.as_bytes());
    format!("{DIRECTORY}/{}", file.simple())
}
