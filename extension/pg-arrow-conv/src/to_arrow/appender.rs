//! The rows of one batch in the making.

use super::column::Column;
use crate::error::ConvError;
use crate::settings::PinnedSettings;
use crate::types::{ColumnType, TextFormFunctions};
use arrow::array::RecordBatch;
use arrow::datatypes::{FieldRef, Schema, SchemaRef};
use arrow::record_batch::RecordBatchOptions;
use pgrx::pg_sys::Datum;
use std::sync::Arc;

/// Bytes from which [`RowAppender::is_full`] holds.
///
/// A datum is below 1 GB, so that one more row keeps every column's offsets within `i32` unless
/// it expands compressed values inside of composites; that case is refused with an error.
pub const MAX_BATCH_BYTES: usize = 1 << 30;

/// Appends rows to Arrow columns and turns them into record batches.
///
/// A row is appended as a whole or not at all: after an error, and after a PostgreSQL `ERROR` that
/// a caller caught, the appender holds the rows appended before.
pub struct RowAppender {
    schema: SchemaRef,
    columns: Vec<Source>,
    /// Datums that a row must have at least.
    width: usize,
    rows: usize,
    bytes: usize,
    /// Bytes that a row takes without its variable-length values.
    row_bytes: usize,
    /// Whose functions are called, with their settings pinned, for a row.
    text_form_functions: Option<TextFormFunctions>,
    /// Set while a row is being appended: columns may be longer than `rows`.
    torn: bool,
}

struct Source {
    /// Position in the row.
    position: usize,
    name: String,
    column: Column,
}

impl RowAppender {
    /// Columns in the order of the row, with fields named for the columns.
    pub fn new(columns: &[ColumnType]) -> Self {
        let fields: Vec<FieldRef> = columns
            .iter()
            .map(|column| column.arrow_field(column.name()))
            .collect();
        let sources = columns.iter().zip(&fields).enumerate();
        let functions = columns.iter().filter_map(ColumnType::text_form_functions);
        Self::build(
            sources
                .map(|(position, (column, field))| Source {
                    position,
                    name: column.name().to_owned(),
                    column: Column::new(column, field.data_type()),
                })
                .collect(),
            Arc::new(Schema::new(fields)),
            functions.max(),
        )
    }

    /// Columns taken from chosen positions of the row, such as all but the dropped attributes,
    /// with the fields of `schema` (their names, nullability and metadata, at every level).
    ///
    /// # Errors
    ///
    /// [`ConvError::ArrowType`] when a field's type is not that of its column, and
    /// [`ConvError::Mapping`] when the schema has another number of fields.
    pub fn with_schema(
        columns: &[(usize, ColumnType)],
        schema: SchemaRef,
    ) -> Result<Self, ConvError> {
        if columns.len() != schema.fields().len() {
            return Err(ConvError::Mapping(format!(
                "{} columns for a schema of {} fields",
                columns.len(),
                schema.fields().len()
            )));
        }
        let sources = columns
            .iter()
            .zip(schema.fields())
            .map(|((position, column), field)| {
                if !column.accepts(field.data_type()) {
                    return Err(ConvError::ArrowType {
                        column: column.name().to_owned(),
                        expected: column.arrow_type(),
                        found: field.data_type().clone(),
                    });
                }
                Ok(Source {
                    position: *position,
                    name: column.name().to_owned(),
                    column: Column::new(column, field.data_type()),
                })
            })
            .collect::<Result<_, _>>()?;
        let functions = columns
            .iter()
            .filter_map(|(_, column)| column.text_form_functions());
        Ok(Self::build(sources, schema, functions.max()))
    }

    fn build(
        columns: Vec<Source>,
        schema: SchemaRef,
        text_form_functions: Option<TextFormFunctions>,
    ) -> Self {
        let width = columns
            .iter()
            .map(|source| source.position + 1)
            .max()
            .unwrap_or(0);
        let row_bytes = columns
            .iter()
            .map(|source| source.column.fixed_width())
            .sum();
        Self {
            schema,
            columns,
            width,
            rows: 0,
            bytes: 0,
            row_bytes,
            text_form_functions,
            torn: false,
        }
    }

    /// Schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Appends one row.
    ///
    /// # Errors
    ///
    /// [`ConvError::Value`] for a value that has no exact Arrow form; the row is then not appended.
    ///
    /// # Safety
    ///
    /// Where `isnull` is false, `values` has a valid datum of the type that the column was
    /// resolved for.
    #[inline]
    pub unsafe fn append(&mut self, values: &[Datum], isnull: &[bool]) -> Result<(), ConvError> {
        if values.len() < self.width || isnull.len() < self.width {
            return Err(ConvError::Mapping(format!(
                "a row of {} values for columns up to position {}",
                values.len().min(isnull.len()),
                self.width
            )));
        }
        if self.torn {
            self.discard_torn_row();
        }
        self.torn = true;
        let _pinned = self.text_form_functions.map(PinnedSettings::pin);
        let mut bytes = self.bytes + self.row_bytes;
        for source in &mut self.columns {
            // SAFETY: the caller vouches for the datum's type.
            let appended = unsafe {
                source
                    .column
                    .append(values[source.position], isnull[source.position], &mut bytes)
            };
            if let Err(error) = appended {
                let error = error.in_column(&source.name);
                self.discard_torn_row();
                return Err(error);
            }
        }
        self.bytes = bytes;
        self.rows += 1;
        self.torn = false;
        Ok(())
    }

    /// Number of rows appended since the last [`finish`](Self::finish).
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Bytes of the rows' values, without spare capacity.
    pub fn memory_size(&self) -> usize {
        self.bytes
    }

    /// Whether the batch must be finished before the next row, for the limits of 32-bit offsets.
    ///
    /// Callers that bound memory finish much earlier, by [`memory_size`](Self::memory_size).
    pub fn is_full(&self) -> bool {
        self.bytes >= MAX_BATCH_BYTES
    }

    /// Forgets the last rows, so that `rows` remain. Does nothing if there are no more.
    pub fn truncate(&mut self, rows: usize) {
        if rows < self.rows {
            self.rows = rows;
            self.discard_torn_row();
            self.bytes = rows * self.row_bytes
                + self
                    .columns
                    .iter()
                    .map(|s| s.column.variable_bytes())
                    .sum::<usize>();
        }
    }

    /// The rows as a batch; the appender is empty afterwards.
    ///
    /// # Errors
    ///
    /// [`ConvError::Arrow`] when a schema given to [`with_schema`](Self::with_schema) declares a
    /// field as not nullable that has NULLs. The rows are lost then.
    pub fn finish(&mut self) -> Result<RecordBatch, ConvError> {
        if self.torn {
            self.discard_torn_row();
        }
        let rows = std::mem::take(&mut self.rows);
        self.bytes = 0;
        // Every column is emptied before the first error is looked at.
        let arrays: Vec<_> = self
            .columns
            .iter_mut()
            .zip(self.schema.fields())
            .map(|(source, field)| source.column.finish(field.data_type()))
            .collect();
        let arrays = arrays.into_iter().collect::<Result<_, _>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(rows));
        Ok(RecordBatch::try_new_with_options(
            Arc::clone(&self.schema),
            arrays,
            &options,
        )?)
    }

    #[cold]
    fn discard_torn_row(&mut self) {
        for source in &mut self.columns {
            source.column.truncate(self.rows);
        }
        self.torn = false;
    }
}
