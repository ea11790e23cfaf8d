//! Batches of one segment, from a given row on.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::{ArrayRef, AsArray, RecordBatch};
use arrow::compute::filter_record_batch;
use arrow::datatypes::Int64Type;
use iceberg_lite::expr::Predicate;
use iceberg_lite::scan::{
    DataFileReader, FileMetadata, ReadOptions, RowGroupCounts, RowPositions, RowRanges,
};
use iceberg_lite::write::arrow_schema;
use pg_lakebase_core::error::PgResult;

use super::file_reader::FileReader;
use super::reader::Projection;
use super::segment::{Segment, SegmentIds, SegmentSource};
use super::view::TableView;
use crate::error::{arrow_error, to_pg_error};
use crate::row_id::{RowId, column, ordered};
use crate::schema::conform;

/// Rows decoded together.
pub const BATCH_ROWS: usize = 8192;

/// Rows of a segment, decoded to Arrow.
pub struct SegmentBatch {
    /// The rows' positions in the segment.
    pub positions: RowPositions,
    /// The projected columns.
    pub batch: RecordBatch,
    /// The rows' ids, if they are wanted and only the file knows them.
    pub ids: Option<ArrayRef>,
}

/// Reads a segment's batches in order.
pub enum SegmentReader {
    /// From a data file; whether row ids are the last column, and rows to leave out.
    File(FileReader, bool, Arc<[RowId]>),
    /// From memory; what is left.
    Memory(Option<SegmentBatch>),
}

impl SegmentReader {
    /// Begins to read those of the rows `range` of `segment` that the snapshot sees.
    pub fn open(
        view: &TableView,
        segment: &Segment,
        range: Range<u64>,
        projection: &Projection,
        predicate: Option<&Predicate>,
    ) -> PgResult<Self> {
        let rows = RowRanges::from_range(range);
        let rows = match &segment.visible {
            Some(visible) => visible.intersect(&rows),
            None => rows,
        };
        match &segment.source {
            SegmentSource::Batch(batch) => {
                let [.., last] = rows.ranges() else {
                    return Ok(Self::Memory(None));
                };
                let range = rows.ranges()[0].start..last.end;
                let slice = batch.slice(range.start as usize, (range.end - range.start) as usize);
                let schema = arrow_schema(&view.schema).map_err(to_pg_error)?;
                let mut batch = conform(&slice, &schema, &view.missing)?
                    .project(&projection.live_columns)
                    .map_err(arrow_error("project pending rows"))?;
                let mut positions = RowPositions::Range(range.clone());
                if rows.ranges().len() > 1 {
                    let kept: Vec<bool> = range.map(|row| rows.contains(row)).collect();
                    batch = filter_record_batch(&batch, &kept.into())
                        .map_err(arrow_error("choose pending rows"))?;
                    positions =
                        RowPositions::List(rows.ranges().iter().cloned().flatten().collect());
                }
                Ok(Self::Memory(Some(SegmentBatch {
                    positions,
                    batch,
                    ids: None,
                })))
            }
            SegmentSource::File(file) => {
                let input = file.open_file(&view.io).map_err(to_pg_error)?;
                let metadata = FileMetadata::of(&view.io, &input).map_err(to_pg_error)?;
                let with_ids = matches!(segment.ids, SegmentIds::InFile(_))
                    && (projection.row_ids || !segment.changed.is_empty());
                let schema = with_ids.then(|| column::with_row_ids(&view.schema));
                let schema = schema.as_ref().unwrap_or(&view.schema);
                let mut field_ids = projection.field_ids.clone();
                field_ids.extend(with_ids.then_some(column::FIELD_ID));
                let all = RowRanges::from_range(0..metadata.num_rows());
                let options = ReadOptions {
                    projection: field_ids,
                    batch_size: BATCH_ROWS,
                    rows: (rows != all).then_some(rows),
                    predicate: predicate.cloned(),
                    missing_values: Arc::clone(&view.missing),
                    ..ReadOptions::default()
                };
                let reader = match &view.metadata {
                    Some(table) => {
                        file.open_with(&view.io, &input, &metadata, table, schema, options)
                    }
                    None => DataFileReader::with_metadata(input, &metadata, schema, options),
                }
                .map_err(to_pg_error)?;
                let changed = Arc::clone(&segment.changed);
                let is_local = !view.io.place().is_object();
                Ok(Self::File(
                    FileReader::new(reader, is_local),
                    with_ids,
                    changed,
                ))
            }
        }
    }

    /// What has become of the file's row groups so far.
    pub fn row_group_counts(&self) -> RowGroupCounts {
        match self {
            Self::File(reader, ..) => reader.row_group_counts(),
            Self::Memory(_) => RowGroupCounts::default(),
        }
    }

    /// The next batch, which is never empty.
    pub fn next(&mut self) -> PgResult<Option<SegmentBatch>> {
        match self {
            Self::Memory(left) => {
                let Some(batch) = left.take() else {
                    return Ok(None);
                };
                let (next, rest) = batch.split(BATCH_ROWS);
                *left = rest;
                Ok(Some(next))
            }
            Self::File(reader, with_ids, changed) => loop {
                pg_lakebase_core::interrupt::check();
                let Some(read) = reader.next().transpose().map_err(to_pg_error)? else {
                    return Ok(None);
                };
                let mut batch = SegmentBatch {
                    positions: read.positions,
                    ids: read.batch.columns().last().filter(|_| *with_ids).cloned(),
                    batch: read.batch,
                };
                batch.leave_out(changed)?;
                if batch.batch.num_rows() > 0 {
                    return Ok(Some(batch));
                }
            },
        }
    }
}

impl SegmentBatch {
    /// The first `rows` rows, and those behind, of a batch whose segment knows its row ids.
    fn split(self, rows: usize) -> (Self, Option<Self>) {
        let Self {
            positions, batch, ..
        } = self;
        let all = batch.num_rows();
        if all <= rows {
            let whole = Self {
                positions,
                batch,
                ids: None,
            };
            return (whole, None);
        }
        let part = |positions, start, count| Self {
            positions,
            batch: batch.slice(start, count),
            ids: None,
        };
        let (first, rest) = positions.split_at(rows);
        (part(first, 0, rows), Some(part(rest, rows, all - rows)))
    }

    /// Takes rows out by their ids, which are in order, as those of the batch are.
    fn leave_out(&mut self, changed: &[RowId]) -> PgResult<()> {
        let Some(ids) = self.ids.as_ref().filter(|_| !changed.is_empty()) else {
            return Ok(());
        };
        let values = ids.as_primitive::<Int64Type>().values();
        let id = |value: Option<&i64>| RowId::from_i64(*value?);
        let Some((first, last)) = id(values.first()).zip(id(values.last())) else {
            return Ok(());
        };
        let changed = ordered::within(changed, &(first..last.advance(1)));
        if changed.is_empty() {
            return Ok(());
        }
        let kept = ordered::none_of(changed, values);
        self.positions = self.positions.filter(kept.values());
        self.batch = filter_record_batch(&self.batch, &kept)
            .map_err(arrow_error("leave out superseded rows"))?;
        self.ids = self.batch.columns().last().cloned();
        Ok(())
    }
}
