//! A data file that rows of a transaction are being written to.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::datatypes::SchemaRef;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::spec::Schema;
use iceberg_lite::write::DataFileWriter;
use pg_lakebase_core::error::PgResult;

use super::pending_batch::PendingBatch;
use crate::error::{arrow_error, to_pg_error};
use crate::files::TableFiles;
use crate::files::data_file::open_data_file;
use crate::row_id::{RowId, column};

/// Whether a data file gets the column of row ids. Where it is not known which rows will come into the file, it does:
/// those of concurrent transactions may have ids in between.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum RowIdColumn {
    Written,
    LeftOut,
}

/// A data file being written.
pub(super) struct OpenFile {
    pub(super) path: String,
    /// Number of the first row.
    pub(super) start: u64,
    rows: u64,
    ids: Range<RowId>,
    /// The columns, if that of row ids is among them.
    with_ids: Option<SchemaRef>,
    pub(super) writer: DataFileWriter,
}

/// What a data file is to be.
#[derive(Clone, Copy)]
pub(super) struct Format {
    pub(super) row_ids: RowIdColumn,
    /// Bytes of values, at least.
    pub(super) expected_bytes: usize,
    pub(super) compression_level: i32,
}

impl OpenFile {
    /// Begins a file whose first row has the number `start` and the id `first`.
    pub(super) fn begin(
        schema: &Schema,
        io: &TableFiles,
        location: &str,
        start: u64,
        first: RowId,
        format: Format,
    ) -> PgResult<Self> {
        // A file has one column at least.
        let is_written = format.row_ids == RowIdColumn::Written || schema.columns().is_empty();
        let with_ids = is_written.then(|| column::with_row_ids(schema));
        let columns = with_ids
            .as_ref()
            .map(iceberg_lite::write::arrow_schema)
            .transpose()
            .map_err(to_pg_error)?;
        let (path, writer) = open_data_file(
            with_ids.as_ref().unwrap_or(schema),
            io,
            location,
            format.expected_bytes,
            format.compression_level,
        )?;
        Ok(Self {
            path,
            start,
            rows: 0,
            ids: first..first,
            with_ids: columns,
            writer,
        })
    }

    /// Appends the rows of `part`, which follow those that are there.
    pub(super) fn write(&mut self, part: &PendingBatch) -> PgResult<()> {
        let Some(ids) = part.ids.bounds() else {
            return Ok(());
        };
        match &self.with_ids {
            Some(schema) => {
                let mut columns = part.batch.columns().to_vec();
                columns.push(Arc::new(part.ids.to_array()) as ArrayRef);
                let batch = RecordBatch::try_new(Arc::clone(schema), columns)
                    .map_err(arrow_error("add row ids to pending rows"))?;
                self.writer.write(&batch)
            }
            None => self.writer.write(&part.batch),
        }
        .map_err(to_pg_error)?;
        self.rows += part.batch.num_rows() as u64;
        self.ids.end = ids.end;
        Ok(())
    }

    /// Whether a row may be in the file, going by the bounds.
    pub(super) fn may_have(&self, row: RowId) -> bool {
        self.ids.contains(&row)
    }

    /// Number of the row after the last.
    pub(super) fn end(&self) -> u64 {
        self.start + self.rows
    }

    /// Completes the file.
    pub(super) fn finish(self) -> PgResult<DataFile> {
        let mut data_file = self.writer.finish().map_err(to_pg_error)?;
        column::set_bounds(&mut data_file, &self.ids);
        Ok(data_file)
    }
}
