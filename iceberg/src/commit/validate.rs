//! Deletes that came between reading and the commit.

use super::stage::StagedSnapshot;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{
    DataContentType, DataFile, ManifestContent, ManifestFile, ManifestStatus, manifest_entries,
};

/// The field id that the specification reserves for a position delete file's column `file_path`.
const DELETE_FILE_PATH_ID: i32 = 2_147_483_546;

/// Fails if deletes that are newer than what the change was computed from may concern a data file
/// that it removes: the rewritten rows would bring deleted ones back.
pub fn check_no_new_deletes(
    io: &dyn FileIo,
    staged: &StagedSnapshot,
    manifests: &[ManifestFile],
) -> Result<()> {
    let Some(read) = staged.read_sequence_number else {
        return Ok(());
    };
    if staged.removed_data_files.is_empty() {
        return Ok(());
    }
    let newer = |manifest: &&ManifestFile| {
        manifest.content == ManifestContent::Deletes && manifest.sequence_number > read
    };
    for manifest in manifests.iter().filter(newer) {
        for entry in manifest_entries(io, manifest)?.iter() {
            let is_new = entry.status == ManifestStatus::Added
                || (entry.is_live() && entry.sequence_number > Some(read));
            if is_new && let Some(path) = concerned_file(&entry.data_file, staged) {
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

/// A removed file that a delete file may be about.
fn concerned_file<'a>(delete: &DataFile, staged: &'a StagedSnapshot) -> Option<&'a str> {
    let any = || staged.removed_data_files.first().map(String::as_str);
    if delete.content == DataContentType::EqualityDeletes {
        return any();
    }
    let removed = &staged.removed_data_files;
    if let Some(path) = &delete.referenced_data_file {
        return removed.get(path).map(String::as_str);
    }
    let lower = delete.lower_bounds.get(&DELETE_FILE_PATH_ID);
    let upper = delete.upper_bounds.get(&DELETE_FILE_PATH_ID);
    match (lower, upper) {
        (Some(lower), Some(upper)) => removed
            .iter()
            // An upper bound may be cut short and then raised, never lowered.
            .find(|path| lower.as_slice() <= path.as_bytes() && path.as_bytes() <= upper.as_slice())
            .map(String::as_str),
        _ => any(),
    }
}
