//! The datums of one batch, by attribute.

use super::arena::Arena;
use super::column::{DatumColumn, decode};
use crate::error::ConvError;
use crate::settings::PinnedSettings;
use crate::types::{ColumnType, TextFormFunctions};
use arrow::array::RecordBatch;
use pgrx::pg_sys::{Datum, MemoryContext};

/// Turns record batches into datums for tuple slots.
///
/// The vectors are reused from batch to batch; values passed by reference live in the memory
/// context given to [`load`](Self::load).
pub struct BatchDecoder {
    attributes: Vec<Attribute>,
    /// Whose functions are called, with their settings pinned, for a batch.
    text_form_functions: Option<TextFormFunctions>,
    rows: usize,
}

struct Attribute {
    /// `None` for an attribute that is not read, and so is NULL.
    column: Option<ColumnType>,
    /// Whether the batch has the column; without it the attribute is NULL.
    loaded: bool,
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
                loaded: false,
                datums: DatumColumn::default(),
            })
            .collect();
        Self {
            attributes,
            text_form_functions,
            rows: 0,
        }
    }

    /// Converts a batch. `mapping` has, per attribute, the batch's column for it, or `None` for
    /// an attribute that the batch lacks, which is then NULL.
    ///
    /// # Errors
    ///
    /// [`ConvError::ArrowType`] for a column of a type that the attribute cannot be read from,
    /// [`ConvError::Value`] for a value that PostgreSQL's type does not have. No rows are loaded
    /// then.
    ///
    /// # Safety
    ///
    /// `context` is a valid memory context. It must not be reset or deleted while datums of this
    /// batch are in use.
    pub unsafe fn load(
        &mut self,
        batch: &RecordBatch,
        mapping: &[Option<usize>],
        context: MemoryContext,
    ) -> Result<(), ConvError> {
        self.clear();
        if mapping.len() != self.attributes.len() {
            return Err(ConvError::Mapping(format!(
                "{} mapped columns for {} attributes",
                mapping.len(),
                self.attributes.len()
            )));
        }
        // SAFETY: the caller keeps the context for as long as the datums are used.
        let mut arena = unsafe { Arena::new(context) };
        let _pinned = self.text_form_functions.map(PinnedSettings::pin);
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
            decode(column, array, &mut attribute.datums, &mut arena)
                .map_err(|error| error.in_column(column.name()))?;
            attribute.loaded = true;
        }
        self.rows = batch.num_rows();
        Ok(())
    }

    /// Forgets the batch, which allows its memory context to be reset.
    pub fn clear(&mut self) {
        self.rows = 0;
        for attribute in &mut self.attributes {
            attribute.loaded = false;
            attribute.datums.clear();
        }
    }

    /// Number of rows loaded.
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

    /// Datums and NULL flags of an attribute; `None` where it is NULL in all rows because it is
    /// not read or the batch lacks it.
    pub fn column(&self, attribute: usize) -> Option<(&[Datum], &[bool])> {
        let attribute = self
            .attributes
            .get(attribute)
            .filter(|attribute| attribute.loaded)?;
        Some((&attribute.datums.values, &attribute.datums.isnull))
    }

    /// Writes one row.
    ///
    /// # Panics
    ///
    /// If `row` is not below [`len`](Self::len), or the slices are shorter than
    /// [`width`](Self::width).
    #[inline]
    pub fn fill(&self, row: usize, values: &mut [Datum], isnull: &mut [bool]) {
        assert!(
            row < self.rows,
            "row {row} of a batch with {} rows",
            self.rows
        );
        let width = self.attributes.len();
        let outputs = values[..width].iter_mut().zip(&mut isnull[..width]);
        for (attribute, (value, isnull)) in self.attributes.iter().zip(outputs) {
            if attribute.loaded {
                *value = attribute.datums.values[row];
                *isnull = attribute.datums.isnull[row];
            } else {
                *value = Datum::null();
                *isnull = true;
            }
        }
    }
}
