//! What a transaction did to a table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::manifest::{DataFile, DeleteId};
use crate::spec::Operation;

/// A change of a table's list of files.
///
/// Files are removed from the table as it is when the commit is completed; what the change adds
/// survives that.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct SnapshotDelta {
    /// New data files.
    pub added_data_files: Vec<Arc<DataFile>>,
    /// New delete files.
    pub added_delete_files: Vec<Arc<DataFile>>,
    /// Paths of data files to remove; one that is gone is a conflict.
    pub removed_data_files: BTreeSet<String>,
    /// Delete files to remove; one that is gone is a conflict.
    pub removed_delete_files: BTreeSet<DeleteId>,
    /// Removes all files that the table has when the commit is completed.
    pub removes_everything: bool,
    /// Paths of data files that must still be there, because added delete files are about them.
    pub required_data_files: BTreeSet<String>,
    /// The last sequence number of the metadata that the removed files were chosen from. If given,
    /// deletes that came later and may concern a removed file are a conflict: rows would return.
    pub read_sequence_number: Option<i64>,
    /// The data sequence number of added data files whose rows were in the table before; the new snapshot's
    /// if `None`. Equality deletes of later snapshots apply to them. To be right for rows that were read as
    /// the table was at [`Self::read_sequence_number`], and without those deleted by then, it has to be that.
    pub data_sequence_number: Option<i64>,
    /// The operation, where it cannot be told from the files: a compaction is a `replace`.
    pub operation: Option<Operation>,
    /// Properties for the snapshot's summary, beside the standard ones.
    pub summary_properties: BTreeMap<String, String>,
}

impl SnapshotDelta {
    /// Whether nothing would change.
    pub fn is_empty(&self) -> bool {
        !self.adds_files() && !self.removes_files()
    }

    fn adds_files(&self) -> bool {
        !self.added_data_files.is_empty() || !self.added_delete_files.is_empty()
    }

    pub(super) fn removes_files(&self) -> bool {
        self.removes_everything
            || !self.removed_data_files.is_empty()
            || !self.removed_delete_files.is_empty()
    }

    /// The operation as the specification's section "Snapshots" tells it.
    pub(super) fn operation(&self) -> Operation {
        if let Some(operation) = &self.operation {
            return operation.clone();
        }
        let adds_data = !self.added_data_files.is_empty();
        let takes_rows = self.removes_files() || !self.added_delete_files.is_empty();
        match (adds_data, takes_rows) {
            (true, true) => Operation::Overwrite,
            (_, false) => Operation::Append,
            (false, true) => Operation::Delete,
        }
    }
}
