//! The pointer row: which metadata file is a table's current one.
//!
//! `lakebase.iceberg_pointer` is an ordinary heap table, so a pointer is MVCC data: a statement
//! follows the pointer its snapshot sees, and PostgreSQL's commit record decides whether a new
//! pointer counts. Rows are written here and nowhere else.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::ops::ControlFlow;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pg_lakebase_core::{interrupt, xact};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode, pg_sys};

use super::keyed_table::{KeyedTable, RowVersion, key_columns};
use crate::directory::StorageKey;

const TABLE: &CStr = c"iceberg_pointer";
const INDEX: &CStr = c"iceberg_pointer_pkey";

/// Columns of `lakebase.iceberg_pointer`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 14;
/// Those that version 0.1.0 has.
const OLDEST_NATTS: usize = 13;

/// What a pointer row says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Pointer {
    /// Current metadata file, relative to the table's directory; `None` for a table that is empty
    /// and has no metadata file (a temporary table after ON COMMIT DELETE ROWS).
    pub metadata_location: Option<String>,
    /// The metadata's current snapshot.
    pub snapshot_id: Option<i64>,
    /// Rows in the current snapshot.
    pub row_count: i64,
    /// Data files in the current snapshot.
    pub file_count: i64,
    /// Bytes of the current snapshot's data files.
    pub total_bytes: i64,
    /// Snapshots in the metadata.
    pub snapshot_count: i32,
    /// What the storage is to snapshots from before it was made.
    pub origin: Origin,
    /// When the metadata file was written, in microseconds since 2000 (`TimestampTz`).
    pub published_at: pg_sys::TimestampTz,
    /// Of what the inline commits must be that count on top of it.
    pub incarnation: Incarnation,
    /// One past the number of the largest row id that the metadata, or any before, have.
    pub next_row_id: u64,
    /// Rows that are in the current snapshot's data files, and deleted.
    pub deleted_row_count: i64,
}

type Columns = ([pg_sys::Datum; NATTS], [bool; NATTS]);

impl Pointer {
    /// Whether inline commits of this incarnation count on top of the row. None do where there is no metadata file.
    pub fn counts(&self, incarnation: Incarnation) -> bool {
        self.metadata_location.is_some() && self.incarnation == incarnation
    }

    fn read((values, nulls): Columns) -> Self {
        // SAFETY: the columns have these types.
        unsafe {
            let int8 = |i: usize| i64::from_datum(values[i], nulls[i]);
            Self {
                metadata_location: String::from_datum(values[3], nulls[3]),
                snapshot_id: int8(4),
                row_count: int8(5).unwrap_or(0),
                file_count: int8(6).unwrap_or(0),
                total_bytes: int8(7).unwrap_or(0),
                snapshot_count: i32::from_datum(values[8], nulls[8]).unwrap_or(0),
                origin: Origin::from_letter(i8::from_datum(values[9], nulls[9]).unwrap_or(0)),
                published_at: int8(10).unwrap_or(0),
                incarnation: Incarnation::read(values[11]),
                next_row_id: int8(12).unwrap_or(0).unsigned_abs(),
                deleted_row_count: int8(13).unwrap_or(0),
            }
        }
    }

    fn columns(&self, key: &StorageKey) -> [Option<pg_sys::Datum>; NATTS] {
        let [number, tablespace, backend] = key_columns(key);
        [
            number,
            tablespace,
            backend,
            self.metadata_location
                .as_deref()
                .and_then(IntoDatum::into_datum),
            self.snapshot_id.into_datum(),
            self.row_count.into_datum(),
            self.file_count.into_datum(),
            self.total_bytes.into_datum(),
            self.snapshot_count.into_datum(),
            self.origin.letter().into_datum(),
            self.published_at.into_datum(),
            self.incarnation.to_datum(),
            self.next_row_id.cast_signed().into_datum(),
            self.deleted_row_count.into_datum(),
        ]
    }
}

/// What a storage is to snapshots that were taken before the transaction that made it committed.
///
/// Heap tuples carry this themselves; Iceberg files carry no transaction ids.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Origin {
    /// Nothing: to them the table is empty, as it is after TRUNCATE.
    #[default]
    New,
    /// What it is to everybody: its rows were inserted frozen (REFRESH MATERIALIZED VIEW, COPY FREEZE).
    Frozen,
    /// The same table, rewritten without what only they could see (VACUUM FULL, SET TABLESPACE): they
    /// cannot read it.
    Rewritten,
}

impl Origin {
    /// The letter in the pointer row.
    fn letter(self) -> i8 {
        match self {
            Self::New => b'n' as i8,
            Self::Frozen => b'f' as i8,
            Self::Rewritten => b'r' as i8,
        }
    }

    fn from_letter(letter: i8) -> Self {
        match letter as u8 {
            b'f' => Self::Frozen,
            b'r' => Self::Rewritten,
            _ => Self::New,
        }
    }
}

/// What tells a table's rows from those that it had before recovery emptied it: the transaction that wrote its
/// first metadata file. It is the same for the life of a storage that is in the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Incarnation(u64);

impl Incarnation {
    /// That of a table whose first metadata file this transaction writes.
    pub fn new() -> Self {
        Self(xact::full_transaction_id())
    }

    /// What a column of type `xid8` holds.
    pub fn read(datum: pg_sys::Datum) -> Self {
        Self(datum.value() as u64)
    }

    /// The value of a column of type `xid8`.
    pub fn to_datum(self) -> Option<pg_sys::Datum> {
        Some(pg_sys::Datum::from(self.0))
    }
}

/// A pointer row that this transaction has locked and will replace.
pub struct LockedPointer {
    /// The row's latest committed version.
    pub pointer: Pointer,
    /// Where it is.
    pub tid: pg_sys::ItemPointerData,
}

/// The open pointer table.
pub struct PointerCatalog(KeyedTable);

impl PointerCatalog {
    /// Opens the pointer table for reading; `None` while the extension is being created or dropped.
    pub fn open() -> Option<Self> {
        KeyedTable::open(TABLE, INDEX, OLDEST_NATTS..=NATTS).map(Self)
    }

    /// As [`Self::open`]; `None` also where somebody has locked the table.
    pub fn open_unless_locked() -> Option<Self> {
        KeyedTable::open_unless_locked(TABLE, INDEX, OLDEST_NATTS..=NATTS).map(Self)
    }

    /// Opens the pointer table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX, OLDEST_NATTS..=NATTS).map(Self)
    }

    /// Whether the extension is of a version that has no changes of rows.
    pub fn is_without_row_changes(&self) -> bool {
        self.0.natts() == OLDEST_NATTS
    }

    /// A snapshot of what is committed now, and of all that this transaction has done.
    pub fn latest(&self) -> RegisteredSnapshot {
        self.0.latest()
    }

    /// The row of `key` that `snapshot` sees.
    pub fn find(&self, key: &StorageKey, snapshot: Snapshot<'_>) -> PgResult<Option<Pointer>> {
        self.first(key, snapshot, |version| Pointer::read(version.columns()))
    }

    /// The latest row of `key`, committed or this transaction's own.
    pub fn find_latest(&self, key: &StorageKey) -> PgResult<Option<Pointer>> {
        self.find(key, self.latest().snapshot())
    }

    /// As [`Self::find`], for a serializable transaction: `unseen` is told of every transaction that
    /// has replaced the row and that the snapshot does not see.
    pub fn find_among_versions(
        &self,
        key: &StorageKey,
        snapshot: Snapshot<'_>,
        mut unseen: impl FnMut(pg_sys::TransactionId),
    ) -> PgResult<Option<Pointer>> {
        let mut found = None;
        self.0.each_version(Some(key), |version| {
            if version.is_visible(snapshot) {
                found = Some(Pointer::read(version.columns()));
            } else {
                unseen(version.writer());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The row of `key` as it was first inserted, as far as its versions have not been vacuumed.
    pub fn find_first(&self, key: &StorageKey) -> PgResult<Option<Pointer>> {
        let mut first: Option<(pg_sys::TransactionId, Pointer)> = None;
        self.0.each_version(Some(key), |version| {
            let writer = version.writer();
            let is_earlier = version.is_committed()
                && first.as_ref().is_none_or(|(known, _)| {
                    // SAFETY: transaction ids are compared.
                    unsafe { pg_sys::TransactionIdPrecedes(writer, *known) }
                });
            if is_earlier {
                first = Some((writer, Pointer::read(version.columns())));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(first.map(|(_, pointer)| pointer))
    }

    /// A transaction so that every snapshot sees what it has done and what any before it have.
    pub fn newest_of_all_seen(&self) -> pg_sys::TransactionId {
        pg_sys::TransactionId::from((self.0.removable_before() - 1) as u32)
    }

    /// The metadata files, relative to the table's directory, that those versions of the row of `key` name that a
    /// snapshot may see.
    pub fn metadata_of_seen_versions(&self, key: &StorageKey) -> PgResult<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        self.0.each_version(Some(key), |version| {
            if version.is_committed_or_own() && !version.is_dead() {
                names.extend(Pointer::read(version.columns()).metadata_location);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(names)
    }

    /// The largest `next_row_id` of any version of the row of `key`, whether it counts or not.
    pub fn next_row_id(&self, key: &StorageKey) -> PgResult<u64> {
        let mut next = 0;
        self.0.each_version(Some(key), |version| {
            next = next.max(Pointer::read(version.columns()).next_row_id);
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }

    /// The storages of permanent and unlogged tables that `snapshot` sees, relation file numbers and tablespaces, each
    /// with its row.
    pub fn all(&self, snapshot: Snapshot<'_>) -> PgResult<BTreeMap<(u32, u32), Pointer>> {
        let mut found = BTreeMap::new();
        self.0.each(None, snapshot, |version| {
            if let Some(key) = version.key().filter(|key| !key.is_temporary()) {
                let pointer = Pointer::read(version.columns());
                found.insert((key.rel_number, key.tablespace), pointer);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The storages of the rows that transaction `xid` wrote, whatever became of it.
    pub fn written_by(&self, xid: pg_sys::TransactionId) -> PgResult<Vec<StorageKey>> {
        self.0.written_by(xid)
    }

    /// Adds the row of a storage made by this transaction.
    pub fn insert(&self, key: &StorageKey, pointer: &Pointer) {
        self.0.insert(&pointer.columns(key));
    }

    /// Locks the latest version of the row of `key`, waiting for whoever is replacing it now.
    pub fn lock(&self, key: &StorageKey) -> PgResult<LockedPointer> {
        loop {
            interrupt::check();
            // Without one, it was replaced while we waited: the new version is committed now.
            if let Some(locked) = self.lock_latest(key, true)? {
                return Ok(locked);
            }
        }
    }

    /// Locks the latest version of the row of `key`; `None` if others are changing it.
    pub fn try_lock(&self, key: &StorageKey) -> PgResult<Option<LockedPointer>> {
        self.lock_latest(key, false)
    }

    fn lock_latest(&self, key: &StorageKey, wait: bool) -> PgResult<Option<LockedPointer>> {
        let latest = self.latest();
        let found = self.first(key, latest.snapshot(), |version| {
            let mut row = version.lock(wait)?;
            Some(LockedPointer {
                pointer: Pointer::read(row.columns()),
                tid: row.tid(),
            })
        })?;
        found.ok_or_else(|| {
            PgError::new(
                PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                format!("Iceberg storage {} has no pointer row", key.rel_number),
            )
        })
    }

    /// Replaces a locked row.
    pub fn replace(&self, key: &StorageKey, locked: &LockedPointer, pointer: &Pointer) {
        self.0.update(locked.tid, &pointer.columns(key));
    }

    /// Removes the row of `key`, if there is one.
    ///
    /// The caller holds the lock that dropping or rewriting the table takes, so nobody else replaces
    /// the row.
    pub fn delete(&self, key: &StorageKey) -> PgResult<()> {
        let latest = self.latest();
        if let Some(tid) = self.first(key, latest.snapshot(), |version| version.tid())? {
            self.0.delete([tid]);
        }
        Ok(())
    }

    fn first<T>(
        &self,
        key: &StorageKey,
        snapshot: Snapshot<'_>,
        read: impl FnOnce(RowVersion) -> T,
    ) -> PgResult<Option<T>> {
        let (mut read, mut found) = (Some(read), None);
        self.0.each(Some(key), snapshot, |version| {
            found = read.take().map(|read| read(version));
            Ok(ControlFlow::Break(()))
        })?;
        Ok(found)
    }
}
