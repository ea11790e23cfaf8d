//! Rows inserted by this transaction, until they are committed.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, RecordBatch};
use arrow::compute::{concat_batches, sort_to_indices, take, take_record_batch};
use arrow::datatypes::{Int64Type, SchemaRef};
use iceberg_lite::io::FileIo;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::RowRanges;
use iceberg_lite::spec::Schema;
use iceberg_lite::write::DataFileWriter;
use pg_arrow_conv::to_arrow::RowAppender;
use pg_lakebase_core::error::PgResult;
use pgrx::pg_sys;

use super::command_rows::CommandRows;
use crate::catalog::options::TableOptions;
use crate::error::{arrow_error, to_pg_error};
use crate::files::TableFiles;
use crate::files::data_file::open_data_file;
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
    /// Options of the table, where they are set.
    target_file_size: Option<u64>,
    compression_level: Option<i32>,
}

/// Rows in memory.
#[derive(Clone)]
pub struct PendingBatch {
    /// Number of the first row.
    pub start: u64,
    /// The rows.
    pub batch: RecordBatch,
    /// Their ids.
    pub ids: RowIds,
}

/// Rows in a closed data file that no metadata names yet.
#[derive(Clone)]
pub struct PendingFile {
    /// Number of the first row.
    pub start: u64,
    /// The file.
    pub data_file: Arc<DataFile>,
}

/// A data file being written.
struct OpenFile {
    path: String,
    start: u64,
    rows: u64,
    ids: Range<RowId>,
    /// The columns, if that of row ids is among them.
    with_ids: Option<SchemaRef>,
    writer: DataFileWriter,
}

/// Whether a data file gets the column of row ids. Where it is not known which rows will come into the file, it does:
/// those of concurrent transactions may have ids in between.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RowIdColumn {
    Written,
    LeftOut,
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
        let sources: Vec<_> = schema
            .columns
            .columns
            .iter()
            .map(|column| (column.attribute, column.column_type.clone()))
            .collect();
        let schema = Arc::clone(&schema.schema);
        let arrow = iceberg_lite::write::arrow_schema(&schema).map_err(to_pg_error)?;
        Ok(Self {
            builder: RowAppender::with_schema(&sources, arrow).map_err(to_pg_error)?,
            builder_ids: Vec::new(),
            schema,
            location: io.place().location()?,
            io,
            tail: Vec::new(),
            open: None,
            files: Vec::new(),
            kept_bytes: 0,
            commands: CommandRows::default(),
            target_file_size: None,
            compression_level: None,
        })
    }

    /// Data files are written with these options from now on.
    pub fn set_options(&mut self, options: &TableOptions) {
        self.target_file_size = options.target_file_size();
        self.compression_level = options.compression_level();
    }

    /// Number of rows inserted and not rolled back.
    pub fn len(&self) -> u64 {
        self.tail_end() + self.builder.len() as u64
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
        let row = self.len();
        // SAFETY: the datums are a slot's, of the types the appender was made for; the slot keeps
        // them valid during the call.
        unsafe { self.builder.append(values, nulls) }.map_err(to_pg_error)?;
        self.builder_ids.push(id.to_i64());
        self.commands.push(cid, row);
        if self.builder.len() >= BATCH_ROWS || self.builder.is_full() {
            self.seal()?;
            if self.is_large() {
                self.spill(&marks(), RowIdColumn::Written)?;
            }
        }
        Ok(())
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
        self.seal()?;
        self.spill(marks, RowIdColumn::Written)?;
        if let Some(open) = &mut self.open {
            open.writer.flush().map_err(to_pg_error)?;
        }
        self.close_full_file()?;
        self.measure();
        Ok(())
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
        let visible = self.commands.visible(curcid, self.len());
        let Some(rows) = visible.ranges().last().map(|range| range.end) else {
            return Ok(PendingView::default());
        };
        if self.open.as_ref().is_some_and(|open| open.start < rows) {
            // Only a closed file can be read. What lies behind it stays in order by following it.
            self.close_file()?;
        }
        if rows > self.tail_end() {
            self.seal()?;
        }
        if self.tail.len() > TAIL_BATCHES {
            self.spill(marks, self.tail_row_ids())?;
            self.close_file()?;
        }
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
        self.seal()?;
        self.spill(&[], self.tail_row_ids())?;
        self.close_file()?;
        self.commands = CommandRows::default();
        Ok(self.files.drain(..).map(|file| file.data_file).collect())
    }

    /// All rows with their ids, if they are in memory and their values take no more than `limit` bytes; they
    /// stay.
    pub fn small_batch(&mut self, limit: usize) -> PgResult<Option<(RecordBatch, RowIds)>> {
        if self.open.is_some() || !self.files.is_empty() {
            return Ok(None);
        }
        self.seal()?;
        let bytes: usize = self
            .tail
            .iter()
            .map(|pending| value_bytes(&pending.batch))
            .sum();
        match &*self.tail {
            [] => Ok(None),
            _ if bytes > limit => Ok(None),
            all => join(all).map(Some),
        }
    }

    /// Appends rows that other transactions have committed, with their ids, and that this one gives a data file.
    pub fn fold(&mut self, parts: Vec<(RecordBatch, RowIds)>) -> PgResult<()> {
        self.seal()?;
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
            Some(pending) => pending.start + pending.batch.num_rows() as u64,
            None => self.files_end(),
        }
    }

    /// Number of the row after the last one given to a file.
    fn files_end(&self) -> u64 {
        match (&self.open, self.files.last()) {
            (Some(open), _) => open.start + open.rows,
            (None, Some(file)) => file.start + file.data_file.record_count as u64,
            (None, None) => 0,
        }
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
        let expected_bytes = self
            .tail
            .iter()
            .map(|pending| value_bytes(&pending.batch))
            .sum();
        for PendingBatch { start, batch, ids } in std::mem::take(&mut self.tail) {
            let rows = batch.num_rows() as u64;
            let mut done = 0;
            while done < rows {
                let position = start + done;
                if let Some(open) = &self.open
                    && marks
                        .iter()
                        .any(|&mark| open.start < mark && mark <= position)
                {
                    self.close_file()?;
                }
                let limit = marks
                    .iter()
                    .find(|&&mark| mark > position)
                    .map_or(rows - done, |&mark| (mark - position).min(rows - done));
                let part = PendingBatch {
                    start: position,
                    batch: batch.slice(done as usize, limit as usize),
                    ids: ids.slice(done as usize, limit as usize),
                };
                self.write(&part, row_ids, expected_bytes)?;
                done += limit;
            }
        }
        self.measure();
        Ok(())
    }

    fn write(
        &mut self,
        part: &PendingBatch,
        row_ids: RowIdColumn,
        expected_bytes: usize,
    ) -> PgResult<()> {
        let Some(ids) = part.ids.bounds() else {
            return Ok(());
        };
        let mut open = match self.open.take() {
            Some(open) => open,
            None => self.open(part.start, ids.start, row_ids, expected_bytes)?,
        };
        match &open.with_ids {
            Some(schema) => {
                let mut columns = part.batch.columns().to_vec();
                columns.push(Arc::new(part.ids.to_array()) as ArrayRef);
                let batch = RecordBatch::try_new(Arc::clone(schema), columns)
                    .map_err(arrow_error("add row ids to pending rows"))?;
                open.writer.write(&batch)
            }
            None => open.writer.write(&part.batch),
        }
        .map_err(to_pg_error)?;
        open.rows += part.batch.num_rows() as u64;
        open.ids.end = ids.end;
        self.open = Some(open);
        self.close_full_file()
    }

    fn open(
        &self,
        start: u64,
        first: RowId,
        row_ids: RowIdColumn,
        expected_bytes: usize,
    ) -> PgResult<OpenFile> {
        // A file has one column at least.
        let is_written = row_ids == RowIdColumn::Written || self.schema.columns().is_empty();
        let schema = is_written.then(|| column::with_row_ids(&self.schema));
        let with_ids = schema
            .as_ref()
            .map(iceberg_lite::write::arrow_schema)
            .transpose()
            .map_err(to_pg_error)?;
        let schema = schema.as_ref().unwrap_or(&self.schema);
        let (path, writer) = open_data_file(
            schema,
            &self.io,
            &self.location,
            expected_bytes,
            self.compression_level
                .unwrap_or_else(guc::compression_level),
        )?;
        Ok(OpenFile {
            path,
            start,
            rows: 0,
            ids: first..first,
            with_ids,
            writer,
        })
    }

    /// Completes the data file that is being written if no more should go into it.
    fn close_full_file(&mut self) -> PgResult<()> {
        let target = self.target_file_size.unwrap_or_else(guc::target_file_size);
        match &self.open {
            Some(open) if open.writer.is_full(target) => self.close_file(),
            _ => Ok(()),
        }
    }

    /// Completes the data file that is being written.
    pub fn close_file(&mut self) -> PgResult<()> {
        if let Some(open) = self.open.take() {
            let mut data_file = open.writer.finish().map_err(to_pg_error)?;
            column::set_bounds(&mut data_file, &open.ids);
            self.files.push(PendingFile {
                start: open.start,
                data_file: Arc::new(data_file),
            });
            self.measure();
        }
        Ok(())
    }
}

/// The rows of several batches, of which there is one at least, with their ids.
fn join(parts: &[PendingBatch]) -> PgResult<(RecordBatch, RowIds)> {
    if let [only] = parts {
        return Ok((only.batch.clone(), only.ids.clone()));
    }
    let schema = parts[0].batch.schema_ref();
    let batch = concat_batches(schema, parts.iter().map(|part| &part.batch))
        .map_err(arrow_error("join pending rows"))?;
    Ok((batch, RowIds::concat(parts.iter().map(|part| &part.ids))))
}

/// The rows in the order of their ids.
fn in_order_of_ids((batch, ids): (RecordBatch, RowIds)) -> PgResult<(RecordBatch, RowIds)> {
    let RowIds::List(values) = &ids else {
        return Ok((batch, ids));
    };
    if values.values().is_sorted() {
        return Ok((batch, ids));
    }
    let sorted = || {
        let order = sort_to_indices(values, None, None)?;
        let ids = take(values, &order, None)?;
        // Rows without columns are all the same.
        let batch = match batch.num_columns() {
            0 => batch,
            _ => take_record_batch(&batch, &order)?,
        };
        Ok((
            batch,
            RowIds::of(ids.as_primitive::<Int64Type>().values().to_vec()),
        ))
    };
    sorted().map_err(arrow_error("put rows in order"))
}

/// Bytes of the values in a batch, whatever memory it holds for more.
fn value_bytes(batch: &RecordBatch) -> usize {
    batch
        .columns()
        .iter()
        .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
        .sum()
}
