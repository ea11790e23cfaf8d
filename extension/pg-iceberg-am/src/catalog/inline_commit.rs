//! Inline commits: what counts already and is in no metadata file yet.
//!
//! A transaction that adds rows to a table while its metadata file is being replaced, or was a moment ago,
//! commits to `lakebase.inline_commit` instead: a few rows as they are, more of them as data files, each
//! in a row of that table. The publisher (`publisher/`) folds them into the next metadata file, together
//! with others'. A snapshot sees a table as its pointer row says and, on top, the inline commits it sees: the
//! publisher replaces the pointer row and deletes the inline commits in one transaction, so that it sees
//! everything once.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::CStr;
use std::ops::{ControlFlow, Range};
use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg_lite::manifest::{DataFile, decode_data_file, encode_data_file};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::snapshot::{RegisteredSnapshot, Snapshot};
use pgrx::{FromDatum, IntoDatum, PgSqlErrorCode, pg_sys};

use super::keyed_table::{KeyedTable, RowVersion, key_columns};
use super::pointer::{Incarnation, Pointer};
use super::{Extent, inline_rows};
use crate::directory::StorageKey;
use crate::error::to_pg_error;
use crate::row_id::{RowId, RowIds, column};

const TABLE: &CStr = c"inline_commit";
const INDEX: &CStr = c"inline_commit_storage";

/// Columns of `lakebase.inline_commit`, in order; `sql/bootstrap.sql` creates it.
const NATTS: usize = 10;

/// The longest content of a row, which is never toasted, as those of pointers are not.
const MAX_BYTES: usize = 7 << 10;

/// What is about to be committed without metadata.
pub struct NewInlineCommit {
    row_count: i64,
    total_bytes: i64,
    row_ids: Range<RowId>,
    content: Content,
}

/// What a row of the table holds.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Content {
    /// A manifest's entry of a data file.
    DataFile(Vec<u8>),
    /// Rows themselves.
    Rows(Vec<u8>),
}

impl NewInlineCommit {
    /// As [`Self::of_file`], without the statistics of columns if there is no space for them: then the file is read
    /// where it might have been left out.
    pub fn of_file_in_any_case(file: &DataFile) -> PgResult<Option<Self>> {
        if let Some(inline) = Self::of_file(file)? {
            return Ok(Some(inline));
        }
        let mut bare = DataFile {
            column_sizes: BTreeMap::new(),
            value_counts: BTreeMap::new(),
            null_value_counts: BTreeMap::new(),
            nan_value_counts: BTreeMap::new(),
            lower_bounds: BTreeMap::new(),
            upper_bounds: BTreeMap::new(),
            ..file.clone()
        };
        column::set_bounds(&mut bare, &column::bounds(file)?);
        Self::of_file(&bare)
    }

    /// A data file; `None` if its entry takes too much space.
    pub fn of_file(file: &DataFile) -> PgResult<Option<Self>> {
        let bytes = encode_data_file(file).map_err(to_pg_error)?;
        Ok((bytes.len() <= MAX_BYTES).then_some(Self {
            row_count: file.record_count,
            total_bytes: file.file_size_in_bytes,
            row_ids: column::bounds(file)?,
            content: Content::DataFile(bytes),
        }))
    }

    /// Rows of all the table's columns, with their ids; `None` if they are none or take too much space.
    pub fn of_rows(rows: &RecordBatch, ids: &RowIds) -> PgResult<Option<Self>> {
        let Some(row_ids) = ids.bounds() else {
            return Ok(None);
        };
        let bytes = inline_rows::encode(rows, ids)?;
        Ok((bytes.len() <= MAX_BYTES).then_some(Self {
            row_count: rows.num_rows() as i64,
            total_bytes: bytes.len() as i64,
            row_ids,
            content: Content::Rows(bytes),
        }))
    }
}

/// Something committed that the metadata does not name.
#[derive(Clone, Debug)]
pub struct InlineCommit {
    tid: pg_sys::ItemPointerData,
    /// That of the pointer row that it is on top of.
    pub incarnation: Incarnation,
    /// The id of the first row, if the others' are the next ones.
    run: Option<RowId>,
    content: Content,
}

/// What an inline commit holds.
pub enum InlineContent {
    /// A data file.
    DataFile(Arc<DataFile>),
    /// Rows of all the table's columns, and their ids.
    Rows(RecordBatch, RowIds),
}

impl PartialEq for InlineCommit {
    /// Whether both are the same row.
    fn eq(&self, other: &Self) -> bool {
        let place = |inline: &Self| {
            let block = inline.tid.ip_blkid;
            (block.bi_hi, block.bi_lo, inline.tid.ip_posid)
        };
        place(self) == place(other) && self.content == other.content
    }
}

impl InlineCommit {
    fn read(version: &RowVersion) -> PgResult<Self> {
        let (values, nulls) = version.columns::<NATTS>();
        // SAFETY: the columns are of type bytea.
        let bytes = |i: usize| unsafe { Vec::<u8>::from_datum(values[i], nulls[i]) };
        let file = bytes(5).map(Content::DataFile);
        let content = file.or_else(|| bytes(6).map(Content::Rows));
        // SAFETY: the columns are of type int8.
        let int8 = |i: usize| unsafe { i64::from_datum(values[i], nulls[i]) };
        let first = int8(8).and_then(RowId::from_i64);
        let is_run = int8(9).zip(int8(8)).map(|(end, first)| end - first) == int8(3);
        Ok(Self {
            tid: version.tid(),
            incarnation: Incarnation::read(values[7]),
            run: first.filter(|_| is_run),
            content: content.ok_or_else(|| {
                PgError::new(
                    PgSqlErrorCode::ERRCODE_DATA_CORRUPTED,
                    "a row of lakebase.inline_commit is empty",
                )
            })?,
        })
    }

    /// What it holds.
    pub fn content(&self) -> PgResult<InlineContent> {
        match &self.content {
            Content::DataFile(bytes) => decode_data_file("lakebase.inline_commit", bytes)
                .map(|file| InlineContent::DataFile(Arc::new(file)))
                .map_err(to_pg_error),
            Content::Rows(bytes) => inline_rows::decode(bytes, self.run)
                .map(|(rows, ids)| InlineContent::Rows(rows, ids)),
        }
    }
}

/// The open table of inline commits.
pub struct InlineCommitCatalog(KeyedTable);

impl InlineCommitCatalog {
    /// Opens the table for reading; `None` while the extension is being created or dropped.
    pub fn open() -> Option<Self> {
        KeyedTable::open(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// Opens the table to read what `key` has there; `None` also for temporary tables, which their sessions
    /// commit to their metadata.
    pub fn open_for(key: &StorageKey) -> Option<Self> {
        (!key.is_temporary()).then(Self::open)?
    }

    /// As [`Self::open`]; `None` also where somebody has locked the table.
    pub fn open_unless_locked() -> Option<Self> {
        KeyedTable::open_unless_locked(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// Opens the table for writing; `None` as for [`Self::open`].
    pub fn open_for_update() -> Option<Self> {
        KeyedTable::open_for_update(TABLE, INDEX, NATTS..=NATTS).map(Self)
    }

    /// A snapshot of what is committed now, and of all that this transaction has done.
    pub fn latest(&self) -> RegisteredSnapshot {
        self.0.latest()
    }

    /// The table's Oid.
    pub fn relid(&self) -> pg_sys::Oid {
        self.0.relid()
    }

    /// The inline commits to `key` that `snapshot` sees, always in the same order.
    pub fn find(&self, key: &StorageKey, snapshot: Snapshot<'_>) -> PgResult<Vec<InlineCommit>> {
        let mut found = Vec::new();
        self.0.each(Some(key), snapshot, |version| {
            found.push(InlineCommit::read(&version)?);
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
    ) -> PgResult<Vec<InlineCommit>> {
        let mut found = Vec::new();
        self.0.each_version(Some(key), |version| {
            if version.is_visible(snapshot) {
                found.push(InlineCommit::read(&version)?);
            } else {
                unseen(version.writer());
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// Rows and bytes of the inline commits to `key` that `snapshot` sees and that count on top of `pointer`.
    pub fn extent(
        &self,
        key: &StorageKey,
        pointer: &Pointer,
        snapshot: Snapshot<'_>,
    ) -> PgResult<Extent> {
        let mut extent = Extent::default();
        self.0.each(Some(key), snapshot, |version| {
            let (values, nulls) = version.columns::<NATTS>();
            if !pointer.counts(Incarnation::read(values[7])) {
                return Ok(ControlFlow::Continue(()));
            }
            // SAFETY: the columns are of type int8.
            let int8 = |i: usize| unsafe { i64::from_datum(values[i], nulls[i]) };
            extent.rows += int8(3).unwrap_or(0).unsigned_abs();
            extent.bytes += int8(4).unwrap_or(0).unsigned_abs();
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(extent)
    }

    /// Whether `snapshot` sees any inline commit to `key` that counts on top of `pointer`.
    pub fn any(
        &self,
        key: &StorageKey,
        pointer: &Pointer,
        snapshot: Snapshot<'_>,
    ) -> PgResult<bool> {
        let mut any = false;
        self.0.each(Some(key), snapshot, |version| {
            let (values, _) = version.columns::<NATTS>();
            any = pointer.counts(Incarnation::read(values[7]));
            Ok(if any {
                ControlFlow::Break(())
            } else {
                ControlFlow::Continue(())
            })
        })?;
        Ok(any)
    }

    /// The inline commits to `key` that any snapshot may see.
    pub fn of_seen_versions(&self, key: &StorageKey) -> PgResult<Vec<InlineCommit>> {
        let mut found = Vec::new();
        self.0.each_version(Some(key), |version| {
            if version.is_committed_or_own() && !version.is_dead() {
                found.push(InlineCommit::read(&version)?);
            }
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(found)
    }

    /// One past the number of the largest row id that any row of `key` tells of, whether it counts or not.
    pub fn next_row_id(&self, key: &StorageKey) -> PgResult<u64> {
        let mut next = 0;
        self.0.each_version(Some(key), |version| {
            let (values, nulls) = version.columns::<NATTS>();
            // SAFETY: the column is of type int8.
            let end = unsafe { i64::from_datum(values[9], nulls[9]) };
            next = next.max(end.unwrap_or(0).unsigned_abs());
            Ok(ControlFlow::Continue(()))
        })?;
        Ok(next)
    }

    /// The storages that `snapshot` sees inline commits to: relation file numbers and tablespaces.
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

    /// The storages of the rows that transaction `xid` wrote, whatever became of it.
    pub fn written_by(&self, xid: pg_sys::TransactionId) -> PgResult<Vec<StorageKey>> {
        self.0.written_by(xid)
    }

    /// Adds an inline commit to `key`, on top of a pointer row of this incarnation.
    pub fn insert(&self, key: &StorageKey, incarnation: Incarnation, inline: &NewInlineCommit) {
        let [number, tablespace, backend] = key_columns(key);
        let (file, rows) = match &inline.content {
            Content::DataFile(bytes) => (bytes.as_slice().into_datum(), None),
            Content::Rows(bytes) => (None, bytes.as_slice().into_datum()),
        };
        let columns: [Option<pg_sys::Datum>; NATTS] = [
            number,
            tablespace,
            backend,
            inline.row_count.into_datum(),
            inline.total_bytes.into_datum(),
            file,
            rows,
            incarnation.to_datum(),
            inline.row_ids.start.to_i64().into_datum(),
            inline.row_ids.end.to_i64().into_datum(),
        ];
        self.0.insert(&columns);
    }

    /// Removes inline commits that were found; the caller has the pointer row's lock, or the table's.
    pub fn delete(&self, inline_commits: &[InlineCommit]) {
        self.0
            .delete(inline_commits.iter().map(|inline| inline.tid));
    }
}
