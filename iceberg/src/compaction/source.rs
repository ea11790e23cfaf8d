//! The rows of one file that is rewritten.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, Int64Array, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Int64Type, SchemaRef as ArrowSchemaRef};

use crate::error::{Error, Result};
use crate::io::{FileIo, InputFile};
use crate::scan::{
    DataFileReader, FileBatch, FileMetadata, ReadOptions, RowPositions, RowRanges, ScanFile,
};
use crate::spec::{
    Datum, LAST_UPDATED_SEQUENCE_NUMBER, PrimitiveType, ROW_ID, Schema, TableMetadata,
};

/// The values of a `long` column for rows that have none in the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fill {
    /// This and the row's position in the file.
    Counted(i64),
    /// This.
    Constant(i64),
}

/// A file to rewrite.
#[derive(Debug, Clone)]
pub struct RewriteInput<'a> {
    /// The file, with all deletes that apply to it.
    pub file: &'a ScanFile,
    /// By field id, what columns are filled with.
    pub fills: &'a [(i32, Fill)],
    /// The positions of rows that are left out as well.
    pub deleted_rows: Option<Arc<RowRanges>>,
}

/// An input whose footer has been read.
pub(super) struct OpenInput<'a> {
    pub(super) input: &'a RewriteInput<'a>,
    pub(super) footer: FileMetadata,
    file: Arc<dyn InputFile>,
}

impl<'a> OpenInput<'a> {
    pub(super) fn open(input: &'a RewriteInput<'a>, io: &dyn FileIo) -> Result<Self> {
        let file = input.file.open_file(io)?;
        let footer = FileMetadata::of(io, &file)?;
        Ok(Self {
            input,
            footer,
            file,
        })
    }

    /// What a column is filled with: those of row lineage with what rows inherit from the file's entry.
    fn fill(&self, id: i32) -> Option<Fill> {
        let file = self.input.file;
        let first_row_id = file.data_file.first_row_id;
        match id {
            ROW_ID => first_row_id.map(Fill::Counted),
            LAST_UPDATED_SEQUENCE_NUMBER => {
                first_row_id.map(|_| Fill::Constant(file.data_sequence_number))
            }
            _ => {
                let fill = self.input.fills.iter().find(|(filled, _)| *filled == id);
                fill.map(|(_, fill)| *fill)
            }
        }
    }

    /// A value not above any of a column's.
    pub(super) fn least(&self, id: i32) -> i64 {
        let fill = self.fill(id).map(|fill| match fill {
            Fill::Counted(value) | Fill::Constant(value) => value,
        });
        if !self.footer.has_column(id) {
            return fill.unwrap_or(i64::MIN);
        }
        let bound = self.input.file.data_file.lower_bounds.get(&id);
        match bound.map(|bytes| Datum::from_bytes(&PrimitiveType::Long, bytes)) {
            Some(Ok(Some(Datum::Long(bound)))) => bound.min(fill.unwrap_or(i64::MAX)),
            _ => i64::MIN,
        }
    }
}

/// The rows of one file, in its order; belongs to no thread.
pub(super) struct Source {
    path: String,
    reader: DataFileReader,
    schema: ArrowSchemaRef,
    columns: Vec<Column>,
}

/// Where a column is from: from a place in what is read, or filled in, or, where that is null, both.
struct Column {
    place: Option<usize>,
    fill: Option<Fill>,
}

impl Source {
    /// The columns of `schema`, whose Arrow form is `arrow`.
    pub(super) fn new(
        open: &OpenInput<'_>,
        schema: &Schema,
        arrow: &ArrowSchemaRef,
        metadata: &TableMetadata,
        batch_size: usize,
        io: &dyn FileIo,
    ) -> Result<Self> {
        let mut columns = Vec::new();
        let mut projection = Vec::new();
        for field in schema.columns() {
            let fill = open.fill(field.id);
            let is_read = fill.is_none() || open.footer.has_column(field.id);
            columns.push(Column {
                place: is_read.then_some(projection.len()),
                fill,
            });
            if is_read {
                projection.push(field.id);
            }
        }
        // What is filled in may be missing from rows of the file.
        let mut readable = schema.clone();
        for field in &mut readable.fields.fields {
            field.required &= open.fill(field.id).is_none();
        }
        let options = ReadOptions {
            projection,
            batch_size,
            deleted_rows: open.input.deleted_rows.clone(),
            ..ReadOptions::default()
        };
        let reader = open.input.file.open_with(
            io,
            &open.file,
            &open.footer,
            metadata,
            &readable,
            options,
        )?;
        Ok(Self {
            path: open.input.file.data_file.file_path.clone(),
            reader,
            schema: Arc::clone(arrow),
            columns,
        })
    }

    pub(super) fn path(&self) -> &str {
        &self.path
    }

    /// Rows that are still to come.
    pub(super) fn rows_left(&self) -> u64 {
        self.reader.rows_left()
    }

    fn batch(&self, read: &FileBatch) -> Result<RecordBatch> {
        let column = |column: &Column| {
            let array = column.place.map(|place| read.batch.column(place));
            match (array, column.fill) {
                (Some(array), None) => Ok(Arc::clone(array)),
                (array, Some(fill)) => self.filled(array, fill, &read.positions),
                (None, None) => Err(Error::invalid_data(&*self.path, "a column has no values")),
            }
        };
        let columns = self
            .columns
            .iter()
            .map(column)
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(read.positions.len()));
        RecordBatch::try_new_with_options(Arc::clone(&self.schema), columns, &options)
            .map_err(|e| Error::invalid_data(&*self.path, e.to_string()))
    }

    fn filled(
        &self,
        array: Option<&ArrayRef>,
        fill: Fill,
        positions: &RowPositions,
    ) -> Result<ArrayRef> {
        let known = match array {
            None => None,
            Some(array) if array.null_count() == 0 => return Ok(Arc::clone(array)),
            Some(array) => Some(array.as_primitive_opt::<Int64Type>().ok_or_else(|| {
                Error::invalid_argument("RewriteInput", "only columns of type long can be filled")
            })?),
        };
        let value = |(row, position): (usize, u64)| {
            if let Some(known) = known.filter(|known| known.is_valid(row)) {
                return Some(known.value(row));
            }
            match fill {
                Fill::Counted(first) => first.checked_add_unsigned(position),
                Fill::Constant(value) => Some(value),
            }
        };
        let values = positions
            .iter()
            .enumerate()
            .map(value)
            .collect::<Option<Vec<i64>>>();
        match values {
            Some(values) => Ok(Arc::new(Int64Array::from(values))),
            None => Err(Error::invalid_data(
                &*self.path,
                "its rows are numbered too high",
            )),
        }
    }
}

impl Iterator for Source {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let read = self.reader.next()?;
        Some(read.and_then(|read| self.batch(&read)))
    }
}
