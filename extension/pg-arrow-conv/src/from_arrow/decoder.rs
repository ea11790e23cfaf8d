//! The datums of one batch, by attribute.

use super::arena::Arena;
use super::column::{DatumColumn, Part, decode_part};
use super::promote::promote;
use crate::error::ConvError;
use crate::settings::PinnedSettings;
use crate::types::{ColumnType, TextFormFunctions};
use arrow::array::{ArrayRef, RecordBatch};
use pgrx::pg_sys::{Datum, MemoryContext};
use std::ops::Range;

/// Turns record batches into datums for tuple slots, some rows at a time.
///
/// The vectors are reused; values passed by reference live in the memory context given to
/// [`load`](Self::load).
pub struct BatchDecoder {
    attributes: Vec<Attribute>,
    /// Whose functions are called, with their settings pinned, for a batch.
    text_form_functions: Option<TextFormFunctions>,
    /// Number of rows of the batch.
    rows: usize,
    /// Those whose datums there are.
    loaded: Range<usize>,
}

struct Attribute {
    /// `None` for an attribute that is not read, and so is NULL.
    column: Option<ColumnType>,
    /// The batch's column; without it the attribute is NULL.
    array: Option<ArrayRef>,
    datums: DatumColumn,
}

impl BatchDecoder {
    /// One element per attribute of the slot; `None` for those that are not read.
    pub fn new(columns: &[Option<ColumnType>]) -> Self {
        let functions = columns
            .iter()
            .flatten()
            .filter_map(ColumnType::text_form_functions);
        let text_form_functions = functions.max();
        let attributes = columns
            .iter()
            .map(|column| Attribute {
                column: column.clone(),
                array: None,
                datums: DatumColumn::default(),
            })
            .collect();
        Self {
            attributes,
            text_form_functions,
            rows: 0,
            loaded: 0..0,
        }
    }

    /// Takes a batch, of which no rows are loaded yet. `mapping` has, per attribute, the batch's column for
    /// it, or `None` for an attribute that the batch lacks, which is then NULL.
    ///
    /// # Errors
    ///
    /// [`ConvError::ArrowType`] for a column of a type that the attribute cannot be read from. There is no batch
    /// then.
    pub fn take(
        &mut self,
        batch: &RecordBatch,
        mapping: &[Option<usize>],
    ) -> Result<(), ConvError> {
        self.clear();
        if mapping.len() != self.attributes.len() {
            return Err(ConvError::Mapping(format!(
                "{} mapped columns for {} attributes",
                mapping.len(),
                self.attributes.len()
            )));
        }
        for (attribute, position) in self.attributes.iter_mut().zip(mapping) {
            let (Some(column), Some(position)) = (&attribute.column, position) else {
                continue;
            };
            let array = batch.columns().get(*position).ok_or_else(|| {
                ConvError::Mapping(format!(
                    "column {position} of a batch with {} columns",
                    batch.num_columns()
                ))
            })?;
            let array = promote(column, array).map_err(|error| error.in_column(column.name()))?;
            attribute.array = Some(array.into_owned());
        }
        self.rows = batch.num_rows();
        Ok(())
    }

    /// Converts some of the batch's rows; others are not loaded any more.
    ///
    /// # Errors
    ///
    /// [`ConvError::Value`] for a value that PostgreSQL's type does not have. No rows are loaded then.
    ///
    /// # Panics
    ///
    /// If the batch does not have the rows.
    ///
    /// # Safety
    ///
    /// `context` is a valid memory context. It must not be reset or deleted while datums of these
    /// rows are in use.
    pub unsafe fn load(
        &mut self,
        rows: Range<usize>,
        context: MemoryContext,
    ) -> Result<(), ConvError> {
        assert!(
            rows.start <= rows.end && rows.end <= self.rows,
            "rows {rows:?} of a batch with {} rows",
            self.rows
        );
        self.loaded = 0..0;
        // SAFETY: the caller keeps the context for as long as the datums are used.
        let mut arena = unsafe { Arena::new(context, rows.len()) };
        let _pinned = self.text_form_functions.map(PinnedSettings::pin);
        for attribute in &mut self.attributes {
            if let (Some(column), Some(array)) = (&attribute.column, &attribute.array) {
                let rows = rows.clone();
                let part = Part { array, rows };
                decode_part(column, &part, &mut attribute.datums, &mut arena)
                    .map_err(|error| error.in_column(column.name()))?;
            }
        }
        self.loaded = rows;
        Ok(())
    }

    /// The rows of the batch that are loaded.
    pub fn loaded(&self) -> Range<usize> {
        self.loaded.clone()
    }

    /// Forgets the batch, which allows its memory context to be reset.
    pub fn clear(&mut self) {
        self.rows = 0;
        self.loaded = 0..0;
        for attribute in &mut self.attributes {
            attribute.array = None;
            attribute.datums.clear();
        }
    }

    /// Number of rows of the batch.
    pub fn len(&self) -> usize {
        self.rows
    }

    /// Whether there are no rows.
    pub fn is_empty(&self) -> bool {
        self.rows == 0
    }

    /// Number of attributes.
    pub fn width(&self) -> usize {
        self.attributes.len()
    }

    /// Datums and NULL flags of an attribute in the loaded rows; `None` where it is NULL in all because it is
    /// not read or the batch lacks it.
    pub fn column(&self, attribute: usize) -> Option<(&[Datum], &[bool])> {
        let attribute = self
            .attributes
            .get(attribute)
            .filter(|attribute| attribute.array.is_some())?;
        Some((&attribute.datums.values, &attribute.datums.isnull))
    }

    /// Writes one row.
    ///
    /// # Panics
    ///
    /// If `row` is not [loaded](Self::loaded), or the slices are shorter than
    /// [`width`](Self::width).
    #[inline]
    pub fn fill(&self, row: usize, values: &mut [Datum], isnull: &mut [bool]) {
        assert!(
            self.loaded.contains(&row),
            "row {row} of a batch of which {:?} are loaded",
            self.loaded
        );
        let row = row - self.loaded.start;
        let width = self.attributes.len();
        let outputs = values[..width].iter_mut().zip(&mut isnull[..width]);
        for (attribute, (value, isnull)) in self.attributes.iter().zip(outputs) {
            if attribute.array.is_some() {
                *value = attribute.datums.values[row];
                *isnull = attribute.datums.isnull[row];
            } else {
                *value = Datum::null();
                *isnull = true;
            }
        }
    }
}
