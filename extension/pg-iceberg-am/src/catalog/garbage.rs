//! What transactions have made superfluous, until it is removed.
//!
//! A transaction that drops a storage, or makes files of one superfluous, adds a row to `lakebase.garbage`, an ordinary
//! heap table. So it is PostgreSQL that decides whether they are to be removed: by the commit record, COMMIT PREPARED,
//! crash recovery or a standby's promotion.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::time::Duration;

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::xact::clock_timestamp;
use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::keyed_table::{KeyedTable, RowVersion, key_columns};
use crate::directory::StorageKey;
use crate::stores::{Quiet, identity_of, quiet};

const TABLE: &CStr = c"garbage";
const INDEX: &CStr = c"garbage_storage";

/// Columns of `lakebase.garbage`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 7;

/// The most bytes of names in a row.
const MAX_NAME_BYTES: usize = 6 << 10;

/// What is to be removed.
#[derive(Clone, Debug)]
pub struct Garbage {
    /// The storage.
    pub key: StorageKey,
    /// The transaction that made it superfluous, with its epoch.
    pub xid: u64,
    /// What of it.
    pub what: What,
}

/// What a row says, but for the names of files, which take by far the most time to read.
struct Head {
    tablespace: u32,
    xid: u64,
    /// `None` for objects of which nobody has seen yet that the transaction has committed.
    not_before: Option<pg_sys::TimestampTz>,
    /// Whether it has to wait until nobody needs it: files and objects do.
    waits: bool,
}

impl Head {
    /// When it may be removed, as far as time tells; `None` if that does not count yet.
    fn due(&self, quiet: &BTreeMap<u32, Quiet>) -> Option<pg_sys::TimestampTz> {
        let not_before = self.not_before?;
        let quiet = quiet.get(&self.tablespace);
        Some(quiet.map_or(not_before, |quiet| quiet.until(not_before)))
    }
}

fn head(version: &RowVersion) -> Head {
    let (values, nulls) = version.columns::<NATTS>();
    Head {
        tablespace: values[1].value() as u32,
        xid: values[3].value() as u64,
        // SAFETY: the column is of type timestamptz.
        not_before: unsafe { i64::from_datum(values[4], nulls[4]) },
        waits: !(nulls[5] && nulls[6]),
    }
}

/// What of a storage is to be removed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// Its directory on local disk.
    Storage,
    /// The files of these names.
    Files(Vec<String>),
    /// All objects below this directory of its store.
    Objects(String),
}

fn what(version: &RowVersion) -> What {
    let (values, nulls) = version.columns::<NATTS>();
    // SAFETY: the columns are of types text[] and text.
    unsafe {
        let objects = String::from_datum(values[6], nulls[6]).map(What::Objects);
        let files = || Vec::from_datum(values[5], nulls[5]).map(What::Files);
        objects.or_else(files).unwrap_or(What::Storage)
    }
}

impl What {
    /// Whether it names objects of a store.
    fn is_of_objects(&self) -> bool {
        match self {
            Self::Storage => false,
            Self::Objects(_) => true,
            Self::Files(names) => names.iter().all(|name| identity_of(name).is_some()),
        }
    }
}

/// The columns of a row.
fn columns(
    key: &StorageKey,
    xid: u64,
    not_before: Option<pg_sys::TimestampTz>,
    what: What,
) -> [Option<pg_sys::Datum>; NATTS] {
    let (files, objects) = match what {
        What::Storage => (None, None),
        What::Files(files) => (Some(files), None),
        What::Objects(directory) => (None, Some(directory)),
    };
    let [number, tablespace, backend] = key_columns(key);
    [
        number,
        tablespace,
        backend,
        Some(pg_sys::Datum::from(xid)),
        not_before.and_then(IntoDatum::into_datum),
        files.into_datum(),
        objects.into_datum(),
    ]
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
        KeyedTable::open(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// As [`Self::open`]; `None` also where somebody has locked the table.
    pub fn open_unless_locked() -> Option<Self> {
        KeyedTable::open_unless_locked(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// Opens the table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// The table's Oid.
    pub fn relid(&self) -> pg_sys::Oid {
        self.0.relid()
    }

    /// Adds the storage `key`, which the transaction `xid`, this one, drops.
    pub fn insert(&self, key: &StorageKey, xid: u64) {
        self.add(key, xid, Some(clock_timestamp()), What::Storage);
    }

    /// Adds the objects of the storage `key` below this directory, under whatever identity, which nobody needs who sees what
    /// the transaction `xid`, this one, does.
    pub fn insert_objects(&self, key: &StorageKey, xid: u64, directory: &str) {
        self.add(key, xid, None, What::Objects(directory.to_owned()));
    }

    /// Adds files of the storage `key`, which nobody needs who sees what the transaction `xid`, this one, does; not to
    /// be removed before a while, since other engines may be reading them. Objects are kept from the commit on, since a server
    /// that is set back to a time before it needs them.
    pub fn insert_files(&self, key: &StorageKey, xid: u64, keep_for: Duration, files: &[String]) {
        let are_objects = files.iter().any(|name| identity_of(name).is_some());
        let not_before = (!are_objects).then(|| after(keep_for));
        let mut rest = files;
        while !rest.is_empty() {
            let mut bytes = 0;
            let fit = rest
                .iter()
                .take_while(|name| {
                    // With an element's header and padding.
                    bytes += name.len() + 8;
                    bytes <= MAX_NAME_BYTES
                })
                .count();
            let (now, later) = rest.split_at(fit.max(1));
            self.add(key, xid, not_before, What::Files(now.to_vec()));
            rest = later;
        }
    }

    /// The files of the storage `key` that are garbage.
    pub fn files_of(&self, key: &StorageKey) -> PgResult<Vec<String>> {
        let mut names = Vec::new();
        self.0
            .each(Some(key), self.0.latest().snapshot(), |version| {
                if let What::Files(files) = what(&version) {
                    names.extend(files);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(names)
    }

    /// The directories of a store with objects of storages `key` that are garbage.
    pub fn objects_of(&self, key: &StorageKey) -> PgResult<Vec<String>> {
        let mut directories = Vec::new();
        self.0
            .each(Some(key), self.0.latest().snapshot(), |version| {
                if let What::Objects(directory) = what(&version) {
                    directories.push(directory);
                }
                Ok(ControlFlow::Continue(()))
            })?;
        Ok(directories)
    }

    /// Removes the rows of objects of a tablespace's store, to which it does not lead any more; waits for whoever is about to
    /// delete them. Returns how many storages they are of.
    pub fn forget_objects(&self, tablespace: u32) -> PgResult<usize> {
        let mut keys = BTreeSet::new();
        let mut tids = Vec::new();
        self.0.each(None, self.0.latest().snapshot(), |version| {
            if let Some(key) = version.key()
                && key.tablespace == tablespace
                && what(&version).is_of_objects()
                && let Some(row) = version.lock(true)
            {
                keys.insert(key);
                tids.push(row.tid());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.0.delete(tids);
        Ok(keys.len())
    }

    fn add(&self, key: &StorageKey, xid: u64, not_before: Option<pg_sys::TimestampTz>, what: What) {
        self.0.insert(&columns(key, xid, not_before, what));
    }

    /// Removes the rows of `key`, whose relation file number has been given to another table, but for those of objects,
    /// whose names are never given again; waits for whoever is about to remove the storage.
    pub fn forget(&self, key: &StorageKey) -> PgResult<()> {
        let mut tids = Vec::new();
        self.0
            .each(Some(key), self.0.latest().snapshot(), |version| {
                if !what(&version).is_of_objects() {
                    tids.extend(version.lock(true).map(|row| row.tid()));
                }
                Ok(ControlFlow::Continue(()))
            })?;
        self.0.delete(tids);
        Ok(())
    }

    /// Locks at most `limit` rows of storages that nobody else has locked: of the transaction `xid`, or all.
    /// Whoever gives a relation file number of theirs to another table waits for the lock.
    pub fn lock_storages(&self, xid: Option<u64>, limit: usize) -> PgResult<Vec<LockedGarbage>> {
        self.lock(None, limit, |row| {
            !row.waits && xid.is_none_or(|xid| xid == row.xid) && !is_ending(row.xid)
        })
    }

    /// The storages that have files or objects which are due, or of which it does not count yet how long they are kept.
    pub fn storages_with_files_due(&self) -> PgResult<BTreeSet<StorageKey>> {
        let is_due = self.files_are_due()?;
        let mut keys = BTreeSet::new();
        self.0.each(None, self.0.latest().snapshot(), |version| {
            let row = head(&version);
            if row.not_before.is_none() || is_due(&row) {
                keys.extend(version.key());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keys)
    }

    /// Has at most `limit` rows of a storage's objects count from now on which have not, and are committed, so: not to be removed
    /// before a while.
    pub fn begin_to_count(
        &self,
        key: &StorageKey,
        keep_for: Duration,
        limit: usize,
    ) -> PgResult<()> {
        let not_before = Some(after(keep_for));
        for LockedGarbage { garbage, tid } in
            self.lock(Some(key), limit, |row| row.not_before.is_none())?
        {
            let Garbage { key, xid, what } = garbage;
            self.0.update(tid, &columns(&key, xid, not_before, what));
        }
        Ok(())
    }

    /// Locks at most `limit` rows of a storage's files and objects that are due and that nobody else has locked.
    pub fn lock_files(&self, key: &StorageKey, limit: usize) -> PgResult<Vec<LockedGarbage>> {
        self.lock(Some(key), limit, self.files_are_due()?)
    }

    /// Files are due once nobody sees any more what was before the transaction that made them superfluous, on standbys
    /// included that tell what they see (`hot_standby_feedback`).
    fn files_are_due(&self) -> PgResult<impl Fn(&Head) -> bool + use<>> {
        let now = clock_timestamp();
        let removable_before = self.0.removable_before();
        let quiet = quiet()?;
        Ok(move |row: &Head| {
            row.waits
                && row.due(&quiet).is_some_and(|time| time <= now)
                && row.xid < removable_before
        })
    }

    /// When the first files or objects are due, as far as time tells; `None` if there are none.
    pub fn files_due(&self) -> PgResult<Option<pg_sys::TimestampTz>> {
        let quiet = quiet()?;
        let mut due: Option<pg_sys::TimestampTz> = None;
        self.0.each(None, self.0.latest().snapshot(), |version| {
            let row = head(&version);
            if row.waits {
                let time = row.due(&quiet).unwrap_or_else(clock_timestamp);
                due = Some(due.map_or(time, |due| due.min(time)));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(due)
    }

    fn lock(
        &self,
        key: Option<&StorageKey>,
        limit: usize,
        is_due: impl Fn(&Head) -> bool,
    ) -> PgResult<Vec<LockedGarbage>> {
        let mut locked = Vec::new();
        self.0.each(key, self.0.latest().snapshot(), |version| {
            let due = head(&version);
            if is_due(&due)
                && let Some(key) = version.key()
                && let Some(row) = version.lock(false)
            {
                let garbage = Garbage {
                    key,
                    xid: due.xid,
                    what: what(&version),
                };
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
        self.0.delete([locked.tid]);
    }

    /// The storages that the transaction `xid` has dropped, whatever became of it.
    pub fn of_transaction(&self, xid: u64) -> PgResult<Vec<StorageKey>> {
        let mut keys = Vec::new();
        self.0.each_version(None, |version| {
            let row = head(&version);
            if row.xid == xid && !row.waits {
                keys.extend(version.key());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keys)
    }
}

/// The time after a while.
fn after(wait: Duration) -> pg_sys::TimestampTz {
    let micros = i64::try_from(wait.as_micros()).unwrap_or(i64::MAX);
    clock_timestamp().saturating_add(micros)
}

/// Whether the transaction is not quite done yet, though it has committed: locks go after commit callbacks, in which
/// its backend removes the storage itself.
fn is_ending(full_xid: u64) -> bool {
    // SAFETY: the lock of a transaction id is taken, if it is free, and released.
    unsafe { !pg_sys::ConditionalXactLockTableWait(pg_sys::TransactionId::from(full_xid as u32)) }
}
