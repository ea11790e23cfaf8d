//! Deleted rows as a change of a table's files.
//!
//! A data file has one position delete file of ours at most, or, in version 3 of the format, one deletion vector: who
//! deletes more of its rows writes one that has them all, which supersedes the earlier ones. A data file that has no
//! rows left is removed instead.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::delta::SnapshotDelta;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{DataContentType, DataFile};
use crate::scan::{RowRanges, ScanFile, deleted_positions, only_file_of, plan_named_files};
use crate::spec::{FormatVersion, TableMetadata};
use crate::write::{CreateOutput, WriteOptions, write_deletion_vector, write_position_deletes};

/// The change that deletes the rows at `positions`, by paths of data files: files of the table as it is in `base`, and
/// the files `added`, which the same change adds. It is to be staged with the default partition spec of `base`; files
/// of other specs can only lose all of their rows.
///
/// Of `added` the change has those that have rows left; the others are the caller's to delete. Delete files are
/// created by `create`; after an error they are the caller's to delete, too. Earlier position deletes are superseded
/// if they are about one of the data files alone; those about several files stay, as equality deletes do: unread, but
/// that a deletion vector, beside which they do not count, has their positions too. A data file that `base` does not
/// have is a [conflict](Error::is_conflict).
///
/// Others may add deletes before the change is completed: theirs and these hold side by side. Whoever comes second
/// of two that supersede the same delete file, or add deletion vectors of the same data file, has a conflict.
pub fn delete_rows(
    base: &TableMetadata,
    added: Vec<Arc<DataFile>>,
    positions: &BTreeMap<String, RowRanges>,
    io: &dyn FileIo,
    options: &WriteOptions,
    create: CreateOutput<'_>,
) -> Result<SnapshotDelta> {
    let mut deletion = Deletion {
        base,
        io,
        options,
        create,
        delta: SnapshotDelta::default(),
    };
    let mut of_base: BTreeMap<&str, &RowRanges> = (positions.iter())
        .filter(|(_, rows)| !rows.is_empty())
        .map(|(path, rows)| (path.as_str(), rows))
        .collect();
    let of_added: Vec<_> = (added.into_iter())
        .map(|file| {
            let rows = of_base.remove(file.file_path.as_str());
            (file, rows)
        })
        .collect();
    let paths = of_base.keys().copied().collect();
    let files = files_losing_rows(base, &paths, io)?;
    for (file, rows) in of_added {
        deletion.delete_of_added(file, rows)?;
    }
    for (file, rows) in files.values().zip(of_base.values()) {
        deletion.delete_of_base(file, rows)?;
    }
    Ok(deletion.delta)
}

/// The data files of `base` at these paths, in their order. One that is not there is a [conflict](Error::is_conflict).
pub(crate) fn files_losing_rows(
    base: &TableMetadata,
    paths: &BTreeSet<&str>,
    io: &dyn FileIo,
) -> Result<BTreeMap<String, ScanFile>> {
    let files = match base.current_snapshot() {
        Some(snapshot) if !paths.is_empty() => {
            plan_named_files(base, snapshot, io, |path| paths.contains(path))?
        }
        _ => Vec::new(),
    };
    let files: BTreeMap<String, ScanFile> = (files.into_iter())
        .map(|file| (file.data_file.file_path.clone(), file))
        .collect();
    match paths.iter().find(|path| !files.contains_key(**path)) {
        None => Ok(files),
        Some(path) => Err(Error::CommitConflict {
            path: (*path).to_owned(),
            reason: "the commit deletes rows of it".to_owned(),
        }),
    }
}

/// A change that is being made.
struct Deletion<'a> {
    base: &'a TableMetadata,
    io: &'a dyn FileIo,
    options: &'a WriteOptions,
    create: CreateOutput<'a>,
    delta: SnapshotDelta,
}

impl Deletion<'_> {
    fn delete_of_added(&mut self, file: Arc<DataFile>, rows: Option<&RowRanges>) -> Result<()> {
        if let Some(rows) = rows {
            if *rows == all_rows(&file)? {
                return Ok(());
            }
            self.write_deletes(&file, rows)?;
        }
        self.delta.added_data_files.push(file);
        Ok(())
    }

    fn delete_of_base(&mut self, file: &ScanFile, rows: &RowRanges) -> Result<()> {
        let data_file = &file.data_file;
        let path = &data_file.file_path;
        let all = all_rows(data_file)?;
        let is_superseded = |delete: &&Arc<DataFile>| only_file_of(delete) == Some(path);
        let is_of_positions =
            |delete: &&Arc<DataFile>| delete.content == DataContentType::PositionDeletes;
        let earlier: Vec<_> = file.deletes.iter().filter(is_superseded).collect();
        let mut known = RowRanges::default();
        for delete in file.deletes.iter().filter(is_of_positions) {
            if self.writes_vectors() || is_superseded(&delete) {
                known = known.union(&*deleted_positions(self.io, delete, path)?);
            }
        }
        // Others may write positions beyond the last row: they delete nothing.
        let known = known.intersect(&all);
        let deleted = known.union(rows);
        if deleted == all {
            self.delta.removed_data_files.insert(path.clone());
        } else if deleted == known && earlier.len() == 1 && self.is_of_now(earlier[0]) {
            return Ok(());
        } else {
            self.write_deletes(data_file, &deleted)?;
            self.delta.required_data_files.insert(path.clone());
        }
        let superseded = earlier.iter().map(|delete| delete.delete_id());
        self.delta.removed_delete_files.extend(superseded);
        Ok(())
    }

    fn write_deletes(&mut self, data_file: &DataFile, rows: &RowRanges) -> Result<()> {
        let (spec, of) = (self.base.default_spec_id, data_file.partition_spec_id);
        if of != spec {
            return Err(Error::unsupported(format!(
                "deleting rows of data file \"{}\", which is of partition spec {of}, not of the table's default {spec}",
                data_file.file_path
            )));
        }
        let (path, output) = (self.create)()?;
        let file = if self.writes_vectors() {
            write_deletion_vector(path, output, data_file, rows)?
        } else {
            write_position_deletes(path, output, data_file, rows, self.options.clone())?
        };
        if let Some(cache) = self.io.delete_cache() {
            cache.put(&file, &Arc::new(rows.clone()));
        }
        self.delta.added_delete_files.push(file.into());
        Ok(())
    }

    fn writes_vectors(&self) -> bool {
        self.base.format_version >= FormatVersion::V3
    }

    /// Whether it is such a delete file as is written to the table now.
    fn is_of_now(&self, delete: &DataFile) -> bool {
        delete.is_deletion_vector() == self.writes_vectors()
    }
}

/// The rows that a data file has in all.
fn all_rows(file: &DataFile) -> Result<RowRanges> {
    match u64::try_from(file.record_count) {
        Ok(count) => Ok(RowRanges::from_range(0..count)),
        Err(_) => Err(Error::invalid_metadata(
            &*file.file_path,
            "record_count",
            format!("is {}", file.record_count),
        )),
    }
}
