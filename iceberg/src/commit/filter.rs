//! Removing files from the manifests of the base.

use std::collections::BTreeSet;

use super::complete::Context;
use super::file_totals::FileTotals;
use super::rolling_writer::RollingManifestWriter;
use super::stage::StagedSnapshot;
use crate::error::{Error, Result};
use crate::manifest::{
    DataFile, DeleteId, ManifestContent, ManifestEntry, ManifestFile, manifest_entries,
};

/// The base's manifests without the removed files, and what was removed.
pub struct Filtered {
    pub manifests: Vec<ManifestFile>,
    pub removed: FileTotals,
}

/// Marks removed files as deleted, in manifests written anew; other manifests stay as they are.
///
/// A file that must be removed, or is relied on, but is not in the base is a conflict.
pub fn filter_manifests(
    context: &mut Context<'_>,
    staged: &StagedSnapshot,
    manifests: &[ManifestFile],
) -> Result<Filtered> {
    let mut filtered = Filtered {
        manifests: Vec::new(),
        removed: FileTotals::default(),
    };
    let mut missing = MissingFiles::new(staged);
    for manifest in manifests {
        if !manifest.may_have_live_files() {
            continue;
        }
        let is_named = |file: &DataFile| match manifest.content {
            ManifestContent::Data => staged.removed_data_files.contains(&file.file_path),
            ManifestContent::Deletes => staged.removed_delete_files.contains(&file.delete_id()),
        };
        let wanted = staged.removes_everything || missing.concern(manifest.content);
        if !wanted {
            filtered.manifests.push(manifest.clone());
            continue;
        }
        let entries = manifest_entries(context.io, manifest)?;
        let is_removed = |entry: &ManifestEntry| {
            entry.is_live() && (staged.removes_everything || is_named(&entry.data_file))
        };
        missing.found(manifest.content, &entries);
        if manifest.content == ManifestContent::Deletes {
            check_vectors(staged, entries.iter().filter(|entry| !is_removed(entry)))?;
        }
        if entries.iter().any(is_removed) {
            for entry in entries.iter().filter(|entry| is_removed(entry)) {
                filtered.removed.add(&entry.data_file);
            }
            filtered
                .manifests
                .extend(rewrite(context, staged, manifest, &entries, is_removed)?);
        } else {
            filtered.manifests.push(manifest.clone());
        }
    }
    missing.check()?;
    Ok(filtered)
}

/// Writes a manifest's live entries again, the removed ones as deleted.
fn rewrite(
    context: &mut Context<'_>,
    staged: &StagedSnapshot,
    manifest: &ManifestFile,
    entries: &[ManifestEntry],
    is_removed: impl Fn(&ManifestEntry) -> bool,
) -> Result<Vec<ManifestFile>> {
    let (schema, spec) = context.schema_and_spec(manifest)?;
    let mut writer = RollingManifestWriter::new(
        context.io,
        context.base.format_version,
        manifest.content,
        &schema,
        &spec,
        staged.snapshot_id,
        // One manifest becomes one.
        usize::MAX,
    );
    for entry in entries.iter().filter(|entry| entry.is_live()) {
        writer.write(&mut context.names, |manifest| {
            if is_removed(entry) {
                manifest.delete(entry)
            } else {
                manifest.carry(entry)
            }
        })?;
    }
    writer.finish()
}

/// Fails if a data file that the commit adds a deletion vector of keeps another one: a data file has one at most.
fn check_vectors<'a>(
    staged: &StagedSnapshot,
    kept: impl Iterator<Item = &'a ManifestEntry>,
) -> Result<()> {
    for entry in kept.filter(|entry| entry.is_live() && entry.data_file.is_deletion_vector()) {
        let about = entry.data_file.referenced_data_file.as_ref();
        if let Some(path) = about.filter(|path| staged.files_with_new_vectors.contains(*path)) {
            return Err(Error::CommitConflict {
                path: path.clone(),
                reason: "the commit adds a deletion vector of it, but another one did already"
                    .to_owned(),
            });
        }
    }
    Ok(())
}

/// Files that the base must have and that were not seen yet.
struct MissingFiles<'a> {
    removed_data: BTreeSet<&'a str>,
    removed_deletes: BTreeSet<&'a DeleteId>,
    required_data: BTreeSet<&'a str>,
    /// Whether all manifests of deletes are looked at, for other deletion vectors of the same data files.
    adds_vectors: bool,
}

impl<'a> MissingFiles<'a> {
    fn new(staged: &'a StagedSnapshot) -> Self {
        let set = |paths: &'a BTreeSet<String>| paths.iter().map(String::as_str).collect();
        Self {
            removed_data: set(&staged.removed_data_files),
            removed_deletes: staged.removed_delete_files.iter().collect(),
            required_data: set(&staged.required_data_files),
            adds_vectors: !staged.files_with_new_vectors.is_empty(),
        }
    }

    /// Whether manifests of this content can hold any of them.
    fn concern(&self, content: ManifestContent) -> bool {
        match content {
            ManifestContent::Data => {
                !self.removed_data.is_empty() || !self.required_data.is_empty()
            }
            ManifestContent::Deletes => self.adds_vectors || !self.removed_deletes.is_empty(),
        }
    }

    fn found(&mut self, content: ManifestContent, entries: &[ManifestEntry]) {
        for entry in entries.iter().filter(|entry| entry.is_live()) {
            let path = entry.data_file.file_path.as_str();
            match content {
                ManifestContent::Data => {
                    self.removed_data.remove(path);
                    self.required_data.remove(path);
                }
                ManifestContent::Deletes if self.removed_deletes.is_empty() => {}
                ManifestContent::Deletes => {
                    self.removed_deletes.remove(&entry.data_file.delete_id());
                }
            }
        }
    }

    fn check(&self) -> Result<()> {
        let deletes = self.removed_deletes.iter().map(|id| &*id.path);
        let mut removed = self.removed_data.iter().copied().chain(deletes);
        let conflict = |path: &str, reason: &str| Error::CommitConflict {
            path: path.to_owned(),
            reason: reason.to_owned(),
        };
        if let Some(path) = removed.next() {
            return Err(conflict(
                path,
                "the commit removes it, but another one did already",
            ));
        }
        match self.required_data.first() {
            None => Ok(()),
            Some(path) => Err(conflict(path, "the commit deletes rows of it")),
        }
    }
}
