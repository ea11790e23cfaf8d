//! The second phase of a commit: manifest list and metadata file, on top of the current metadata.

use std::collections::HashSet;
use std::sync::Arc;

use uuid::Uuid;

use super::apply::apply;
use super::created_files::CreatedFiles;
use super::filter::filter_manifests;
use super::merge::merge_manifests;
use super::requirement::TableRequirement;
use super::rolling_writer::ManifestNames;
use super::stage::StagedSnapshot;
use super::summary::summarize;
use super::update::TableUpdate;
use super::validate::{RemovedFiles, check_no_new_deletes};
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{
    ManifestFile, ManifestListHeader, ManifestStatus, assign_row_ids, manifest_entries,
    snapshot_manifests, write_manifest_list,
};
use crate::spec::{
    FormatVersion, MAIN_BRANCH, PartitionSpecRef, SchemaRef, Snapshot, SnapshotReference,
    StoredSnapshot, TableMetadata, Type,
};

/// The property that lets old metadata files be deleted.
const DELETE_AFTER_COMMIT: &str = "write.metadata.delete-after-commit.enabled";

/// New metadata, in a file that the caller may now point the table to.
#[derive(Debug, Clone)]
pub struct NewMetadata {
    /// The new metadata.
    pub metadata: TableMetadata,
    /// The file that they are in.
    pub metadata_location: String,
    /// All files written, staged manifests included: to delete if the commit does not happen.
    pub files_written: Vec<String>,
    /// Staged manifests that were merged into others: to delete once the commit has happened.
    pub superseded_manifests: Vec<String>,
    /// Metadata files that the log forgot: nothing leads to them once the commit has happened.
    pub expired_metadata_files: Vec<String>,
    /// Whether the table's property `write.metadata.delete-after-commit.enabled` asks to delete them then. If not,
    /// they are left to those who look for orphans.
    pub deletes_expired_metadata: bool,
}

/// Completes the commit of a staged change on top of `base`, the current metadata, or, without a change, `base`
/// itself: that is how a new table gets its first file.
///
/// `base_location` is the file of `base`, `None` if it was never in one. If this fails, it deletes
/// what it wrote, though not what [`stage`](fn@super::stage) wrote.
pub fn complete(
    base: &TableMetadata,
    base_location: Option<&str>,
    staged: Option<&StagedSnapshot>,
    io: &dyn FileIo,
    now_ms: i64,
) -> Result<NewMetadata> {
    match staged {
        None => complete_with_updates(base, base_location, &[], Vec::new(), io, now_ms),
        Some(staged) => complete_and_update(base, base_location, staged, Vec::new(), io, now_ms),
    }
}

/// As [`complete`], and applies `updates` after those of the change, so that one metadata file has both: history
/// may be thinned with every commit.
pub fn complete_and_update(
    base: &TableMetadata,
    base_location: Option<&str>,
    staged: &StagedSnapshot,
    updates: Vec<TableUpdate>,
    io: &dyn FileIo,
    now_ms: i64,
) -> Result<NewMetadata> {
    let ((metadata, metadata_location, manifests), mut files_written) = CreatedFiles::new(io)
        .guard(|io| {
            let context = Context {
                io,
                base,
                names: ManifestNames::new(&base.location, io),
            };
            let (snapshot, manifests) = write_snapshot(context, staged, now_ms)?;
            let mut all = snapshot_updates(base, snapshot)?;
            all.extend(updates);
            let requirements = snapshot_requirements(base);
            let metadata = apply(base, base_location, &requirements, all, now_ms)?;
            let location = metadata.next_metadata_location(base_location, &io.unique_name());
            metadata.write_to(io, &location)?;
            Ok((metadata, location, manifests))
        })?;
    let listed: HashSet<&str> = manifests
        .iter()
        .map(|manifest| manifest.manifest_path.as_str())
        .collect();
    let superseded = staged
        .files_written()
        .iter()
        .filter(|path| !listed.contains(path.as_str()));
    let superseded_manifests = superseded.cloned().collect();
    files_written.extend_from_slice(staged.files_written());
    Ok(NewMetadata {
        expired_metadata_files: expired_metadata_files(base, &metadata),
        deletes_expired_metadata: deletes_expired_metadata(&metadata),
        metadata,
        metadata_location,
        files_written,
        superseded_manifests,
    })
}

/// Completes a commit of updates that add no snapshot with new files.
pub fn complete_with_updates(
    base: &TableMetadata,
    base_location: Option<&str>,
    requirements: &[TableRequirement],
    updates: Vec<TableUpdate>,
    io: &dyn FileIo,
    now_ms: i64,
) -> Result<NewMetadata> {
    let mut all = upgrade_updates(base);
    all.extend(updates);
    let metadata = apply(base, base_location, requirements, all, now_ms)?;
    let metadata_location = metadata.next_metadata_location(base_location, &io.unique_name());
    let ((), files_written) =
        CreatedFiles::new(io).guard(|io| metadata.write_to(io, &metadata_location))?;
    Ok(NewMetadata {
        expired_metadata_files: expired_metadata_files(base, &metadata),
        deletes_expired_metadata: deletes_expired_metadata(&metadata),
        metadata,
        metadata_location,
        files_written,
        superseded_manifests: Vec::new(),
    })
}

/// What the steps of this phase share.
pub struct Context<'a> {
    pub io: &'a dyn FileIo,
    pub base: &'a TableMetadata,
    pub names: ManifestNames,
}

impl Context<'_> {
    /// The partition spec of a manifest's files, and a schema that has the columns it needs.
    pub fn schema_and_spec(
        &self,
        manifest: &ManifestFile,
    ) -> Result<(SchemaRef, PartitionSpecRef)> {
        let spec_id = manifest.partition_spec_id;
        let spec = self.base.partition_spec(spec_id).ok_or_else(|| {
            let reason = format!("the table has no partition spec {spec_id}");
            Error::invalid_metadata(&*manifest.manifest_path, "partition-spec-id", reason)
        })?;
        let has_sources = |schema: &&SchemaRef| {
            let is_there = |id| matches!(schema.type_of(id), Some(Type::Primitive(_)));
            spec.fields.iter().all(|field| is_there(field.source_id))
        };
        let current = self.base.current_schema();
        let schema = current
            .filter(has_sources)
            .or_else(|| self.base.schemas.iter().rev().find(has_sources))
            .or(current)
            .ok_or_else(|| {
                Error::invalid_argument("complete", "the table has no current schema")
            })?;
        Ok((Arc::clone(schema), Arc::clone(spec)))
    }
}

/// Writes the new snapshot's manifests and their list.
fn write_snapshot(
    mut context: Context<'_>,
    staged: &StagedSnapshot,
    now_ms: i64,
) -> Result<(Snapshot, Arc<[ManifestFile]>)> {
    let base = context.base;
    if base.format_version >= FormatVersion::V3 && staged.added.position_delete_files > 0 {
        let reason = "position delete files for a table that is of version 3 by now";
        return Err(Error::invalid_argument("complete", reason));
    }
    let parent = base.current_snapshot();
    let inherited = match parent {
        None => Arc::default(),
        Some(parent) => snapshot_manifests(context.io, parent)?,
    };
    if let Some(read) = staged.read_sequence_number {
        let removed = RemovedFiles {
            paths: &staged.removed_data_files,
            read,
            data_sequence_number: staged.data_sequence_number,
        };
        check_no_new_deletes(context.io, &removed, &inherited)?;
    }
    let filtered = filter_manifests(&mut context, staged, &inherited)?;
    let mut manifests = staged.manifests.clone();
    manifests.extend(filtered.manifests);
    let mut manifests = merge_manifests(&mut context, staged, manifests)?;
    manifests
        .iter_mut()
        .try_for_each(|manifest| count_entries(context.io, manifest))?;

    let sequence_number = base
        .last_sequence_number
        .checked_add(1)
        .ok_or_else(|| Error::invalid_argument("complete", "sequence numbers are used up"))?;
    let snapshot_id = staged.snapshot_id;
    let parent_snapshot_id = parent.map(|parent| parent.snapshot_id);
    let unique = context.io.unique_name();
    let list = format!("{}/metadata/snap-{unique}.avro", base.location);
    let gives_row_ids = base.format_version >= FormatVersion::V3;
    let first_row_id = gives_row_ids.then_some(base.next_row_id);
    let added_rows = match first_row_id {
        None => None,
        Some(first) => Some(assign_row_ids(&mut manifests, first)? - first),
    };
    let header = ManifestListHeader {
        snapshot_id,
        parent_snapshot_id,
        sequence_number,
        first_row_id,
    };
    let manifests: Arc<[ManifestFile]> =
        write_manifest_list(context.io, &list, header, manifests)?.into();
    if let Some(cache) = context.io.manifest_cache() {
        cache.put_list(&list, &manifests);
    }
    let snapshot = Snapshot {
        snapshot_id,
        parent_snapshot_id,
        sequence_number,
        timestamp_ms: now_ms.max(base.last_updated_ms),
        manifest_list: Some(list),
        summary: summarize(staged, &filtered.removed, parent.map(|parent| &***parent)),
        schema_id: Some(staged.schema_id).filter(|&id| base.schema(id).is_some()),
        first_row_id,
        added_rows,
        ..Snapshot::default()
    };
    Ok((snapshot, manifests))
}

/// Counts the entries of a manifest whose version 1 writer did not.
fn count_entries(io: &dyn FileIo, manifest: &mut ManifestFile) -> Result<()> {
    if manifest.has_all_counts() {
        return Ok(());
    }
    let (mut files, mut rows) = ([0_i32; 3], [0_i64; 3]);
    for entry in manifest_entries(io, manifest)?.iter() {
        let status = entry.status.code() as usize;
        files[status] += 1;
        rows[status] = rows[status].saturating_add(entry.data_file.record_count);
    }
    let at = |status: ManifestStatus| status.code() as usize;
    manifest.added_files_count = Some(files[at(ManifestStatus::Added)]);
    manifest.existing_files_count = Some(files[at(ManifestStatus::Existing)]);
    manifest.deleted_files_count = Some(files[at(ManifestStatus::Deleted)]);
    manifest.added_rows_count = Some(rows[at(ManifestStatus::Added)]);
    manifest.existing_rows_count = Some(rows[at(ManifestStatus::Existing)]);
    manifest.deleted_rows_count = Some(rows[at(ManifestStatus::Deleted)]);
    Ok(())
}

fn snapshot_requirements(base: &TableMetadata) -> Vec<TableRequirement> {
    vec![
        TableRequirement::TableUuid(base.table_uuid),
        TableRequirement::RefSnapshotId {
            name: MAIN_BRANCH.to_owned(),
            snapshot_id: base.current_snapshot_id,
        },
    ]
}

fn snapshot_updates(base: &TableMetadata, snapshot: Snapshot) -> Result<Vec<TableUpdate>> {
    let id = snapshot.snapshot_id;
    let main = match base.reference(MAIN_BRANCH) {
        Some(main) => SnapshotReference {
            snapshot_id: id,
            ..main.clone()
        },
        None => SnapshotReference::branch(id),
    };
    let mut updates = upgrade_updates(base);
    updates.push(TableUpdate::AddSnapshot(Arc::new(StoredSnapshot::new(
        snapshot,
    )?)));
    updates.push(TableUpdate::SetSnapshotRef {
        name: MAIN_BRANCH.to_owned(),
        reference: main,
    });
    Ok(updates)
}

/// What makes a version 1 table one of version 2.
fn upgrade_updates(base: &TableMetadata) -> Vec<TableUpdate> {
    let mut updates = Vec::new();
    if base.table_uuid.is_nil() {
        updates.push(TableUpdate::AssignUuid(Uuid::new_v4()));
    }
    if base.format_version < FormatVersion::V2 {
        updates.push(TableUpdate::UpgradeFormatVersion(FormatVersion::V2));
    }
    updates
}

fn deletes_expired_metadata(metadata: &TableMetadata) -> bool {
    (metadata.properties.get(DELETE_AFTER_COMMIT))
        .is_some_and(|text| text.eq_ignore_ascii_case("true"))
}

fn expired_metadata_files(base: &TableMetadata, metadata: &TableMetadata) -> Vec<String> {
    let kept: HashSet<&str> = metadata
        .metadata_log
        .iter()
        .map(|entry| entry.metadata_file.as_str())
        .collect();
    let old = base.metadata_log.iter().map(|entry| &entry.metadata_file);
    old.filter(|file| !kept.contains(file.as_str()))
        .cloned()
        .collect()
}
