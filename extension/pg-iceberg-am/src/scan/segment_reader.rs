//! Batches of one segment, from a given row on.

use std::ops::Range;

use arrow::array::{ArrayRef, RecordBatch};
use arrow::compute::filter_record_batch;
use iceberg_lite::expr::Predicate;
use iceberg_lite::scan::{
    DataFileReader, FileMetadata, ReadOptions, RowGroupCounts, RowPositions, RowRanges,
};
use iceberg_lite::write::arrow_schema;
use pg_lakebase_core::error::PgResult;

use super::reader::Projection;
use super::segment::{Segment, SegmentIds, SegmentSource};
use super::view::TableView;
use crate::error::{arrow_error, to_pg_error};
use crate::row_id::column;
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
    /// From a data file; whether row ids are the last column.
    File(Box<DataFileReader>, bool),
    /// From memory; `None` once it has been handed out.
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
                let mut batch = conform(&slice, &schema)?
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
                let with_ids = projection.row_ids && matches!(segment.ids, SegmentIds::InFile(_));
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
                    ..ReadOptions::default()
                };
                let reader = match &view.metadata {
                    Some(table) => {
                        file.open_with(&view.io, &input, &metadata, table, schema, options)
                    }
                    None => DataFileReader::with_metadata(input, &metadata, schema, options),
                }
                .map_err(to_pg_error)?;
                Ok(Self::File(Box::new(reader), with_ids))
            }
        }
    }

    /// What has become of the file's row groups so far.
    pub fn row_group_counts(&self) -> RowGroupCounts {
        match self {
            Self::File(reader, _) => reader.row_group_counts(),
            Self::Memory(_) => RowGroupCounts::default(),
        }
    }

    /// The next batch, which is never empty.
    pub fn next(&mut self) -> PgResult<Option<SegmentBatch>> {
        match self {
            Self::Memory(batch) => Ok(batch.take()),
            Self::File(reader, with_ids) => loop {
                pg_lakebase_core::interrupt::check();
                match reader.next().transpose().map_err(to_pg_error)? {
                    None => return Ok(None),
                    Some(read) if read.batch.num_rows() == 0 => {}
                    Some(read) => {
                        return Ok(Some(SegmentBatch {
                            positions: read.positions,
                            ids: read.batch.columns().last().filter(|_| *with_ids).cloned(),
                            batch: read.batch,
                        }));
                    }
                }
            },
        }
    }
}
