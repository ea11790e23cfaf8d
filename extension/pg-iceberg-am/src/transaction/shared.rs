//! What parallel workers see of a transaction that has changed Iceberg tables.
//!
//! While a parallel plan runs, nothing is changed. So the leader writes down, before it begins, what the
//! plan's snapshot sees of the transaction's own rows: the data files by their entries, the rows in memory
//! in Arrow's IPC format. The file lies where PostgreSQL has its temporary files, which it removes when it
//! starts, and is named for the leader; it begins with the leader's transaction, so that a file left by
//! another one is no harm.

use std::fs;
use std::io::ErrorKind;
use std::ops::Range;
use std::sync::Arc;

use iceberg_lite::manifest::{decode_data_file, encode_data_file};
use iceberg_lite::scan::RowRanges;
use iceberg_lite::spec::Schema;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::pg_sys;
use serde::{Deserialize, Serialize};

use super::pending::{PendingFile, PendingView};
use super::pending_batch::PendingBatch;
use super::state::with_transaction;
use crate::catalog::inline_rows;
use crate::directory::StorageKey;
use crate::error::to_pg_error;
use crate::files::{TableFiles, Which};
use crate::row_id::RowId;
use crate::schema::{FieldIds, Fields};

const DIRECTORY: &str = "base/pgsql_tmp";

/// What comes first in the file, after its own length; what it tells the lengths of follows in its order.
#[derive(Serialize, Deserialize)]
struct Head {
    /// The leader's local transaction id.
    transaction: u32,
    storages: Vec<StorageHead>,
}

#[derive(Serialize, Deserialize)]
struct StorageHead {
    /// Tablespace, database, relation file number.
    key: [u32; 3],
    hides_committed: bool,
    field_ids: FieldIds,
    /// In the specification's JSON form.
    schema: String,
    last_field_id: i32,
    /// Numbers of visible rows.
    visible: Vec<Range<u64>>,
    files: Vec<Part>,
    batches: Vec<Part>,
}

/// A data file or a batch: the number of its first row, and how many bytes tell of it.
#[derive(Serialize, Deserialize)]
struct Part {
    start: u64,
    bytes: usize,
    /// Of a batch whose row ids are a run, the first.
    first_row_id: Option<i64>,
}

/// What a worker sees of what its leader has done to a storage.
pub struct SharedStorage {
    /// Whether the rows committed before are gone.
    pub hides_committed: bool,
    /// The fields that the leader knows.
    pub fields: Fields,
    /// The leader's rows.
    pub pending: PendingView,
}

/// Lets the workers of this process see its changes until it is dropped.
pub struct SharedChanges {
    path: String,
    /// What the file held, of a plan that goes on after this one.
    before: Option<Vec<u8>>,
}

impl SharedChanges {
    /// Writes down what a snapshot with this command counter sees.
    pub fn of_transaction(curcid: pg_sys::CommandId) -> PgResult<Self> {
        let mut blobs = Vec::new();
        let mut ios = Vec::new();
        let storages = with_transaction(|state| {
            let levels = &state.levels;
            state
                .storages
                .iter_mut()
                .filter(|(key, _)| !key.is_temporary())
                .map(|(key, storage)| {
                    let view = storage.rows.view(Some(curcid), &levels.marks(key))?;
                    ios.push(storage.io.clone());
                    let mut put = |start, first_row_id, content: Vec<u8>| {
                        blobs.extend_from_slice(&content);
                        Part {
                            start,
                            bytes: content.len(),
                            first_row_id,
                        }
                    };
                    let mut files = Vec::with_capacity(view.files.len());
                    for file in &view.files {
                        let entry = encode_data_file(&file.data_file).map_err(to_pg_error)?;
                        files.push(put(file.start, None, entry));
                    }
                    let mut batches = Vec::with_capacity(view.batches.len());
                    for PendingBatch { start, batch, ids } in &view.batches {
                        let first = ids.get(0).filter(|_| ids.is_run());
                        let rows = inline_rows::encode(batch, ids)?;
                        batches.push(put(*start, first.map(RowId::to_i64), rows));
                    }
                    Ok(StorageHead {
                        key: [key.tablespace, key.database, key.rel_number],
                        hides_committed: storage.created || storage.emptied,
                        field_ids: (*storage.fields.ids).clone(),
                        schema: storage.fields.schema.to_json().to_string(),
                        last_field_id: storage.fields.last_id,
                        visible: view.visible.ranges().to_vec(),
                        files,
                        batches,
                    })
                })
                .collect::<PgResult<Vec<_>>>()
        })?;
        // Others cannot open what this process alone has.
        TableFiles::hand_over(&ios, Which::Data)?;
        // SAFETY: the process's own entry.
        let transaction = unsafe { (*pg_sys::MyProc).vxid.lxid };
        let head = serde_json::to_vec(&Head {
            transaction,
            storages,
        })
        .map_err(|error| PgError::internal(error.to_string()))?;
        let mut content = (head.len() as u64).to_le_bytes().to_vec();
        content.extend_from_slice(&head);
        content.append(&mut blobs);
        // SAFETY: the process's own number.
        let path = path_of(unsafe { pg_sys::MyProcNumber });
        fs::create_dir_all(DIRECTORY)
            .map_err(|source| PgError::file_access("create directory", DIRECTORY, &source))?;
        // Dropped also when writing fails half-way.
        let shared = Self {
            before: fs::read(&path).ok(),
            path,
        };
        fs::write(&shared.path, content)
            .map_err(|source| PgError::file_access("write file", &shared.path, &source))?;
        Ok(shared)
    }
}

impl Drop for SharedChanges {
    fn drop(&mut self) {
        let _ = match &self.before {
            Some(before) => fs::write(&self.path, before),
            None => fs::remove_file(&self.path),
        };
    }
}

/// What this worker's leader has done to a storage; `None` if it has not changed it.
pub fn storage_of_leader(key: &StorageKey) -> PgResult<Option<SharedStorage>> {
    // SAFETY: a worker belongs to its leader's lock group.
    let (leader, transaction) = unsafe {
        let leader = (*pg_sys::MyProc).lockGroupLeader;
        (pg_sys::ParallelLeaderProcNumber, (*leader).vxid.lxid)
    };
    let path = path_of(leader);
    let content = match fs::read(&path) {
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        content => content.map_err(|source| PgError::file_access("read file", &path, &source))?,
    };
    let cut_off = || PgError::internal(format!("file \"{path}\" is cut off"));
    let (length, rest) = content.split_first_chunk::<8>().ok_or_else(cut_off)?;
    let (head, mut blobs) = rest
        .split_at_checked(u64::from_le_bytes(*length) as usize)
        .ok_or_else(cut_off)?;
    let head: Head = serde_json::from_slice(head)
        .map_err(|error| PgError::internal(format!("file \"{path}\": {error}")))?;
    if head.transaction != transaction {
        return Ok(None);
    }
    let wanted = [key.tablespace, key.database, key.rel_number];
    for storage in head.storages {
        let mut pending = PendingView {
            visible: RowRanges::from_ranges(storage.visible),
            ..PendingView::default()
        };
        let is_wanted = storage.key == wanted;
        for (part, is_file) in storage
            .files
            .iter()
            .map(|part| (part, true))
            .chain(storage.batches.iter().map(|part| (part, false)))
        {
            let (bytes, rest) = blobs.split_at_checked(part.bytes).ok_or_else(cut_off)?;
            blobs = rest;
            let start = part.start;
            if !is_wanted {
            } else if is_file {
                let data_file = Arc::new(decode_data_file(&path, bytes).map_err(to_pg_error)?);
                pending.files.push(PendingFile { start, data_file });
            } else {
                let run = part.first_row_id.and_then(RowId::from_i64);
                let (batch, ids) = inline_rows::decode(bytes, run)?;
                pending.batches.push(PendingBatch { start, batch, ids });
            }
        }
        if is_wanted {
            return Ok(Some(SharedStorage {
                hides_committed: storage.hides_committed,
                fields: Fields {
                    ids: Arc::new(storage.field_ids),
                    schema: Schema::from_json_text(&path, "schema", storage.schema.as_bytes())
                        .map(Arc::new)
                        .map_err(to_pg_error)?,
                    last_id: storage.last_field_id,
                },
                pending,
            }));
        }
    }
    Ok(None)
}

fn path_of(leader: pg_sys::ProcNumber) -> String {
    format!("{DIRECTORY}/pgsql_tmp_iceberg.{leader}")
}
