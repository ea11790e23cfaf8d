//! Putting rewritten files in the place of those they were made from.
//!
//! While files are rewritten nothing is locked, so others may have removed a file meanwhile, or deleted rows of
//! it: then the group has lost the race, and is planned anew when its turn comes. The other groups are
//! not concerned.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::plan::CompactionGroup;
use crate::commit::{RemovedFiles, SnapshotDelta, check_no_new_deletes};
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{DataFile, DeleteId, ManifestContent, manifest_entries, snapshot_manifests};
use crate::scan::{ScanFile, only_file_of};
use crate::spec::{FormatVersion, Operation, TableMetadata};

/// Groups that were rewritten, to be committed as one `replace` snapshot.
#[derive(Debug, Clone)]
pub struct Compaction {
    read_sequence_number: i64,
    /// The version of the format at the time: in version 2 rows have no ids that rewritten files could keep.
    format_version: FormatVersion,
    /// The partition spec of all groups; `None` as long as there are none.
    partition_spec_id: Option<i32>,
    groups: Vec<RewrittenGroup>,
    /// Delete files that apply to nothing else than files of the groups.
    obsolete_delete_files: BTreeSet<DeleteId>,
}

/// Files, and those that replace them.
#[derive(Debug, Clone, PartialEq)]
pub struct RewrittenGroup {
    /// The paths of the files that go.
    pub removed_data_files: BTreeSet<String>,
    /// Delete files that are about those files alone.
    pub removed_delete_files: BTreeSet<DeleteId>,
    /// The files that have their rows.
    pub added_data_files: Vec<Arc<DataFile>>,
}

/// A group that cannot be committed any more: its new files are to be deleted.
#[derive(Debug)]
pub struct LostRace {
    /// The group.
    pub group: RewrittenGroup,
    /// What came before it.
    pub conflict: Error,
}

impl Compaction {
    /// No groups yet, of files as they were in `metadata`.
    pub fn new(metadata: &TableMetadata) -> Self {
        Self {
            read_sequence_number: metadata.last_sequence_number,
            format_version: metadata.format_version,
            partition_spec_id: None,
            groups: Vec::new(),
            obsolete_delete_files: BTreeSet::new(),
        }
    }

    /// Adds a group of `files`, which were planned for and are the live files of the metadata. `added` are
    /// the files that have its rows now, without those that were deleted. Files of another partition spec than that of
    /// earlier groups are refused: they are another commit's.
    pub fn push(
        &mut self,
        files: &[ScanFile],
        group: &CompactionGroup,
        added: Vec<Arc<DataFile>>,
    ) -> Result<()> {
        let sources = (group.files.iter())
            .map(|&index| files.get(index))
            .collect::<Option<Vec<&ScanFile>>>()
            .ok_or_else(|| Error::invalid_argument("Compaction::push", "a file of another plan"))?;
        let specs = (sources.iter().map(|file| file.data_file.partition_spec_id))
            .chain(added.iter().map(|file| file.partition_spec_id));
        let known = self.partition_spec_id.or_else(|| specs.clone().next());
        if specs.into_iter().any(|spec| Some(spec) != known) {
            let reason = "files of several partition specs";
            return Err(Error::invalid_argument("Compaction::push", reason));
        }
        let count = |files: &mut dyn Iterator<Item = &DataFile>| {
            files
                .map(|file| i128::from(file.record_count))
                .sum::<i128>()
        };
        let before = count(&mut sources.iter().map(|file| &*file.data_file));
        let after = count(&mut added.iter().map(|file| &**file));
        let may_shrink = sources.iter().any(|file| !file.deletes.is_empty());
        if after > before || (after < before && !may_shrink) {
            let reason = format!("{before} rows became {after}");
            return Err(Error::invalid_argument("Compaction::push", reason));
        }
        let removed_data_files: BTreeSet<String> = (sources.iter())
            .map(|file| file.data_file.file_path.clone())
            .collect();
        let deletes = sources.iter().flat_map(|file| &file.deletes);
        let about_them = deletes.filter(|delete| {
            only_file_of(delete).is_some_and(|path| removed_data_files.contains(path))
        });
        let removed_delete_files = about_them.map(|delete| delete.delete_id()).collect();
        self.partition_spec_id = known;
        self.groups.push(RewrittenGroup {
            removed_data_files,
            removed_delete_files,
            added_data_files: added,
        });
        Ok(())
    }

    /// Has delete files removed that apply to no file but those of the groups, or to none at all: called once all groups
    /// are there. `metadata` are those that the files were read by, and `files` all of their live files.
    ///
    /// Files that others add meanwhile are newer than these deletes, or replace files that they apply to, of which then
    /// either is in a group that loses the race.
    pub fn remove_obsolete_deletes(
        &mut self,
        metadata: &TableMetadata,
        files: &[ScanFile],
        io: &dyn FileIo,
    ) -> Result<()> {
        let removed = self.removed_data_files();
        let stay = |file: &&ScanFile| !removed.contains(&file.data_file.file_path);
        let needed: BTreeSet<DeleteId> = (files.iter().filter(stay))
            .flat_map(|file| file.deletes.iter().map(|delete| delete.delete_id()))
            .collect();
        let Some(snapshot) = metadata.current_snapshot() else {
            return Ok(());
        };
        let about_groups = self.removed_delete_files();
        for manifest in snapshot_manifests(io, snapshot)?.iter() {
            if manifest.content != ManifestContent::Deletes {
                continue;
            }
            for entry in manifest_entries(io, manifest)?
                .iter()
                .filter(|entry| entry.is_live())
            {
                let id = entry.data_file.delete_id();
                if !needed.contains(&id) && !about_groups.contains(&id) {
                    self.obsolete_delete_files.insert(id);
                }
            }
        }
        Ok(())
    }

    /// The id of the partition spec to stage the change with; `None` if there are no groups.
    pub fn partition_spec_id(&self) -> Option<i32> {
        self.partition_spec_id
    }

    /// The groups that are to be committed.
    pub fn groups(&self) -> &[RewrittenGroup] {
        &self.groups
    }

    /// The change to [stage](fn@crate::commit::stage) and [complete](fn@crate::commit::complete). Completing it is a
    /// [conflict](Error::is_conflict) if a group has lost the race: then [`Self::take_lost`] tells which,
    /// and the others can be tried again.
    ///
    /// The new files count as old as the metadata that they were read by, so that later equality deletes apply to
    /// them and earlier ones, which were applied, do not.
    pub fn delta(&self) -> SnapshotDelta {
        let mut delta = SnapshotDelta {
            read_sequence_number: Some(self.read_sequence_number),
            data_sequence_number: Some(self.read_sequence_number),
            operation: Some(Operation::Replace),
            ..SnapshotDelta::default()
        };
        for group in &self.groups {
            delta
                .removed_data_files
                .extend(group.removed_data_files.iter().cloned());
            delta
                .removed_delete_files
                .extend(group.removed_delete_files.iter().cloned());
            delta
                .added_data_files
                .extend(group.added_data_files.iter().cloned());
        }
        let obsolete = self.obsolete_delete_files.iter().cloned();
        delta.removed_delete_files.extend(obsolete);
        delta
    }

    /// Takes out the groups that cannot be committed on top of `base`. No file is written, and manifests are read only
    /// until the files are found.
    ///
    /// Obsolete delete files stay for the next time: they may not be obsolete without those groups, and may be gone
    /// themselves, which is a conflict too, without any group that has lost.
    pub fn take_lost(&mut self, base: &TableMetadata, io: &dyn FileIo) -> Result<Vec<LostRace>> {
        self.obsolete_delete_files.clear();
        let manifests = match base.current_snapshot() {
            Some(snapshot) => snapshot_manifests(io, snapshot)?,
            None => Arc::default(),
        };
        let mut missing_data = self.removed_data_files();
        let mut missing_deletes = self.removed_delete_files();
        for manifest in manifests.iter() {
            let is_done = match manifest.content {
                ManifestContent::Data => missing_data.is_empty(),
                ManifestContent::Deletes => missing_deletes.is_empty(),
            };
            if is_done {
                continue;
            }
            for entry in manifest_entries(io, manifest)?
                .iter()
                .filter(|entry| entry.is_live())
            {
                match manifest.content {
                    ManifestContent::Data => missing_data.remove(&entry.data_file.file_path),
                    ManifestContent::Deletes => {
                        missing_deletes.remove(&entry.data_file.delete_id())
                    }
                };
            }
        }
        let mut lost = Vec::new();
        for group in std::mem::take(&mut self.groups) {
            let removed = RemovedFiles {
                paths: &group.removed_data_files,
                read: self.read_sequence_number,
                data_sequence_number: Some(self.read_sequence_number),
            };
            let mut gone_data = group.removed_data_files.intersection(&missing_data);
            let mut gone_deletes = group.removed_delete_files.intersection(&missing_deletes);
            let gone = gone_data
                .next()
                .or_else(|| gone_deletes.next().map(|id| &id.path));
            let outcome = match gone {
                Some(path) => Err(Error::CommitConflict {
                    path: path.clone(),
                    reason: "another commit removed it while it was rewritten".to_owned(),
                }),
                None if base.format_version != self.format_version => Err(Error::CommitConflict {
                    path: group
                        .removed_data_files
                        .first()
                        .cloned()
                        .unwrap_or_default(),
                    reason:
                        "the table was given another version of the format while it was rewritten"
                            .to_owned(),
                }),
                None => check_no_new_deletes(io, &removed, &manifests),
            };
            match outcome {
                Ok(()) => self.groups.push(group),
                Err(conflict) if conflict.is_conflict() => lost.push(LostRace { group, conflict }),
                Err(error) => return Err(error),
            }
        }
        Ok(lost)
    }

    fn removed_data_files(&self) -> BTreeSet<String> {
        let of = |group: &RewrittenGroup| group.removed_data_files.clone();
        self.groups.iter().flat_map(of).collect()
    }

    fn removed_delete_files(&self) -> BTreeSet<DeleteId> {
        let of = |group: &RewrittenGroup| group.removed_delete_files.clone();
        self.groups.iter().flat_map(of).collect()
    }
}
