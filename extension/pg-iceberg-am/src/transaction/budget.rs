//! What the rows of a transaction may take of memory and of open files, over all its tables.
//!
//! A load of a partitioned table goes to many tables at once. When its rows take more memory than they may, those of the
//! tables with most are written to their files, which stay open: few rows would make many small files.
//!
//! Interrupts are served and files handed over while nobody has borrowed the transaction's state: a session that is
//! terminated must be able to abort.

use std::collections::BTreeMap;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::interrupt;

use super::state::{StorageState, with_transaction};
use crate::directory::StorageKey;
use crate::files::{TableFiles, Which};
use crate::guc;

/// Data files that are written at a time. Each takes some memory, whatever has been written of it already.
const OPEN_FILES: usize = 1000;

/// Writes rows to files until the rest takes well less memory than it may.
pub fn keep() -> PgResult<()> {
    let limit = guc::write_work_mem();
    if !is_over(limit) {
        return Ok(());
    }
    count();
    if !is_over(limit) {
        return Ok(());
    }
    for key in by_size(|storage| Some(storage.memory_bytes())) {
        interrupt::check();
        let io = with_transaction(|state| {
            let Some(storage) = state.storages.get_mut(&key) else {
                return Ok(None);
            };
            storage.rows.flush(&state.levels.marks(&key))?;
            PgResult::Ok(Some(storage.io.clone()))
        })?;
        if let Some(io) = io.filter(|io| io.staged_bytes() > 0) {
            TableFiles::hand_over([&io], Which::Data)?;
        }
        count();
        if !is_over(limit / 4 * 3) {
            break;
        }
    }
    close_largest()
}

fn is_over(limit: usize) -> bool {
    with_transaction(|state| state.pending_bytes > limit)
}

fn count() {
    with_transaction(|state| state.pending_bytes = total(&state.storages));
}

/// Bytes of memory that the rows of all tables take.
pub fn total(storages: &BTreeMap<StorageKey, StorageState>) -> usize {
    storages.values().map(StorageState::memory_bytes).sum()
}

/// Completes the largest files if too many are open.
fn close_largest() -> PgResult<()> {
    let open = by_size(|storage| storage.rows.open_file_bytes());
    if open.len() <= OPEN_FILES {
        return Ok(());
    }
    let too_many = open.len() - OPEN_FILES / 4 * 3;
    for key in open.into_iter().take(too_many) {
        interrupt::check();
        with_transaction(|state| match state.storages.get_mut(&key) {
            Some(storage) => storage.rows.close_file(),
            None => Ok(()),
        })?;
    }
    Ok(())
}

/// The storages of which there is a size, the largest first.
fn by_size<T: Ord>(size: impl Fn(&StorageState) -> Option<T>) -> Vec<StorageKey> {
    let mut sizes: Vec<(T, StorageKey)> = with_transaction(|state| {
        let sizes = state.storages.iter();
        (sizes.filter_map(|(key, storage)| Some((size(storage)?, *key)))).collect()
    });
    sizes.sort_by(|(a, _), (b, _)| b.cmp(a));
    sizes.into_iter().map(|(_, key)| key).collect()
}
