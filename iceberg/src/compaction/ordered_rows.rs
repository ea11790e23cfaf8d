//! The rows of several files in the order of a column by which those of each ascend.
//!
//! Files whose rows come one after another are read one after another. Where they overlap, one batch of each is in
//! memory.

use arrow::array::{Array, AsArray, Int64Array, RecordBatch};
use arrow::compute::concat_batches;
use arrow::datatypes::Int64Type;

use super::source::Source;
use crate::error::{Error, Result};

/// Merges sources.
pub(super) struct OrderedRows {
    /// Sources nothing of which was read yet, with a value that is not above any of theirs; the least last.
    waiting: Vec<(i64, Source)>,
    begun: Vec<Begun>,
    /// The place of the column.
    column: usize,
    batch_size: usize,
}

/// A source with rows in memory.
struct Begun {
    source: Source,
    batch: RecordBatch,
    values: Int64Array,
    /// The next row of the batch.
    row: usize,
}

impl Begun {
    fn next_value(&self) -> i64 {
        self.values.value(self.row)
    }
}

impl OrderedRows {
    pub(super) fn new(mut sources: Vec<(i64, Source)>, column: usize, batch_size: usize) -> Self {
        // Of equal ones the first is to come first.
        sources.reverse();
        sources.sort_by_key(|(least, _)| std::cmp::Reverse(*least));
        Self {
            waiting: sources,
            begun: Vec::new(),
            column,
            batch_size: batch_size.max(1),
        }
    }

    fn next_batch(&mut self) -> Result<Option<RecordBatch>> {
        let mut parts: Vec<RecordBatch> = Vec::new();
        let mut rows = 0;
        while rows < self.batch_size {
            let Some(part) = self.next_part(self.batch_size - rows)? else {
                break;
            };
            rows += part.num_rows();
            parts.push(part);
        }
        match &parts[..] {
            [] => Ok(None),
            [part] => Ok(Some(part.clone())),
            [first, ..] => concat_batches(first.schema_ref(), &parts)
                .map(Some)
                .map_err(|e| Error::arrow("put rows in order", e)),
        }
    }

    /// Some rows of one source that come before all others.
    fn next_part(&mut self, most: usize) -> Result<Option<RecordBatch>> {
        self.begin_sources()?;
        let least = (0..self.begun.len()).min_by_key(|&index| self.begun[index].next_value());
        let Some(index) = least else {
            return Ok(None);
        };
        let others = self
            .begun
            .iter()
            .enumerate()
            .filter(|(other, _)| *other != index);
        let others = others.map(|(_, begun)| begun.next_value());
        let waiting = self.waiting.last().map(|(least, _)| *least);
        let limit = others.chain(waiting).min().unwrap_or(i64::MAX);

        let column = self.column;
        let begun = &mut self.begun[index];
        let values = &begun.values.values()[begun.row..];
        let count = values
            .partition_point(|&value| value <= limit)
            .clamp(1, most.max(1));
        let part = begun.batch.slice(begun.row, count);
        begun.row += count;
        if begun.row == begun.batch.num_rows() {
            let last = begun.values.value(begun.row - 1);
            match read(&mut begun.source, column, last)? {
                Some((batch, values)) => {
                    (begun.batch, begun.values, begun.row) = (batch, values, 0);
                }
                None => drop(self.begun.remove(index)),
            }
        }
        Ok(Some(part))
    }

    /// Begins the sources that may have the next row.
    fn begin_sources(&mut self) -> Result<()> {
        while let Some((least, _)) = self.waiting.last() {
            let next = self.begun.iter().map(Begun::next_value).min();
            if next.is_some_and(|next| next < *least) {
                break;
            }
            let Some((least, mut source)) = self.waiting.pop() else {
                break;
            };
            if let Some((batch, values)) = read(&mut source, self.column, least)? {
                self.begun.push(Begun {
                    source,
                    batch,
                    values,
                    row: 0,
                });
            }
        }
        Ok(())
    }
}

/// The next batch of a source that has any rows, with the values of the column, which are at least `least`.
fn read(
    source: &mut Source,
    column: usize,
    least: i64,
) -> Result<Option<(RecordBatch, Int64Array)>> {
    while let Some(batch) = source.next() {
        let batch = batch?;
        if batch.num_rows() == 0 {
            continue;
        }
        let values = batch
            .column(column)
            .as_primitive_opt::<Int64Type>()
            .ok_or_else(|| {
                Error::invalid_argument(
                    "RewriteOptions",
                    "rows are ordered by columns of type long",
                )
            })?;
        let values = values.clone();
        let ascends = values.values().is_sorted() && least <= values.value(0);
        if values.null_count() > 0 || !ascends {
            let reason = "its rows are not in the order that they should be in";
            return Err(Error::invalid_data(source.path(), reason));
        }
        return Ok(Some((batch, values)));
    }
    Ok(None)
}

impl Iterator for OrderedRows {
    type Item = Result<RecordBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        self.next_batch().transpose()
    }
}
