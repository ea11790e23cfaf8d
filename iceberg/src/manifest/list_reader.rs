//! Reading manifest lists.

use apache_avro::types::Value;

use super::avro_container::{AvroFile, MAX_AVRO_BYTES};
use super::avro_schema::list_id;
use super::avro_value::{FieldValue, field_ids, nested_record};
use super::manifest_file::{FieldSummary, ManifestContent, ManifestFile};
use super::manifest_reader::describe_manifest;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::spec::Snapshot;

/// Reads the manifests of a snapshot, whether a manifest list names them or, as version 1 of the
/// format allows, the snapshot itself.
pub fn read_snapshot_manifests(io: &dyn FileIo, snapshot: &Snapshot) -> Result<Vec<ManifestFile>> {
    match &snapshot.manifest_list {
        Some(path) => read_manifest_list(io, path),
        None => {
            let describe = |path: &String| describe_manifest(io, path, snapshot.snapshot_id);
            snapshot.manifests.iter().map(describe).collect()
        }
    }
}

/// Reads a manifest list file of any version.
pub fn read_manifest_list(io: &dyn FileIo, path: &str) -> Result<Vec<ManifestFile>> {
    let bytes = io.open(path)?.read_all(MAX_AVRO_BYTES)?;
    parse_manifest_list(path, &bytes)
}

/// Reads the content of a manifest list; `path` is named in errors.
pub fn parse_manifest_list(path: &str, bytes: &[u8]) -> Result<Vec<ManifestFile>> {
    let mut file = AvroFile::open(path, bytes)?;
    let ids = field_ids(file.record_schema()?);
    let summary_ids = nested_record(file.record_schema()?, list_id::PARTITIONS).map(field_ids);
    let summary_ids = summary_ids.unwrap_or_default();
    let mut manifests = Vec::new();
    while let Some(fields) = file.next_record()? {
        manifests.push(read_manifest_file(path, &ids, &summary_ids, fields)?);
    }
    Ok(manifests)
}

fn read_manifest_file(
    path: &str,
    ids: &[i32],
    summary_ids: &[i32],
    fields: Vec<(String, Value)>,
) -> Result<ManifestFile> {
    let mut manifest = ManifestFile::default();
    let mut seen = Vec::with_capacity(fields.len());
    for (&id, (name, value)) in ids.iter().zip(fields) {
        let Some(value) = FieldValue::new(path, &name, value).present() else {
            continue;
        };
        seen.push(id);
        match id {
            list_id::MANIFEST_PATH => manifest.manifest_path = value.string()?,
            list_id::MANIFEST_LENGTH => manifest.manifest_length = value.long()?,
            list_id::PARTITION_SPEC_ID => manifest.partition_spec_id = value.int()?,
            list_id::CONTENT => {
                let code = value.int()?;
                manifest.content = ManifestContent::from_code(code).ok_or_else(|| {
                    Error::invalid_metadata(path, &name, format!("{code} is no manifest content"))
                })?;
            }
            list_id::SEQUENCE_NUMBER => manifest.sequence_number = value.long()?,
            list_id::MIN_SEQUENCE_NUMBER => manifest.min_sequence_number = value.long()?,
            list_id::ADDED_SNAPSHOT_ID => manifest.added_snapshot_id = value.long()?,
            list_id::ADDED_FILES_COUNT => manifest.added_files_count = Some(value.int()?),
            list_id::EXISTING_FILES_COUNT => manifest.existing_files_count = Some(value.int()?),
            list_id::DELETED_FILES_COUNT => manifest.deleted_files_count = Some(value.int()?),
            list_id::ADDED_ROWS_COUNT => manifest.added_rows_count = Some(value.long()?),
            list_id::EXISTING_ROWS_COUNT => manifest.existing_rows_count = Some(value.long()?),
            list_id::DELETED_ROWS_COUNT => manifest.deleted_rows_count = Some(value.long()?),
            list_id::PARTITIONS => {
                let read = |element| read_summary(path, &name, summary_ids, element);
                manifest.partitions = Some(
                    value
                        .array()?
                        .into_iter()
                        .map(read)
                        .collect::<Result<_>>()?,
                );
            }
            list_id::KEY_METADATA => manifest.key_metadata = Some(value.bytes()?),
            list_id::FIRST_ROW_ID => manifest.first_row_id = Some(value.long()?),
            _ => {}
        }
    }
    for (id, name) in [
        (list_id::MANIFEST_PATH, "manifest_path"),
        (list_id::MANIFEST_LENGTH, "manifest_length"),
        (list_id::PARTITION_SPEC_ID, "partition_spec_id"),
    ] {
        if !seen.contains(&id) {
            return Err(Error::invalid_metadata(path, name, "is missing"));
        }
    }
    Ok(manifest)
}

fn read_summary(path: &str, field: &str, ids: &[i32], element: Value) -> Result<FieldSummary> {
    let mut summary = FieldSummary::default();
    let fields = FieldValue::new(path, field, element).record()?;
    for (&id, (name, value)) in ids.iter().zip(fields) {
        let name = format!("{field}.{name}");
        let Some(value) = FieldValue::new(path, &name, value).present() else {
            continue;
        };
        match id {
            list_id::CONTAINS_NULL => summary.contains_null = value.boolean()?,
            list_id::CONTAINS_NAN => summary.contains_nan = Some(value.boolean()?),
            list_id::LOWER_BOUND => summary.lower_bound = Some(value.bytes()?),
            list_id::UPPER_BOUND => summary.upper_bound = Some(value.bytes()?),
            _ => {}
        }
    }
    Ok(summary)
}
