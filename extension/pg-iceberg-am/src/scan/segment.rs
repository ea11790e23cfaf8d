//! Rows that lie together, and those of a snapshot's data files.

use std::cell::RefCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use iceberg_lite::BoundedCache;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::{RowRanges, ScanFile, plan_files};
use iceberg_lite::spec::TableMetadata;
use pg_lakebase_core::error::PgResult;

use crate::error::to_pg_error;
use crate::files::TableFiles;
use crate::row_id::{RowId, RowIds, column, ordered};

/// Bytes of segments kept, over all snapshots.
const CACHE_BYTES: usize = 64 << 20;

thread_local! {
    /// By the paths of metadata files, which are never used again.
    static CACHE: RefCell<BoundedCache<String, Arc<Vec<Segment>>>> =
        RefCell::new(BoundedCache::new(CACHE_BYTES));
}

/// Rows that lie together: a data file, or a batch in memory.
#[derive(Clone)]
pub struct Segment {
    /// Number of rows in the view before this segment, counting deleted ones.
    pub start: u64,
    /// Number of rows, counting deleted ones and those that the snapshot does not see.
    pub rows: u64,
    /// Which of them the snapshot sees; `None` where it sees all.
    pub visible: Option<Arc<RowRanges>>,
    /// Rows, in their order, that it does not see either: where only the file knows which they are.
    pub changed: Arc<[RowId]>,
    /// The rows' ids.
    pub ids: SegmentIds,
    /// Where the rows are.
    pub source: SegmentSource,
}

/// The ids of a segment's rows.
#[derive(Clone)]
pub enum SegmentIds {
    /// They are these.
    Known(RowIds),
    /// The file's column of row ids tells; they ascend and lie within these bounds.
    InFile(Range<RowId>),
}

impl SegmentIds {
    /// Those of the rows of a data file.
    pub(super) fn of_file(file: &DataFile, rows: u64) -> PgResult<Self> {
        let ids = column::bounds(file)?;
        Ok(match usize::try_from(rows) {
            Ok(count) if column::is_run(&ids, rows) => Self::Known(RowIds::Run(ids.start, count)),
            _ => Self::InFile(ids),
        })
    }

    /// From the least id to one past the greatest; `None` without rows.
    pub fn bounds(&self) -> Option<Range<RowId>> {
        match self {
            Self::Known(ids) => ids.bounds(),
            Self::InFile(bounds) => Some(bounds.clone()),
        }
    }
}

/// Where the rows of a segment are.
#[derive(Clone)]
pub enum SegmentSource {
    /// A data file.
    File(Arc<ScanFile>),
    /// Rows in memory, whose fields have ids.
    Batch(RecordBatch),
}

/// The data files of the current snapshot of `metadata`, which are in the file `name`, as segments.
pub fn committed_segments(
    io: &TableFiles,
    name: &str,
    metadata: &TableMetadata,
) -> PgResult<Arc<Vec<Segment>>> {
    let Some(snapshot) = metadata.current_snapshot() else {
        return Ok(Arc::default());
    };
    let path = io.place().path_of(name);
    if let Some(known) = CACHE.with_borrow_mut(|cache| cache.get(&path)) {
        return Ok(known);
    }
    let files = plan_files(metadata, snapshot, io).map_err(to_pg_error)?;
    let weight: usize = files.iter().map(ScanFile::memory_size).sum();
    let segments = Arc::new(of_files(files)?);
    CACHE.with_borrow_mut(|cache| cache.put(path, Arc::clone(&segments), weight));
    Ok(segments)
}

/// The segments of committed data files.
fn of_files(files: Vec<ScanFile>) -> PgResult<Vec<Segment>> {
    let mut segments = Vec::with_capacity(files.len());
    for file in files {
        push_file(&mut segments, file)?;
    }
    in_row_order(&mut segments);
    Ok(segments)
}

/// Orders committed segments by their first rows' ids: a scan gives rows in the order of their insertion, whether
/// they have been folded into files or not.
pub(super) fn in_row_order(segments: &mut [Segment]) {
    segments.sort_by_key(|segment| segment.ids.bounds().map(|bounds| bounds.start));
    let mut start = 0;
    for segment in segments {
        segment.start = start;
        start += segment.rows;
    }
}

/// Takes rows out of segments, by their ids, which are in order.
pub(super) fn without_rows(segments: &[Segment], changed: &[RowId]) -> Vec<Segment> {
    let without = |segment: &Segment| {
        let Some(bounds) = segment.ids.bounds() else {
            return segment.clone();
        };
        let changed = ordered::within(changed, &bounds);
        if changed.is_empty() {
            return segment.clone();
        }
        match &segment.ids {
            SegmentIds::Known(ids) => {
                let positions = changed.iter().filter_map(|&id| ids.position(id));
                let gone = RowRanges::from_positions(positions.map(|position| position as u64));
                let all = || Arc::new(RowRanges::from_range(0..segment.rows));
                let visible = segment.visible.clone().unwrap_or_else(all);
                Segment {
                    visible: Some(Arc::new(visible.subtract(&gone))),
                    ..segment.clone()
                }
            }
            SegmentIds::InFile(_) => Segment {
                changed: changed.into(),
                ..segment.clone()
            },
        }
    };
    segments.iter().map(without).collect()
}

/// The same segments with all rows that their files have, deleted ones as well.
pub(super) fn with_deleted_rows(segments: &[Segment]) -> Vec<Segment> {
    let with = |segment: &Segment| match &segment.source {
        SegmentSource::File(file) if !file.deletes.is_empty() => Segment {
            source: SegmentSource::File(Arc::new(ScanFile {
                deletes: Vec::new(),
                ..ScanFile::clone(file)
            })),
            ..segment.clone()
        },
        _ => segment.clone(),
    };
    segments.iter().map(with).collect()
}

/// Adds a data file after the others.
pub(super) fn push_file(segments: &mut Vec<Segment>, file: ScanFile) -> PgResult<()> {
    let rows = u64::try_from(file.data_file.record_count).unwrap_or(0);
    segments.push(Segment {
        start: end_of(segments),
        rows,
        visible: None,
        changed: Arc::default(),
        ids: SegmentIds::of_file(&file.data_file, rows)?,
        source: SegmentSource::File(Arc::new(file)),
    });
    Ok(())
}

/// Number of rows in segments, counting deleted ones.
pub(super) fn end_of(segments: &[Segment]) -> u64 {
    segments
        .last()
        .map_or(0, |segment| segment.start + segment.rows)
}
