//! Data files written again without rows that are deleted: what `copy-on-write` asks for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::rewrite::{Rewrite, RewriteOptions};
use super::source::{Fill, RewriteInput};
use crate::commit::{SnapshotDelta, files_losing_rows};
use crate::error::Result;
use crate::io::FileIo;
use crate::manifest::DataFile;
use crate::scan::{RowRanges, ScanFile, only_file_of};
use crate::spec::{Schema, TableMetadata};
use crate::write::CreateOutput;

/// Rows that a data file is to lose.
#[derive(Debug, Clone)]
pub struct LostRows {
    /// Their positions.
    pub positions: RowRanges,
    /// What columns are filled with, as for [`RewriteInput`].
    pub fills: Vec<(i32, Fill)>,
}

/// How files are written again.
pub struct WithoutRows<'a> {
    /// The table as it is.
    pub base: &'a TableMetadata,
    /// The columns to write, as for [`Rewrite`].
    pub schema: &'a Schema,
    /// What files are read by.
    pub io: &'a dyn FileIo,
    /// How each file is rewritten.
    pub options: RewriteOptions,
}

impl WithoutRows<'_> {
    /// The change that deletes rows of data files, by their paths: files of the table, and the files `added`, which the
    /// same change adds.
    ///
    /// The change has the added files that lose no row, and new files instead of the others, which are the caller's to
    /// delete. Delete files that are about a removed file alone go with it. Files are created by `create`, and `tick` is
    /// called now and then; after an error the files created are the caller's to delete. A data file that the table does
    /// not have is a [conflict](crate::Error::is_conflict).
    pub fn rewrite(
        &self,
        added: Vec<Arc<DataFile>>,
        lost: &BTreeMap<String, LostRows>,
        create: CreateOutput<'_>,
        tick: &mut dyn FnMut(),
    ) -> Result<SnapshotDelta> {
        let mut delta = SnapshotDelta::default();
        let mut of_base: BTreeSet<&str> = lost.keys().map(String::as_str).collect();
        let mut new = Vec::new();
        for data_file in added {
            if of_base.remove(&*data_file.file_path) {
                new.push(ScanFile {
                    data_file,
                    data_sequence_number: 0,
                    deletes: Vec::new(),
                });
            } else {
                delta.added_data_files.push(data_file);
            }
        }
        let old = files_losing_rows(self.base, &of_base, self.io)?;
        for source in old.values() {
            let path = &source.data_file.file_path;
            delta.removed_data_files.insert(path.clone());
            let deletes = source.deletes.iter();
            let about_it = deletes.filter(|delete| only_file_of(delete) == Some(path));
            (delta.removed_delete_files).extend(about_it.map(|delete| delete.delete_id()));
        }
        for source in new.iter().chain(old.values()) {
            let Some(rows) = lost.get(&source.data_file.file_path) else {
                continue;
            };
            let input = RewriteInput {
                file: source,
                fills: &rows.fills,
                deleted_rows: Some(Arc::new(rows.positions.clone())),
            };
            let options = self.options.clone();
            let mut rewrite = Rewrite::new(&[input], self.base, self.schema, self.io, options)?;
            while rewrite.step(&mut *create)? {
                tick();
            }
            let written = rewrite.finish()?;
            delta
                .added_data_files
                .extend(written.into_iter().map(Arc::new));
        }
        Ok(delta)
    }
}
