//! Writing the rows of some files into others.

use arrow::array::RecordBatch;

use super::carried_columns::with_carried_columns;
use super::ordered_rows::OrderedRows;
use super::source::{OpenInput, RewriteInput, Source};
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::DataFile;
use crate::read_ahead::ReadAhead;
use crate::spec::{Datum, FormatVersion, Schema, TableMetadata, with_row_lineage};
use crate::write::{CreateOutput, DataFileWriter, Spawn, WriteOptions, arrow_schema};

/// Batches of rows, to be read by whatever thread.
pub(super) type Batches = Box<dyn Iterator<Item = Result<RecordBatch>> + Send>;

/// How files are rewritten.
#[derive(Clone)]
pub struct RewriteOptions {
    /// How the new files are written.
    pub write: WriteOptions,
    /// Into how many files, of about as many rows each. More are written if a file is
    /// [full](DataFileWriter::is_full).
    pub outputs: usize,
    /// Rows that are read at a time.
    pub batch_size: usize,
    /// The field id of a column of type `long` by which the rows of each file ascend, and are to ascend in the new
    /// ones; else they keep the order of the files.
    pub ordered_by: Option<i32>,
    /// Which columns are carried over that files have and the schema has not: by field id. Columns that were
    /// dropped are among them.
    pub carries: fn(i32) -> bool,
    /// Starts a thread that reads and decodes; the calling thread does it if `None`.
    pub read_ahead: Option<Spawn>,
}

impl Default for RewriteOptions {
    fn default() -> Self {
        Self {
            write: WriteOptions::default(),
            outputs: 1,
            batch_size: 8192,
            ordered_by: None,
            carries: |_| true,
            read_ahead: None,
        }
    }
}

/// Writes the rows of data files of one partition into new files, a batch at a time.
///
/// Rows are not looked at: all columns, reserved ones and those unknown to the table included, and all
/// values stay what they are, and only deleted rows are left out. In tables of version 3 rows keep their row ids, and
/// the sequence numbers of their last updates. Inputs are opened, and outputs are created
/// and written, by the calling thread. Dropping it before [`finish`](Self::finish), or an error, leaves the files that were
/// created to the caller to delete.
pub struct Rewrite {
    schema: Schema,
    options: WriteOptions,
    batches: Batches,
    partition: Vec<Option<Datum>>,
    partition_spec_id: i32,
    rows_per_output: u64,
    writer: Option<DataFileWriter>,
    finished: Vec<DataFile>,
    rows: u64,
    rows_to_write: u64,
}

impl Rewrite {
    /// Opens the inputs, which are files of the table of `metadata`. `schema` are the columns to write: the
    /// table's, and others that inputs have or that are filled in.
    pub fn new(
        inputs: &[RewriteInput<'_>],
        metadata: &TableMetadata,
        schema: &Schema,
        io: &dyn FileIo,
        options: RewriteOptions,
    ) -> Result<Self> {
        let [first, ..] = inputs else {
            return Err(Error::invalid_argument("Rewrite", "there are no files"));
        };
        let file = &first.file.data_file;
        let is_elsewhere = |input: &RewriteInput<'_>| {
            let other = &input.file.data_file;
            other.partition_spec_id != file.partition_spec_id || other.partition != file.partition
        };
        if inputs.iter().any(is_elsewhere) {
            return Err(Error::invalid_argument(
                "Rewrite",
                "files of several partitions",
            ));
        }
        let open =
            (inputs.iter().map(|input| OpenInput::open(input, io))).collect::<Result<Vec<_>>>()?;
        let footers: Vec<_> = (open.iter())
            .map(|open| (&*open.input.file.data_file.file_path, &open.footer))
            .collect();
        let schema = match metadata.format_version {
            FormatVersion::V1 | FormatVersion::V2 => schema.clone(),
            FormatVersion::V3 => with_row_lineage(schema),
        };
        let schema = with_carried_columns(&schema, &footers, &options.carries)?;
        let arrow = arrow_schema(&schema)?;
        let sources = (open.iter())
            .map(|open| Source::new(open, &schema, &arrow, metadata, options.batch_size, io))
            .collect::<Result<Vec<_>>>()?;
        let rows: u64 = sources.iter().map(Source::rows_left).sum();
        let path = file.file_path.clone();
        let mut batches = in_order(sources, &open, &schema, &options)?;
        if let Some(spawn) = options.read_ahead {
            let ahead = ReadAhead::start(batches, spawn)
                .map_err(|(e, _)| Error::io("start a thread that reads", &*path, e))?;
            batches = Box::new(ahead);
        }
        Ok(Self {
            schema,
            options: options.write,
            batches,
            partition: file.partition.clone(),
            partition_spec_id: file.partition_spec_id,
            rows_per_output: rows.div_ceil(options.outputs.max(1) as u64).max(1),
            writer: None,
            finished: Vec::new(),
            rows: 0,
            rows_to_write: rows,
        })
    }

    /// The columns that are written.
    pub fn schema(&self) -> &Schema {
        &self.schema
    }

    /// Rows written, and rows to write in all.
    pub fn progress(&self) -> (u64, u64) {
        (self.rows, self.rows_to_write)
    }

    /// Reads and writes a batch. Whether there may be more.
    pub fn step(&mut self, create: CreateOutput<'_>) -> Result<bool> {
        let Some(batch) = self.batches.next().transpose()? else {
            return Ok(false);
        };
        let mut start = 0;
        while start < batch.num_rows() {
            let mut writer = match self.writer.take() {
                Some(writer) => writer,
                None => {
                    let (path, output) = create()?;
                    DataFileWriter::new(&self.schema, path, output, self.options.clone())?
                }
            };
            let room = self.rows_per_output.saturating_sub(writer.rows()).max(1);
            let room = usize::try_from(room).unwrap_or(usize::MAX);
            let count = room.min(batch.num_rows() - start);
            writer.write(&batch.slice(start, count))?;
            start += count;
            self.rows += count as u64;
            if writer.rows() >= self.rows_per_output || writer.is_full(u64::MAX) {
                self.finish_file(writer)?;
            } else {
                self.writer = Some(writer);
            }
        }
        Ok(true)
    }

    /// Completes the files and describes them: none if all rows were deleted.
    pub fn finish(mut self) -> Result<Vec<DataFile>> {
        if let Some(writer) = self.writer.take() {
            self.finish_file(writer)?;
        }
        if self.rows != self.rows_to_write {
            let (rows, expected) = (self.rows, self.rows_to_write);
            let reason = format!("{rows} of {expected} rows were written");
            return Err(Error::invalid_argument("Rewrite::finish", reason));
        }
        Ok(self.finished)
    }

    fn finish_file(&mut self, writer: DataFileWriter) -> Result<()> {
        let file = writer.finish()?;
        self.finished.push(DataFile {
            partition: self.partition.clone(),
            partition_spec_id: self.partition_spec_id,
            ..file
        });
        Ok(())
    }
}

/// The rows of all sources.
fn in_order(
    sources: Vec<Source>,
    open: &[OpenInput<'_>],
    schema: &Schema,
    options: &RewriteOptions,
) -> Result<Batches> {
    let Some(id) = options.ordered_by else {
        return Ok(Box::new(sources.into_iter().flatten()));
    };
    let column = schema
        .columns()
        .iter()
        .position(|field| field.id == id)
        .ok_or_else(|| {
            let reason = format!("no column to order by has field id {id}");
            Error::invalid_argument("RewriteOptions", reason)
        })?;
    let least = open.iter().map(|open| open.least(id));
    let sources = least.zip(sources).collect();
    Ok(Box::new(OrderedRows::new(
        sources,
        column,
        options.batch_size,
    )))
}
