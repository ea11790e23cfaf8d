//! Compaction: small data files are merged into larger ones.
//!
//! A merge reads and writes without a lock, a snapshot or a transaction id, a step at a time; then a transaction puts
//! the new files in place (`transaction::replace`). Rows keep their ids, and files that are merged are neighbours
//! in the order of these, as long as small files are not too many.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use iceberg_lite::compaction::{
    Compaction, CompactionGroup, CompactionRules, Extent, Rewrite, RewriteInput, RowOrder,
    plan_compaction,
};
use iceberg_lite::manifest::DataFile;
use iceberg_lite::scan::{ScanFile, plan_files};
use iceberg_lite::spec::{Schema, TableMetadata};
use pg_lakebase_core::error::{PgError, PgResult};
use pg_lakebase_core::interrupt;
use pg_lakebase_core::relation::Relation;

use crate::catalog::options::TableOptions;
use crate::catalog::{Pointer, latest_pointer, unless_emptied};
use crate::directory::StorageKey;
use crate::error::to_pg_error;
use crate::files::{TableFiles, Which, cache, data_file};
use crate::guc;
use crate::publisher::merges::Progress;
use crate::publisher::orders::Summary;
use crate::row_id::column;

/// So many bytes are read before what has been merged is put in place.
pub const BATCH_BYTES: u64 = 256 << 20;

/// Whether a table, as its pointer row tells of it, may have files to merge, in the background, or to write without deleted
/// rows.
pub fn may_be_due(pointer: &Pointer) -> bool {
    let number = |count: i64| u64::try_from(count).unwrap_or(0);
    let deleted = number(pointer.deleted_row_count);
    if deleted > 0 && deleted.saturating_mul(100) >= number(pointer.row_count) {
        return true;
    }
    let large = guc::target_file_size() / 4 * 3;
    let large = number(pointer.total_bytes) / large.max(1);
    let files = number(pointer.file_count);
    files.saturating_sub(large) >= rules(1, Extent::FullTiers).min_files as u64
}

fn rules(target: u64, extent: Extent) -> CompactionRules {
    CompactionRules {
        extent,
        order: RowOrder::Kept,
        ..CompactionRules::new(target)
    }
}

/// A merge of some of a table's files.
pub struct Merge {
    io: TableFiles,
    metadata: Arc<TableMetadata>,
    /// The columns that are written, that of row ids among them.
    schema: Schema,
    compression_level: i32,
    files: Vec<ScanFile>,
    groups: VecDeque<CompactionGroup>,
    current: Option<(CompactionGroup, Rewrite)>,
    compaction: Compaction,
    progress: Progress,
    /// Whether that is all there was to merge.
    is_whole: bool,
    is_written: bool,
}

impl Merge {
    /// Finds out what there is to merge; `None` if that is nothing.
    pub fn plan(rel: Relation<'_>, extent: Extent) -> PgResult<Option<Self>> {
        let key = StorageKey::of(rel);
        let pointer = latest_pointer(rel, &key)?.unwrap_or_default();
        let pointer = unless_emptied(rel.persistence(), &key, pointer);
        let Some(location) = pointer.metadata_location else {
            return Ok(None);
        };
        let io = TableFiles::to_merge(key, rel.persistence(), &location)?;
        let metadata = cache::metadata(&io, &location)?;
        let (Some(snapshot), Some(schema)) =
            (metadata.current_snapshot(), metadata.current_schema())
        else {
            return Ok(None);
        };
        let options = TableOptions::of(rel.oid());
        let target = options.target_file_size();
        let rules = rules(target.unwrap_or_else(guc::target_file_size), extent);
        let files = in_row_order(plan_files(&metadata, snapshot, &io).map_err(to_pg_error)?)?;
        let mut groups = VecDeque::from(plan_compaction(&files, &rules));
        let mut bytes = 0;
        let fits = |group: &&CompactionGroup| {
            let is_enough = bytes >= BATCH_BYTES;
            bytes += group.bytes;
            !is_enough
        };
        let count = groups.iter().take_while(fits).count();
        let is_whole = count == groups.len();
        groups.truncate(count);
        if groups.is_empty() {
            return Ok(None);
        }
        let progress = Progress {
            files_in_all: groups.iter().map(|group| group.files.len() as u64).sum(),
            bytes_in_all: groups.iter().map(|group| group.bytes).sum(),
            ..Progress::default()
        };
        Ok(Some(Self {
            schema: column::with_row_ids(schema),
            compression_level: (options.compression_level()).unwrap_or_else(guc::compression_level),
            compaction: Compaction::new(&metadata),
            io,
            metadata,
            files,
            groups,
            current: None,
            progress,
            is_whole,
            is_written: false,
        }))
    }

    /// Goes on for a while. Returns whether all has been written and is durable.
    pub fn step(&mut self, time: Duration) -> PgResult<bool> {
        let until = Instant::now() + time;
        let location = self.io.place().location()?;
        while !self.is_written {
            interrupt::check();
            let (group, mut rewrite) = match self.current.take() {
                Some(current) => current,
                None => match self.groups.pop_front() {
                    Some(group) => self.begin(group)?,
                    None => {
                        self.io.sync(|_| None)?;
                        TableFiles::hand_over([&self.io], Which::All)?;
                        self.is_written = true;
                        break;
                    }
                },
            };
            let io = &self.io;
            let mut create = || data_file::create(io, &location, ".parquet");
            if rewrite.step(&mut create).map_err(to_pg_error)? {
                self.current = Some((group, rewrite));
            } else {
                self.end(&group, rewrite)?;
            }
            if self.io.has_many_staged() {
                TableFiles::hand_over([&self.io], Which::Data)?;
            }
            if Instant::now() >= until {
                break;
            }
        }
        Ok(self.is_written)
    }

    /// What has been merged.
    pub fn compaction(&self) -> &Compaction {
        &self.compaction
    }

    /// Whether that is all there was to merge.
    pub fn is_whole(&self) -> bool {
        self.is_whole
    }

    /// What has been done.
    pub fn summary(&self) -> Summary {
        let groups = self.compaction.groups().iter();
        let new: Vec<_> = groups.flat_map(|group| &group.added_data_files).collect();
        let bytes = (new.iter()).map(|file| u64::try_from(file.file_size_in_bytes).unwrap_or(0));
        Summary {
            merged_files: self.progress.files,
            merged_bytes: self.progress.bytes,
            new_files: new.len() as u64,
            new_bytes: bytes.sum(),
            ..Summary::default()
        }
    }

    /// How far it has got.
    pub fn progress(&self) -> Progress {
        self.progress
    }

    /// Removes what was written.
    pub fn abandon(self) {
        drop(self.current);
        self.io.remove_created();
    }

    fn begin(&self, group: CompactionGroup) -> PgResult<(CompactionGroup, Rewrite)> {
        let sources = (group.files.iter()).map(|&index| {
            let file = self.files.get(index);
            let file = file.ok_or_else(|| PgError::internal("a file that was not planned for"))?;
            Ok((file, column::fill(&file.data_file)?))
        });
        let sources: Vec<_> = sources.collect::<PgResult<_>>()?;
        let inputs: Vec<RewriteInput<'_>> = (sources.iter())
            .map(|(file, fill)| RewriteInput {
                file,
                fills: fill.as_slice(),
                deleted_rows: None,
            })
            .collect();
        let options = data_file::rewrite_options(group.outputs, self.compression_level);
        let rewrite = Rewrite::new(&inputs, &self.metadata, &self.schema, &self.io, options);
        Ok((group, rewrite.map_err(to_pg_error)?))
    }

    fn end(&mut self, group: &CompactionGroup, rewrite: Rewrite) -> PgResult<()> {
        let written = rewrite.finish().map_err(to_pg_error)?;
        let with_ids = |mut file: DataFile| {
            column::keep_bounds_alone(&mut file)?;
            Ok(Arc::new(file))
        };
        let written = (written.into_iter().map(with_ids)).collect::<PgResult<Vec<_>>>()?;
        self.progress.files += group.files.len() as u64;
        self.progress.bytes += group.bytes;
        let pushed = self.compaction.push(&self.files, group, written);
        pushed.map_err(to_pg_error)
    }
}

/// Files by their first rows.
fn in_row_order(files: Vec<ScanFile>) -> PgResult<Vec<ScanFile>> {
    let keyed = (files.into_iter()).map(|file| Ok((column::bounds(&file.data_file)?.start, file)));
    let mut keyed = keyed.collect::<PgResult<Vec<_>>>()?;
    keyed.sort_by_key(|(first, _)| *first);
    Ok(keyed.into_iter().map(|(_, file)| file).collect())
}
