//! What transactions have made superfluous, until it is removed.
//!
//! A transaction that drops a storage adds a row of `lakebase.garbage`, an ordinary heap table. So it is PostgreSQL
//! that decides whether the storage is to be removed: by the commit record, COMMIT PREPARED, crash recovery or a
//! standby's promotion.

use std::ffi::CStr;
use std::ops::ControlFlow;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::keyed_table::{KeyedTable, RowVersion, key_columns};
use crate::directory::StorageKey;

const TABLE: &CStr = c"garbage";
const INDEX: &CStr = c"garbage_storage";

/// Columns of `lakebase.garbage`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 5;

/// A storage to remove.
#[derive(Clone, Copy, Debug)]
pub struct Garbage {
    /// The storage.
    pub key: StorageKey,
    /// The transaction that dropped it, with its epoch.
    pub xid: u64,
    not_before: pg_sys::TimestampTz,
}

impl Garbage {
    fn read(version: &RowVersion) -> Option<Self> {
        let (values, nulls) = version.columns::<NATTS>();
        Some(Self {
            key: version.key()?,
            xid: values[3].value() as u64,
            // SAFETY: the column is of type timestamptz.
            not_before: unsafe { i64::from_datum(values[4], nulls[4]) }?,
        })
    }
}

/// A row that this transaction has locked.
pub struct LockedGarbage {
    /// What it says.
    pub garbage: Garbage,
    tid: pg_sys::ItemPointerData,
}

/// The open table of garbage.
pub struct GarbageCatalog(KeyedTable);

impl GarbageCatalog {
    /// Opens the table for reading; `None` while the extension is being created or dropped.
    pub fn open() -> Option<Self> {
        KeyedTable::open(TABLE, INDEX, NATTS).map(Self)
    }

    /// Opens the table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX, NATTS).map(Self)
    }

    /// The table's Oid.
    pub fn relid(&self) -> pg_sys::Oid {
        self.0.relid()
    }

    /// Adds the storage `key`, which the transaction `xid`, this one, drops.
    pub fn insert(&self, key: &StorageKey, xid: u64) {
        let [number, tablespace, backend] = key_columns(key);
        let columns: [Option<pg_sys::Datum>; NATTS] = [
            number,
            tablespace,
            backend,
            Some(pg_sys::Datum::from(xid)),
            clock_timestamp().into_datum(),
        ];
        self.0.insert(&columns);
    }

    /// Removes the rows of `key`, whose relation file number has been given to another table; waits for whoever
    /// is about to remove the storage.
    pub fn forget(&self, key: &StorageKey) -> PgResult<()> {
        let mut tids = Vec::new();
        self.0
            .each(Some(key), self.0.latest().snapshot(), |version| {
                tids.extend(version.lock(true).map(|row| row.tid()));
                Ok(ControlFlow::Continue(()))
            })?;
        tids.into_iter().for_each(|tid| self.0.delete(tid));
        Ok(())
    }

    /// Locks at most `limit` rows that are due and that nobody else has locked: of the transaction `xid`, or all.
    /// Whoever gives a relation file number of theirs to another table waits for the lock.
    pub fn lock_due(&self, xid: Option<u64>, limit: usize) -> PgResult<Vec<LockedGarbage>> {
        let now = clock_timestamp();
        let mut locked = Vec::new();
        self.0.each(None, self.0.latest().snapshot(), |version| {
            let is_wanted = |garbage: &Garbage| {
                garbage.not_before <= now
                    && xid.is_none_or(|xid| xid == garbage.xid)
                    && !is_ending(garbage.xid)
            };
            if let Some(garbage) = Garbage::read(&version).filter(is_wanted)
                && let Some(row) = version.lock(false)
            {
                let tid = row.tid();
                locked.push(LockedGarbage { garbage, tid });
            }
            Ok(if locked.len() < limit {
                ControlFlow::Continue(())
            } else {
                ControlFlow::Break(())
            })
        })?;
        Ok(locked)
    }

    /// Removes a locked row.
    pub fn delete(&self, locked: &LockedGarbage) {
        self.0.delete(locked.tid);
    }

    /// The storages of all rows that the transaction `xid` added, whatever became of it.
    pub fn of_transaction(&self, xid: u64) -> PgResult<Vec<StorageKey>> {
        let mut keys = Vec::new();
        self.0.each_version(None, |version| {
            keys.extend(
                Garbage::read(&version)
                    .filter(|garbage| garbage.xid == xid)
                    .map(|garbage| garbage.key),
            );
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keys)
    }
}

/// Whether the transaction is not quite done yet, though it has committed: locks go after commit callbacks, in which
/// its backend removes the storage itself.
fn is_ending(full_xid: u64) -> bool {
    // SAFETY: the lock of a transaction id is taken, if it is free, and released.
    unsafe { !pg_sys::ConditionalXactLockTableWait(pg_sys::TransactionId::from(full_xid as u32)) }
}
