//! Moving over the rows of a view.

use std::ops::Range;

use arrow::array::{AsArray, Int64Array};
use arrow::datatypes::Int64Type;
use iceberg_lite::expr::Predicate;
use iceberg_lite::scan::{FileMetadata, FilePruner, RowGroupCounts, RowPositions};
use pg_arrow_conv::from_arrow::BatchDecoder;
use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::memory::{AllocSetSizes, MemoryContext, OwnedContext};
use pg_lakebase_core::slot::Slot;

use super::segment::{SegmentIds, SegmentSource};
use super::segment_reader::{BATCH_ROWS, SegmentBatch, SegmentReader};
use super::view::TableView;
use crate::error::to_pg_error;
use crate::row_id::RowId;
use crate::schema::TableColumns;

/// The columns that a reader decodes; the others read as NULL.
#[derive(Clone, Debug, Default)]
pub struct Projection {
    /// Positions among the live columns, ascending.
    pub live_columns: Vec<usize>,
    /// Their field ids.
    pub field_ids: Vec<i32>,
    /// Whether rows get their `ctid`.
    pub row_ids: bool,
}

impl Projection {
    /// The live columns for whose attribute (from 0) `needed` says yes.
    pub fn new(view: &TableView, needed: impl Fn(usize) -> bool) -> PgResult<Self> {
        let (live_columns, field_ids) = view
            .columns
            .columns
            .iter()
            .zip(view.schema.columns())
            .enumerate()
            .filter(|(_, (column, _))| needed(column.attribute))
            .map(|(live, (_, field))| (live, field.id))
            .unzip();
        Ok(Self {
            live_columns,
            field_ids,
            row_ids: false,
        })
    }

    /// The same, and rows get their `ctid`.
    pub fn with_row_ids(mut self) -> Self {
        self.row_ids = true;
        self
    }

    /// For each attribute, the batch's column that holds it.
    fn mapping(&self, columns: &TableColumns) -> Vec<Option<usize>> {
        let mut mapping = vec![None; columns.natts];
        for (position, &live) in self.live_columns.iter().enumerate() {
            mapping[columns.columns[live].attribute] = Some(position);
        }
        mapping
    }
}

/// Rows that are converted together: so many datums stay in the processor's cache until they are used.
const ROWS_TOGETHER: usize = 1024;

/// So far behind the loaded batch it is cheaper to read on than to open the file again.
const NEAR: u64 = 4 * BATCH_ROWS as u64;

/// Files whose footers are fetched while another one is read.
const FOOTERS_AHEAD: usize = 4;

/// Where the reader stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Position {
    /// Before the first row.
    Start,
    /// On a row of the loaded batch.
    Row(usize),
    /// Behind the last row of the loaded batch, or of the segment if none is loaded.
    After,
    /// Behind the last row of all.
    End,
}

/// Reads the rows of a view, forward and backward.
pub struct RowReader {
    view: TableView,
    projection: Projection,
    mapping: Vec<Option<usize>>,
    predicate: Option<Predicate>,
    /// Excludes files by the predicate.
    pruner: Option<FilePruner>,
    decoder: BatchDecoder,
    context: OwnedContext,
    /// The segment that `stream` and `loaded` belong to.
    segment: usize,
    /// So many rows the last search has opened.
    searched: u64,
    /// Reads on behind `loaded`; none after a move that was not forward.
    stream: Option<SegmentReader>,
    loaded: Option<RowPositions>,
    /// The ids of the rows of `loaded`, if the segment's file had to tell.
    loaded_ids: Option<Int64Array>,
    position: Position,
    /// The segment after the last one whose file's footer is being fetched.
    fetched: usize,
    /// Without what `stream` has read.
    counts: ReadCounts,
}

/// What a reader has read since it was made, and what it has left out for its predicate.
#[derive(Clone, Copy, Debug, Default)]
pub struct ReadCounts {
    pub files_read: u64,
    pub files_left_out: u64,
    /// Row groups of the files that were read.
    pub row_groups: RowGroupCounts,
}

impl RowReader {
    /// A reader that stands before the view's first row. With a predicate, rows that do not satisfy
    /// it may be left out, and there is no seeking.
    pub fn new(
        view: TableView,
        projection: Projection,
        predicate: Option<Predicate>,
    ) -> PgResult<Self> {
        let mapping = projection.mapping(&view.columns);
        let mut types = vec![None; view.columns.natts];
        for &live in &projection.live_columns {
            let column = &view.columns.columns[live];
            types[column.attribute] = Some(column.column_type.clone());
        }
        let specs = match &view.metadata {
            Some(metadata) => &metadata.partition_specs[..],
            None => &[],
        };
        let pruner = predicate
            .as_ref()
            .map(|predicate| FilePruner::new(predicate, &view.schema, specs));
        Ok(Self {
            decoder: BatchDecoder::new(&types),
            context: OwnedContext::create(
                MemoryContext::top(),
                "Iceberg batch",
                AllocSetSizes::Default,
            ),
            view,
            projection,
            mapping,
            predicate,
            pruner,
            segment: 0,
            searched: 0,
            stream: None,
            loaded: None,
            loaded_ids: None,
            position: Position::Start,
            fetched: 0,
            counts: ReadCounts::default(),
        })
    }

    /// A reader of all columns, whose rows get their `ctid`.
    pub fn of_whole_rows(view: TableView) -> PgResult<Self> {
        let projection = Projection::new(&view, |_| true)?.with_row_ids();
        Self::new(view, projection, None)
    }

    /// What has been read and left out so far.
    pub fn counts(&self) -> ReadCounts {
        let mut counts = self.counts;
        if let Some(stream) = &self.stream {
            counts.row_groups.read += stream.row_group_counts().read;
            counts.row_groups.left_out += stream.row_group_counts().left_out;
        }
        counts
    }

    /// The view being read.
    pub fn view(&self) -> &TableView {
        &self.view
    }

    /// Moves before the first row.
    pub fn rewind(&mut self) {
        self.segment = 0;
        self.close_stream();
        self.loaded = None;
        self.position = Position::Start;
    }

    /// Moves to the next row and stores it; false behind the last one.
    pub fn next(&mut self, slot: &mut Slot<'_>) -> PgResult<bool> {
        let Some(row) = self.advance()? else {
            return Ok(false);
        };
        let end = self.loaded_rows().min(row + ROWS_TOGETHER);
        self.store(row, row..end, slot)?;
        Ok(true)
    }

    /// Moves to the next row, and tells which one of the loaded batch it is; none behind the last one.
    fn advance(&mut self) -> PgResult<Option<usize>> {
        let row = match self.position {
            Position::End => return Ok(None),
            Position::Row(row) if row + 1 < self.loaded_rows() => row + 1,
            Position::Start | Position::Row(_) | Position::After => {
                if !self.load_next()? {
                    self.position = Position::End;
                    return Ok(None);
                }
                0
            }
        };
        self.position = Position::Row(row);
        Ok(Some(row))
    }

    /// Moves to the previous row and stores it; false before the first one.
    pub fn previous(&mut self, slot: &mut Slot<'_>) -> PgResult<bool> {
        let row = match self.position {
            Position::Start => return Ok(false),
            Position::Row(row) if row > 0 => row - 1,
            Position::After if self.loaded.is_some() => self.loaded_rows() - 1,
            Position::Row(_) | Position::After | Position::End => {
                if !self.load_previous()? {
                    self.rewind();
                    return Ok(false);
                }
                self.loaded_rows() - 1
            }
        };
        self.position = Position::Row(row);
        self.store(row, row.saturating_sub(ROWS_TOGETHER)..row + 1, slot)?;
        Ok(true)
    }

    /// Stands so that [`Self::next`] gives the first row not before number `row` of the view.
    pub fn seek(&mut self, row: u64) -> PgResult<()> {
        self.seek_among(row, u64::MAX)
    }

    /// As [`Self::seek`], for who wants no more than `rows` rows from there on.
    fn seek_among(&mut self, row: u64, rows: u64) -> PgResult<()> {
        debug_assert!(self.predicate.is_none(), "a filtered reader seeks nothing");
        let Some(segment) = self.view.segment_of(row) else {
            self.position = Position::End;
            self.close_stream();
            self.loaded = None;
            return Ok(());
        };
        let target = row - self.view.segments[segment].start;
        // Reading on is cheaper than opening the file again when the row is near.
        while segment == self.segment
            && let Some(positions) = &self.loaded
        {
            let (first, last) = bounds(positions);
            if (first..=last).contains(&target) {
                let index = positions.first_from(target);
                self.position = match index {
                    0 => Position::Start,
                    index => Position::Row(index - 1),
                };
                if index == 0 {
                    // `next` must give the batch's first row again.
                    self.open_stream(segment, target, rows)?;
                }
                return Ok(());
            }
            let near = target > last && target - last <= NEAR && self.stream.is_some();
            if !near || !self.load_in_segment()? {
                break;
            }
        }
        self.open_stream(segment, target, rows)?;
        self.position = Position::After;
        Ok(())
    }

    /// Moves to the row with an id and stores it; false if there is none, which leaves the reader anywhere.
    pub fn find(&mut self, id: RowId, slot: &mut Slot<'_>) -> PgResult<bool> {
        if let Some(row) = self.loaded_row_of(id) {
            self.position = Position::Row(row);
            let rows = self.rows_around(row);
            self.store(row, rows, slot)?;
            return Ok(true);
        }
        match self.view.row_of(id)? {
            Some(row) => {
                // Who looks for rows in their order will want those that follow.
                self.searched = match self.is_soon(row) {
                    true => self.searched.saturating_mul(16),
                    false => 1,
                };
                self.seek_among(row, self.searched)?;
                let Some(row) = self.advance()? else {
                    return Ok(false);
                };
                let rows = self.rows_around(row);
                self.store(row, rows, slot)?;
                Ok(slot.tid() == id.to_tid())
            }
            None => Ok(false),
        }
    }

    /// Whether a row of the view comes soon after the loaded batch, in the same segment.
    fn is_soon(&self, row: u64) -> bool {
        let Some(positions) = &self.loaded else {
            return false;
        };
        let last = self.view.segments[self.segment].start + bounds(positions).1;
        self.view.segment_of(row) == Some(self.segment) && (last..last + NEAR).contains(&row)
    }

    /// The number, in the view, of the row that the reader stands on.
    pub fn row_number(&self) -> Option<u64> {
        match (self.position, &self.loaded) {
            (Position::Row(row), Some(loaded)) => {
                Some(self.view.segments[self.segment].start + loaded.get(row)?)
            }
            _ => None,
        }
    }

    /// Whether there is a row with an id, of a reader that has read nothing yet.
    pub fn has(mut self, id: RowId) -> PgResult<bool> {
        let Some(row) = self.view.row_of(id)? else {
            return Ok(false);
        };
        self.seek_among(row, 1)?;
        Ok(self.load_next()? && self.row_id(0) == Some(id))
    }

    /// Whether a row with an id is in the loaded batch, or may be in the next one.
    pub fn stands_near(&self, id: RowId) -> bool {
        if self.loaded_row_of(id).is_some() {
            return true;
        }
        let last = self.loaded_rows().checked_sub(1);
        let last = last.and_then(|last| self.row_id(last));
        let ahead = last.and_then(|last| id.rows_from(last));
        self.stream.is_some() && ahead.is_some_and(|rows| rows <= BATCH_ROWS as u64)
    }

    /// The row of the loaded batch that has an id.
    fn loaded_row_of(&self, id: RowId) -> Option<usize> {
        let loaded = self.loaded.as_ref()?;
        match (&self.view.segments[self.segment].ids, &self.loaded_ids) {
            (SegmentIds::Known(ids), _) => {
                let position = ids.position(id)? as u64;
                loaded.row_at(position)
            }
            (SegmentIds::InFile(_), Some(ids)) => ids.values().binary_search(&id.to_i64()).ok(),
            (SegmentIds::InFile(_), None) => None,
        }
    }

    /// The id of a row of the loaded batch.
    fn row_id(&self, row: usize) -> Option<RowId> {
        match (&self.view.segments[self.segment].ids, &self.loaded_ids) {
            (SegmentIds::Known(ids), _) => {
                ids.get(usize::try_from(self.loaded.as_ref()?.get(row)?).ok()?)
            }
            (SegmentIds::InFile(_), Some(ids)) => RowId::from_i64(ids.value(row)),
            (SegmentIds::InFile(_), None) => None,
        }
    }

    fn loaded_rows(&self) -> usize {
        self.loaded.as_ref().map_or(0, |positions| positions.len())
    }

    /// The rows that a row which was searched for is converted with: more and more, where one follows the other.
    fn rows_around(&self, row: usize) -> Range<usize> {
        let before = self.decoder.loaded();
        let follows = row
            .checked_sub(before.end)
            .is_some_and(|gap| gap < before.len());
        let rows = match follows {
            true => (2 * before.len()).min(ROWS_TOGETHER),
            false => 1,
        };
        row..self.loaded_rows().min(row + rows)
    }

    /// Stores a row of the loaded batch. If it has not been converted, `rows` are, which it is among.
    fn store(&mut self, row: usize, rows: Range<usize>, slot: &mut Slot<'_>) -> PgResult<()> {
        slot.clear();
        if !self.decoder.loaded().contains(&row) {
            // SAFETY: the slot that holds datums of the rows before is filled anew or cleared before anyone looks at
            // it: PostgreSQL's scan contract.
            unsafe {
                self.context.reset();
                self.decoder.load(rows, self.context.context().as_ptr())
            }
            .map_err(to_pg_error)?;
        }
        let (values, nulls) = slot.columns_mut();
        self.decoder.fill(row, values, nulls);
        slot.store_virtual();
        slot.set_table_oid(self.view.relid);
        if self.projection.row_ids
            && let Some(id) = self.row_id(row)
        {
            slot.set_tid(id.to_tid());
        }
        Ok(())
    }

    /// Opens the stream of so many rows of `segment` from position `from`, with nothing loaded.
    fn open_stream(&mut self, segment: usize, from: u64, rows: u64) -> PgResult<()> {
        self.loaded = None;
        self.close_stream();
        let end = self.view.segments[segment].rows;
        let range = from.min(end)..from.saturating_add(rows).min(end);
        self.stream = Some(self.open(segment, range)?);
        self.segment = segment;
        let is_file = matches!(self.view.segments[segment].source, SegmentSource::File(_));
        self.counts.files_read += u64::from(is_file);
        Ok(())
    }

    fn close_stream(&mut self) {
        self.counts = self.counts();
        self.stream = None;
    }

    fn open(&self, segment: usize, range: Range<u64>) -> PgResult<SegmentReader> {
        SegmentReader::open(
            &self.view,
            &self.view.segments[segment],
            range,
            &self.projection,
            self.predicate.as_ref(),
        )
    }

    /// Loads the batch behind the present one, in this segment or a later one.
    fn load_next(&mut self) -> PgResult<bool> {
        if self.stream.is_none() {
            // After a backward move, or at the start.
            let from = match &self.loaded {
                Some(positions) => bounds(positions).1 + 1,
                None => 0,
            };
            let segment = match &self.loaded {
                Some(_) => Some(self.segment),
                None => self.next_match(self.segment),
            };
            let Some(segment) = segment else {
                return Ok(false);
            };
            self.prefetch_footers(segment)?;
            self.open_stream(segment, from, u64::MAX)?;
        }
        loop {
            if self.load_in_segment()? {
                return Ok(true);
            }
            self.close_stream();
            let Some(next) = self.next_match(self.segment + 1) else {
                return Ok(false);
            };
            self.prefetch_footers(next)?;
            self.open_stream(next, 0, u64::MAX)?;
        }
    }

    /// Has the footers of the files behind `segment` fetched, where that takes time.
    fn prefetch_footers(&mut self, segment: usize) -> PgResult<()> {
        if !self.view.io.place().is_object() {
            return Ok(());
        }
        let segments = &self.view.segments;
        let next = (segment + 1..segments.len()).filter(|&next| self.may_match(next));
        for next in next.take(FOOTERS_AHEAD).collect::<Vec<_>>() {
            if next >= self.fetched
                && let SegmentSource::File(file) = &segments[next].source
            {
                let input = file.open_file(&self.view.io).map_err(to_pg_error)?;
                FileMetadata::prefetch(&self.view.io, &*input).map_err(to_pg_error)?;
                self.fetched = next + 1;
            }
        }
        Ok(())
    }

    /// The first segment from `from` on that may hold a row that satisfies the predicate.
    fn next_match(&mut self, from: usize) -> Option<usize> {
        let segments = self.view.segments.len();
        let found = (from..segments).find(|&segment| self.may_match(segment));
        self.counts.files_left_out += (found.unwrap_or(segments).saturating_sub(from)) as u64;
        found
    }

    /// Whether a segment may hold a row that satisfies the predicate, going by its file's partition and
    /// statistics.
    fn may_match(&self, segment: usize) -> bool {
        match (&self.pruner, &self.view.segments[segment].source) {
            (Some(pruner), SegmentSource::File(file)) => pruner.file_may_match(&file.data_file),
            _ => true,
        }
    }

    /// Loads the stream's next batch; false at its end.
    fn load_in_segment(&mut self) -> PgResult<bool> {
        let Some(stream) = &mut self.stream else {
            return Ok(false);
        };
        match stream.next()? {
            Some(batch) => {
                self.load(batch)?;
                Ok(true)
            }
            None => Ok(false),
        }
    }

    /// Loads the batch before the present one, in this segment or an earlier one.
    fn load_previous(&mut self) -> PgResult<bool> {
        self.close_stream();
        let mut before = match (&self.loaded, self.position) {
            (Some(positions), Position::Row(_)) => bounds(positions).0,
            _ => {
                // Behind everything.
                self.segment = self.view.segments.len();
                0
            }
        };
        loop {
            while before == 0 {
                let Some(segment) = self.segment.checked_sub(1) else {
                    return Ok(false);
                };
                self.segment = segment;
                before = self.view.segments[segment].rows;
            }
            let from = before.saturating_sub(BATCH_ROWS as u64);
            let mut stream = self.open(self.segment, from..before)?;
            // The range may come in several pieces; the last one borders on the present batch.
            let mut last = None;
            while let Some(batch) = stream.next()? {
                last = Some(batch);
            }
            if let Some(batch) = last {
                self.load(batch)?;
                return Ok(true);
            }
            before = from;
        }
    }

    fn load(&mut self, batch: SegmentBatch) -> PgResult<()> {
        self.loaded = None;
        self.loaded_ids = batch
            .ids
            .as_ref()
            .map(|ids| ids.as_primitive::<Int64Type>().clone());
        (self.decoder.take(&batch.batch, &self.mapping)).map_err(to_pg_error)?;
        self.loaded = Some(batch.positions);
        Ok(())
    }
}

/// The first and the last of the positions of a batch, which is never empty.
fn bounds(positions: &RowPositions) -> (u64, u64) {
    let first = positions.get(0).unwrap_or(0);
    (
        first,
        positions
            .get(positions.len().saturating_sub(1))
            .unwrap_or(first),
    )
}
