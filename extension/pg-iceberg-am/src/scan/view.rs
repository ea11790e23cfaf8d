//! What a snapshot sees of a table.

use std::cell::OnceCell;
use std::sync::Arc;

use arrow::compute::concat_batches;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::{MissingValues, RowRanges, ScanFile};
use iceberg_lite::spec::{FormatVersion, Schema, TableMetadata};
use iceberg_lite::write::arrow_schema;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::relation::{Relation, TupleDesc};
use pg_lakebase_core::snapshot::{Snapshot, SnapshotKind};
use pg_lakebase_core::xact;
use pgrx::pg_sys;

use super::row_lookup::SegmentsByRowId;
use super::segment::{
    Segment, SegmentIds, SegmentSource, committed_segments, end_of, in_row_order, push_file,
    with_deleted_rows, without_rows,
};
use crate::catalog::options::TableOptions;
use crate::catalog::{ColumnFieldCatalog, Committed, InlineCommit, InlineContent, find_committed};
use crate::claims;
use crate::directory::StorageKey;
use crate::error::{arrow_error, to_pg_error};
use crate::files::{TableFiles, cache};
use crate::row_id::RowIds;
use crate::schema::{ColumnFields, Fields, TableColumns, TableSchema, conform};
use crate::transaction::{self, PendingBatch, shared};

/// What stands for the sequence number of a file that has none yet: no snapshot has added it.
pub const UNSEQUENCED: i64 = i64::MAX;

/// The rows of a table that one snapshot sees.
#[derive(Clone)]
pub struct TableView {
    /// The table.
    pub relid: pg_sys::Oid,
    /// The table's columns.
    pub columns: Arc<TableColumns>,
    /// The fields that hold them, in their order and under their names.
    pub schema: Arc<Schema>,
    /// What rows have in columns that were added after they were written, where that is not NULL.
    pub missing: MissingValues,
    /// The metadata of the snapshot; none if nothing is committed.
    pub metadata: Option<Arc<TableMetadata>>,
    /// Files of the storage.
    pub io: TableFiles,
    /// The rows.
    pub segments: Arc<Vec<Segment>>,
    /// Finds segments by row ids.
    pub(super) by_row_id: OnceCell<SegmentsByRowId>,
}

impl TableView {
    /// What `snapshot` sees of `rel`.
    ///
    /// An MVCC snapshot sees the pointer row, the inline commits and the changes of rows it sees, and the transaction's
    /// own rows of earlier commands. Any other snapshot, and none, sees the latest committed state and all that the
    /// transaction has done.
    pub fn resolve(rel: Relation<'_>, snapshot: Option<Snapshot<'_>>) -> PgResult<Self> {
        Self::resolve_as(rel, rel.tuple_desc(), snapshot)
    }

    /// As [`Self::resolve`], with the columns that the table had when it was of this shape.
    pub fn resolve_as(
        rel: Relation<'_>,
        shape: TupleDesc<'_>,
        snapshot: Option<Snapshot<'_>>,
    ) -> PgResult<Self> {
        let mut view = Self::with_changed_rows(rel, shape, snapshot)?;
        let snapshot = snapshot.filter(|snapshot| snapshot.kind() == SnapshotKind::Mvcc);
        let key = StorageKey::of(rel);
        let changed = claims::changed_rows(rel, &key, snapshot)?;
        if !changed.is_empty() {
            view.segments = Arc::new(without_rows(&view.segments, &changed));
        }
        Ok(view)
    }

    /// As [`Self::resolve`], with all rows that were deleted or superseded, as far as the files have them.
    pub fn resolve_with_deleted_rows(
        rel: Relation<'_>,
        snapshot: Option<Snapshot<'_>>,
    ) -> PgResult<Self> {
        let mut view = Self::with_changed_rows(rel, rel.tuple_desc(), snapshot)?;
        view.segments = Arc::new(with_deleted_rows(&view.segments));
        Ok(view)
    }

    /// What a snapshot sees apart from changes of rows that the metadata do not tell of.
    fn with_changed_rows(
        rel: Relation<'_>,
        shape: TupleDesc<'_>,
        snapshot: Option<Snapshot<'_>>,
    ) -> PgResult<Self> {
        let key = StorageKey::of(rel);
        let snapshot = snapshot.filter(|snapshot| snapshot.kind() == SnapshotKind::Mvcc);
        let curcid = snapshot.map(|snapshot| snapshot.cur_cid());
        let own = if xact::is_parallel_worker() {
            Own::of_leader(key)?
        } else {
            Own::of_transaction(&key, curcid)?
        };
        let committed = match &own {
            Some(own) if own.hides_committed => None,
            _ => find_committed(rel, &key, snapshot)?,
        };
        let Committed {
            pointer,
            inline_commits,
        } = committed.unwrap_or_default();
        let io = match &own {
            Some(own) => own.io.clone(),
            None => TableFiles::new(key)?,
        };
        let metadata = pointer
            .metadata_location
            .map(|location| cache::metadata(&io, &location).map(|metadata| (location, metadata)))
            .transpose()?;
        let columns = Arc::new(TableColumns::of_shape(rel, shape)?);
        let fields = match (&metadata, &own) {
            (Some((_, metadata)), _) => &Fields::of_metadata(metadata)?,
            (None, Some(own)) => &own.fields,
            (None, None) => &Fields::begin(&columns, &ColumnFields::default())?,
        };
        let TableSchema {
            columns,
            schema,
            missing,
            ..
        } = TableSchema::new(columns, fields, || ColumnFieldCatalog::find(&key))?;
        let committed = match &metadata {
            Some((location, metadata)) => committed_segments(&io, location, metadata)?,
            None => Arc::default(),
        };
        let committed = match &*inline_commits {
            [] => committed,
            inline_commits => with_inline_commits(&committed, inline_commits, &schema, &missing)?,
        };
        let segments = match own {
            Some(own) if !own.pending.visible.is_empty() => with_pending(&committed, own.pending)?,
            _ => committed,
        };
        Ok(Self {
            relid: rel.oid(),
            columns,
            schema,
            missing,
            metadata: metadata.map(|(_, metadata)| metadata),
            io,
            segments,
            by_row_id: OnceCell::new(),
        })
    }

    /// Whether the next metadata tell what rows have in columns that were added after they were written, which those of a
    /// version before 3 cannot.
    pub fn tells_missing_values(&self) -> bool {
        let is_told = |id: &i32| {
            let field = self.schema.fields.field(*id);
            field.is_some_and(|field| field.initial_default.is_some())
        };
        let is_of_version_3 = || {
            let option = TableOptions::of(self.relid).format_version();
            let version = self
                .metadata
                .as_ref()
                .map(|metadata| metadata.format_version);
            option.max(version.unwrap_or(option)) >= FormatVersion::V3
        };
        self.missing.is_empty() || is_of_version_3() && self.missing.keys().all(is_told)
    }

    /// Whether no snapshot sees rows, older ones included.
    pub fn never_had_rows(&self) -> bool {
        let has_snapshots =
            (self.metadata.as_ref()).is_some_and(|table| !table.snapshots.is_empty());
        !has_snapshots && self.rows() == 0
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
    fields: Arc<Fields>,
    io: TableFiles,
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
                fields: Arc::clone(&storage.fields),
                io: storage.io.clone(),
                hides_committed: storage.created || storage.emptied,
                pending: storage.rows.view(curcid, marks)?,
            })
        })
        .transpose()
    }

    /// In a parallel worker, what the leader has done before the plan began.
    fn of_leader(key: StorageKey) -> PgResult<Option<Self>> {
        let Some(storage) = shared::storage_of_leader(&key)? else {
            return Ok(None);
        };
        Ok(Some(Self {
            fields: Arc::new(storage.fields),
            io: TableFiles::new(key)?,
            hides_committed: storage.hides_committed,
            pending: storage.pending,
        }))
    }
}

/// The segments of a snapshot's metadata, and those of inline commits that it does not have yet.
fn with_inline_commits(
    committed: &[Segment],
    inline_commits: &[InlineCommit],
    schema: &Schema,
    missing: &MissingValues,
) -> PgResult<Arc<Vec<Segment>>> {
    let mut segments = Vec::with_capacity(committed.len() + inline_commits.len());
    segments.extend_from_slice(committed);
    let mut rows = Vec::new();
    for inline in inline_commits {
        match inline.content()? {
            InlineContent::DataFile(file) => push_file(&mut segments, unsequenced(file))?,
            InlineContent::Rows(batch, ids) => rows.push((batch, ids)),
        }
    }
    if !rows.is_empty() {
        rows.sort_by_key(|(_, ids)| ids.bounds().map(|bounds| bounds.start));
        let (mut batches, batch_ids): (Vec<_>, Vec<_>) = rows.into_iter().unzip();
        let schema = arrow_schema(schema).map_err(to_pg_error)?;
        for batch in &mut batches {
            *batch = conform(batch, &schema, missing)?;
        }
        let batch = concat_batches(&schema, &batches)
            .map_err(arrow_error("join rows of inline commits"))?;
        segments.push(Segment {
            start: end_of(&segments),
            rows: batch.num_rows() as u64,
            visible: None,
            changed: Arc::default(),
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
            changed: Arc::default(),
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
