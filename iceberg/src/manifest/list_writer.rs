//! Writing manifest lists, in version 2 of the format.

use apache_avro::types::Value;

use super::avro_container::{AvroWriter, write_file};
use super::avro_schema::AvroSchema;
use super::avro_value::nullable;
use super::manifest_file::{FieldSummary, ManifestFile, UNASSIGNED_SEQUENCE_NUMBER};
use crate::error::{Error, Result};
use crate::io::FileIo;

/// About what an entry of a manifest list takes beside the manifest's path.
const MANIFEST_NUMBER_BYTES: usize = 40;

/// What a manifest list says about its snapshot.
#[derive(Debug, Clone, Copy)]
pub struct ManifestListHeader {
    /// The snapshot.
    pub snapshot_id: i64,
    /// The snapshot's parent.
    pub parent_snapshot_id: Option<i64>,
    /// The snapshot's sequence number.
    pub sequence_number: i64,
}

/// Writes the manifest list of a new snapshot, and returns the manifests as it describes them:
/// those whose sequence number is unassigned get the snapshot's.
pub fn write_manifest_list(
    io: &dyn FileIo,
    path: &str,
    header: ManifestListHeader,
    manifests: Vec<ManifestFile>,
) -> Result<Vec<ManifestFile>> {
    let parent = header
        .parent_snapshot_id
        .map_or("null".to_owned(), |id| id.to_string());
    let texts = [
        ("snapshot-id", &*header.snapshot_id.to_string()),
        ("parent-snapshot-id", &*parent),
        ("sequence-number", &*header.sequence_number.to_string()),
        ("format-version", "2"),
    ];
    let avro_error = |e| Error::avro(path, e);
    let schema = AvroSchema::manifest_file().map_err(avro_error)?;
    let expected_bytes = manifests
        .iter()
        .map(|manifest| manifest.manifest_path.len() + MANIFEST_NUMBER_BYTES)
        .sum();
    let mut writer = AvroWriter::new(&schema.encoding, &schema.text, &texts, expected_bytes)
        .map_err(avro_error)?;
    let mut written = Vec::with_capacity(manifests.len());
    for mut manifest in manifests {
        assign_sequence_number(&mut manifest, header.sequence_number);
        writer
            .append(&manifest_value(path, &manifest)?)
            .map_err(avro_error)?;
        written.push(manifest);
    }
    let bytes = writer.into_bytes().map_err(avro_error)?;
    write_file(io, path, &bytes)?;
    Ok(written)
}

fn assign_sequence_number(manifest: &mut ManifestFile, sequence_number: i64) {
    if manifest.sequence_number == UNASSIGNED_SEQUENCE_NUMBER {
        manifest.sequence_number = sequence_number;
    }
    if manifest.min_sequence_number == UNASSIGNED_SEQUENCE_NUMBER {
        manifest.min_sequence_number = sequence_number;
    }
}

fn manifest_value(list: &str, manifest: &ManifestFile) -> Result<Value> {
    let missing = |name: &'static str| {
        move || {
            let reason = format!("manifest \"{}\" was not counted", manifest.manifest_path);
            Error::invalid_metadata(list, name, reason)
        }
    };
    let files = |name: &'static str, count: Option<i32>| {
        count
            .map(Value::Int)
            .ok_or_else(missing(name))
            .map(|value| (name.to_owned(), value))
    };
    let rows = |name: &'static str, count: Option<i64>| {
        count
            .map(Value::Long)
            .ok_or_else(missing(name))
            .map(|value| (name.to_owned(), value))
    };
    let partitions = manifest
        .partitions
        .as_ref()
        .map(|summaries| Value::Array(summaries.iter().map(summary_value).collect()));
    Ok(Value::Record(vec![
        (
            "manifest_path".into(),
            Value::String(manifest.manifest_path.clone()),
        ),
        (
            "manifest_length".into(),
            Value::Long(manifest.manifest_length),
        ),
        (
            "partition_spec_id".into(),
            Value::Int(manifest.partition_spec_id),
        ),
        ("content".into(), Value::Int(manifest.content.code())),
        (
            "sequence_number".into(),
            Value::Long(manifest.sequence_number),
        ),
        (
            "min_sequence_number".into(),
            Value::Long(manifest.min_sequence_number),
        ),
        (
            "added_snapshot_id".into(),
            Value::Long(manifest.added_snapshot_id),
        ),
        files("added_files_count", manifest.added_files_count)?,
        files("existing_files_count", manifest.existing_files_count)?,
        files("deleted_files_count", manifest.deleted_files_count)?,
        rows("added_rows_count", manifest.added_rows_count)?,
        rows("existing_rows_count", manifest.existing_rows_count)?,
        rows("deleted_rows_count", manifest.deleted_rows_count)?,
        ("partitions".into(), nullable(partitions)),
        (
            "key_metadata".into(),
            nullable(manifest.key_metadata.clone().map(Value::Bytes)),
        ),
    ]))
}

fn summary_value(summary: &FieldSummary) -> Value {
    Value::Record(vec![
        (
            "contains_null".into(),
            Value::Boolean(summary.contains_null),
        ),
        (
            "contains_nan".into(),
            nullable(summary.contains_nan.map(Value::Boolean)),
        ),
        (
            "lower_bound".into(),
            nullable(summary.lower_bound.clone().map(Value::Bytes)),
        ),
        (
            "upper_bound".into(),
            nullable(summary.upper_bound.clone().map(Value::Bytes)),
        ),
    ])
}
