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
    let bytes = io.open(path, None)?.read_all(MAX_AVRO_BYTES)?;
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
                let summaries = value.array()?.into_iter().map(read);
                let summaries: Vec<Option<FieldSummary>> = summaries.collect::<Result<_>>()?;
                manifest.partitions = summaries.into_iter().collect();
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

/// A summary; `None` if it does not say whether there are nulls, so that it says nothing at all.
fn read_summary(
    path: &str,
    field: &str,
    ids: &[i32],
    element: Value,
) -> Result<Option<FieldSummary>> {
    let mut summary = FieldSummary::default();
    let mut contains_null = None;
    let fields = FieldValue::new(path, field, element).record()?;
    for (&id, (name, value)) in ids.iter().zip(fields) {
        let name = format!("{field}.{name}");
        let Some(value) = FieldValue::new(path, &name, value).present() else {
            continue;
        };
        match id {
            list_id::CONTAINS_NULL => contains_null = Some(value.boolean()?),
            list_id::CONTAINS_NAN => summary.contains_nan = Some(value.boolean()?),
            list_id::LOWER_BOUND => summary.lower_bound = Some(value.bytes()?),
            list_id::UPPER_BOUND => summary.upper_bound = Some(value.bytes()?),
            _ => {}
        }
    }
    Ok(contains_null.map(|contains_null| FieldSummary {
        contains_null,
        ..summary
    }))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use apache_avro::Writer;
    use apache_avro::types::Record;

    use super::*;

    /// What version 1 demands and no more.
    #[test]
    fn a_manifest_of_which_nothing_is_counted_may_list_files() {
        let schema = apache_avro::Schema::parse_str(
            r#"{"type": "record", "name": "manifest_file", "fields": [
                {"name": "manifest_path", "type": "string", "field-id": 500},
                {"name": "manifest_length", "type": "long", "field-id": 501},
                {"name": "partition_spec_id", "type": "int", "field-id": 502},
                {"name": "added_snapshot_id", "type": ["null", "long"], "field-id": 503}]}"#,
        )
        .unwrap();
        let mut writer = Writer::new(&schema, Vec::new()).unwrap();
        let mut record = Record::new(&schema).unwrap();
        record.put("manifest_path", "m");
        record.put("manifest_length", 5_i64);
        record.put("partition_spec_id", 0_i32);
        record.put("added_snapshot_id", Value::Union(0, Box::new(Value::Null)));
        writer.append_value(record).unwrap();
        let bytes = writer.into_inner().unwrap();

        let [manifest] = &parse_manifest_list("list", &bytes).unwrap()[..] else {
            unreachable!("one manifest was written")
        };
        assert!(manifest.may_have_live_files());
        assert_eq!(manifest.content, ManifestContent::Data);
        assert_eq!(
            (manifest.sequence_number, manifest.added_files_count),
            (0, None)
        );
        assert_eq!(manifest.partitions, None);
    }

    #[test]
    fn a_summary_that_does_not_say_whether_there_are_nulls_says_nothing() {
        let summary = |fields: &[(&str, Value)]| {
            let fields = fields
                .iter()
                .map(|(name, value)| ((*name).to_owned(), value.clone()));
            Value::Record(fields.collect())
        };
        let bound = ("lower_bound", Value::Bytes(vec![1, 0, 0, 0]));
        let ids = [list_id::LOWER_BOUND, list_id::CONTAINS_NULL];
        let read = |element| read_summary("list", "partitions", &ids, element).unwrap();
        assert_eq!(read(summary(std::slice::from_ref(&bound))), None);
        let whole = read(summary(&[bound, ("contains_null", Value::Boolean(true))]));
        assert!(whole.unwrap().contains_null);
    }
}
