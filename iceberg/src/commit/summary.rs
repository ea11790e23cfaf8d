//! The summary of a new snapshot: standard counters of what changed and of what there is.

use super::file_totals::FileTotals;
use super::stage::StagedSnapshot;
use crate::spec::{Snapshot, Summary};

/// Builds the summary. Totals continue the parent's; one that the parent lacks stays unknown,
/// except after a change that leaves nothing of the parent.
pub fn summarize(
    staged: &StagedSnapshot,
    removed: &FileTotals,
    parent: Option<&Snapshot>,
) -> Summary {
    let added = &staged.added;
    let mut summary = Summary {
        operation: staged.operation.clone(),
        ..Summary::default()
    };
    for (name, value) in &staged.summary_properties {
        summary.push(name, value.as_str());
    }
    for (name, count) in [
        ("added-data-files", added.data_files),
        ("deleted-data-files", removed.data_files),
        ("added-delete-files", added.delete_files()),
        ("removed-delete-files", removed.delete_files()),
        ("added-position-delete-files", added.position_delete_files),
        (
            "removed-position-delete-files",
            removed.position_delete_files,
        ),
        ("added-dvs", added.deletion_vectors),
        ("removed-dvs", removed.deletion_vectors),
        ("added-equality-delete-files", added.equality_delete_files),
        (
            "removed-equality-delete-files",
            removed.equality_delete_files,
        ),
        ("added-records", added.records),
        ("deleted-records", removed.records),
        ("added-position-deletes", added.position_deletes),
        ("removed-position-deletes", removed.position_deletes),
        ("added-equality-deletes", added.equality_deletes),
        ("removed-equality-deletes", removed.equality_deletes),
        ("added-files-size", added.bytes),
        ("removed-files-size", removed.bytes),
    ] {
        if count > 0 {
            summary.push(name, count.to_string());
        }
    }
    let changed = added.partitions.union(&removed.partitions).count();
    summary.push("changed-partition-count", changed.to_string());

    for (name, plus, minus) in [
        ("total-records", added.records, removed.records),
        ("total-files-size", added.bytes, removed.bytes),
        ("total-data-files", added.data_files, removed.data_files),
        (
            "total-delete-files",
            added.delete_files(),
            removed.delete_files(),
        ),
        (
            "total-position-deletes",
            added.position_deletes,
            removed.position_deletes,
        ),
        (
            "total-equality-deletes",
            added.equality_deletes,
            removed.equality_deletes,
        ),
    ] {
        // Totals of deletes are left out of tables without deletes: every snapshot's summary is in
        // every metadata file from then on.
        let is_of_deletes = name.ends_with("deletes") || name.ends_with("delete-files");
        let before = match parent {
            None => Some(0),
            Some(_) if staged.removes_everything => Some(minus),
            Some(parent) => parent.summary.count(name).or_else(|| {
                let has_totals = parent.summary.count("total-records").is_some();
                (is_of_deletes && has_totals).then_some(0)
            }),
        };
        let total = before.and_then(|before| before.checked_add(plus)?.checked_sub(minus));
        // A negative total is a wrong one of an earlier writer.
        if let Some(total) = total.filter(|&total| total > 0 || (total == 0 && !is_of_deletes)) {
            summary.push(name, total.to_string());
        }
    }
    summary
}
