//! The first phase of a commit: manifests for added files.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use uuid::Uuid;

use super::created_files::CreatedFiles;
use super::delta::SnapshotDelta;
use super::file_totals::FileTotals;
use super::rolling_writer::{DEFAULT_MANIFEST_TARGET_BYTES, ManifestNames, RollingManifestWriter};
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::manifest::{DataFile, DeleteId, ManifestContent, ManifestFile};
use crate::spec::{FormatVersion, Operation, PartitionSpec, Schema};

/// A change whose added files are in manifests that nothing refers to yet.
///
/// It can be completed on any number of bases in turn, until the caller's swap of the pointer to
/// the metadata succeeds.
#[derive(Debug, Clone)]
pub struct StagedSnapshot {
    pub(super) snapshot_id: i64,
    pub(super) schema_id: i32,
    /// Manifests of added data files, then of added delete files.
    pub(super) manifests: Vec<ManifestFile>,
    pub(super) added: FileTotals,
    pub(super) removed_data_files: BTreeSet<String>,
    pub(super) removed_delete_files: BTreeSet<DeleteId>,
    pub(super) removes_everything: bool,
    pub(super) required_data_files: BTreeSet<String>,
    /// Paths of data files that added deletion vectors are about.
    pub(super) files_with_new_vectors: BTreeSet<String>,
    pub(super) read_sequence_number: Option<i64>,
    pub(super) data_sequence_number: Option<i64>,
    pub(super) operation: Operation,
    pub(super) summary_properties: BTreeMap<String, String>,
    files_written: Vec<String>,
}

impl StagedSnapshot {
    /// The id that the snapshot will have.
    pub fn snapshot_id(&self) -> i64 {
        self.snapshot_id
    }

    /// The change as one under the schema of this id, which the table gets in the same commit.
    pub fn with_schema_id(self, schema_id: i32) -> Self {
        Self { schema_id, ..self }
    }

    /// The manifests written so far, to delete if the commit does not happen.
    pub fn files_written(&self) -> &[String] {
        &self.files_written
    }
}

/// Writes the manifests of the files that `delta` adds, partitioned by `spec`, under `location`, for a table of `version`;
/// the table may be of a later version when the change is completed.
///
/// Nothing is read and no lock is needed. If it fails, it deletes what it wrote.
pub fn stage(
    delta: &SnapshotDelta,
    schema: &Schema,
    spec: &PartitionSpec,
    location: &str,
    version: FormatVersion,
    io: &dyn FileIo,
) -> Result<StagedSnapshot> {
    check_spec(delta, spec)?;
    let snapshot_id = new_snapshot_id();
    let (manifests, files_written) = CreatedFiles::new(io).guard(|io| {
        let mut names = ManifestNames::new(location, io);
        let mut write = |content, files: &[Arc<DataFile>], sequence_number| {
            let mut writer = RollingManifestWriter::new(
                io,
                version,
                content,
                schema,
                spec,
                snapshot_id,
                DEFAULT_MANIFEST_TARGET_BYTES as usize,
            );
            for file in files {
                writer.write(&mut names, |manifest| {
                    manifest.add_with_sequence_number(file, sequence_number)
                })?;
            }
            writer.finish()
        };
        let (data, deletes) = (&delta.added_data_files, &delta.added_delete_files);
        let mut manifests = write(ManifestContent::Data, data, delta.data_sequence_number)?;
        manifests.extend(write(ManifestContent::Deletes, deletes, None)?);
        Ok(manifests)
    })?;
    let mut added = FileTotals::default();
    for file in delta
        .added_data_files
        .iter()
        .chain(&delta.added_delete_files)
    {
        added.add(&DataFile {
            partition_spec_id: spec.spec_id,
            ..partition_and_counts(file)
        });
    }
    Ok(StagedSnapshot {
        snapshot_id,
        schema_id: schema.schema_id,
        manifests,
        added,
        removed_data_files: delta.removed_data_files.clone(),
        removed_delete_files: delta.removed_delete_files.clone(),
        files_with_new_vectors: (delta.added_delete_files.iter())
            .filter(|file| file.is_deletion_vector())
            .filter_map(|file| file.referenced_data_file.clone())
            .collect(),
        removes_everything: delta.removes_everything,
        required_data_files: delta.required_data_files.clone(),
        read_sequence_number: delta.read_sequence_number,
        data_sequence_number: delta.data_sequence_number,
        operation: delta.operation(),
        summary_properties: delta.summary_properties.clone(),
        files_written,
    })
}

/// Rewritten files have the partition of those that they were made from, and deletes that of the files that they are
/// about, whatever the table's spec is by now.
fn check_spec(delta: &SnapshotDelta, spec: &PartitionSpec) -> Result<()> {
    let rewritten = (delta.data_sequence_number)
        .map(|_| &delta.added_data_files)
        .into_iter()
        .flatten();
    let mut files = rewritten.chain(&delta.added_delete_files);
    match files.find(|file| file.partition_spec_id != spec.spec_id) {
        None => Ok(()),
        Some(file) => {
            let (of, given) = (file.partition_spec_id, spec.spec_id);
            let path = &file.file_path;
            let reason = format!("file \"{path}\" is of partition spec {of}, not {given}");
            Err(Error::invalid_argument("stage", reason))
        }
    }
}

/// What totals need of a file, without its statistics.
fn partition_and_counts(file: &DataFile) -> DataFile {
    DataFile {
        content: file.content,
        file_format: file.file_format,
        content_size_in_bytes: file.content_size_in_bytes,
        partition: file.partition.clone(),
        record_count: file.record_count,
        file_size_in_bytes: file.file_size_in_bytes,
        ..DataFile::default()
    }
}

/// A random positive number, as other engines choose ids.
fn new_snapshot_id() -> i64 {
    let (high, low) = Uuid::new_v4().as_u64_pair();
    ((high ^ low) & (i64::MAX as u64)).max(1).cast_signed()
}
