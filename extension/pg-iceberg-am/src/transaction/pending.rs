//! Rows inserted by this transaction, until they are committed.

use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg_lite::io::FileIo;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::RowRanges;
use iceberg_lite::spec::Schema;
use pg_arrow_conv::to_arrow::RowAppender;
use pg_lakebase_core::error::{PgError, PgResult};
use pgrx::{PgSqlErrorCode, pg_sys};

use super::command_rows::CommandRows;
use super::open_file::{Format, OpenFile, RowIdColumn};
use super::pending_batch::{PendingBatch, in_order_of_ids, join};
use crate::catalog::options::TableOptions;
use crate::error::to_pg_error;
use crate::files::TableFiles;
use crate::guc;
use crate::row_id::{RowId, RowIds, column};
use crate::schema::TableSchema;

/// Rows in one batch.
const BATCH_ROWS: usize = 8192;
/// Rows kept in memory, readable at once, before they go to a file.
const TAIL_ROWS: u64 = 8 * BATCH_ROWS as u64;
/// Bytes kept in memory before they go to a file.
const TAIL_BYTES: usize = 32 << 20;
/// Most batches in the tail; beyond, small neighbours are joined.
const TAIL_BATCHES: usize = 64;

/// The rows that one transaction has inserted into one storage.
///
/// Rows are numbered from 0 in the order of their arrival. Subtransactions nest, so what a rolled-back one
/// takes with it is a suffix; what a snapshot sees is a prefix, mostly, and ranges where commands insert within
/// others ([`CommandRows`]). Rows pass from `builder` to `tail` to a data file; a file never holds rows of both an
/// open subtransaction and its parent, so a rollback removes whole files. Row ids ascend with the rows.
pub struct PendingRows {
    schema: Arc<Schema>,
    io: TableFiles,
    location: String,
    builder: RowAppender,
    /// The ids of the builder's rows, as values of the column of row ids.
    builder_ids: Vec<i64>,
    tail: Vec<PendingBatch>,
    open: Option<OpenFile>,
    files: Vec<PendingFile>,
    /// Bytes of memory that the rows behind the builder's take.
    kept_bytes: usize,
    commands: CommandRows,
    /// Rows that are on their way, or that did not arrive.
    moved: Option<MovedRows>,
    /// Options of the table, where they are set.
    target_file_size: Option<u64>,
    compression_level: Option<i32>,
}

/// Rows in a closed data file that no metadata names yet.
#[derive(Clone)]
pub struct PendingFile {
    /// Number of the first row.
    pub start: u64,
    /// The file.
    pub data_file: Arc<DataFile>,
}

/// Rows that pass from memory to a file. Where that fails, they are neither here nor there, and the savepoint that the
/// transaction goes back to may be a later one than theirs.
#[derive(Clone, Copy)]
struct MovedRows {
    /// Number of the first of them.
    first: u64,
    /// Number of all rows.
    len: u64,
}

/// The rows that a snapshot sees of [`PendingRows`].
#[derive(Clone, Default)]
pub struct PendingView {
    /// The numbers of the visible rows.
    pub visible: RowRanges,
    /// Files up to the last visible row; they may hold others.
    pub files: Vec<PendingFile>,
    /// Batches after the files up to the last visible row; they may hold others.
    pub batches: Vec<PendingBatch>,
}

impl PendingRows {
    /// No rows yet, for a table with these columns and fields.
    ///
    /// A column that no longer has the type it had when the Iceberg schema was made is an error.
    pub fn new(schema: &TableSchema, io: TableFiles) -> PgResult<Self> {
        Ok(Self {
            builder: appender(schema)?,
            builder_ids: Vec::new(),
            schema: Arc::clone(&schema.schema),
            location: io.place().location()?,
            io,
            tail: Vec::new(),
            open: None,
            files: Vec::new(),
            kept_bytes: 0,
            commands: CommandRows::default(),
            moved: None,
            target_file_size: None,
            compression_level: None,
        })
    }

    /// Rows have these columns and fields from now on; those before go to files. `marks` are as for [`Self::push`].
    pub fn set_schema(&mut self, schema: &TableSchema, marks: &[u64]) -> PgResult<()> {
        let builder = appender(schema)?;
        self.moving(|rows| {
            rows.seal()?;
            rows.spill(marks, RowIdColumn::Written)?;
            rows.complete_file()
        })?;
        self.builder = builder;
        self.schema = Arc::clone(&schema.schema);
        Ok(())
    }

    /// Data files are written with these options from now on.
    pub fn set_options(&mut self, options: &TableOptions) {
        self.target_file_size = options.target_file_size();
        self.compression_level = options.compression_level();
    }

    /// Number of rows inserted and not rolled back.
    pub fn len(&self) -> u64 {
        match self.moved {
            Some(moved) => moved.len,
            None => self.tail_end() + self.builder.len() as u64,
        }
    }

    /// Runs `work`, which moves rows from memory to files. Once it has failed, nothing but [`Self::truncate`] works:
    /// to go on would be to commit without rows.
    fn moving<T>(&mut self, work: impl FnOnce(&mut Self) -> PgResult<T>) -> PgResult<T> {
        self.check_whole()?;
        self.moved = Some(MovedRows {
            first: self.closed_end(),
            len: self.len(),
        });
        // Also what is raised leaves it set.
        let done = work(self)?;
        self.moved = None;
        Ok(done)
    }

    fn check_whole(&self) -> PgResult<()> {
        if self.moved.is_none() {
            return Ok(());
        }
        Err(PgError::new(
            PgSqlErrorCode::ERRCODE_IN_FAILED_SQL_TRANSACTION,
            "rows that this transaction has inserted are lost",
        )
        .with_detail("An error of an earlier statement kept them from being written.")
        .with_hint("Roll back to a savepoint before these rows, or the whole transaction."))
    }

    /// Appends a row, whose id is greater than any before.
    ///
    /// `values` and `nulls` have one entry for each attribute, dropped ones counted. `marks` are the
    /// row numbers at which open subtransactions began, ascending.
    pub fn push(
        &mut self,
        values: &[pg_sys::Datum],
        nulls: &[bool],
        id: RowId,
        cid: pg_sys::CommandId,
        marks: impl Fn() -> Vec<u64>,
    ) -> PgResult<()> {
        self.check_whole()?;
        let row = self.len();
        // SAFETY: the datums are a slot's, of the types the appender was made for; the slot keeps
        // them valid during the call.
        unsafe { self.builder.append(values, nulls) }.map_err(to_pg_error)?;
        self.builder_ids.push(id.to_i64());
        self.commands.push(cid, row);
        if self.builder.len() >= BATCH_ROWS || self.builder.is_full() {
            self.moving(|rows| {
                rows.seal()?;
                if rows.is_large() {
                    rows.spill(&marks(), RowIdColumn::Written)?;
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Whether a row is among them, going by the bounds of files.
    pub fn may_have(&self, row: RowId) -> PgResult<bool> {
        let in_tail = |pending: &PendingBatch| pending.ids.position(row).is_some();
        if self.builder_ids.binary_search(&row.to_i64()).is_ok() || self.tail.iter().any(in_tail) {
            return Ok(true);
        }
        if self.open.as_ref().is_some_and(|open| open.may_have(row)) {
            return Ok(true);
        }
        for file in &self.files {
            if column::bounds(&file.data_file)?.contains(&row) {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Bytes of memory that the rows take.
    pub fn memory_bytes(&self) -> usize {
        self.kept_bytes + self.builder.memory_size()
    }

    /// Bytes of the data file that is being written; none if there is no such file.
    pub fn open_file_bytes(&self) -> Option<u64> {
        self.open.as_ref().map(|open| open.writer.bytes())
    }

    /// Writes all rows to files, one of which may stay open, so that they take no more memory. `marks` are as for
    /// [`Self::push`].
    pub fn flush(&mut self, marks: &[u64]) -> PgResult<()> {
        self.moving(|rows| {
            rows.seal()?;
            rows.spill(marks, RowIdColumn::Written)?;
            if let Some(open) = &mut rows.open {
                open.writer.flush().map_err(to_pg_error)?;
            }
            rows.close_full_file()?;
            rows.measure();
            Ok(())
        })
    }

    fn measure(&mut self) {
        let open = self.open.as_ref().map(|open| open.writer.memory_bytes());
        self.kept_bytes = self.tail_bytes() + open.unwrap_or(0);
    }

    /// The rows that are visible to a snapshot with this command counter; `None` sees all.
    pub fn view(
        &mut self,
        curcid: Option<pg_sys::CommandId>,
        marks: &[u64],
    ) -> PgResult<PendingView> {
        self.check_whole()?;
        let visible = self.commands.visible(curcid, self.len());
        let Some(rows) = visible.ranges().last().map(|range| range.end) else {
            return Ok(PendingView::default());
        };
        self.moving(|all| {
            if all.open.as_ref().is_some_and(|open| open.start < rows) {
                // Only a closed file can be read. What lies behind it stays in order by following it.
                all.complete_file()?;
            }
            if rows > all.tail_end() {
                all.seal()?;
            }
            if all.tail.len() > TAIL_BATCHES {
                all.spill(marks, all.tail_row_ids())?;
                all.complete_file()?;
            }
            Ok(())
        })?;
        let starts_before = |start: u64| start < rows;
        Ok(PendingView {
            visible,
            files: self
                .files
                .iter()
                .filter(|file| starts_before(file.start))
                .cloned()
                .collect(),
            batches: self
                .tail
                .iter()
                .filter(|batch| starts_before(batch.start))
                .cloned()
                .collect(),
        })
    }

    /// Forgets all rows from number `rows` on: the subtransaction that inserted them is gone.
    pub fn truncate(&mut self, rows: u64) {
        if let Some(moved) = &mut self.moved {
            moved.len = moved.len.min(rows);
        }
        self.moved.take_if(|moved| rows <= moved.first);
        let kept = rows
            .saturating_sub(self.tail_end())
            .min(self.builder.len() as u64);
        self.builder.truncate(kept as usize);
        self.builder_ids.truncate(kept as usize);
        self.tail.retain_mut(|pending| {
            if pending.start >= rows {
                return false;
            }
            let keep = (rows - pending.start).min(pending.batch.num_rows() as u64) as usize;
            if keep < pending.batch.num_rows() {
                pending.batch = pending.batch.slice(0, keep);
                pending.ids = pending.ids.slice(0, keep);
            }
            true
        });
        // A file that cannot be removed is an orphan, which no metadata names.
        if let Some(open) = self.open.take_if(|open| open.start >= rows) {
            drop(open.writer);
            let _ = self.io.delete(&open.path);
        }
        for file in self.files.extract_if(.., |file| file.start >= rows) {
            let _ = self.io.delete(&file.data_file.file_path);
        }
        self.commands.truncate(rows);
        self.measure();
    }

    /// Writes everything to files and hands them over; no rows remain.
    pub fn finish(&mut self) -> PgResult<Vec<Arc<DataFile>>> {
        self.moving(|rows| {
            rows.seal()?;
            rows.spill(&[], rows.tail_row_ids())?;
            rows.complete_file()
        })?;
        self.commands = CommandRows::default();
        Ok(self.files.drain(..).map(|file| file.data_file).collect())
    }

    /// All rows with their ids, if they are in memory and their values take no more than `limit` bytes; they
    /// stay.
    pub fn small_batch(&mut self, limit: usize) -> PgResult<Option<(RecordBatch, RowIds)>> {
        self.check_whole()?;
        if self.open.is_some() || !self.files.is_empty() {
            return Ok(None);
        }
        self.moving(Self::seal)?;
        let bytes: usize = self.tail.iter().map(PendingBatch::value_bytes).sum();
        match &*self.tail {
            [] => Ok(None),
            _ if bytes > limit => Ok(None),
            all => join(all).map(Some),
        }
    }

    /// Appends rows that other transactions have committed, with their ids, and that this one gives a data file.
    pub fn fold(&mut self, parts: Vec<(RecordBatch, RowIds)>) -> PgResult<()> {
        self.moving(Self::seal)?;
        let start = self.tail_end();
        let parts: Vec<_> = parts
            .into_iter()
            .map(|(batch, ids)| PendingBatch { start, batch, ids })
            .collect();
        if parts.is_empty() {
            return Ok(());
        }
        let (batch, ids) = in_order_of_ids(join(&parts)?)?;
        self.tail.push(PendingBatch { start, batch, ids });
        Ok(())
    }

    /// Bytes of memory that the tail takes.
    fn tail_bytes(&self) -> usize {
        self.tail
            .iter()
            .map(|pending| pending.batch.get_array_memory_size())
            .sum()
    }

    /// Whether the tail should go to a file.
    fn is_large(&self) -> bool {
        let batches = self.tail.iter();
        let rows: u64 = batches.map(|pending| pending.batch.num_rows() as u64).sum();
        rows >= TAIL_ROWS || self.tail_bytes() >= TAIL_BYTES
    }

    /// Number of the row after the last one in the tail.
    fn tail_end(&self) -> u64 {
        match self.tail.last() {
            Some(pending) => pending.end(),
            None => self.files_end(),
        }
    }

    /// Number of the row after the last one given to a file.
    fn files_end(&self) -> u64 {
        match &self.open {
            Some(open) => open.end(),
            None => self.closed_end(),
        }
    }

    /// Number of the row after the last one in a closed file.
    fn closed_end(&self) -> u64 {
        (self.files.last()).map_or(0, |file| file.start + file.data_file.record_count as u64)
    }

    /// Moves the builder's rows to the tail.
    fn seal(&mut self) -> PgResult<()> {
        if !self.builder.is_empty() {
            let start = self.tail_end();
            let ids = RowIds::of(std::mem::take(&mut self.builder_ids));
            let batch = self.builder.finish().map_err(to_pg_error)?;
            self.tail.push(PendingBatch { start, batch, ids });
            self.join_small_batches()?;
            self.measure();
        }
        Ok(())
    }

    /// Joins the newest batches while each is no larger than its successor, as a binary counter
    /// does, so that n rows sealed one by one make about log n batches at a cost of n log n.
    fn join_small_batches(&mut self) -> PgResult<()> {
        while let [.., before, last] = self.tail.as_slice() {
            let rows = before.batch.num_rows() + last.batch.num_rows();
            if before.batch.num_rows() > last.batch.num_rows() || rows > BATCH_ROWS {
                break;
            }
            let start = before.start;
            let from = self.tail.len() - 2;
            let (batch, ids) = join(&self.tail[from..])?;
            self.tail.truncate(from);
            self.tail.push(PendingBatch { start, batch, ids });
        }
        Ok(())
    }

    /// What a new file needs that gets the tail and nothing else.
    fn tail_row_ids(&self) -> RowIdColumn {
        if RowIds::concat(self.tail.iter().map(|pending| &pending.ids)).is_run() {
            RowIdColumn::LeftOut
        } else {
            RowIdColumn::Written
        }
    }

    /// Moves the tail to data files, none of which crosses one of `marks`. New ones are as `row_ids` says.
    fn spill(&mut self, marks: &[u64], row_ids: RowIdColumn) -> PgResult<()> {
        let format = Format {
            row_ids,
            expected_bytes: self.tail.iter().map(PendingBatch::value_bytes).sum(),
            compression_level: self
                .compression_level
                .unwrap_or_else(guc::compression_level),
        };
        for pending in std::mem::take(&mut self.tail) {
            let rows = pending.batch.num_rows() as u64;
            let mut done = 0;
            while done < rows {
                let position = pending.start + done;
                if let Some(open) = &self.open
                    && marks
                        .iter()
                        .any(|&mark| open.start < mark && mark <= position)
                {
                    self.complete_file()?;
                }
                let limit = marks
                    .iter()
                    .find(|&&mark| mark > position)
                    .map_or(rows - done, |&mark| (mark - position).min(rows - done));
                self.write(&pending.slice(done as usize, limit as usize), format)?;
                done += limit;
            }
        }
        self.measure();
        Ok(())
    }

    fn write(&mut self, part: &PendingBatch, format: Format) -> PgResult<()> {
        let Some(ids) = part.ids.bounds() else {
            return Ok(());
        };
        let open = match &mut self.open {
            Some(open) => open,
            none => none.insert(OpenFile::begin(
                &self.schema,
                &self.io,
                &self.location,
                part.start,
                ids.start,
                format,
            )?),
        };
        open.write(part)?;
        self.close_full_file()
    }

    /// Completes the data file that is being written if no more should go into it.
    fn close_full_file(&mut self) -> PgResult<()> {
        let target = self.target_file_size.unwrap_or_else(guc::target_file_size);
        match &self.open {
            Some(open) if open.writer.is_full(target) => self.complete_file(),
            _ => Ok(()),
        }
    }

    /// Completes the data file that is being written.
    pub fn close_file(&mut self) -> PgResult<()> {
        self.moving(Self::complete_file)
    }

    fn complete_file(&mut self) -> PgResult<()> {
        if let Some(open) = self.open.take() {
            let start = open.start;
            let data_file = Arc::new(open.finish()?);
            self.files.push(PendingFile { start, data_file });
            self.measure();
        }
        Ok(())
    }
}
/// Makes Arrow rows of a table's.
fn appender(schema: &TableSchema) -> PgResult<RowAppender> {
    let columns = schema.columns.columns.iter();
    let sources: Vec<_> = columns
        .map(|column| (column.attribute, column.column_type.clone()))
        .collect();
    let arrow = iceberg_lite::write::arrow_schema(&schema.schema).map_err(to_pg_error)?;
    RowAppender::with_schema(&sources, arrow).map_err(to_pg_error)
}
