//! Batches of one segment, from a given row on.

use std::ops::Range;

use arrow::array::RecordBatch;
use iceberg_lite::expr::Predicate;
use iceberg_lite::scan::{DataFileReader, FileMetadata, ReadOptions, RowPositions, RowRanges};
use pg_lakebase_core::error::PgResult;

use super::reader::Projection;
use super::view::{Segment, SegmentSource, TableView};
use crate::error::{arrow_error, to_pg_error};

/// Rows decoded together.
pub const BATCH_ROWS: usize = 8192;

/// Rows of a segment, decoded to Arrow.
pub struct SegmentBatch {
    /// The rows' positions in the segment.
    pub positions: RowPositions,
    /// The projected columns.
    pub batch: RecordBatch,
}

/// Reads a segment's batches in order.
pub enum SegmentReader {
    /// From a data file.
    File(Box<DataFileReader>),
    /// From memory; `None` once it has been handed out.
    Memory(Option<SegmentBatch>),
}

impl SegmentReader {
    /// Begins to read the rows `range` of `segment`.
    pub fn open(
        view: &TableView,
        segment: &Segment,
        range: Range<u64>,
        projection: &Projection,
        predicate: Option<&Predicate>,
    ) -> PgResult<Self> {
        match &segment.source {
            SegmentSource::Batch(batch) => {
                let rows = batch.slice(range.start as usize, (range.end - range.start) as usize);
                let batch = rows
                    .project(&projection.live_columns)
                    .map_err(arrow_error("project pending rows"))?;
                let positions = RowPositions::Range(range);
                Ok(Self::Memory(Some(SegmentBatch { positions, batch })))
            }
            SegmentSource::File(file) => {
                let input = file.open_file(&view.io).map_err(to_pg_error)?;
                let metadata = FileMetadata::of(&view.io, &input).map_err(to_pg_error)?;
                let options = ReadOptions {
                    projection: projection.field_ids.clone(),
                    batch_size: BATCH_ROWS,
                    rows: (range != (0..metadata.num_rows())).then(|| RowRanges::from_range(range)),
                    predicate: predicate.cloned(),
                    ..ReadOptions::default()
                };
                let reader = match &view.metadata {
                    Some(table) => {
                        file.open_with(&view.io, &input, &metadata, table, &view.schema, options)
                    }
                    None => DataFileReader::with_metadata(input, &metadata, &view.schema, options),
                }
                .map_err(to_pg_error)?;
                Ok(Self::File(Box::new(reader)))
            }
        }
    }

    /// The next batch, which is never empty.
    pub fn next(&mut self) -> PgResult<Option<SegmentBatch>> {
        match self {
            Self::Memory(batch) => Ok(batch.take()),
            Self::File(reader) => loop {
                pg_lakebase_core::interrupt::check();
                match reader.next().transpose().map_err(to_pg_error)? {
                    None => return Ok(None),
                    Some(read) if read.batch.num_rows() == 0 => {}
                    Some(read) => {
                        return Ok(Some(SegmentBatch {
                            positions: read.positions,
                            batch: read.batch,
                        }));
                    }
                }
            },
        }
    }
}
