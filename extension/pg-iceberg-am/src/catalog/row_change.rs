//! Rows that were deleted, or superseded by UPDATE, and whose files do not say so yet; and row locks.
//!
//! Whoever deletes or updates a row adds a row to `lakebase.row_change`, an ordinary heap table, at once: so what a
//! snapshot sees of it is MVCC, also with commands, savepoints and prepared transactions. The publisher folds it into
//! the metadata and deletes it, in one transaction. For a snapshot that misses the change, it misses the publisher as
//! well: heap keeps the version for as long, though deleted, and that is how those who still see the old row learn what
//! became of it.
//!
//! Whoever changes many rows adds sets of them ([`super::row_set`]), a little later: until then they are claimed
//! (`claims/`).
//!
//! Who locks a row adds a row as well, which counts as long as its (sub)transaction goes on: so a row lock lasts as one of
//! heap does, and as many rows can be locked. At its end the transaction deletes them again, for the sake of space.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ops::{ControlFlow, RangeInclusive};

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pg_lakebase_core::table_am::LockTupleMode;
use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::keyed_table::{KeyedTable, RowVersion, Writing, key_columns};
use super::row_set::{RowSet, SetKind};
use crate::directory::StorageKey;
use crate::row_id::{Chunk, RowId};

const TABLE: &CStr = c"row_change";
const INDEX: &CStr = c"row_change_row";
const NEXT_INDEX: &CStr = c"row_change_next";
/// Columns that the indexes begin with after the key.
const ROW: pg_sys::AttrNumber = 4;
const NEXT: pg_sys::AttrNumber = 6;

/// Columns of `lakebase.row_change`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 8;
/// As many as it had in version 0.2.0, which has no sets.
const OLDEST_NATTS: usize = 6;

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Successor {
    /// It was deleted.
    None,
    /// It was updated, and this is its next version.
    Row(RowId),
    /// It was updated, and its next version is in another partition.
    Elsewhere,
}

/// What a row of the table says of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// It was changed, by who had it as with this lock: FOR KEY SHARE goes by an update unless that is `Exclusive`.
    Changed(Successor, LockTupleMode),
    /// It is locked.
    Locked(LockTupleMode),
}

impl Mark {
    fn read(kind: u8, next: Option<i64>) -> Option<Self> {
        Some(match kind {
            b'd' => Self::Changed(Successor::None, LockTupleMode::Exclusive),
            b'm' => Self::Changed(Successor::Elsewhere, LockTupleMode::Exclusive),
            b'u' | b'x' => {
                let mode = match kind {
                    b'u' => LockTupleMode::NoKeyExclusive,
                    _ => LockTupleMode::Exclusive,
                };
                Self::Changed(Successor::Row(RowId::from_i64(next?)?), mode)
            }
            b'k' => Self::Locked(LockTupleMode::KeyShare),
            b's' => Self::Locked(LockTupleMode::Share),
            b'n' => Self::Locked(LockTupleMode::NoKeyExclusive),
            b'e' => Self::Locked(LockTupleMode::Exclusive),
            _ => return None,
        })
    }

    fn kind(self) -> u8 {
        match self {
            Self::Changed(Successor::None, _) => b'd',
            Self::Changed(Successor::Elsewhere, _) => b'm',
            Self::Changed(Successor::Row(_), LockTupleMode::Exclusive) => b'x',
            Self::Changed(Successor::Row(_), _) => b'u',
            Self::Locked(LockTupleMode::KeyShare) => b'k',
            Self::Locked(LockTupleMode::Share) => b's',
            Self::Locked(LockTupleMode::NoKeyExclusive) => b'n',
            Self::Locked(LockTupleMode::Exclusive) => b'e',
        }
    }

    fn next(self) -> Option<RowId> {
        match self {
            Self::Changed(Successor::Row(next), _) => Some(next),
            _ => None,
        }
    }
}

/// A change of one row or several that a snapshot sees.
#[derive(Clone, Debug)]
pub struct RowChange {
    tid: pg_sys::ItemPointerData,
    changed: Changed,
}

/// Rows that were deleted or superseded.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Changed {
    Row { row: RowId, is_update: bool },
    Set(RowSet),
}

impl PartialEq for RowChange {
    /// Whether both are the same change: there is one of a row that counts.
    fn eq(&self, other: &Self) -> bool {
        self.changed == other.changed
    }
}

impl RowChange {
    /// Whether rows were updated, and not deleted.
    pub fn is_update(&self) -> bool {
        match &self.changed {
            Changed::Row { is_update, .. } => *is_update,
            Changed::Set(set) => set.kind != SetKind::Deleted,
        }
    }

    /// The rows that were changed, in the order of their ids.
    pub fn rows<'a>(changes: impl IntoIterator<Item = &'a Self>) -> Vec<RowId> {
        let mut rows = Vec::new();
        for change in changes {
            match &change.changed {
                Changed::Row { row, .. } => rows.push(*row),
                Changed::Set(set) => rows.extend(set.rows()),
            }
        }
        rows.sort_unstable();
        rows
    }

    fn read(version: &RowVersion) -> Option<Self> {
        let changed = match Entry::read(version)? {
            Entry::Row(_, Mark::Locked(_)) => return None,
            Entry::Row(row, Mark::Changed(successor, _)) => Changed::Row {
                row,
                is_update: successor != Successor::None,
            },
            Entry::Set(set) => Changed::Set(set),
        };
        Some(Self {
            tid: version.tid(),
            changed,
        })
    }
}

/// What a row of the table holds.
enum Entry {
    Row(RowId, Mark),
    Set(RowSet),
}

impl Entry {
    fn read(version: &RowVersion) -> Option<Self> {
        let (values, nulls) = version.columns::<NATTS>();
        // SAFETY: the columns have these types.
        let (row, kind, next) = unsafe {
            (
                i64::from_datum(values[3], nulls[3])?,
                i8::from_datum(values[4], nulls[4])? as u8,
                i64::from_datum(values[5], nulls[5]),
            )
        };
        let Some(chunk) = Chunk::from_i64(row) else {
            return Some(Self::Row(RowId::from_i64(row)?, Mark::read(kind, next)?));
        };
        let kind = match kind {
            b'D' => SetKind::Deleted,
            b'M' => SetKind::Moved,
            b'U' => SetKind::Updated(Chunk::from_i64(next?)?),
            _ => return None,
        };
        // SAFETY: the column is of type bytea.
        let bytes = unsafe { Vec::<u8>::from_datum(values[7], nulls[7]) };
        RowSet::read(chunk, kind, bytes?).map(Self::Set)
    }

    /// What it says of a row.
    fn mark_of(&self, row: RowId) -> Option<Mark> {
        match self {
            Self::Row(of, mark) => (*of == row).then_some(*mark),
            Self::Set(set) => set.mark_of(row),
        }
    }
}

/// The open table of changes.
pub struct RowChangeCatalog(KeyedTable);

impl RowChangeCatalog {
    /// Opens the table for reading; `None` while the extension is being created or dropped.
    pub fn open() -> Option<Self> {
        KeyedTable::open(TABLE, INDEX, OLDEST_NATTS..=NATTS).map(Self)
    }

    /// Opens the table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX, OLDEST_NATTS..=NATTS).map(Self)
    }

    /// A snapshot of what is committed now, and of all that this transaction has done.
    pub fn latest(&self) -> RegisteredSnapshot {
        self.0.latest()
    }

    /// The table's Oid.
    pub fn relid(&self) -> pg_sys::Oid {
        self.0.relid()
    }

    /// The changes of `key` that `snapshot` sees.
    pub fn find(&self, key: &StorageKey, snapshot: Snapshot<'_>) -> PgResult<Vec<RowChange>> {
        let mut found = Vec::new();
        self.0.each(Some(key), snapshot, |version| {
            found.extend(RowChange::read(&version));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Whether `snapshot` sees any change of `key`.
    pub fn any(&self, key: &StorageKey, snapshot: Snapshot<'_>) -> PgResult<bool> {
        let mut any = false;
        self.0.each(Some(key), snapshot, |version| {
            any = RowChange::read(&version).is_some();
            Ok(match any {
                true => ControlFlow::Break(()),
                false => ControlFlow::Continue(()),
            })
        })?;
        Ok(any)
    }

    /// The changes of `key` that others have committed.
    pub fn find_of_others(&self, key: &StorageKey) -> PgResult<Vec<RowChange>> {
        self.find_by(key, false)
    }

    /// The changes of `key` that this transaction has made.
    pub fn find_own(&self, key: &StorageKey) -> PgResult<Vec<RowChange>> {
        self.find_by(key, true)
    }

    fn find_by(&self, key: &StorageKey, own: bool) -> PgResult<Vec<RowChange>> {
        let latest = self.latest();
        let mut found = Vec::new();
        self.0.each(Some(key), latest.snapshot(), |version| {
            let is_own = matches!(version.writing(), Some(Writing::Own(_)));
            found.extend(RowChange::read(&version).filter(|_| is_own == own));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// As [`Self::find`], for a serializable transaction: `unseen` is told of every transaction that has changed what
    /// the snapshot does not see.
    pub fn find_among_versions(
        &self,
        key: &StorageKey,
        snapshot: Snapshot<'_>,
        mut unseen: impl FnMut(pg_sys::TransactionId),
    ) -> PgResult<Vec<RowChange>> {
        let mut found = Vec::new();
        self.0.each_version(Some(key), |version| {
            if version.is_visible(snapshot) {
                found.extend(RowChange::read(&version));
            } else {
                unseen(version.writer());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// What is said of a row that counts, or may come to count, with those who say it. Row locks of transactions that are
    /// over are not among it, nor what is claimed.
    pub fn marks_of(&self, key: &StorageKey, row: RowId) -> PgResult<Vec<(Mark, Writing)>> {
        let mut marks = Vec::new();
        self.each_entry_at(key, None, ROW, row, |entry, version| {
            if let Some((mark, by)) = entry.mark_of(row).zip(version.writing()) {
                let is_over = matches!((mark, by), (Mark::Locked(_), Writing::Committed(_)));
                marks.extend((!is_over).then_some((mark, by)));
            }
            ControlFlow::Continue(())
        })?;
        Ok(marks)
    }

    /// Calls `on_entry` with what any version of a row of the table holds that has a row of `key` in a column, or its
    /// chunk. `index` is as for [`KeyedTable::each_version_of`].
    fn each_entry_at(
        &self,
        key: &StorageKey,
        index: Option<pg_sys::Oid>,
        column: pg_sys::AttrNumber,
        row: RowId,
        mut on_entry: impl FnMut(Entry, &RowVersion) -> ControlFlow<()>,
    ) -> PgResult<()> {
        let chunk = self.has_sets().then(|| Chunk::of(row).0.to_i64());
        let mut flow = ControlFlow::Continue(());
        for number in [Some(row.to_i64()), chunk].into_iter().flatten() {
            if flow.is_continue() {
                (self.0).each_version_of(key, index, column, number..=number, |version| {
                    if let Some(entry) = Entry::read(&version) {
                        flow = on_entry(entry, &version);
                    }
                    Ok(flow)
                })?;
            }
        }
        Ok(())
    }

    /// The places in a chunk of rows that anything is said of, as for [`Self::marks_of`], in no order.
    pub fn noted_places(&self, key: &StorageKey, chunk: Chunk) -> PgResult<Vec<u16>> {
        let mut places = Vec::new();
        for numbers in numbers_of(chunk) {
            (self.0).each_version_of(key, None, ROW, numbers, |version| {
                match Entry::read(&version).zip(version.writing()) {
                    Some((Entry::Row(_, Mark::Locked(_)), Writing::Committed(_))) | None => {}
                    Some((Entry::Row(row, _), _)) => places.push(Chunk::of(row).1),
                    Some((Entry::Set(set), _)) => {
                        places.extend(set.rows().map(|row| Chunk::of(row).1));
                    }
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(places)
    }

    /// Whether others who go on have rows of `key` locked.
    pub fn has_locks_of_others(&self, key: &StorageKey) -> PgResult<bool> {
        let mut any = false;
        self.0.each_version(Some(key), |version| {
            if let Some(Entry::Row(_, Mark::Locked(_))) = Entry::read(&version) {
                any = matches!(version.writing(), Some(Writing::InProgress(_)));
            }
            Ok(flow(any))
        })?;
        Ok(any)
    }

    /// The places in a chunk of next versions of rows that were updated, in no order.
    pub fn places_of_next_versions(&self, key: &StorageKey, chunk: Chunk) -> PgResult<Vec<u16>> {
        let mut places = Vec::new();
        let Some(index) = KeyedTable::index(NEXT_INDEX) else {
            return Ok(places);
        };
        for numbers in numbers_of(chunk) {
            (self.0).each_version_of(key, Some(index), NEXT, numbers, |version| {
                match Entry::read(&version).filter(|_| version.writing().is_some()) {
                    Some(Entry::Row(_, mark)) => {
                        places.extend(mark.next().map(|next| Chunk::of(next).1));
                    }
                    Some(Entry::Set(set)) => places.extend(set.places_of_next_versions()),
                    None => {}
                }
                Ok(ControlFlow::Continue(()))
            })?;
        }
        Ok(places)
    }

    /// The row whose next version `row` is; `None` also where nobody can see that one any more.
    pub fn predecessor_of(&self, key: &StorageKey, row: RowId) -> PgResult<Option<RowId>> {
        let mut found = None;
        if let Some(index) = KeyedTable::index(NEXT_INDEX) {
            self.each_entry_at(key, Some(index), NEXT, row, |entry, version| {
                found = version.writing().and_then(|_| match entry {
                    Entry::Row(earlier, Mark::Changed(..)) => Some(earlier),
                    Entry::Row(_, Mark::Locked(_)) => None,
                    Entry::Set(set) => set.predecessor_of(row),
                });
                flow(found.is_some())
            })?;
        }
        Ok(found)
    }

    /// What became of a row as `snapshot`, an MVCC one, sees it; `None` if nothing did.
    pub fn successor_seen_by(
        &self,
        key: &StorageKey,
        row: RowId,
        snapshot: Snapshot<'_>,
    ) -> PgResult<Option<Successor>> {
        let mut found = None;
        self.each_entry_at(key, None, ROW, row, |entry, version| {
            if let Some(Mark::Changed(successor, _)) = entry.mark_of(row)
                && version.was_written_for(snapshot)
            {
                found = Some(successor);
            }
            flow(found.is_some())
        })?;
        Ok(found)
    }

    /// Whether the table has sets of rows: not that of version 0.2.0.
    pub fn has_sets(&self) -> bool {
        self.0.natts() == NATTS
    }

    /// Notes as command `cid` what is said of a row of `key`.
    pub fn insert(&self, key: &StorageKey, row: RowId, mark: Mark, cid: pg_sys::CommandId) {
        let [number, tablespace, backend] = key_columns(key);
        let columns: [Option<pg_sys::Datum>; NATTS] = [
            number,
            tablespace,
            backend,
            row.to_i64().into_datum(),
            (mark.kind() as i8).into_datum(),
            mark.next().map(RowId::to_i64).into_datum(),
            1_i32.into_datum(),
            None,
        ];
        self.0.insert_as(&columns[..self.0.natts()], cid);
    }

    /// Notes as command `cid` what it has done to many rows of `key`.
    pub fn insert_set(&self, key: &StorageKey, set: &RowSet, cid: pg_sys::CommandId) {
        let [number, tablespace, backend] = key_columns(key);
        let (kind, next) = match set.kind {
            SetKind::Deleted => (b'D', None),
            SetKind::Moved => (b'M', None),
            SetKind::Updated(next) => (b'U', Some(next.to_i64())),
        };
        let columns: [Option<pg_sys::Datum>; NATTS] = [
            number,
            tablespace,
            backend,
            set.chunk.to_i64().into_datum(),
            (kind as i8).into_datum(),
            next.into_datum(),
            (set.len() as i32).into_datum(),
            set.bytes().into_datum(),
        ];
        self.0.insert_as(&columns, cid);
    }

    /// Removes what notes the row locks of `key` that this transaction has.
    pub fn clear_locks(&self, key: &StorageKey) -> PgResult<()> {
        let latest = self.latest();
        let mut places = Vec::new();
        self.0.each(Some(key), latest.snapshot(), |version| {
            // Those of others are not to be seen.
            if let Some(Entry::Row(_, Mark::Locked(_))) = Entry::read(&version) {
                places.push(version.tid());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        self.0.delete(places);
        Ok(())
    }

    /// Removes changes that were found; the caller has the pointer row's lock, or the table's.
    pub fn delete(&self, changes: &[RowChange]) {
        self.0.delete(changes.iter().map(|change| change.tid));
    }

    /// One past the number of the largest row id that any row of `key` tells of, whether it counts or not.
    pub fn next_row_id(&self, key: &StorageKey) -> PgResult<u64> {
        let mut next = 0;
        self.0.each_version(Some(key), |version| {
            let greatest = match Entry::read(&version) {
                Some(Entry::Row(row, mark)) => mark.next().max(Some(row)),
                Some(Entry::Set(set)) => set.greatest(),
                None => None,
            };
            next = next.max(greatest.map_or(0, |row| row.number() + 1));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }

    /// The storages that `snapshot` sees changes of: relation file numbers and tablespaces. Temporary tables, which
    /// their sessions see to, are left out.
    pub fn storages(&self, snapshot: Snapshot<'_>) -> PgResult<BTreeSet<(u32, u32)>> {
        let mut storages = BTreeSet::new();
        self.0.each(None, snapshot, |version| {
            let key = version.key().filter(|key| !key.is_temporary());
            storages.extend(key.map(|key| (key.rel_number, key.tablespace)));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(storages)
    }
}

/// What columns of row ids hold for rows of a chunk: for single ones, and for sets.
fn numbers_of(chunk: Chunk) -> [RangeInclusive<i64>; 2] {
    let last = chunk.row(Chunk::ROWS as u16 - 1).to_i64();
    let number = chunk.to_i64();
    [chunk.row(0).to_i64()..=last, number..=number]
}

fn flow(is_over: bool) -> ControlFlow<()> {
    if is_over {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}
