//! What a snapshot sees of a table.

use std::cell::OnceCell;
use std::ops::Range;
use std::sync::Arc;

use arrow::array::RecordBatch;
use arrow::compute::concat_batches;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::{RowRanges, ScanFile};
use iceberg_lite::spec::{Schema, TableMetadata};
use iceberg_lite::write::arrow_schema;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::Relation;
use pg_lakebase_core::snapshot::{Snapshot, SnapshotKind};
use pgrx::pg_sys;

use super::row_lookup::SegmentsByRowId;
use crate::catalog::{Append, Appended, Committed, cache, find_committed};
use crate::error::{arrow_error, to_pg_error};
use crate::row_id::{RowId, RowIds, column};
use crate::schema::{TableColumns, TableSchema, conform};
use crate::storage::{StorageKey, VfdFileIo};
use crate::transaction::{self, PendingBatch, shared};

/// What stands for the sequence number of a file that has none yet: no snapshot has added it.
pub const UNSEQUENCED: i64 = i64::MAX;

/// Rows that lie together: a data file, or a batch in memory.
#[derive(Clone)]
pub struct Segment {
    /// Number of rows in the view before this segment, counting deleted ones.
    pub start: u64,
    /// Number of rows, counting deleted ones and those that the snapshot does not see.
    pub rows: u64,
    /// Which of them the snapshot sees; `None` where it sees all.
    pub visible: Option<Arc<RowRanges>>,
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
    fn of_file(file: &DataFile, rows: u64) -> PgResult<Self> {
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

/// The rows of a table that one snapshot sees.
#[derive(Clone)]
pub struct TableView {
    /// The table.
    pub relid: pg_sys::Oid,
    /// The table's columns.
    pub columns: Arc<TableColumns>,
    /// The fields that hold them, in their order and under their names.
    pub schema: Arc<Schema>,
    /// The metadata of the snapshot; none if nothing is committed.
    pub metadata: Option<Arc<TableMetadata>>,
    /// Files of the storage.
    pub io: VfdFileIo,
    /// The rows.
    pub segments: Arc<Vec<Segment>>,
    /// Finds segments by row ids.
    pub(super) by_row_id: OnceCell<SegmentsByRowId>,
}

impl TableView {
    /// What `snapshot` sees of `rel`.
    ///
    /// An MVCC snapshot sees the pointer row and the appends it sees, and the transaction's own rows of
    /// earlier commands. Any other snapshot, and none, sees the latest committed state and all own rows.
    pub fn resolve(rel: Relation<'_>, snapshot: Option<Snapshot<'_>>) -> PgResult<Self> {
        let key = StorageKey::of(rel);
        let snapshot = snapshot.filter(|snapshot| snapshot.kind() == SnapshotKind::Mvcc);
        let curcid = snapshot.map(|snapshot| snapshot.cur_cid());
        let own = if shared::is_worker() {
            Own::of_leader(rel, key)?
        } else {
            Own::of_transaction(&key, curcid)?
        };
        let committed = match &own {
            Some(own) if own.hides_committed => None,
            _ => find_committed(rel, &key, snapshot)?,
        };
        let Committed { pointer, appends } = committed.unwrap_or_default();
        let io = match &own {
            Some(own) => own.io.clone(),
            None => VfdFileIo::new(key),
        };
        let metadata = pointer
            .metadata_location
            .map(|location| cache::metadata(&io, &location).map(|metadata| (location, metadata)))
            .transpose()?;
        let columns = Arc::new(TableColumns::resolve(rel.tuple_desc())?);
        let TableSchema {
            columns, schema, ..
        } = match (&metadata, &own) {
            (Some((_, metadata)), _) => TableSchema::of_metadata(columns, metadata)?,
            (None, Some(own)) => own.schema.with_columns(columns)?,
            (None, None) => TableSchema::of_new_table(columns)?,
        };
        let committed = match &metadata {
            Some((location, metadata)) => cache::segments(&io, location, metadata)?,
            None => Arc::default(),
        };
        let committed = match &*appends {
            [] => committed,
            appends => with_appends(&committed, appends, &schema)?,
        };
        let segments = match own {
            Some(own) if !own.pending.visible.is_empty() => with_pending(&committed, own.pending)?,
            _ => committed,
        };
        Ok(Self {
            relid: rel.oid(),
            columns,
            schema,
            metadata: metadata.map(|(_, metadata)| metadata),
            io,
            segments,
            by_row_id: OnceCell::new(),
        })
    }

    /// Number of rows, counting deleted ones.
    pub fn rows(&self) -> u64 {
        end_of(&self.segments)
    }

    /// Index of the segment that holds row number `row` of the view.
    pub fn segment_of(&self, row: u64) -> Option<usize> {
        let index = self
            .segments
            .partition_point(|segment| segment.start + segment.rows <= row);
        (index < self.segments.len()).then_some(index)
    }
}

/// What the transaction itself knows of a storage.
struct Own {
    schema: TableSchema,
    io: VfdFileIo,
    hides_committed: bool,
    pending: transaction::PendingView,
}

impl Own {
    fn of_transaction(
        key: &StorageKey,
        curcid: Option<pg_sys::CommandId>,
    ) -> PgResult<Option<Self>> {
        transaction::with_storage(key, |storage, marks| {
            Ok(Self {
                schema: storage.schema.clone(),
                io: storage.io.clone(),
                hides_committed: storage.created || storage.emptied,
                pending: storage.rows.view(curcid, marks)?,
            })
        })
        .transpose()
    }

    /// In a parallel worker, what the leader has done before the plan began.
    fn of_leader(rel: Relation<'_>, key: StorageKey) -> PgResult<Option<Self>> {
        let Some(storage) = shared::storage_of_leader(&key)? else {
            return Ok(None);
        };
        let columns = Arc::new(TableColumns::resolve(rel.tuple_desc())?);
        Ok(Some(Self {
            schema: storage.schema(columns)?,
            io: VfdFileIo::new(key),
            hides_committed: storage.hides_committed,
            pending: storage.pending,
        }))
    }
}

/// The segments of committed data files.
pub fn committed_segments(files: Vec<ScanFile>) -> PgResult<Vec<Segment>> {
    let mut segments = Vec::with_capacity(files.len());
    for file in files {
        push_file(&mut segments, file)?;
    }
    in_row_order(&mut segments);
    Ok(segments)
}

/// Orders committed segments by their first rows' ids: a scan gives rows in the order of their insertion, whether
/// they have been folded into files or not.
fn in_row_order(segments: &mut [Segment]) {
    segments.sort_by_key(|segment| segment.ids.bounds().map(|bounds| bounds.start));
    let mut start = 0;
    for segment in segments {
        segment.start = start;
        start += segment.rows;
    }
}

fn push_file(segments: &mut Vec<Segment>, file: ScanFile) -> PgResult<()> {
    let rows = u64::try_from(file.data_file.record_count).unwrap_or(0);
    segments.push(Segment {
        start: end_of(segments),
        rows,
        visible: None,
        ids: SegmentIds::of_file(&file.data_file, rows)?,
        source: SegmentSource::File(Arc::new(file)),
    });
    Ok(())
}

/// Number of rows in segments, counting deleted ones.
fn end_of(segments: &[Segment]) -> u64 {
    segments
        .last()
        .map_or(0, |segment| segment.start + segment.rows)
}

/// The segments of a snapshot's metadata, and those of appends that it does not have yet.
fn with_appends(
    committed: &[Segment],
    appends: &[Append],
    schema: &Schema,
) -> PgResult<Arc<Vec<Segment>>> {
    let mut segments = Vec::with_capacity(committed.len() + appends.len());
    segments.extend_from_slice(committed);
    let mut rows = Vec::new();
    for append in appends {
        match append.appended()? {
            Appended::DataFile(file) => push_file(&mut segments, unsequenced(file))?,
            Appended::Rows(batch, ids) => rows.push((batch, ids)),
        }
    }
    if !rows.is_empty() {
        rows.sort_by_key(|(_, ids)| ids.bounds().map(|bounds| bounds.start));
        let (mut batches, batch_ids): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let schema = arrow_schema(schema).map_err(to_pg_error)?;
        for batch in &mut batches {
            *batch = conform(batch, &schema)?;
        }
        let batch = concat_batches(&schema, &batches).map_err(arrow_error("join appended rows"))?;
        segments.push(Segment {
            start: end_of(&segments),
            rows: batch.num_rows() as u64,
            visible: None,
            ids: SegmentIds::Known(RowIds::concat(&batch_ids)),
            source: SegmentSource::Batch(batch),
        });
    }
    in_row_order(&mut segments);
    Ok(Arc::new(segments))
}

fn unsequenced(data_file: Arc<DataFile>) -> ScanFile {
    ScanFile {
        data_file,
        data_sequence_number: UNSEQUENCED,
        deletes: Vec::new(),
    }
}

fn with_pending(
    committed: &[Segment],
    pending: transaction::PendingView,
) -> PgResult<Arc<Vec<Segment>>> {
    let mut segments = committed.to_vec();
    let mut add = |first: u64, rows: u64, ids: SegmentIds, source: SegmentSource| {
        let part = RowRanges::from_range(first..first + rows);
        let ranges = pending.visible.intersect(&part);
        let ranges = ranges.ranges();
        let Some(rows) = ranges.last().map(|range| range.end - first) else {
            return;
        };
        let visible = match ranges {
            [all] if all.start == first => None,
            _ => {
                let shifted = ranges.iter().map(|r| r.start - first..r.end - first);
                Some(Arc::new(RowRanges::from_ranges(shifted)))
            }
        };
        segments.push(Segment {
            start: end_of(&segments),
            rows,
            visible,
            ids,
            source,
        });
    };
    for file in &pending.files {
        let rows = u64::try_from(file.data_file.record_count).unwrap_or(0);
        let ids = SegmentIds::of_file(&file.data_file, rows)?;
        let source = SegmentSource::File(Arc::new(unsequenced(Arc::clone(&file.data_file))));
        add(file.start, rows, ids, source);
    }
    for PendingBatch { start, batch, ids } in &pending.batches {
        let rows = batch.num_rows() as u64;
        let source = SegmentSource::Batch(batch.clone());
        add(*start, rows, SegmentIds::Known(ids.clone()), source);
    }
    Ok(Arc::new(segments))
}
