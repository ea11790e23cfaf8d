//! Deletes that came between reading and the commit.

use std::collections::BTreeSet;

use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{
    DataContentType, DataFile, ManifestContent, ManifestFile, ManifestStatus, manifest_entries,
};
use crate::scan::DELETE_FILE_PATH;

/// Data files that a change removes, having read them.
pub struct RemovedFiles<'a> {
    /// Their paths.
    pub paths: &'a BTreeSet<String>,
    /// The last sequence number of the metadata that they were read by.
    pub read: i64,
    /// The data sequence number of the files that have their rows now; the new snapshot's if `None`.
    pub data_sequence_number: Option<i64>,
}

/// Fails if deletes that are newer than what the change was computed from may concern a data file
/// that it removes: the rewritten rows would bring deleted ones back.
pub fn check_no_new_deletes(
    io: &dyn FileIo,
    removed: &RemovedFiles<'_>,
    manifests: &[ManifestFile],
) -> Result<()> {
    let read = removed.read;
    if removed.paths.is_empty() {
        return Ok(());
    }
    let newer = |manifest: &&ManifestFile| {
        manifest.content == ManifestContent::Deletes && manifest.sequence_number > read
    };
    for manifest in manifests.iter().filter(newer) {
        for entry in manifest_entries(io, manifest)?.iter() {
            let is_new = entry.status == ManifestStatus::Added
                || (entry.is_live() && entry.sequence_number > Some(read));
            if is_new && let Some(path) = removed.concerned_by(&entry.data_file) {
                return Err(Error::CommitConflict {
                    path: path.to_owned(),
                    reason: format!(
                        "rows of it may have been deleted, in \"{}\", since the commit read it",
                        entry.data_file.file_path
                    ),
                });
            }
        }
    }
    Ok(())
}

impl RemovedFiles<'_> {
    /// A removed file that a newer delete file may be about.
    fn concerned_by(&self, delete: &DataFile) -> Option<&str> {
        let any = || self.paths.first().map(String::as_str);
        if delete.content == DataContentType::EqualityDeletes {
            // They apply to the rewritten rows as well, if those count as old as they are.
            let applies = self
                .data_sequence_number
                .is_some_and(|number| number <= self.read);
            return if applies { None } else { any() };
        }
        if let Some(path) = &delete.referenced_data_file {
            return self.paths.get(path).map(String::as_str);
        }
        let lower = delete.lower_bounds.get(&DELETE_FILE_PATH);
        let upper = delete.upper_bounds.get(&DELETE_FILE_PATH);
        match (lower, upper) {
            (Some(lower), Some(upper)) => (self.paths.iter())
                // An upper bound may be cut short and then raised, never lowered.
                .find(|path| {
                    lower.as_slice() <= path.as_bytes() && path.as_bytes() <= upper.as_slice()
                })
                .map(String::as_str),
            _ => any(),
        }
    }
}
