//! Changes left for the publisher.

use pg_lakebase_core::error::PgResult;
use pg_lakebase_core::injection;

use super::super::pending::PendingRows;
use super::super::state::with_transaction;
use super::Catalogs;
use super::change::Change;
use super::metadata::MetadataFiles;
use crate::catalog::NewInlineCommit;
use crate::publisher;

/// The most bytes of values that are committed as rows.
const MAX_ROW_BYTES: usize = 4 << 10;
/// The most data files that a transaction leaves for the publisher.
const MAX_FILES: usize = 16;

impl Change {
    /// Leaves the change for the publisher, if there is one and not too much of it.
    pub(super) fn leave_inline(&mut self, catalogs: &Catalogs) -> PgResult<Option<MetadataFiles>> {
        if !publisher::ensure_running() && !self.kind.is_left_to_publisher() {
            self.close_files()?;
            return self.replace_metadata_with_waiting(catalogs);
        }
        let rows = self.with_rows(|rows| rows.small_batch(MAX_ROW_BYTES))?;
        let inline = rows
            .map(|(rows, ids)| NewInlineCommit::of_rows(&rows, &ids))
            .transpose()?;
        if let Some(inline) = inline.flatten() {
            self.insert(catalogs, &[inline]);
            return Ok(None);
        }
        let files = self.with_rows(PendingRows::finish)?;
        let inline = files
            .iter()
            .map(|file| match self.kind.is_left_to_publisher() {
                true => NewInlineCommit::of_file_in_any_case(file),
                false => NewInlineCommit::of_file(file),
            });
        match inline.collect::<PgResult<Option<Vec<_>>>>()? {
            Some(inline) if self.kind.is_left_to_publisher() || inline.len() <= MAX_FILES => {
                self.insert(catalogs, &inline);
                Ok(None)
            }
            _ => {
                self.add_files(files)?;
                self.replace_metadata_with_waiting(catalogs)
            }
        }
    }

    fn insert(&self, catalogs: &Catalogs, inline_commits: &[NewInlineCommit]) {
        for inline in inline_commits {
            catalogs
                .inline_commits
                .insert(&self.key, self.incarnation, inline);
        }
        with_transaction(|state| state.calls_publisher = true);
        injection::point(c"iceberg-inline-committed");
    }
}
