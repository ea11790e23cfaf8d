//! Reading one data file.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use arrow::array::{ArrayRef, RecordBatch, RecordBatchOptions};
use arrow::datatypes::{Schema as ArrowSchema, SchemaRef};

use super::column_plan::ColumnPlan;
use super::file_metadata::FileMetadata;
use super::file_schema::FileSchema;
use super::filter::fold_constants;
use super::name_mapping::NameMapping;
use super::partition_constants::PartitionConstants;
use super::positions::{PositionCursor, RowPositions};
use super::row_group_pruning::{FileStatistics, StatisticsColumn};
use super::row_group_scan::{FileScan, RowGroupScan, Selectivity};
use super::row_ranges::RowRanges;
use super::unwind::catch_panic;
use crate::error::{Error, Result};
use crate::expr::Predicate;
use crate::io::InputFile;
use crate::spec::{Schema, Type};

/// Row groups that are fetched while one is decoded, from the first row of that on.
const FETCHED_AHEAD: usize = 2;

/// What is read of a data file.
#[derive(Debug, Clone)]
pub struct ReadOptions {
    /// The ids of the top-level columns to return, in this order; with none, batches have only a
    /// number of rows.
    pub projection: Vec<i32>,
    /// The most rows in a batch.
    pub batch_size: usize,
    /// The rows to read; all if `None`.
    pub rows: Option<RowRanges>,
    /// Rows that are deleted and must not be returned.
    pub deleted_rows: Option<Arc<RowRanges>>,
    /// Rows that do not satisfy it may be left out; the caller still has to check those returned.
    pub predicate: Option<Predicate>,
    /// Field ids for files that carry none.
    pub name_mapping: Option<Arc<NameMapping>>,
    /// Values of columns that the file lacks.
    pub partition_constants: PartitionConstants,
    /// Values, by field id and of one row each, of columns that the file lacks and its partition does not tell; they go
    /// before initial defaults.
    pub missing_values: MissingValues,
}

/// Values of columns by field id, each an array of one row, of the type of [`crate::write::arrow_schema`].
pub type MissingValues = Arc<BTreeMap<i32, ArrayRef>>;

impl Default for ReadOptions {
    fn default() -> Self {
        Self {
            projection: Vec::new(),
            batch_size: 8192,
            rows: None,
            deleted_rows: None,
            predicate: None,
            name_mapping: None,
            partition_constants: PartitionConstants::default(),
            missing_values: MissingValues::default(),
        }
    }
}

/// Rows of a data file.
#[derive(Debug, Clone)]
pub struct FileBatch {
    /// The projected columns, of exactly the types of [`crate::write::arrow_schema`].
    pub batch: RecordBatch,
    /// Where each row stands in the file.
    pub positions: RowPositions,
}

/// Reads a data file as Arrow batches, in file order.
///
/// It may be moved between threads. Row groups and pages that cannot hold a row that satisfies the
/// predicate are skipped, and so are those without rows to read.
pub struct DataFileReader {
    file: Arc<FileScan>,
    schema: SchemaRef,
    batch_size: usize,
    /// Row groups still to be read, last first, with the rows to read of each.
    row_groups: Vec<(usize, Range<u64>, RowRanges)>,
    current: Option<Current>,
    selectivity: Selectivity,
    counts: RowGroupCounts,
    /// The row group that was begun last.
    begun: Option<usize>,
    /// The last row group that is being fetched.
    fetched: Option<usize>,
}

/// What became of row groups.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct RowGroupCounts {
    /// Those that reading has come to.
    pub read: u64,
    /// Those without a row that satisfies the predicate, going by their statistics.
    pub left_out: u64,
}

enum Current {
    /// Nothing is decoded: positions alone are handed out.
    Positions(PositionCursor),
    RowGroup(Box<RowGroupScan>),
}

impl DataFileReader {
    /// Opens a file, reading its footer.
    pub fn open(file: Arc<dyn InputFile>, schema: &Schema, options: ReadOptions) -> Result<Self> {
        let metadata = FileMetadata::read(&file)?;
        Self::with_metadata(file, &metadata, schema, options)
    }

    /// Opens a file whose footer has been read before.
    pub fn with_metadata(
        file: Arc<dyn InputFile>,
        metadata: &FileMetadata,
        schema: &Schema,
        options: ReadOptions,
    ) -> Result<Self> {
        let path = file.path().to_owned();
        let columns = metadata.arrow.schema().fields();
        let file_schema = FileSchema::new(columns, options.name_mapping.as_deref(), schema);
        let plan = |field_id: i32| {
            let field = schema.fields.field(field_id).ok_or_else(|| {
                Error::invalid_argument("ReadOptions", format!("no column has field id {field_id}"))
            })?;
            let plan = ColumnPlan::new(field, &file_schema, &options, &path)?;
            Ok((field, Arc::new(plan)))
        };
        let projected = options
            .projection
            .iter()
            .map(|id| plan(*id).map(|(_, plan)| plan))
            .collect::<Result<Vec<_>>>()?;

        let predicate = options.predicate.as_ref().map(Predicate::normalize);
        let mut filter_columns = BTreeMap::new();
        let mut statistics_columns = BTreeMap::new();
        let mut constants = BTreeMap::new();
        for field_id in predicate.iter().flat_map(Predicate::field_ids) {
            let (field, plan) = plan(field_id)?;
            if let Some(value) = plan.constant() {
                constants.insert(field_id, Arc::clone(value));
                continue;
            }
            if let (Type::Primitive(primitive), [leaf]) = (&field.field_type, &plan.leaves[..]) {
                let (leaf, primitive) = (*leaf, primitive.clone());
                statistics_columns.insert(field_id, StatisticsColumn { leaf, primitive });
            }
            filter_columns.insert(field_id, plan);
        }
        let predicate = predicate
            .map(|predicate| fold_constants(&predicate, &constants))
            .transpose()
            .map_err(|e| Error::arrow("evaluate a predicate", e))?
            .filter(|predicate| *predicate != Predicate::AlwaysTrue);
        let filtered = predicate.as_ref().map(Predicate::field_ids);
        filter_columns.retain(|id, _| filtered.as_ref().is_some_and(|ids| ids.contains(id)));

        let plans = projected.iter().chain(filter_columns.values());
        let leaves = plans.flat_map(|plan| plan.leaves.iter().copied()).collect();
        metadata.require_codecs(&path, &leaves)?;

        let fields: Vec<_> = projected
            .iter()
            .map(|plan| Arc::clone(&plan.field))
            .collect();
        let mut reader = Self {
            schema: Arc::new(ArrowSchema::new(fields)),
            batch_size: options.batch_size.max(1),
            row_groups: Vec::new(),
            current: None,
            selectivity: Selectivity::default(),
            counts: RowGroupCounts::default(),
            begun: None,
            fetched: None,
            file: Arc::new(FileScan {
                path: path.clone(),
                file,
                metadata: metadata.arrow.clone(),
                projected,
                projection: options.projection,
                filter: predicate,
                filter_columns,
                is_stopped: AtomicBool::new(false),
            }),
        };
        catch_panic(&path, || {
            let deleted = options.deleted_rows.as_deref();
            reader.plan_row_groups(&statistics_columns, options.rows, deleted);
            Ok(())
        })?;
        Ok(reader)
    }

    /// The schema of the batches.
    pub fn schema(&self) -> &SchemaRef {
        &self.schema
    }

    /// Rows that are still to be looked at: those that skipping by statistics left.
    pub fn rows_left(&self) -> u64 {
        self.row_groups
            .iter()
            .map(|(_, _, rows)| rows.count())
            .sum()
    }

    /// The file, for whoever ends the reading from another thread.
    pub(super) fn file(&self) -> Arc<FileScan> {
        Arc::clone(&self.file)
    }

    /// What has become of the file's row groups so far.
    pub fn row_group_counts(&self) -> RowGroupCounts {
        self.counts
    }

    fn plan_row_groups(
        &mut self,
        columns: &BTreeMap<i32, StatisticsColumn>,
        wanted: Option<RowRanges>,
        deleted: Option<&RowRanges>,
    ) {
        let metadata = self.file.metadata.metadata();
        let statistics = FileStatistics { metadata, columns };
        let mut start = 0;
        for (index, row_group) in metadata.row_groups().iter().enumerate() {
            let end = start + u64::try_from(row_group.num_rows()).unwrap_or(0);
            let span = start..end;
            start = end;
            let mut rows = RowRanges::from_range(span.clone());
            if let Some(wanted) = &wanted {
                rows = rows.intersect(wanted);
            }
            if let Some(deleted) = deleted {
                rows = rows.subtract(deleted);
            }
            if let Some(filter) = self.file.filter.as_ref().filter(|_| !rows.is_empty()) {
                rows = rows.intersect(&statistics.rows(filter, index, span.clone()));
                self.counts.left_out += u64::from(rows.is_empty());
            }
            if !rows.is_empty() {
                self.row_groups.push((index, span, rows));
            }
        }
        self.row_groups.reverse();
    }

    fn next_batch(&mut self) -> Result<Option<FileBatch>> {
        loop {
            match &mut self.current {
                Some(Current::Positions(cursor)) => {
                    let positions = cursor.take(self.batch_size);
                    if !positions.is_empty() {
                        return self.row_count_batch(positions).map(Some);
                    }
                }
                Some(Current::RowGroup(scan)) => {
                    if let Some((columns, positions)) = scan.next(&mut self.selectivity)? {
                        let options =
                            RecordBatchOptions::new().with_row_count(Some(positions.len()));
                        let schema = Arc::clone(&self.schema);
                        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
                            .map_err(|e| Error::invalid_data(&*self.file.path, e.to_string()))?;
                        self.prefetch()?;
                        return Ok(Some(FileBatch { batch, positions }));
                    }
                }
                None => {}
            }
            let Some((index, span, rows)) = self.row_groups.pop() else {
                self.current = None;
                return Ok(None);
            };
            // One that is read in two parts counts once.
            self.counts.read += u64::from(self.begun.replace(index) != Some(index));
            self.current = Some(if self.file.decodes_nothing() {
                Current::Positions(PositionCursor::new(&rows))
            } else {
                let (rows, later) = self.selectivity.split(&self.file, rows);
                if !later.is_empty() {
                    self.row_groups.push((index, span.clone(), later));
                }
                let scan = RowGroupScan::new(
                    &self.file,
                    index,
                    span,
                    rows,
                    self.batch_size,
                    &self.selectivity,
                )?;
                Current::RowGroup(Box::new(scan))
            });
        }
    }

    /// Has the next row groups fetched while this one is decoded.
    fn prefetch(&mut self) -> Result<()> {
        for (index, span, rows) in self.row_groups.iter().rev().take(FETCHED_AHEAD) {
            if self.fetched.is_none_or(|fetched| fetched < *index) {
                self.fetched = Some(*index);
                (self.file).prefetch(*index, span, rows, &self.selectivity)?;
            }
        }
        Ok(())
    }

    /// A batch of the projected columns none of which is in the file.
    fn row_count_batch(&self, positions: RowPositions) -> Result<FileBatch> {
        let empty = RecordBatch::try_new_with_options(
            Arc::new(ArrowSchema::empty()),
            Vec::new(),
            &RecordBatchOptions::new().with_row_count(Some(positions.len())),
        )
        .map_err(|e| Error::arrow("count rows", e))?;
        let columns = self
            .file
            .projected
            .iter()
            .map(|plan| plan.column(&empty, &[], &self.file.path))
            .collect::<Result<Vec<_>>>()?;
        let options = RecordBatchOptions::new().with_row_count(Some(positions.len()));
        let schema = Arc::clone(&self.schema);
        let batch = RecordBatch::try_new_with_options(schema, columns, &options)
            .map_err(|e| Error::arrow("count rows", e))?;
        Ok(FileBatch { batch, positions })
    }
}

impl Iterator for DataFileReader {
    type Item = Result<FileBatch>;

    fn next(&mut self) -> Option<Self::Item> {
        let next = self.next_batch();
        if next.is_err() {
            self.current = None;
            self.row_groups.clear();
        }
        next.transpose()
    }
}
