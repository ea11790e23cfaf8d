//! Rows in memory, with their ids.

use arrow::array::{Array, AsArray, RecordBatch};
use arrow::compute::{concat_batches, sort_to_indices, take, take_record_batch};
use arrow::datatypes::Int64Type;
use pg_lakebase_core::error::PgResult;

use crate::error::arrow_error;
use crate::row_id::RowIds;

/// Rows of a transaction that are in memory.
#[derive(Clone)]
pub struct PendingBatch {
    /// Number of the first row.
    pub start: u64,
    /// The rows.
    pub batch: RecordBatch,
    /// Their ids.
    pub ids: RowIds,
}

impl PendingBatch {
    /// `count` rows from the one at `offset` on.
    pub(super) fn slice(&self, offset: usize, count: usize) -> Self {
        Self {
            start: self.start + offset as u64,
            batch: self.batch.slice(offset, count),
            ids: self.ids.slice(offset, count),
        }
    }

    /// Number of the row after the last.
    pub(super) fn end(&self) -> u64 {
        self.start + self.batch.num_rows() as u64
    }

    /// Bytes of the values, whatever memory the batch holds for more.
    pub(super) fn value_bytes(&self) -> usize {
        self.batch
            .columns()
            .iter()
            .map(|column| column.to_data().get_slice_memory_size().unwrap_or(0))
            .sum()
    }
}

/// The rows of several batches, of which there is one at least, with their ids.
pub(super) fn join(parts: &[PendingBatch]) -> PgResult<(RecordBatch, RowIds)> {
    if let [only] = parts {
        return Ok((only.batch.clone(), only.ids.clone()));
    }
    let schema = parts[0].batch.schema_ref();
    let batch = concat_batches(schema, parts.iter().map(|part| &part.batch))
        .map_err(arrow_error("join pending rows"))?;
    Ok((batch, RowIds::concat(parts.iter().map(|part| &part.ids))))
}

/// The rows in the order of their ids.
pub(super) fn in_order_of_ids(
    (batch, ids): (RecordBatch, RowIds),
) -> PgResult<(RecordBatch, RowIds)> {
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
