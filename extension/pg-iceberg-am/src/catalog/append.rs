//! Appends: data files that count already and that no metadata file names yet.
//!
//! A transaction that appends to a table while its metadata file is being replaced, or was a moment ago,
//! commits a row for each of its data files in `lakebase.iceberg_append` and lets the publisher
//! (`publisher.rs`) put them into the next metadata file, together with others'. A snapshot sees a
//! table as its pointer row says and, on top, the appends it sees: the publisher replaces the pointer
//! row and deletes the appends in one transaction, so that it sees every file once.

use std::collections::BTreeSet;
use std::ffi::CStr;
use std::ops::ControlFlow;
use std::sync::Arc;

use iceberg_lite::manifest::{DataFile, decode_data_file, encode_data_file};
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pgrx::{FromDatum, IntoDatum, pg_sys};

use super::keyed_table::{KeyedTable, RowVersion, key_columns};
use crate::error::to_pg_error;
use crate::storage::StorageKey;

const TABLE: &CStr = c"iceberg_append";
const INDEX: &CStr = c"iceberg_append_storage";

/// Columns of `lakebase.iceberg_append`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 6;

/// The longest record of a data file: rows are never toasted, as those of pointers.
const MAX_RECORD_BYTES: usize = 7 << 10;

/// A data file that a transaction may commit without metadata.
pub struct Record {
    row_count: i64,
    total_bytes: i64,
    bytes: Vec<u8>,
}

impl Record {
    /// `None` if it takes too much space.
    pub fn of(file: &DataFile) -> PgResult<Option<Self>> {
        let bytes = encode_data_file(file).map_err(to_pg_error)?;
        Ok((bytes.len() <= MAX_RECORD_BYTES).then_some(Self {
            row_count: file.record_count,
            total_bytes: file.file_size_in_bytes,
            bytes,
        }))
    }
}

/// A committed data file that the metadata does not name.
#[derive(Clone, Debug)]
pub struct Append {
    /// Rows in the file.
    pub row_count: i64,
    /// Bytes of the file.
    pub total_bytes: i64,
    tid: pg_sys::ItemPointerData,
    record: Vec<u8>,
}

impl PartialEq for Append {
    /// Whether both are the same row.
    fn eq(&self, other: &Self) -> bool {
        let place = |append: &Self| {
            let block = append.tid.ip_blkid;
            (block.bi_hi, block.bi_lo, append.tid.ip_posid)
        };
        place(self) == place(other) && self.record == other.record
    }
}

impl Append {
    fn read(version: &RowVersion) -> Self {
        let (values, nulls) = version.columns::<NATTS>();
        // SAFETY: the columns have these types.
        unsafe {
            Self {
                row_count: i64::from_datum(values[3], nulls[3]).unwrap_or(0),
                total_bytes: i64::from_datum(values[4], nulls[4]).unwrap_or(0),
                record: Vec::<u8>::from_datum(values[5], nulls[5]).unwrap_or_default(),
                tid: version.tid(),
            }
        }
    }

    /// The file.
    pub fn data_file(&self) -> PgResult<Arc<DataFile>> {
        decode_data_file("lakebase.iceberg_append", &self.record)
            .map(Arc::new)
            .map_err(to_pg_error)
    }
}

/// The open table of appends.
pub struct AppendCatalog(KeyedTable);

impl AppendCatalog {
    /// Opens the table for reading; `None` while the extension is being created or dropped.
    pub fn open() -> Option<Self> {
        KeyedTable::open(TABLE, INDEX).map(Self)
    }

    /// Opens the table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX).map(Self)
    }

    /// A snapshot of what is committed now, and of all that this transaction has done.
    pub fn latest(&self) -> RegisteredSnapshot {
        self.0.latest()
    }

    /// The table's Oid.
    pub fn relid(&self) -> pg_sys::Oid {
        self.0.relid()
    }

    /// The appends to `key` that `snapshot` sees, always in the same order.
    pub fn find(&self, key: &StorageKey, snapshot: Snapshot<'_>) -> PgResult<Vec<Append>> {
        let mut found = Vec::new();
        self.0.each(Some(key), snapshot, |version| {
            found.push(Append::read(&version));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// As [`Self::find`], for a serializable transaction: `unseen` is told of every transaction that
    /// wrote what the snapshot does not see.
    pub fn find_among_versions(
        &self,
        key: &StorageKey,
        snapshot: Snapshot<'_>,
        mut unseen: impl FnMut(pg_sys::TransactionId),
    ) -> PgResult<Vec<Append>> {
        let mut found = Vec::new();
        self.0.each_version(Some(key), |version| {
            if version.is_visible(snapshot) {
                found.push(Append::read(&version));
            } else {
                unseen(version.writer());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Whether `snapshot` sees any append to `key`.
    pub fn any(&self, key: &StorageKey, snapshot: Snapshot<'_>) -> PgResult<bool> {
        let mut any = false;
        self.0.each(Some(key), snapshot, |_| {
            any = true;
            Ok(ControlFlow::Break(()))
        })?;
        Ok(any)
    }

    /// The appends to `key` that any snapshot may see.
    pub fn of_all_versions(&self, key: &StorageKey) -> PgResult<Vec<Append>> {
        let mut found = Vec::new();
        self.0.each_version(Some(key), |version| {
            if version.is_committed_or_own() {
                found.push(Append::read(&version));
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// The storages that `snapshot` sees appends to: relation file numbers and tablespaces.
    pub fn storages(&self, snapshot: Snapshot<'_>) -> PgResult<BTreeSet<(u32, u32)>> {
        let mut storages = BTreeSet::new();
        self.0.each(None, snapshot, |version| {
            let (values, nulls) = version.columns::<NATTS>();
            // SAFETY: the columns are of type oid.
            let key = unsafe {
                let oid = |i: usize| pg_sys::Oid::from_datum(values[i], nulls[i]);
                oid(0).zip(oid(1))
            };
            storages.extend(key.map(|(number, space)| (number.to_u32(), space.to_u32())));
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(storages)
    }

    /// Adds an append to `key`.
    pub fn insert(&self, key: &StorageKey, record: &Record) {
        let [number, tablespace, backend] = key_columns(key);
        let columns: [Option<pg_sys::Datum>; NATTS] = [
            number,
            tablespace,
            backend,
            record.row_count.into_datum(),
            record.total_bytes.into_datum(),
            record.bytes.as_slice().into_datum(),
        ];
        self.0.insert(&columns);
    }

    /// Removes appends that were found; the caller has the pointer row's lock, or the table's.
    pub fn delete(&self, appends: &[Append]) {
        for append in appends {
            self.0.delete(append.tid);
        }
    }
}
