//! Reading manifests of every version.

use std::borrow::Cow;
use std::sync::Arc;

use apache_avro::schema::RecordSchema;
use apache_avro::types::Value;

use super::avro_container::{AvroFile, MAX_AVRO_BYTES};
use super::avro_schema::{entry_id, file_id};
use super::avro_value::{FieldValue, field_ids, nested_record};
use super::data_file::{DataContentType, DataFile, DataFileFormat};
use super::entry::{ManifestEntry, ManifestStatus};
use super::manifest_file::{ManifestContent, ManifestFile};
use super::row_ids::inherit_row_ids;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::spec::{PartitionField, PartitionSpec, PrimitiveType, Schema};

/// Reads all entries of a manifest, deleted ones included; what they inherit is filled in.
pub fn read_manifest(io: &dyn FileIo, manifest: &ManifestFile) -> Result<Vec<ManifestEntry>> {
    let length = u64::try_from(manifest.manifest_length).ok();
    let bytes = io
        .open(&manifest.manifest_path, length)?
        .read_all(MAX_AVRO_BYTES)?;
    parse_manifest(manifest, &bytes)
}

/// Reads the content of a manifest that a manifest list describes.
pub fn parse_manifest(manifest: &ManifestFile, bytes: &[u8]) -> Result<Vec<ManifestEntry>> {
    let path = manifest.manifest_path.as_str();
    let mut file = AvroFile::open(path, bytes)?;
    let layout = Layout::new(path, &file, manifest)?;
    let mut entries = Vec::new();
    while let Some(fields) = file.next_record()? {
        entries.push(layout.read_entry(fields)?);
    }
    inherit_row_ids(manifest, &mut entries);
    Ok(entries)
}

/// Describes a manifest that no manifest list names (version 1).
pub(super) fn describe_manifest(
    io: &dyn FileIo,
    path: &str,
    snapshot_id: i64,
) -> Result<ManifestFile> {
    let bytes = io.open(path, None)?.read_all(MAX_AVRO_BYTES)?;
    let file = AvroFile::open(path, &bytes)?;
    let spec_id = match file.header("partition-spec-id") {
        None => 0,
        Some(text) => std::str::from_utf8(text)
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::invalid_metadata(path, "partition-spec-id", "is no number"))?,
    };
    let content = match file.header("content") {
        Some(b"deletes") => ManifestContent::Deletes,
        _ => ManifestContent::Data,
    };
    Ok(ManifestFile {
        manifest_path: path.to_owned(),
        manifest_length: i64::try_from(bytes.len()).unwrap_or(i64::MAX),
        partition_spec_id: spec_id,
        content,
        added_snapshot_id: snapshot_id,
        ..ManifestFile::default()
    })
}

/// Where which field stands in the records of a manifest, and what they inherit.
pub(super) struct Layout<'a> {
    path: &'a str,
    manifest: Cow<'a, ManifestFile>,
    entry_ids: Vec<i32>,
    file_ids: Vec<i32>,
    partition_ids: Vec<i32>,
    partition_fields: Vec<PartitionField>,
    partition_types: Vec<PrimitiveType>,
}

impl<'a> Layout<'a> {
    fn new(path: &'a str, file: &AvroFile<'_>, manifest: &'a ManifestFile) -> Result<Self> {
        let entry = file.record_schema()?;
        let data_file = nested_record(entry, entry_id::DATA_FILE)
            .ok_or_else(|| Error::invalid_metadata(path, "data_file", "is missing"))?;
        let partition = nested_record(data_file, file_id::PARTITION);
        let partition_fields = match file.header("partition-spec") {
            None => Vec::new(),
            Some(text) => {
                let value = serde_json::from_slice(text)
                    .map_err(|e| Error::invalid_metadata(path, "partition-spec", e.to_string()))?;
                PartitionSpec::fields_from_json(path, "partition-spec", value)?
            }
        };
        let partition_types = if partition_fields.is_empty() {
            Vec::new()
        } else {
            let text = file
                .header("schema")
                .ok_or_else(|| Error::invalid_metadata(path, "schema", "is missing"))?;
            let schema = Schema::from_json_text(path, "schema", text)?;
            partition_fields
                .iter()
                .map(|field| field.value_type(&schema))
                .collect()
        };
        Ok(Self {
            path,
            manifest: Cow::Borrowed(manifest),
            entry_ids: field_ids(entry),
            file_ids: field_ids(data_file),
            partition_ids: partition.map(field_ids).unwrap_or_default(),
            partition_fields,
            partition_types,
        })
    }

    /// The layout of data files that lie outside of manifests, unpartitioned.
    pub(super) fn of_data_file(path: &'a str, data_file: &RecordSchema) -> Self {
        Self {
            path,
            manifest: Cow::Owned(ManifestFile::default()),
            entry_ids: Vec::new(),
            file_ids: field_ids(data_file),
            partition_ids: Vec::new(),
            partition_fields: Vec::new(),
            partition_types: Vec::new(),
        }
    }

    fn missing(&self, field: &str) -> Error {
        Error::invalid_metadata(self.path, field, "is missing")
    }

    fn read_entry(&self, fields: Vec<(String, Value)>) -> Result<ManifestEntry> {
        let (mut status, mut data_file) = (None, None);
        let (mut snapshot_id, mut sequence_number, mut file_sequence_number) = (None, None, None);
        for (&id, (name, value)) in self.entry_ids.iter().zip(fields) {
            let Some(value) = FieldValue::new(self.path, &name, value).present() else {
                continue;
            };
            match id {
                entry_id::STATUS => {
                    let code = value.int()?;
                    status = Some(ManifestStatus::from_code(code).ok_or_else(|| {
                        let reason = format!("{code} is no entry status");
                        Error::invalid_metadata(self.path, "status", reason)
                    })?);
                }
                entry_id::SNAPSHOT_ID => snapshot_id = Some(value.long()?),
                entry_id::SEQUENCE_NUMBER => sequence_number = Some(value.long()?),
                entry_id::FILE_SEQUENCE_NUMBER => file_sequence_number = Some(value.long()?),
                entry_id::DATA_FILE => data_file = Some(self.read_data_file(value.record()?)?),
                _ => {}
            }
        }
        let status = status.ok_or_else(|| self.missing("status"))?;
        // Section "Sequence Number Inheritance": only files of the manifest's own snapshot, and
        // all files of version 1, may leave the number out.
        let inherits = status == ManifestStatus::Added || self.manifest.sequence_number == 0;
        let inherited = inherits.then_some(self.manifest.sequence_number);
        Ok(ManifestEntry {
            status,
            snapshot_id: Some(snapshot_id.unwrap_or(self.manifest.added_snapshot_id)),
            sequence_number: Some(
                sequence_number
                    .or(inherited)
                    .ok_or_else(|| self.missing("sequence_number"))?,
            ),
            file_sequence_number: file_sequence_number.or(inherited),
            data_file: data_file
                .map(Arc::new)
                .ok_or_else(|| self.missing("data_file"))?,
        })
    }

    pub(super) fn read_data_file(&self, fields: Vec<(String, Value)>) -> Result<DataFile> {
        let mut file = DataFile {
            partition_spec_id: self.manifest.partition_spec_id,
            ..DataFile::default()
        };
        file.partition = vec![None; self.partition_fields.len()];
        let (mut path, mut format, mut records, mut size) = (None, None, None, None);
        for (&id, (name, value)) in self.file_ids.iter().zip(fields) {
            let name = format!("data_file.{name}");
            let Some(value) = FieldValue::new(self.path, &name, value).present() else {
                continue;
            };
            match id {
                file_id::CONTENT => file.content = self.read_content(value)?,
                file_id::FILE_PATH => path = Some(value.string()?),
                file_id::FILE_FORMAT => format = Some(self.read_format(value)?),
                file_id::PARTITION => self.read_partition(value, &mut file)?,
                file_id::RECORD_COUNT => records = Some(value.long()?),
                file_id::FILE_SIZE_IN_BYTES => size = Some(value.long()?),
                file_id::COLUMN_SIZES => file.column_sizes = value.long_map()?,
                file_id::VALUE_COUNTS => file.value_counts = value.long_map()?,
                file_id::NULL_VALUE_COUNTS => file.null_value_counts = value.long_map()?,
                file_id::NAN_VALUE_COUNTS => file.nan_value_counts = value.long_map()?,
                file_id::LOWER_BOUNDS => file.lower_bounds = value.bytes_map()?,
                file_id::UPPER_BOUNDS => file.upper_bounds = value.bytes_map()?,
                file_id::KEY_METADATA => file.key_metadata = Some(value.bytes()?),
                file_id::SPLIT_OFFSETS => file.split_offsets = Some(value.longs()?),
                file_id::EQUALITY_IDS => file.equality_ids = Some(value.ints()?),
                file_id::SORT_ORDER_ID => file.sort_order_id = Some(value.int()?),
                file_id::FIRST_ROW_ID => file.first_row_id = Some(value.long()?),
                file_id::REFERENCED_DATA_FILE => file.referenced_data_file = Some(value.string()?),
                file_id::CONTENT_OFFSET => file.content_offset = Some(value.long()?),
                file_id::CONTENT_SIZE_IN_BYTES => {
                    file.content_size_in_bytes = Some(value.long()?);
                }
                _ => {}
            }
        }
        file.file_path = path.ok_or_else(|| self.missing("data_file.file_path"))?;
        file.file_format = format.ok_or_else(|| self.missing("data_file.file_format"))?;
        file.record_count = self.not_negative("data_file.record_count", records)?;
        file.file_size_in_bytes = self.not_negative("data_file.file_size_in_bytes", size)?;
        Ok(file)
    }

    fn not_negative(&self, field: &str, number: Option<i64>) -> Result<i64> {
        match number {
            None => Err(self.missing(field)),
            Some(number) if number < 0 => Err(Error::invalid_metadata(
                self.path,
                field,
                format!("is {number}"),
            )),
            Some(number) => Ok(number),
        }
    }

    fn read_content(&self, value: FieldValue<'_>) -> Result<DataContentType> {
        let code = value.int()?;
        DataContentType::from_code(code).ok_or_else(|| {
            let reason = format!("{code} is no data file content");
            Error::invalid_metadata(self.path, "data_file.content", reason)
        })
    }

    fn read_format(&self, value: FieldValue<'_>) -> Result<DataFileFormat> {
        let name = value.string()?;
        DataFileFormat::from_name(&name).ok_or_else(|| {
            let feature = format!("file format \"{name}\", in manifest \"{}\"", self.path);
            Error::unsupported(feature)
        })
    }

    fn read_partition(&self, value: FieldValue<'_>, file: &mut DataFile) -> Result<()> {
        for (&id, (name, value)) in self.partition_ids.iter().zip(value.record()?) {
            let same =
                |field: &PartitionField| field.field_id == id || (id == -1 && field.name == name);
            let Some(position) = self.partition_fields.iter().position(same) else {
                continue;
            };
            let name = format!("data_file.partition.{name}");
            let value = FieldValue::new(self.path, &name, value);
            file.partition[position] = value.datum(&self.partition_types[position])?;
        }
        Ok(())
    }
}
