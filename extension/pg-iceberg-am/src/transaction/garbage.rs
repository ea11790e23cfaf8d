//! Removing what committed transactions have dropped.
//!
//! The backend that has committed removes the directories at once, in its commit callback, where no table can be
//! written any more; the rows of `lakebase.garbage` are cleared away afterwards. Where it could not (a crash, COMMIT
//! PREPARED, promotion), whoever comes first removes the directories as well: the session that says COMMIT
//! PREPARED, or the publisher.
//!
//! A directory never goes that belongs to a table: PostgreSQL gives a relation file number to another one only
//! when the main fork is gone, which is after the commit callback; and whoever makes a storage forgets rows of the
//! same name first, waiting for those who have locked them to remove the directory.

use pg_lakebase_core::error::{PgError, PgResult};

use super::state::{TransactionState, with_transaction};
use crate::catalog::{GarbageCatalog, has_relation};
use crate::directory::{StorageKey, TableDirectory};
use crate::files;

/// Rows cleared away in one transaction.
const BATCH: usize = 1000;

impl TransactionState {
    /// The storages of permanent and unlogged tables that the transaction has dropped.
    fn dropped_for_all(&self) -> impl Iterator<Item = &StorageKey> {
        self.dropped.iter().filter(|key| !key.is_temporary())
    }

    /// Whether the transaction leaves rows of garbage to be cleared away.
    pub(super) fn leaves_garbage(&self) -> bool {
        self.dropped_for_all().next().is_some()
    }
}

/// Removes due garbage of the transaction `xid`, or all, and clears the rows away. Returns how many.
pub fn sweep(xid: Option<u64>) -> PgResult<usize> {
    let Some(catalog) = GarbageCatalog::open_for_update() else {
        return Ok(0);
    };
    let locked = catalog.lock_due(xid, BATCH)?;
    let mut cleared = 0;
    for row in &locked {
        let key = &row.garbage.key;
        let directory = TableDirectory::of(key);
        if directory.exists() && !has_relation(key) {
            files::remove_directory(key);
        }
        if directory.exists() {
            // It is tried again. That a relation has it may be what was known before the drop.
            continue;
        }
        catalog.delete(row);
        cleared += 1;
    }
    Ok(cleared)
}

/// Refuses to prepare a transaction whose garbage nobody would know of.
pub(super) fn check_can_prepare() -> PgResult<()> {
    if with_transaction(|state| state.leaves_garbage())
        && GarbageCatalog::open_for_update().is_none()
    {
        return Err(PgError::feature_not_supported(
            "cannot PREPARE a transaction that has dropped the extension pg_iceberg_am with Iceberg tables",
        )
        .with_hint("Drop the tables in a transaction of their own."));
    }
    Ok(())
}
