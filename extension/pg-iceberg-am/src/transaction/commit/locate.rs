//! Where rows are that were deleted or superseded, so that delete files can say so.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use iceberg_lite::commit::{SnapshotDelta, delete_rows};
use iceberg_lite::compaction::{LostRows, WithoutRows};
use iceberg_lite::io::FileIo;
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::{
    DataFileReader, FileMetadata, ReadOptions, RowRanges, ScanFile, plan_files,
};
use iceberg_lite::spec::{FormatVersion, Schema, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::interrupt;
use pg_lakebase_core::relation::{LockMode, OpenRelation};
use pg_lakebase_core::xact;

use super::change::Change;
use crate::catalog::{GarbageCatalog, latest_pointer};
use crate::error::to_pg_error;
use crate::files::data_file::write_options;
use crate::files::{TableFiles, data_file};
use crate::guc;
use crate::row_id::{RowId, column, ordered};

/// The positions of rows, by the paths of their data files.
type Positions = BTreeMap<String, RowRanges>;

impl Change {
    /// The change without rows, given in the order of their ids, that are in its files or in those of the metadata.
    /// Rows that are nowhere are gone already. Files that have any of the rows `copied` are written again.
    pub(super) fn without_rows(
        &self,
        delta: SnapshotDelta,
        rows: &[RowId],
        copied: &[RowId],
    ) -> PgResult<SnapshotDelta> {
        let base = self.base_of_rows()?;
        let mut positions = Positions::new();
        let mut lost = BTreeMap::new();
        let mut find = |file: &Arc<DataFile>| -> PgResult<()> {
            let Some(found) = locate(file, rows, copied, &self.io)? else {
                return Ok(());
            };
            let path = file.file_path.clone();
            if found.has_copied {
                let fills = column::fill(file)?.into_iter().collect();
                let positions = found.positions;
                lost.insert(path, LostRows { positions, fills });
            } else {
                positions.insert(path, found.positions);
            }
            Ok(())
        };
        if let Some(base) = &base
            && let Some(snapshot) = base.current_snapshot()
        {
            for file in plan_files(base, snapshot, &self.io).map_err(to_pg_error)? {
                find(&file.data_file)?;
            }
        }
        for file in &delta.added_data_files {
            find(file)?;
        }
        let location = self.io.place().location()?;
        let base = match base {
            Some(base) => base,
            None => self.base(&location, None)?,
        };
        let extension = match base.format_version {
            FormatVersion::V1 | FormatVersion::V2 => "parquet",
            FormatVersion::V3 => "puffin",
        };
        let added: Vec<_> = (delta.added_data_files.iter())
            .map(|file| file.file_path.clone())
            .collect();
        let copy = match lost.is_empty() {
            true => SnapshotDelta {
                added_data_files: delta.added_data_files,
                ..SnapshotDelta::default()
            },
            false => self.copy_without_rows(&base, delta.added_data_files, &lost)?,
        };
        let ending = format!("-deletes.{extension}");
        let deletion = delete_rows(
            &base,
            copy.added_data_files,
            &positions,
            &self.io,
            &write_options(usize::MAX, guc::compression_level()),
            &mut || data_file::create(&self.io, &location, &ending),
        );
        let mut deletion = deletion.map_err(to_pg_error)?;
        deletion.removed_data_files.extend(copy.removed_data_files);
        (deletion.removed_delete_files).extend(copy.removed_delete_files);
        self.leave_empty_files(added, &deletion)?;
        Ok(SnapshotDelta {
            removes_everything: delta.removes_everything,
            ..deletion
        })
    }

    /// The change that writes files of `base`, and of those it adds, again without rows.
    fn copy_without_rows(
        &self,
        base: &TableMetadata,
        added: Vec<Arc<DataFile>>,
        lost: &BTreeMap<String, LostRows>,
    ) -> PgResult<SnapshotDelta> {
        let location = self.io.place().location()?;
        let schema = base
            .current_schema()
            .ok_or_else(|| PgError::internal("metadata without a schema"))?;
        let level = self.options().compression_level();
        let copy = WithoutRows {
            base,
            schema: &column::with_row_ids(schema),
            io: &self.io,
            options: data_file::rewrite_options(1, level.unwrap_or_else(guc::compression_level)),
        };
        let mut create = || data_file::create(&self.io, &location, ".parquet");
        let mut delta = copy
            .rewrite(added, lost, &mut create, &mut interrupt::check)
            .map_err(to_pg_error)?;
        for file in &mut delta.added_data_files {
            column::keep_bounds_alone(Arc::make_mut(file))?;
        }
        Ok(delta)
    }

    /// Notes as garbage those of the added files that the change does not have any more.
    fn leave_empty_files(&self, added: Vec<String>, deletion: &SnapshotDelta) -> PgResult<()> {
        let kept: HashSet<&str> = (deletion.added_data_files.iter())
            .map(|file| &*file.file_path)
            .collect();
        let place = self.io.place();
        let names: Vec<String> = (added.iter())
            .filter(|path| !kept.contains(&***path))
            .filter_map(|path| place.name_of(path))
            .map(str::to_owned)
            .collect();
        if names.is_empty() {
            return Ok(());
        }
        if self.key.is_temporary() {
            for path in &added {
                if !kept.contains(&**path) {
                    self.io.delete(path).map_err(to_pg_error)?;
                }
            }
        } else if let Some(garbage) = GarbageCatalog::open_for_update() {
            let xid = xact::full_transaction_id();
            garbage.insert_files(&self.key, xid, place.keep_time(), &names);
        }
        Ok(())
    }

    /// The metadata whose files may have the rows; nobody replaces them meanwhile.
    fn base_of_rows(&self) -> PgResult<Option<Arc<TableMetadata>>> {
        let rel = match OpenRelation::try_open(self.relid, LockMode::None) {
            Some(rel) if !self.created && !self.emptied => rel,
            _ => return Ok(None),
        };
        let pointer = latest_pointer(rel.relation(), &self.key)?;
        let name = pointer.and_then(|pointer| pointer.metadata_location);
        let location = self.io.place().location()?;
        name.map(|name| self.base(&location, Some(&name)))
            .transpose()
    }
}

/// Rows of a data file.
struct Found {
    positions: RowRanges,
    /// Whether any of them are among those to be copied.
    has_copied: bool,
}

/// Where a data file has those of `rows`, some of which are `copied`; `None` if it has none of them.
fn locate(
    file: &Arc<DataFile>,
    rows: &[RowId],
    copied: &[RowId],
    io: &TableFiles,
) -> PgResult<Option<Found>> {
    let bounds = column::bounds(file)?;
    let rows = ordered::within(rows, &bounds);
    if rows.is_empty() {
        return Ok(None);
    }
    let count = u64::try_from(file.record_count).unwrap_or(0);
    let copied = ordered::within(copied, &bounds);
    let found = if column::is_run(&bounds, count) {
        let positions = rows.iter().filter_map(|row| row.rows_from(bounds.start));
        Found {
            positions: RowRanges::from_positions(positions),
            has_copied: !copied.is_empty(),
        }
    } else {
        look_up(file, rows, copied, io)?
    };
    Ok((!found.positions.is_empty()).then_some(found))
}

/// Looks rows up in a file's column of row ids.
fn look_up(
    file: &Arc<DataFile>,
    rows: &[RowId],
    copied: &[RowId],
    io: &TableFiles,
) -> PgResult<Found> {
    let file = ScanFile {
        data_file: Arc::clone(file),
        data_sequence_number: 0,
        deletes: Vec::new(),
    };
    let input = file.open_file(io).map_err(to_pg_error)?;
    let metadata = FileMetadata::of(io, &input).map_err(to_pg_error)?;
    let schema = column::with_row_ids(&Schema::new(0, Vec::new()));
    let options = ReadOptions {
        projection: vec![column::FIELD_ID],
        ..ReadOptions::default()
    };
    let reader = DataFileReader::with_metadata(input, &metadata, &schema, options);
    let mut positions = Vec::new();
    let mut has_copied = false;
    let mut rows = rows.iter().map(|row| row.to_i64()).peekable();
    for batch in reader.map_err(to_pg_error)? {
        interrupt::check();
        let batch = batch.map_err(to_pg_error)?;
        // Both ascend.
        let ids = batch.batch.column(0).as_primitive::<Int64Type>().values();
        for (&id, position) in ids.iter().zip(batch.positions.iter()) {
            while rows.next_if(|&row| row < id).is_some() {}
            if rows.next_if_eq(&id).is_some() {
                positions.push(position);
                let is_copied = |copied: &RowId| copied.to_i64().cmp(&id);
                has_copied = has_copied || copied.binary_search_by(is_copied).is_ok();
            }
        }
    }
    Ok(Found {
        positions: RowRanges::from_positions(positions),
        has_copied,
    })
}
