//! The pointer row: which metadata file is a table's current one.
//!
//! `lakebase.iceberg_pointer` is an ordinary heap table, so a pointer is MVCC data: a statement
//! follows the pointer its snapshot sees, and PostgreSQL's commit record decides whether a new
//! pointer counts. Rows are written here and nowhere else, by the same functions that write
//! PostgreSQL's catalogs (`CatalogTupleInsert` and its siblings).

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ops::ControlFlow;

use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pg_lakebase_core::{serializable, xact};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode, pg_sys};

use crate::storage::StorageKey;

const SCHEMA: &CStr = c"lakebase";
const TABLE: &CStr = c"iceberg_pointer";

/// Columns of `lakebase.iceberg_pointer`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 9;

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
    /// What the storage is to snapshots from before it was made.
    pub origin: Origin,
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

/// A pointer row that this transaction has locked and will replace.
pub struct LockedPointer {
    /// The row's latest committed version.
    pub pointer: Pointer,
    /// Where it is.
    pub tid: pg_sys::ItemPointerData,
}

/// The open pointer table.
pub struct PointerCatalog {
    rel: pg_sys::Relation,
    index: pg_sys::Oid,
    lockmode: pg_sys::LOCKMODE,
}

impl PointerCatalog {
    /// Opens the pointer table for reading; `None` while the extension is being created or dropped.
    pub fn open() -> Option<Self> {
        Self::open_with(pg_sys::AccessShareLock as pg_sys::LOCKMODE)
    }

    /// Opens the pointer table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        Self::open_with(pg_sys::RowExclusiveLock as pg_sys::LOCKMODE)
    }

    fn open_with(lockmode: pg_sys::LOCKMODE) -> Option<Self> {
        // SAFETY: name look-ups in the system caches with NUL-terminated names; the relation is
        // opened under a lock and closed by `Drop`, or by the resource owner after an error.
        unsafe {
            let namespace = pg_sys::get_namespace_oid(SCHEMA.as_ptr(), true);
            if namespace == pg_sys::InvalidOid {
                return None;
            }
            let relid = pg_sys::get_relname_relid(TABLE.as_ptr(), namespace);
            if relid == pg_sys::InvalidOid {
                return None;
            }
            let rel = pg_sys::try_table_open(relid, lockmode);
            if rel.is_null() {
                return None;
            }
            let index = pg_sys::RelationGetPrimaryKeyIndex(rel);
            Some(Self {
                rel,
                index,
                lockmode,
            })
        }
    }

    /// The row of `key` that `snapshot` sees; without a snapshot, the latest committed one or this
    /// transaction's own.
    pub fn find(&self, key: &StorageKey, snapshot: Option<Snapshot>) -> PgResult<Option<Pointer>> {
        self.scan(key, snapshot, read)
    }

    /// As [`Self::find`], for a serializable transaction: `unseen` is told of every transaction that
    /// has replaced the row and that the snapshot does not see.
    ///
    /// All versions of the row are looked at, and the reading of the pointer table itself is not noted
    /// for serializability, which would make tables conflict whose rows lie on one page.
    pub fn find_among_versions(
        &self,
        key: &StorageKey,
        snapshot: Snapshot,
        mut unseen: impl FnMut(pg_sys::TransactionId),
    ) -> PgResult<Option<Pointer>> {
        let mut found = None;
        self.each_version(key, |version| {
            if version.is_visible(snapshot) {
                found = Some(version.read()?);
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
        self.each_version(key, |version| {
            let writer = version.writer();
            // SAFETY: transaction ids are compared and looked up.
            let is_earlier = unsafe {
                pg_sys::TransactionIdDidCommit(writer)
                    && first
                        .as_ref()
                        .is_none_or(|(known, _)| pg_sys::TransactionIdPrecedes(writer, *known))
            };
            if is_earlier {
                first = Some((writer, version.read()?));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(first.map(|(_, pointer)| pointer))
    }

    /// The metadata files, relative to the table's directory, that any version of the row of `key`
    /// names: a snapshot may see any of them.
    pub fn metadata_of_all_versions(&self, key: &StorageKey) -> PgResult<BTreeSet<String>> {
        let mut names = BTreeSet::new();
        self.each_version(key, |version| {
            let writer = version.writer();
            // Versions that never counted name files that nothing needs.
            // SAFETY: transaction ids are looked up.
            let counts = unsafe {
                pg_sys::TransactionIdDidCommit(writer)
                    || pg_sys::TransactionIdIsCurrentTransactionId(writer)
            };
            if counts {
                names.extend(version.read()?.metadata_location);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(names)
    }

    /// Adds the row of a storage made by this transaction.
    pub fn insert(&self, key: &StorageKey, pointer: &Pointer) -> PgResult<()> {
        self.write(key, pointer, |rel, tuple| {
            // SAFETY: `tuple` was formed for this relation's descriptor.
            unsafe { pg_sys::CatalogTupleInsert(rel, tuple) }
        });
        Ok(())
    }

    /// Locks the latest version of the row of `key`, waiting for whoever is publishing now.
    pub fn lock(&self, key: &StorageKey) -> PgResult<LockedPointer> {
        loop {
            pg_lakebase_core::interrupt::check();
            let found = self.scan(key, None, |rel, tuple| {
                // SAFETY: the scan's tuple is valid here; what is locked is its TID, in a copy of
                // the header that `heap_lock_tuple` points at the buffer it pins.
                unsafe {
                    let mut target = pg_sys::HeapTupleData {
                        t_self: (*tuple).t_self,
                        ..Default::default()
                    };
                    let mut buffer = pg_sys::InvalidBuffer as pg_sys::Buffer;
                    let mut failure = pg_sys::TM_FailureData::default();
                    let result = pg_sys::heap_lock_tuple(
                        rel,
                        &mut target,
                        pg_sys::GetCurrentCommandId(true),
                        pg_sys::LockTupleMode::LockTupleNoKeyExclusive,
                        pg_sys::LockWaitPolicy::LockWaitBlock,
                        false,
                        &mut buffer,
                        &mut failure,
                    );
                    let locked = (result == pg_sys::TM_Result::TM_Ok).then(|| {
                        read(rel, &mut target).map(|pointer| LockedPointer {
                            pointer,
                            tid: target.t_self,
                        })
                    });
                    if buffer != pg_sys::InvalidBuffer as pg_sys::Buffer {
                        pg_sys::ReleaseBuffer(buffer);
                    }
                    locked.transpose()
                }
            })?;
            match found {
                Some(Some(locked)) => return Ok(locked),
                // Replaced while we waited: the new version is committed now, look again.
                Some(None) => continue,
                None => {
                    return Err(PgError::new(
                        PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                        format!("Iceberg storage {} has no pointer row", key.rel_number),
                    ));
                }
            }
        }
    }

    /// Replaces a locked row.
    pub fn replace(
        &self,
        key: &StorageKey,
        locked: LockedPointer,
        pointer: &Pointer,
    ) -> PgResult<()> {
        let mut tid = locked.tid;
        self.write(key, pointer, |rel, tuple| {
            // SAFETY: as for `insert`; `tid` is the row version that this transaction has locked.
            unsafe { pg_sys::CatalogTupleUpdate(rel, &mut tid, tuple) }
        });
        Ok(())
    }

    /// Removes the row of `key`, if there is one.
    pub fn delete(&self, key: &StorageKey) -> PgResult<()> {
        let found = self.scan(key, None, |_, tuple| {
            // SAFETY: the scan's tuple is valid here.
            Ok(unsafe { (*tuple).t_self })
        })?;
        if let Some(mut tid) = found {
            // SAFETY: the caller holds the lock that dropping or rewriting the table takes, so
            // nobody else replaces the row between the scan and here.
            unsafe {
                pg_sys::CatalogTupleDelete(self.rel, &mut tid);
                pg_sys::CommandCounterIncrement();
            }
        }
        Ok(())
    }

    /// Calls `on_row` with the first row of `key` that `snapshot` sees.
    fn scan<T>(
        &self,
        key: &StorageKey,
        snapshot: Option<Snapshot>,
        on_row: impl FnOnce(pg_sys::Relation, pg_sys::HeapTuple) -> PgResult<T>,
    ) -> PgResult<Option<T>> {
        let (mut on_row, mut result) = (Some(on_row), None);
        let mut on_first = |rel, tuple| {
            if let Some(on_row) = on_row.take() {
                result = Some(on_row(rel, tuple)?);
            }
            Ok(ControlFlow::Break(()))
        };
        if snapshot.is_none() && serializable::is_serializable() && !xact::in_parallel_mode() {
            // What is read here is no reading of the table by the transaction, and must not count as such.
            let latest = RegisteredSnapshot::latest();
            self.each_version(key, |version| {
                if version.is_visible(latest.snapshot()) {
                    on_first(version.rel, version.tuple)
                } else {
                    Ok(ControlFlow::Continue(()))
                }
            })?;
        } else {
            self.each(key, snapshot, |version| {
                on_first(version.rel, version.tuple)
            })?;
        }
        Ok(result)
    }

    /// Calls `on_row` with every version of the row of `key`, whoever may see it.
    fn each_version(
        &self,
        key: &StorageKey,
        on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        // SAFETY: a static snapshot.
        let all = unsafe { Snapshot::from_raw(&raw mut pg_sys::SnapshotAnyData) };
        self.each(key, Some(all), on_row)
    }

    /// Calls `on_row` with the versions of the row of `key` that `snapshot` sees.
    fn each(
        &self,
        key: &StorageKey,
        snapshot: Option<Snapshot>,
        mut on_row: impl FnMut(RowVersion) -> PgResult<ControlFlow<()>>,
    ) -> PgResult<()> {
        // SAFETY: the keys match the columns' types (oid, oid, int4) and their equality functions;
        // the scan ends before the relation is closed. A null snapshot asks for a fresh catalog
        // snapshot (`GetCatalogSnapshot`), which any transaction may take, also in parallel mode.
        unsafe {
            let mut keys: [pg_sys::ScanKeyData; 3] = Default::default();
            let oid_eq = pg_sys::F_OIDEQ.into();
            let int4_eq = pg_sys::F_INT4EQ.into();
            let equal = pg_sys::BTEqualStrategyNumber as pg_sys::StrategyNumber;
            let values = [
                (1, oid_eq, pg_sys::Oid::from(key.rel_number).into_datum()),
                (2, oid_eq, pg_sys::Oid::from(key.tablespace).into_datum()),
                (3, int4_eq, key.backend.into_datum()),
            ];
            for (entry, (attnum, procedure, value)) in keys.iter_mut().zip(values) {
                let value = value.unwrap_or(pg_sys::Datum::null());
                pg_sys::ScanKeyInit(entry, attnum, equal, procedure, value);
            }
            let snapshot = snapshot.map_or(std::ptr::null_mut(), |s| s.as_ptr());
            let scan = pg_sys::systable_beginscan(
                self.rel,
                self.index,
                true,
                snapshot,
                3,
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

    fn write(
        &self,
        key: &StorageKey,
        pointer: &Pointer,
        store: impl FnOnce(pg_sys::Relation, pg_sys::HeapTuple),
    ) {
        let columns: [Option<pg_sys::Datum>; NATTS] = [
            pg_sys::Oid::from(key.rel_number).into_datum(),
            pg_sys::Oid::from(key.tablespace).into_datum(),
            key.backend.into_datum(),
            pointer
                .metadata_location
                .as_deref()
                .and_then(IntoDatum::into_datum),
            pointer.snapshot_id.into_datum(),
            pointer.row_count.into_datum(),
            pointer.file_count.into_datum(),
            pointer.total_bytes.into_datum(),
            pointer.origin.letter().into_datum(),
        ];
        let nulls = columns.map(|column| column.is_none());
        let values = columns.map(|column| column.unwrap_or(pg_sys::Datum::null()));
        // SAFETY: values and nulls have the descriptor's length. The command counter is advanced so
        // that a later step of this transaction (ON COMMIT DROP, say) sees and may replace the row.
        unsafe {
            let tuple =
                pg_sys::heap_form_tuple((*self.rel).rd_att, values.as_ptr(), nulls.as_ptr());
            store(self.rel, tuple);
            pg_sys::heap_freetuple(tuple);
            pg_sys::CommandCounterIncrement();
        }
    }
}

impl Drop for PointerCatalog {
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

/// A version of a pointer row that a scan stands on, whose slot pins it.
struct RowVersion {
    rel: pg_sys::Relation,
    tuple: pg_sys::HeapTuple,
    buffer: pg_sys::Buffer,
}

impl RowVersion {
    /// The transaction that wrote it.
    fn writer(&self) -> pg_sys::TransactionId {
        // SAFETY: the tuple is pinned; nobody changes what is read.
        unsafe { (*(*self.tuple).t_data).t_choice.t_heap.t_xmin }
    }

    /// Whether `snapshot` sees it.
    fn is_visible(&self, snapshot: Snapshot<'_>) -> bool {
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

    fn read(&self) -> PgResult<Pointer> {
        read(self.rel, self.tuple)
    }
}

/// Takes a pointer out of a row of the pointer table.
fn read(rel: pg_sys::Relation, tuple: pg_sys::HeapTuple) -> PgResult<Pointer> {
    let mut values = [pg_sys::Datum::null(); NATTS];
    let mut nulls = [true; NATTS];
    // SAFETY: the tuple is one of `rel`, whose descriptor has NATTS columns of these types.
    unsafe {
        pg_sys::heap_deform_tuple(
            tuple,
            (*rel).rd_att,
            values.as_mut_ptr(),
            nulls.as_mut_ptr(),
        );
        let int8 = |i: usize| i64::from_datum(values[i], nulls[i]);
        Ok(Pointer {
            metadata_location: String::from_datum(values[3], nulls[3]),
            snapshot_id: int8(4),
            row_count: int8(5).unwrap_or(0),
            file_count: int8(6).unwrap_or(0),
            total_bytes: int8(7).unwrap_or(0),
            origin: Origin::from_letter(i8::from_datum(values[8], nulls[8]).unwrap_or(0)),
        })
    }
}
