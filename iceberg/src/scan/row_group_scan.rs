//! Reading the rows of one row group, with a filter if there is one.
//!
//! With a filter there are two ways. Either all columns are decoded and the rows that fail are
//! dropped; or the filter's columns are decoded first, over the whole row group, and of the others
//! only the rows that passed. The second is better when few rows pass and worse otherwise, so it
//! is chosen by what passed before in the same file, beginning with a sample.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arrow::array::{ArrayRef, RecordBatch};
use arrow::buffer::BooleanBuffer;
use arrow::compute::{FilterBuilder, concat};
use parquet::arrow::ProjectionMask;
use parquet::arrow::arrow_reader::{
    ArrowReaderMetadata, ParquetRecordBatchReader, ParquetRecordBatchReaderBuilder, RowSelection,
};
use parquet::file::metadata::ParquetMetaData;

use super::column_plan::{ColumnPlan, roots};
use super::filter::matching_rows;
use super::input::ParquetInput;
use super::positions::{PositionCursor, RowPositions};
use super::row_ranges::RowRanges;
use super::unwind::catch_panic;
use crate::error::{Error, Result};
use crate::expr::Predicate;
use crate::io::InputFile;

/// Rows of a file that are read to learn how many the filter passes.
const SAMPLE_ROWS: u64 = 4 * 8192;
/// Filter columns are decoded first if less than this share of rows passed so far. When rows are
/// scattered, skipping between them costs more than decoding from some 3 % on.
const FEW: f64 = 0.02;
/// A batch of which at least this share of rows passed is handed on whole.
const MOST: f64 = 0.75;

/// What is read of a file; shared by its row groups.
pub(super) struct FileScan {
    pub(super) path: String,
    pub(super) file: Arc<dyn InputFile>,
    pub(super) metadata: ArrowReaderMetadata,
    pub(super) projected: Vec<Arc<ColumnPlan>>,
    /// The field ids of `projected`.
    pub(super) projection: Vec<i32>,
    /// A normalized predicate.
    pub(super) filter: Option<Predicate>,
    /// The predicate's columns by field id.
    pub(super) filter_columns: BTreeMap<i32, Arc<ColumnPlan>>,
    /// Whether nobody wants anything more of it.
    pub(super) is_stopped: AtomicBool,
}

impl FileScan {
    /// An error if nobody wants anything more.
    fn check_not_stopped(&self) -> Result<()> {
        match self.is_stopped.load(Ordering::Relaxed) {
            true => Err(Error::invalid_argument("FileScan", "nobody reads on")),
            false => Ok(()),
        }
    }

    /// Whether no column of the file is wanted.
    pub(super) fn decodes_nothing(&self) -> bool {
        self.filter.is_none() && self.projected.iter().all(|plan| plan.root().is_none())
    }

    /// Whether some column is wanted that the filter does not look at.
    fn has_columns_beside_filter(&self) -> bool {
        let filtered = self.filter_roots();
        self.projected
            .iter()
            .filter_map(|p| p.root())
            .any(|root| !filtered.contains(&root))
    }

    fn filter_roots(&self) -> Vec<usize> {
        roots(self.filter_columns.values())
    }

    /// The columns that a row group is begun with, and whether those are the filter's alone.
    fn first_columns(&self, selectivity: &Selectivity) -> (Vec<Arc<ColumnPlan>>, bool) {
        let filter_first =
            self.filter.is_some() && self.has_columns_beside_filter() && selectivity.few_pass();
        let filtered = self.filter_columns.values();
        let plans = match filter_first {
            true => filtered.cloned().collect(),
            false => self.projected.iter().chain(filtered).cloned().collect(),
        };
        (plans, filter_first)
    }

    fn byte_ranges(
        &self,
        row_group: usize,
        plans: &[Arc<ColumnPlan>],
        selection: Option<&RowSelection>,
    ) -> Result<Vec<Range<u64>>> {
        let metadata = self.metadata.metadata();
        // The Parquet library panics at offsets that make no sense.
        catch_panic(&self.path, || {
            Ok(byte_ranges(metadata, row_group, &leaves(plans), selection))
        })
    }

    /// Has what a row group is begun with fetched, of these rows, and waits for nothing.
    pub(super) fn prefetch(
        &self,
        row_group: usize,
        span: &Range<u64>,
        rows: &RowRanges,
        selectivity: &Selectivity,
    ) -> Result<()> {
        let (plans, _) = self.first_columns(selectivity);
        let selection = (rows.count() < span.end - span.start).then(|| rows.to_selection(span));
        let wanted = self.byte_ranges(row_group, &plans, selection.as_ref())?;
        self.file.prefetch(&wanted)
    }

    fn matching_rows(
        &self,
        columns: &BTreeMap<i32, ArrayRef>,
        rows: usize,
    ) -> Result<BooleanBuffer> {
        match &self.filter {
            Some(filter) => matching_rows(filter, columns, rows)
                .map_err(|e| Error::arrow("evaluate a predicate", e)),
            None => Ok(BooleanBuffer::new_set(rows)),
        }
    }
}

/// What share of a file's rows the filter passed so far.
#[derive(Debug, Default)]
pub(super) struct Selectivity {
    seen: u64,
    passed: u64,
}

impl Selectivity {
    fn add(&mut self, kept: &BooleanBuffer) {
        self.seen += kept.len() as u64;
        self.passed += kept.count_set_bits() as u64;
    }

    fn few_pass(&self) -> bool {
        self.seen > 0 && (self.passed as f64) < FEW * self.seen as f64
    }

    /// The rows to read next, and those to decide about after that.
    pub(super) fn split(&self, file: &FileScan, rows: RowRanges) -> (RowRanges, RowRanges) {
        let sample = self.seen == 0
            && file.filter.is_some()
            && rows.count() > 2 * SAMPLE_ROWS
            && file.has_columns_beside_filter();
        if sample {
            rows.split(SAMPLE_ROWS)
        } else {
            (rows, RowRanges::default())
        }
    }
}

/// Where in the file the columns `leaves` of a row group are, or, where there is an offset index, the pages of them
/// that hold selected rows.
fn byte_ranges(
    metadata: &ParquetMetaData,
    row_group: usize,
    leaves: &BTreeSet<usize>,
    selection: Option<&RowSelection>,
) -> Vec<Range<u64>> {
    let columns = metadata.row_group(row_group).columns();
    let pages = metadata
        .offset_index()
        .and_then(|index| index.get(row_group));
    let mut ranges: Vec<Range<u64>> = Vec::new();
    for leaf in leaves.iter().copied() {
        let Some(column) = columns.get(leaf) else {
            continue;
        };
        let (start, length) = column.byte_range();
        let pages = pages.and_then(|columns| columns.get(leaf));
        match selection.zip(pages) {
            Some((selection, pages)) => {
                let first = pages.page_locations().first().map(|page| page.offset);
                // The dictionary comes before the pages.
                let first = first.and_then(|offset| u64::try_from(offset).ok());
                let dictionary = first.filter(|first| *first > start);
                let dictionary = dictionary.map(|first| start..first);
                let pages = selection.scan_ranges(pages.page_locations());
                let from = ranges.len();
                for range in dictionary.into_iter().chain(pages) {
                    match ranges[from..].last_mut() {
                        Some(last) if last.end == range.start => last.end = range.end,
                        _ => ranges.push(range),
                    }
                }
            }
            None => ranges.push(start..start.saturating_add(length)),
        }
    }
    ranges.sort_unstable_by_key(|range| range.start);
    ranges
}

fn leaves(plans: &[Arc<ColumnPlan>]) -> BTreeSet<usize> {
    let leaves = plans.iter().flat_map(|plan| plan.leaves.iter().copied());
    leaves.collect()
}

/// A decoder of some columns for some rows of a row group.
struct Decoder {
    input: ParquetInput,
    reader: ParquetRecordBatchReader,
    /// The file's top-level columns in its batches.
    roots: Vec<usize>,
    positions: PositionCursor,
}

impl Decoder {
    fn new(
        file: &FileScan,
        row_group: usize,
        span: &Range<u64>,
        rows: &RowRanges,
        plans: &[Arc<ColumnPlan>],
        batch_size: usize,
    ) -> Result<Self> {
        let metadata = &file.metadata;
        let selection = (rows.count() < span.end - span.start).then(|| rows.to_selection(span));
        let wanted = file.byte_ranges(row_group, plans, selection.as_ref())?;
        file.file.prepare(&wanted)?;
        let input = ParquetInput::new(Arc::clone(&file.file), &wanted);
        let mask = ProjectionMask::leaves(metadata.parquet_schema(), leaves(plans));
        let mut builder =
            ParquetRecordBatchReaderBuilder::new_with_metadata(input.clone(), metadata.clone())
                .with_row_groups(vec![row_group])
                .with_projection(mask)
                .with_batch_size(batch_size);
        if let Some(selection) = selection {
            builder = builder.with_row_selection(selection);
        }
        let reader = catch_panic(&file.path, || builder.build().map_err(|e| input.error(e)))?;
        Ok(Self {
            input,
            reader,
            roots: roots(plans),
            positions: PositionCursor::new(rows),
        })
    }

    fn next(&mut self, file: &FileScan) -> Result<Option<(RecordBatch, RowPositions)>> {
        file.check_not_stopped()?;
        match catch_panic(&file.path, || Ok(self.reader.next()))? {
            None => Ok(None),
            Some(Ok(batch)) => {
                let positions = self.positions.take(batch.num_rows());
                Ok(Some((batch, positions)))
            }
            Some(Err(error)) => Err(self.input.error(error.into())),
        }
    }
}

/// The rows of a row group, or of a part of it.
pub(super) struct RowGroupScan {
    file: Arc<FileScan>,
    row_group: usize,
    span: Range<u64>,
    batch_size: usize,
    stage: Stage,
}

enum Stage {
    /// All columns are decoded together.
    Together(Decoder),
    /// The filter's columns are decoded.
    FilterFirst(Decoder),
    /// The filter has passed these rows; other columns are decoded for them.
    Passed(PassedRows),
}

/// Rows that the filter passed.
struct PassedRows {
    /// Projected columns that the filter decoded, by their place in the projection.
    filtered: BTreeMap<usize, ArrayRef>,
    /// Decodes the others; `None` if there are none.
    others: Option<Decoder>,
    positions: PositionCursor,
    done: usize,
}

impl RowGroupScan {
    pub(super) fn new(
        file: &Arc<FileScan>,
        row_group: usize,
        span: Range<u64>,
        rows: RowRanges,
        batch_size: usize,
        selectivity: &Selectivity,
    ) -> Result<Self> {
        let (plans, filter_first) = file.first_columns(selectivity);
        let decoder = Decoder::new(file, row_group, &span, &rows, &plans, batch_size)?;
        let stage = if filter_first {
            Stage::FilterFirst(decoder)
        } else {
            Stage::Together(decoder)
        };
        Ok(Self {
            file: Arc::clone(file),
            row_group,
            span,
            batch_size,
            stage,
        })
    }

    /// The next rows, as columns in the projection's order.
    pub(super) fn next(
        &mut self,
        selectivity: &mut Selectivity,
    ) -> Result<Option<(Vec<ArrayRef>, RowPositions)>> {
        loop {
            match &mut self.stage {
                Stage::Together(decoder) => {
                    let Some((batch, positions)) = decoder.next(&self.file)? else {
                        return Ok(None);
                    };
                    let next =
                        filter_batch(&self.file, &batch, positions, &decoder.roots, selectivity)?;
                    if next.is_some() {
                        return Ok(next);
                    }
                }
                Stage::FilterFirst(decoder) => {
                    let (rows, filtered) = run_filter(&self.file, decoder, selectivity)?;
                    if rows.is_empty() {
                        return Ok(None);
                    }
                    self.stage = Stage::Passed(self.passed_rows(&rows, filtered)?);
                }
                Stage::Passed(passed) => return passed.next(&self.file, self.batch_size),
            }
        }
    }

    fn passed_rows(
        &self,
        rows: &RowRanges,
        filtered: BTreeMap<usize, ArrayRef>,
    ) -> Result<PassedRows> {
        let plans: Vec<_> = self
            .file
            .projected
            .iter()
            .enumerate()
            .filter(|(place, plan)| !filtered.contains_key(place) && plan.root().is_some())
            .map(|(_, plan)| Arc::clone(plan))
            .collect();
        let others = if plans.is_empty() {
            None
        } else {
            let (row_group, span) = (self.row_group, &self.span);
            Some(Decoder::new(
                &self.file,
                row_group,
                span,
                rows,
                &plans,
                self.batch_size,
            )?)
        };
        Ok(PassedRows {
            filtered,
            others,
            positions: PositionCursor::new(rows),
            done: 0,
        })
    }
}

fn filter_columns(
    file: &FileScan,
    batch: &RecordBatch,
    roots: &[usize],
) -> Result<BTreeMap<i32, ArrayRef>> {
    file.filter_columns
        .iter()
        .map(|(id, plan)| Ok((*id, plan.column(batch, roots, &file.path)?)))
        .collect()
}

/// The projected columns of the rows of a batch that the filter passes; `None` if it passes none.
fn filter_batch(
    file: &FileScan,
    batch: &RecordBatch,
    positions: RowPositions,
    roots: &[usize],
    selectivity: &mut Selectivity,
) -> Result<Option<(Vec<ArrayRef>, RowPositions)>> {
    let rows = batch.num_rows();
    let filtered = filter_columns(file, batch, roots)?;
    let kept = file.matching_rows(&filtered, rows)?;
    let passed = kept.count_set_bits();
    if file.filter.is_some() {
        selectivity.add(&kept);
    }
    if passed == 0 {
        return Ok(None);
    }
    let columns = file
        .projected
        .iter()
        .zip(&file.projection)
        .map(|(plan, id)| match filtered.get(id) {
            Some(column) => Ok(Arc::clone(column)),
            None => plan.column(batch, roots, &file.path),
        })
        .collect::<Result<Vec<_>>>()?;
    if passed as f64 >= MOST * rows as f64 {
        return Ok(Some((columns, positions)));
    }
    let positions = positions.filter(&kept);
    let filter = FilterBuilder::new(&kept.into()).optimize().build();
    let columns = columns
        .iter()
        .map(|column| filter.filter(column))
        .collect::<Result<_, _>>()
        .map_err(|e| Error::arrow("filter a batch", e))?;
    Ok(Some((columns, positions)))
}

/// Runs the filter over all rows of the decoder: the rows that pass, and those of its columns that
/// are projected, by their place in the projection.
fn run_filter(
    file: &FileScan,
    decoder: &mut Decoder,
    selectivity: &mut Selectivity,
) -> Result<(RowRanges, BTreeMap<usize, ArrayRef>)> {
    let mut rows = RowRanges::default();
    let mut parts: BTreeMap<usize, Vec<ArrayRef>> = file
        .projection
        .iter()
        .enumerate()
        .filter(|(_, id)| file.filter_columns.contains_key(id))
        .map(|(place, _)| (place, Vec::new()))
        .collect();
    while let Some((batch, positions)) = decoder.next(file)? {
        let columns = filter_columns(file, &batch, &decoder.roots)?;
        let kept = file.matching_rows(&columns, batch.num_rows())?;
        selectivity.add(&kept);
        if kept.count_set_bits() == 0 {
            continue;
        }
        for (start, end) in kept.set_slices() {
            match &positions {
                RowPositions::Range(range) => {
                    rows.push(range.start + start as u64..range.start + end as u64);
                }
                RowPositions::List(list) => {
                    list[start..end]
                        .iter()
                        .for_each(|row| rows.push(*row..row + 1));
                }
            }
        }
        let filter = FilterBuilder::new(&kept.into()).optimize().build();
        for (place, arrays) in &mut parts {
            let column = file.projection.get(*place).and_then(|id| columns.get(id));
            if let Some(column) = column {
                let passed = filter.filter(column);
                arrays.push(passed.map_err(|e| Error::arrow("filter a batch", e))?);
            }
        }
    }
    let mut filtered = BTreeMap::new();
    for (place, arrays) in parts {
        if !arrays.is_empty() {
            let arrays: Vec<_> = arrays.iter().map(|array| &**array).collect();
            let column = concat(&arrays).map_err(|e| Error::arrow("join filtered rows", e))?;
            filtered.insert(place, column);
        }
    }
    Ok((rows, filtered))
}

impl PassedRows {
    fn next(
        &mut self,
        file: &FileScan,
        batch_size: usize,
    ) -> Result<Option<(Vec<ArrayRef>, RowPositions)>> {
        let (batch, roots) = match &mut self.others {
            Some(decoder) => match decoder.next(file)? {
                Some((batch, _)) => (batch, &decoder.roots[..]),
                None => return Ok(None),
            },
            None => return Ok(None),
        };
        let positions = self.positions.take(batch.num_rows().min(batch_size));
        let rows = positions.len();
        if rows != batch.num_rows() {
            return Err(Error::invalid_data(
                &*file.path,
                "more rows were decoded than selected",
            ));
        }
        let columns = file
            .projected
            .iter()
            .enumerate()
            .map(|(place, plan)| match self.filtered.get(&place) {
                Some(column) => Ok(column.slice(self.done, rows)),
                None => plan.column(&batch, roots, &file.path),
            })
            .collect::<Result<Vec<_>>>()?;
        self.done += rows;
        Ok(Some((columns, positions)))
    }
}
