//! The extension's own heap tables, whose rows belong to tables' storages.
//!
//! They are ordinary heap tables, so what they say is MVCC data: snapshots choose, and PostgreSQL's
//! commit record decides. Rows are written by the same functions that write PostgreSQL's catalogs
//! (`CatalogTupleInsert` and its siblings).

use std::ffi::CStr;
use std::ops::{ControlFlow, RangeInclusive};

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pg_lakebase_core::{serializable, xact};
use pgrx::{IntoDatum, PgSqlErrorCode, pg_sys};

use crate::directory::StorageKey;

const SCHEMA: &CStr = c"lakebase";

/// How many columns a table may have: as many as that of the earliest version of the extension that the library takes,
/// and no more than it knows. New ones come last.
pub type Columns = RangeInclusive<usize>;

/// An open table whose first columns, and an index on them, are those of [`KeyedTable::KEYS`].
pub struct KeyedTable {
    rel: pg_sys::Relation,
    index: pg_sys::Oid,
    lockmode: pg_sys::LOCKMODE,
}

impl KeyedTable {
    /// Columns of a storage's key: `relfilenumber`, `tablespace`, `backend`.
    pub const KEYS: usize = 3;

    /// Opens the table, which has so many columns, for reading; `None` while the extension is being created or
    /// dropped. Raises an error where the extension is another version's.
    pub fn open(table: &CStr, index: &CStr, columns: Columns) -> Option<Self> {
        Self::open_with(
            table,
            index,
            columns,
            pg_sys::AccessShareLock as pg_sys::LOCKMODE,
        )
    }

    /// As [`Self::open`]; `None` also where somebody has locked the table.
    pub fn open_unless_locked(table: &CStr, index: &CStr, columns: Columns) -> Option<Self> {
        let lockmode = pg_sys::AccessShareLock as pg_sys::LOCKMODE;
        let relid = Self::relid_of(table)?;
        // SAFETY: a lock of the transaction's, released below.
        unsafe {
            if !pg_sys::ConditionalLockRelationOid(relid, lockmode) {
                return None;
            }
        }
        let opened = Self::open_with(table, index, columns, lockmode);
        // SAFETY: as above.
        unsafe { pg_sys::UnlockRelationOid(relid, lockmode) };
        opened
    }

    /// The Oid of a table of the extension's.
    fn relid_of(table: &CStr) -> Option<pg_sys::Oid> {
        // SAFETY: name look-ups in the system caches with NUL-terminated names.
        let relid = unsafe {
            let namespace = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
            match namespace {
                pg_sys::InvalidOid => return None,
                _ => pg_sys::get_relname_relid(table.as_ptr(), namespace),
            }
        };
        (relid != pg_sys::InvalidOid).then_some(relid)
    }

    /// Opens the table for writing; `None` as for [`Self::open`].
    pub fn open_for_update(table: &CStr, index: &CStr, columns: Columns) -> Option<Self> {
        Self::open_with(
            table,
            index,
            columns,
            pg_sys::RowExclusiveLock as pg_sys::LOCKMODE,
        )
    }

    fn open_with(
        table: &CStr,
        index: &CStr,
        columns: Columns,
        lockmode: pg_sys::LOCKMODE,
    ) -> Option<Self> {
        // SAFETY: name look-ups in the system caches with NUL-terminated names; the relation is
        // opened under a lock and closed by `Drop`, or by the resource owner after an error.
        unsafe {
            let relid = Self::relid_of(table)?;
            let index = Self::relid_of(index)?;
            let rel = pg_sys::try_table_open(relid, lockmode);
            if rel.is_null() {
                return None;
            }
            let found = (*(*rel).rd_att).natts as usize;
            if !columns.contains(&found) {
                other_version(found > *columns.end()).raise();
            }
            Some(Self {
                rel,
                index,
                lockmode,
            })
        }
    }

    /// How many columns the table has.
    pub fn natts(&self) -> usize {
        // SAFETY: the relation is open.
        unsafe { (*(*self.rel).rd_att).natts as usize }
    }

    /// The table's Oid.
    pub fn relid(&self) -> pg_sys::Oid {
        // SAFETY: the relation is open.
        unsafe { (*self.rel).rd_id }
    }

    /// The oldest transaction, with its epoch, that some snapshot may not see: what older ones have made superfluous
    /// nobody needs (`GetOldestNonRemovableTransactionId`).
    pub fn removable_before(&self) -> u64 {
        // SAFETY: the relation is open.
        xact::with_epoch(unsafe { pg_sys::GetOldestNonRemovableTransactionId(self.rel) })
    }

    /// A snapshot of what is committed now, and of all that this transaction has done.
    pub fn latest(&self) -> RegisteredSnapshot {
        RegisteredSnapshot::catalog(self.relid())
    }

    /// Calls `on_row` with the rows of `key`, or of all storages, that `snapshot` sees.
    ///
    /// For serializable transactions, reading these tables is not noted: tables whose rows lie on one
    /// page would conflict.
    pub fn each(
        &self,
        key: Option<&StorageKey>,
        snapshot: Snapshot<'_>,
        mut on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        if serializable::is_serializable() {
            self.each_version(key, |version| {
                if version.is_visible(snapshot) {
                    on_row(version)
                } else {
                    Ok(ControlFlow::Continue(()))
                }
            })
        } else {
            self.scan(key, snapshot, on_row)
        }
    }

    /// Calls `on_row` with every version of the rows of `key`, or of all storages, whoever may see it.
    pub fn each_version(
        &self,
        key: Option<&StorageKey>,
        on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        self.scan(key, Snapshot::any(), on_row)
    }

    /// Another index of the table's, by name.
    pub fn index(index: &CStr) -> Option<pg_sys::Oid> {
        Self::relid_of(index)
    }

    /// Calls `on_row` with every version of the rows of `key` that have one of `numbers` in a column, from 1, which is of
    /// type `int8` and comes after the key in `index`; without an index, in that which the table was opened with.
    pub fn each_version_of(
        &self,
        key: &StorageKey,
        index: Option<pg_sys::Oid>,
        column: pg_sys::AttrNumber,
        numbers: RangeInclusive<i64>,
        on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        let index = index.unwrap_or(self.index);
        let numbers = Some((column, numbers));
        self.scan_for(Some(key), index, numbers, Snapshot::any(), on_row)
    }

    fn scan(
        &self,
        key: Option<&StorageKey>,
        snapshot: Snapshot<'_>,
        on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        self.scan_for(key, self.index, None, snapshot, on_row)
    }

    fn scan_for(
        &self,
        key: Option<&StorageKey>,
        index: pg_sys::Oid,
        numbers: Option<(pg_sys::AttrNumber, RangeInclusive<i64>)>,
        snapshot: Snapshot<'_>,
        mut on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        // SAFETY: the keys match the columns' types (oid, oid, int4, int8) and their equality functions;
        // the scan ends before the relation is closed.
        unsafe {
            let mut keys: [pg_sys::ScanKeyData; Self::KEYS + 2] = Default::default();
            let mut count = match key {
                Some(key) => {
                    let oid_eq = pg_sys::F_OIDEQ.into();
                    let procedures = [oid_eq, oid_eq, pg_sys::F_INT4EQ.into()];
                    let values = key_columns(key);
                    for (index, entry) in keys.iter_mut().take(Self::KEYS).enumerate() {
                        pg_sys::ScanKeyInit(
                            entry,
                            index as pg_sys::AttrNumber + 1,
                            pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber,
                            procedures[index],
                            values[index].unwrap_or(pg_sys::Datum::null()),
                        );
                    }
                    Self::KEYS as i32
                }
                None => 0,
            };
            if let Some((column, numbers)) = numbers {
                let (least, greatest) = numbers.into_inner();
                let bounds = [
                    (
                        pg_sys::BTGreaterEqualStrategyNumber,
                        pg_sys::F_INT8GE,
                        least,
                    ),
                    (
                        pg_sys::BTLessEqualStrategyNumber,
                        pg_sys::F_INT8LE,
                        greatest,
                    ),
                ];
                let equal = [(pg_sys::BTEqualStrategyNumber, pg_sys::F_INT8EQ, least)];
                let wanted = if least == greatest {
                    &equal[..]
                } else {
                    &bounds
                };
                for &(strategy, procedure, number) in wanted {
                    pg_sys::ScanKeyInit(
                        &mut keys[count as usize],
                        column,
                        strategy as pg_sys::StrategyNumber,
                        procedure.into(),
                        pg_sys::Datum::from(number),
                    );
                    count += 1;
                }
            }
            let scan = pg_sys::systable_beginscan(
                self.rel,
                index,
                key.is_some(),
                snapshot.as_ptr(),
                count,
                keys.as_mut_ptr(),
            );
            let mut result = Ok(());
            loop {
                let tuple = pg_sys::systable_getnext(scan);
                if tuple.is_null() {
                    break;
                }
                // The slot of a scan of a heap table.
                let slot = (*scan).slot.cast::<pg_sys::BufferHeapTupleTableSlot>();
                let version = RowVersion {
                    rel: self.rel,
                    tuple,
                    buffer: (*slot).buffer,
                };
                match on_row(version) {
                    Ok(ControlFlow::Continue(())) => {}
                    Ok(ControlFlow::Break(())) => break,
                    Err(error) => {
                        result = Err(error);
                        break;
                    }
                }
            }
            pg_sys::systable_endscan(scan);
            result
        }
    }

    /// The storages of the rows that transaction `xid` wrote, whatever became of it.
    pub fn written_by(&self, xid: pg_sys::TransactionId) -> PgResult<Vec<StorageKey>> {
        let mut keys = Vec::new();
        self.each_version(None, |version| {
            if version.writer() == xid {
                keys.extend(version.key());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(keys)
    }

    /// Adds a row.
    pub fn insert(&self, columns: &[Option<pg_sys::Datum>]) {
        self.write(columns, |tuple| {
            // SAFETY: `tuple` was formed for this relation's descriptor.
            unsafe { pg_sys::CatalogTupleInsert(self.rel, tuple) }
        });
    }

    /// Adds a row as command `cid` does it: what the transaction's snapshots see of the row goes by that. An index on
    /// a column that may be null has only rows in which it is not.
    pub fn insert_as(&self, columns: &[Option<pg_sys::Datum>], cid: pg_sys::CommandId) {
        let (values, nulls) = split(columns);
        // SAFETY: values and nulls have the descriptor's length; the list is one of Oids, and the caller's to free.
        unsafe {
            let descriptor = (*self.rel).rd_att;
            debug_assert!(columns.len() >= (*descriptor).natts as usize);
            let tuple = pg_sys::heap_form_tuple(descriptor, values.as_ptr(), nulls.as_ptr());
            pg_sys::heap_insert(self.rel, tuple, cid, 0, std::ptr::null_mut());
            let indexes = pg_sys::RelationGetIndexList(self.rel);
            let count = if indexes.is_null() {
                0
            } else {
                (*indexes).length
            };
            for index in (0..count).map(|place| pg_sys::list_nth_oid(indexes, place)) {
                self.insert_into_index(index, columns, tuple);
            }
            pg_sys::list_free(indexes);
            pg_sys::heap_freetuple(tuple);
        }
    }

    /// # Safety
    ///
    /// `index` is an index on columns of the table, and `tuple` the row of these columns.
    unsafe fn insert_into_index(
        &self,
        index: pg_sys::Oid,
        columns: &[Option<pg_sys::Datum>],
        tuple: pg_sys::HeapTuple,
    ) {
        // SAFETY: the caller's promise; the index is closed again, or by the resource owner after an error.
        unsafe {
            let index = pg_sys::index_open(index, pg_sys::RowExclusiveLock as pg_sys::LOCKMODE);
            let form = &*(*index).rd_index;
            let attributes = form.indkey.values.as_slice(form.indnatts as usize);
            let indexed: Option<Vec<pg_sys::Datum>> = (attributes.iter())
                .map(|&attribute| *columns.get(usize::try_from(attribute - 1).ok()?)?)
                .collect();
            // One that is just being built gets the row from who builds it.
            if let Some(mut values) = indexed.filter(|_| form.indisready) {
                let mut nulls = vec![false; values.len()];
                pg_sys::index_insert(
                    index,
                    values.as_mut_ptr(),
                    nulls.as_mut_ptr(),
                    &mut (*tuple).t_self,
                    self.rel,
                    pg_sys::IndexUniqueCheck::UNIQUE_CHECK_NO,
                    false,
                    // Of which a B-tree takes nothing (`btinsert`).
                    &mut pg_sys::IndexInfo::default(),
                );
            }
            pg_sys::index_close(index, pg_sys::NoLock as pg_sys::LOCKMODE);
        }
    }

    /// Replaces the row version at `tid`, which this transaction has locked.
    pub fn update(&self, mut tid: pg_sys::ItemPointerData, columns: &[Option<pg_sys::Datum>]) {
        self.write(columns, |tuple| {
            // SAFETY: as for `insert`; `tid` is the row version that this transaction has locked.
            unsafe { pg_sys::CatalogTupleUpdate(self.rel, &mut tid, tuple) }
        });
    }

    /// Removes the row versions at `tids`, which nobody else may change.
    pub fn delete(&self, tids: impl IntoIterator<Item = pg_sys::ItemPointerData>) {
        // SAFETY: the caller holds what keeps others from changing the rows.
        unsafe {
            for mut tid in tids {
                pg_sys::CatalogTupleDelete(self.rel, &mut tid);
            }
            pg_sys::CommandCounterIncrement();
        }
    }

    fn write(&self, columns: &[Option<pg_sys::Datum>], store: impl FnOnce(pg_sys::HeapTuple)) {
        let (values, nulls) = split(columns);
        // SAFETY: values and nulls have the descriptor's length at least: a table of an earlier version goes without the
        // last. The command counter is advanced so
        // that a later step of this transaction (ON COMMIT DROP, say) sees and may replace the row.
        unsafe {
            let descriptor = (*self.rel).rd_att;
            debug_assert!(columns.len() >= (*descriptor).natts as usize);
            let tuple = pg_sys::heap_form_tuple(descriptor, values.as_ptr(), nulls.as_ptr());
            store(tuple);
            pg_sys::heap_freetuple(tuple);
            pg_sys::CommandCounterIncrement();
        }
    }
}

impl Drop for KeyedTable {
    fn drop(&mut self) {
        // While an error unwinds, the resource owner closes the relation, and calling into
        // PostgreSQL is not safe.
        if !std::thread::panicking() {
            // SAFETY: opened by `open_with` and not closed since; the lock stays to the end of the
            // transaction, as for any table that was written.
            let lock = if self.lockmode == pg_sys::AccessShareLock as pg_sys::LOCKMODE {
                self.lockmode
            } else {
                pg_sys::NoLock as pg_sys::LOCKMODE
            };
            // SAFETY: as above.
            unsafe { pg_sys::table_close(self.rel, lock) }
        }
    }
}

fn split(columns: &[Option<pg_sys::Datum>]) -> (Vec<pg_sys::Datum>, Vec<bool>) {
    let null = pg_sys::Datum::null();
    (columns.iter())
        .map(|column| (column.unwrap_or(null), column.is_none()))
        .unzip()
}

/// The extension's tables are not those that this library knows. Each change of them adds a column to one that every
/// statement opens, so that no library takes tables of later ones for its own.
fn other_version(is_newer: bool) -> PgError {
    let (than, hint) = if is_newer {
        (
            "newer",
            "Install the version that the extension was updated to, and restart the server.",
        )
    } else {
        (
            "older",
            "Execute ALTER EXTENSION pg_iceberg_am UPDATE in this database.",
        )
    };
    PgError::new(
        PgSqlErrorCode::ERRCODE_OBJECT_NOT_IN_PREREQUISITE_STATE,
        format!("the catalog of extension \"pg_iceberg_am\" is {than} than its library"),
    )
    .with_detail(concat!(
        "The library's version is ",
        env!("CARGO_PKG_VERSION"),
        "."
    ))
    .with_hint(hint)
}

/// The values of a key's columns.
pub fn key_columns(key: &StorageKey) -> [Option<pg_sys::Datum>; KeyedTable::KEYS] {
    [
        pg_sys::Oid::from(key.rel_number).into_datum(),
        pg_sys::Oid::from(key.tablespace).into_datum(),
        key.backend.into_datum(),
    ]
}

/// Who wrote a row version that counts, or may come to count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writing {
    /// This transaction, with this command.
    Own(pg_sys::CommandId),
    /// Another transaction, which is going on.
    InProgress(pg_sys::TransactionId),
    /// Another transaction, which has committed.
    Committed(pg_sys::TransactionId),
}

/// A version of a row that a scan stands on, whose slot pins it.
pub struct RowVersion {
    rel: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    buffer: pg_sys::Buffer,
}

impl RowVersion {
    /// The transaction that wrote it; `FrozenTransactionId` once it is frozen, when that of its header may
    /// be one of another age (`HeapTupleHeaderGetXmin`).
    pub fn writer(&self) -> pg_sys::TransactionId {
        if self.has_hint(pg_sys::HEAP_XMIN_FROZEN) {
            return pg_sys::FrozenTransactionId;
        }
        // SAFETY: the tuple is pinned; nobody changes what is read.
        unsafe { (*(*self.tuple).t_data).t_choice.t_heap.t_xmin }
    }

    /// Whether the header has all of these bits of its infomask, which say what became of the writer.
    fn has_hint(&self, bits: u32) -> bool {
        // SAFETY: the tuple is pinned. Whoever sets hints at the same time sets more of them.
        let mask = unsafe { (*(*self.tuple).t_data).t_infomask };
        u32::from(mask) & bits == bits
    }

    /// Where it is.
    pub fn tid(&self) -> pg_sys::ItemPointerData {
        // SAFETY: as above.
        unsafe { (*self.tuple).t_self }
    }

    /// Whether its writer has committed, if hints tell. They come first: the log of transactions need not
    /// know any more a writer of which they do. Frozen rows are hinted as committed, too.
    fn hinted(&self) -> Option<bool> {
        if self.has_hint(pg_sys::HEAP_XMIN_COMMITTED) {
            Some(true)
        } else {
            self.has_hint(pg_sys::HEAP_XMIN_INVALID).then_some(false)
        }
    }

    /// Whether its writer has committed.
    pub fn is_committed(&self) -> bool {
        self.hinted().unwrap_or_else(|| {
            // SAFETY: a transaction id is looked up.
            unsafe { pg_sys::TransactionIdDidCommit(self.writer()) }
        })
    }

    /// Whether its writer is this transaction or has committed; what others wrote never counted.
    pub fn is_committed_or_own(&self) -> bool {
        if let Some(committed) = self.hinted() {
            return committed;
        }
        let writer = self.writer();
        // SAFETY: transaction ids are looked up.
        unsafe {
            pg_sys::TransactionIdIsCurrentTransactionId(writer)
                || pg_sys::TransactionIdDidCommit(writer)
        }
    }

    /// Who wrote it, unless that was rolled back.
    pub fn writing(&self) -> Option<Writing> {
        let writer = self.writer();
        match self.hinted() {
            Some(true) => return Some(Writing::Committed(writer)),
            Some(false) => return None,
            None => {}
        }
        // SAFETY: transaction ids are looked up, in the order that `HeapTupleSatisfiesUpdate` needs; the tuple is
        // pinned, and its writer is this transaction where the command is asked for.
        unsafe {
            if pg_sys::TransactionIdIsCurrentTransactionId(writer) {
                let cid = pg_sys::HeapTupleHeaderGetCmin((*self.tuple).t_data);
                Some(Writing::Own(cid))
            } else if pg_sys::TransactionIdIsInProgress(writer) {
                Some(Writing::InProgress(writer))
            } else {
                pg_sys::TransactionIdDidCommit(writer).then_some(Writing::Committed(writer))
            }
        }
    }

    /// Whether `snapshot`, an MVCC one, sees that it was written, whatever has become of it since.
    pub fn was_written_for(&self, snapshot: Snapshot<'_>) -> bool {
        match self.writing() {
            Some(Writing::Own(cid)) => cid < snapshot.cur_cid(),
            // SAFETY: an MVCC snapshot, and an id of a transaction that has committed.
            Some(Writing::Committed(xid)) => unsafe {
                !pg_sys::TransactionIdIsNormal(xid)
                    || !pg_sys::XidInMVCCSnapshot(xid, snapshot.as_ptr())
            },
            Some(Writing::InProgress(_)) | None => false,
        }
    }

    /// Whether no snapshot sees it any more: VACUUM would remove it.
    pub fn is_dead(&self) -> bool {
        // SAFETY: as for `is_visible`.
        unsafe {
            let horizon = pg_sys::GetOldestNonRemovableTransactionId(self.rel);
            pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let result = pg_sys::HeapTupleSatisfiesVacuum(self.tuple, horizon, self.buffer);
            pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            result == pg_sys::HTSV_Result::HEAPTUPLE_DEAD
        }
    }

    /// Whether `snapshot` sees it.
    pub fn is_visible(&self, snapshot: Snapshot<'_>) -> bool {
        // SAFETY: the tuple is pinned. Its visibility is looked at, and its hint bits may be set, under
        // the lock of its page.
        unsafe {
            pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_SHARE as i32);
            let visible =
                pg_sys::HeapTupleSatisfiesVisibility(self.tuple, snapshot.as_ptr(), self.buffer);
            pg_sys::LockBuffer(self.buffer, pg_sys::BUFFER_LOCK_UNLOCK as i32);
            visible
        }
    }

    /// Locks the row for being replaced. `None` if it has been replaced already, or if another
    /// transaction has the lock and `wait` is false.
    pub fn lock(&self, wait: bool) -> Option<LockedRow> {
        // SAFETY: the scan's tuple is valid here; what is locked is its TID, in a copy of the header
        // that `heap_lock_tuple` points at the buffer it pins.
        unsafe {
            let mut locked = LockedRow {
                rel: self.rel,
                tuple: pg_sys::HeapTupleData {
                    t_self: (*self.tuple).t_self,
                    ..Default::default()
                },
                buffer: pg_sys::InvalidBuffer as pg_sys::Buffer,
            };
            let mut failure = pg_sys::TM_FailureData::default();
            let policy = if wait {
                pg_sys::LockWaitPolicy::LockWaitBlock
            } else {
                pg_sys::LockWaitPolicy::LockWaitSkip
            };
            let result = pg_sys::heap_lock_tuple(
                self.rel,
                &mut locked.tuple,
                pg_sys::GetCurrentCommandId(true),
                pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
                policy,
                false,
                &mut locked.buffer,
                &mut failure,
            );
            (result == pg_sys::TM_Result::TM_Ok).then_some(locked)
        }
    }

    /// The storage that the row belongs to.
    pub fn key(&self) -> Option<StorageKey> {
        let value = |attribute: pg_sys::AttrNumber| {
            let mut is_null = false;
            // SAFETY: the tuple is one of the relation, and pinned; the key's columns are the first ones.
            let datum = unsafe {
                let descriptor = (*self.rel).rd_att;
                pg_sys::heap_getattr(self.tuple, attribute.into(), descriptor, &mut is_null)
            };
            (!is_null).then(|| datum.value())
        };
        Some(StorageKey {
            rel_number: value(1)? as u32,
            tablespace: value(2)? as u32,
            // SAFETY: the database that the session is connected to.
            database: unsafe { pg_sys::MyDatabaseId }.to_u32(),
            backend: value(3)? as i32,
        })
    }

    /// The values of all columns.
    pub fn columns<const N: usize>(&self) -> ([pg_sys::Datum; N], [bool; N]) {
        // SAFETY: the tuple is one of the relation, and pinned.
        unsafe { deform(self.rel, self.tuple) }
    }
}

/// A row that this transaction has locked, pinned until dropped.
pub struct LockedRow {
    rel: pg_sys::Relation,
    tuple: pg_sys::HeapTupleData,
    buffer: pg_sys::Buffer,
}

impl LockedRow {
    /// Where it is.
    pub fn tid(&self) -> pg_sys::ItemPointerData {
        self.tuple.t_self
    }

    /// The values of all columns.
    pub fn columns<const N: usize>(&mut self) -> ([pg_sys::Datum; N], [bool; N]) {
        // SAFETY: as for `RowVersion::columns`.
        unsafe { deform(self.rel, &mut self.tuple) }
    }
}

impl Drop for LockedRow {
    fn drop(&mut self) {
        if self.buffer != pg_sys::InvalidBuffer as pg_sys::Buffer && !std::thread::panicking() {
            // SAFETY: pinned by `heap_lock_tuple`.
            unsafe { pg_sys::ReleaseBuffer(self.buffer) }
        }
    }
}

/// # Safety
///
/// `tuple` is a valid one of `rel`, which has `N` columns, or fewer: the last are null then.
unsafe fn deform<const N: usize>(
    rel: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
) -> ([pg_sys::Datum; N], [bool; N]) {
    let mut values = [pg_sys::Datum::null(); N];
    let mut nulls = [true; N];
    // SAFETY: the caller's.
    unsafe {
        let descriptor = (*rel).rd_att;
        debug_assert!((*descriptor).natts as usize <= N);
        pg_sys::heap_deform_tuple(tuple, descriptor, values.as_mut_ptr(), nulls.as_mut_ptr());
    }
    (values, nulls)
}
