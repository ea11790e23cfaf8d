//! What the rows of a transaction may take of memory and of open files, over all its tables.
//!
//! A load of a partitioned table goes to many tables at once. When its rows take more memory than they may, those of the
//! tables with most are written to their files, which stay open: few rows would make many small files.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::interrupt;

use super::level::Levels;
use super::state::StorageState;
use crate::directory::StorageKey;
use crate::guc;

/// Data files that are written at a time. Each takes some memory, whatever has been written of it already.
const OPEN_FILES: usize = 1000;

/// Writes rows to files until the rest takes well less memory than it may. Returns how much that is.
pub fn keep(storages: &mut BTreeMap<StorageKey, StorageState>, levels: &Levels) -> PgResult<usize> {
    let limit = guc::write_work_mem();
    let mut total = total(storages);
    if total <= limit {
        return Ok(total);
    }
    let mut by_size: Vec<_> = storages
        .iter_mut()
        .map(|(key, storage)| (storage.rows.memory_bytes(), key, &mut storage.rows))
        .collect();
    by_size.sort_by_key(|(bytes, ..)| Reverse(*bytes));
    for (bytes, key, rows) in by_size {
        if total <= limit / 4 * 3 {
            break;
        }
        interrupt::check();
        rows.flush(&levels.marks(key))?;
        total = total - bytes + rows.memory_bytes();
    }
    close_largest(storages)?;
    Ok(total)
}

/// Bytes of memory that the rows of all tables take.
pub fn total(storages: &BTreeMap<StorageKey, StorageState>) -> usize {
    let storages = storages.values();
    storages.map(|storage| storage.rows.memory_bytes()).sum()
}

/// Completes the largest files if too many are open.
fn close_largest(storages: &mut BTreeMap<StorageKey, StorageState>) -> PgResult<()> {
    let mut open: Vec<_> = storages
        .values_mut()
        .filter_map(|storage| Some((storage.rows.open_file_bytes()?, &mut storage.rows)))
        .collect();
    if open.len() <= OPEN_FILES {
        return Ok(());
    }
    open.sort_by_key(|(bytes, _)| Reverse(*bytes));
    let too_many = open.len() - OPEN_FILES / 4 * 3;
    for (_, rows) in open.into_iter().take(too_many) {
        interrupt::check();
        rows.close_file()?;
    }
    Ok(())
}
