//! Writing manifests, in version 2 or 3 of the format.

use std::sync::Arc;

use super::avro_encoder::{AvroEncoder, AvroRecords};
use super::avro_schema::manifest_entry_schema;
use super::data_file::{DataContentType, DataFile};
use super::entry::{ManifestEntry, ManifestStatus};
use super::manifest_file::{ManifestContent, ManifestFile, UNASSIGNED_SEQUENCE_NUMBER};
use super::partition_summary::PartitionFieldSummary;
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::spec::{Datum, FormatVersion, PartitionSpec, PrimitiveType, Schema};

/// Collects the entries of one manifest and writes it.
pub struct ManifestWriter {
    path: String,
    version: FormatVersion,
    content: ManifestContent,
    snapshot_id: i64,
    spec: PartitionSpec,
    partition_types: Vec<PrimitiveType>,
    schema_text: String,
    schema_id: i32,
    avro_schema: Arc<str>,
    records: AvroRecords,
    /// The entries, for the cache.
    entries: Vec<ManifestEntry>,
    record_bytes: usize,
    summaries: Vec<PartitionFieldSummary>,
    files: [i32; 3],
    rows: [i64; 3],
    min_sequence_number: Option<i64>,
}

impl ManifestWriter {
    /// Starts a manifest at `path`, of files partitioned by `spec`, that `snapshot_id` adds to a table of version
    /// 2 or 3.
    pub fn new(
        path: impl Into<String>,
        version: FormatVersion,
        content: ManifestContent,
        schema: &Schema,
        spec: &PartitionSpec,
        snapshot_id: i64,
    ) -> Result<Self> {
        let path = path.into();
        let partition_types = spec.partition_types(schema);
        let summaries = partition_types
            .iter()
            .map(PartitionFieldSummary::new)
            .collect();
        Ok(Self {
            path,
            version,
            content,
            snapshot_id,
            spec: spec.clone(),
            partition_types,
            schema_text: schema.to_json().to_string(),
            schema_id: schema.schema_id,
            avro_schema: manifest_entry_schema(version, spec, schema),
            records: AvroRecords::default(),
            entries: Vec::new(),
            record_bytes: 0,
            summaries,
            files: [0; 3],
            rows: [0; 3],
            min_sequence_number: None,
        })
    }

    /// Adds a file that the snapshot adds; its sequence number is the snapshot's, when that has one.
    pub fn add(&mut self, data_file: &Arc<DataFile>) -> Result<()> {
        self.add_with_sequence_number(data_file, None)
    }

    /// Adds a file that the snapshot adds, with the data sequence number of rows that were in the table before.
    pub fn add_with_sequence_number(
        &mut self,
        data_file: &Arc<DataFile>,
        sequence_number: Option<i64>,
    ) -> Result<()> {
        self.append(
            ManifestStatus::Added,
            Some(self.snapshot_id),
            sequence_number,
            None,
            data_file,
        )
    }

    /// Adds an entry of another manifest as it is, but that files of earlier snapshots become
    /// existing ones.
    pub fn carry(&mut self, entry: &ManifestEntry) -> Result<()> {
        let own = entry.snapshot_id == Some(self.snapshot_id);
        match entry.status {
            ManifestStatus::Added if own => {
                // A number that is to be inherited is not known yet.
                let known = entry
                    .sequence_number
                    .filter(|&number| number != UNASSIGNED_SEQUENCE_NUMBER);
                self.add_with_sequence_number(&entry.data_file, known)
            }
            ManifestStatus::Deleted => self.append(
                ManifestStatus::Deleted,
                entry.snapshot_id,
                entry.sequence_number,
                entry.file_sequence_number,
                &entry.data_file,
            ),
            ManifestStatus::Added | ManifestStatus::Existing => self.append(
                ManifestStatus::Existing,
                entry.snapshot_id,
                entry.sequence_number,
                entry.file_sequence_number,
                &entry.data_file,
            ),
        }
    }

    /// Adds an entry for a file that the snapshot removes.
    pub fn delete(&mut self, entry: &ManifestEntry) -> Result<()> {
        self.append(
            ManifestStatus::Deleted,
            Some(self.snapshot_id),
            entry.sequence_number,
            entry.file_sequence_number,
            &entry.data_file,
        )
    }

    /// About how many bytes the manifest will have.
    pub fn estimated_bytes(&self) -> usize {
        self.record_bytes
    }

    /// Whether there are no entries yet.
    pub fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Writes the manifest. Its sequence number is unassigned until a manifest list names it.
    pub fn finish(self, io: &dyn FileIo) -> Result<ManifestFile> {
        let header = [
            ("schema", &*self.schema_text),
            ("schema-id", &*self.schema_id.to_string()),
            ("partition-spec", &*self.spec.fields_to_json().to_string()),
            ("partition-spec-id", &*self.spec.spec_id.to_string()),
            ("format-version", &*self.version.number().to_string()),
            ("content", self.content.name()),
        ];
        let length = self
            .records
            .write(io, &self.path, &self.avro_schema, &header)?;
        if let Some(cache) = io.manifest_cache() {
            cache.put_unlisted(&self.path, self.entries);
        }
        let [existing_files, added_files, deleted_files] = self.files;
        let [existing_rows, added_rows, deleted_rows] = self.rows;
        Ok(ManifestFile {
            manifest_path: self.path,
            manifest_length: i64::try_from(length).unwrap_or(i64::MAX),
            partition_spec_id: self.spec.spec_id,
            content: self.content,
            sequence_number: UNASSIGNED_SEQUENCE_NUMBER,
            min_sequence_number: self
                .min_sequence_number
                .unwrap_or(UNASSIGNED_SEQUENCE_NUMBER),
            added_snapshot_id: self.snapshot_id,
            added_files_count: Some(added_files),
            existing_files_count: Some(existing_files),
            deleted_files_count: Some(deleted_files),
            added_rows_count: Some(added_rows),
            existing_rows_count: Some(existing_rows),
            deleted_rows_count: Some(deleted_rows),
            partitions: Some(
                self.summaries
                    .iter()
                    .map(PartitionFieldSummary::finish)
                    .collect(),
            ),
            key_metadata: None,
            first_row_id: None,
        })
    }

    fn append(
        &mut self,
        status: ManifestStatus,
        snapshot_id: Option<i64>,
        sequence_number: Option<i64>,
        file_sequence_number: Option<i64>,
        file: &Arc<DataFile>,
    ) -> Result<()> {
        self.check(status, file)?;
        let partition = self.partition_of(file)?;
        let code = status.code();
        self.files[code as usize] += 1;
        let rows = &mut self.rows[code as usize];
        *rows = rows.saturating_add(file.record_count);
        if let (Some(number), true) = (sequence_number, status != ManifestStatus::Deleted) {
            let least = self.min_sequence_number.unwrap_or(number);
            self.min_sequence_number = Some(least.min(number));
        }
        for (summary, value) in self.summaries.iter_mut().zip(&partition) {
            summary.add(value.as_ref());
        }
        self.record_bytes += estimated_bytes(file);
        self.records.append(|avro| {
            avro.int(code);
            for number in [snapshot_id, sequence_number, file_sequence_number] {
                avro.optional(number, AvroEncoder::long);
            }
            encode_file(avro, self.version, file, &partition);
        });
        self.entries.push(ManifestEntry {
            status,
            snapshot_id,
            sequence_number,
            file_sequence_number,
            data_file: self.as_read_back(file, partition),
        });
        Ok(())
    }

    /// The file as a reader of the manifest gets it.
    fn as_read_back(&self, file: &Arc<DataFile>, partition: Vec<Option<Datum>>) -> Arc<DataFile> {
        let partition_spec_id = self.spec.spec_id;
        if file.partition_spec_id == partition_spec_id && file.partition == partition {
            return Arc::clone(file);
        }
        Arc::new(DataFile {
            partition_spec_id,
            partition,
            ..DataFile::clone(file)
        })
    }

    /// Refuses what would be encoded as something else.
    fn check(&self, status: ManifestStatus, file: &DataFile) -> Result<()> {
        let refuse = |reason: String| {
            let reason = format!("file \"{}\" {reason}", file.file_path);
            Err(Error::invalid_argument("manifest entry", reason))
        };
        let is_data = file.content == DataContentType::Data;
        if is_data != (self.content == ManifestContent::Data) {
            return refuse(format!(
                "does not belong in a manifest of {}",
                self.content.name()
            ));
        }
        let is_v3 = self.version >= FormatVersion::V3;
        if !is_v3 && (file.content_offset.is_some() || file.first_row_id.is_some()) {
            return refuse("has a deletion vector or row ids, in version 2".to_owned());
        }
        let is_new = status == ManifestStatus::Added;
        let is_position_deletes = file.content == DataContentType::PositionDeletes;
        if is_v3 && is_new && is_position_deletes && !file.is_deletion_vector() {
            return refuse("is a new position delete file, in version 3".to_owned());
        }
        if file.partition.len() != self.partition_types.len() {
            let expected = self.partition_types.len();
            return refuse(format!("must have {expected} partition values"));
        }
        Ok(())
    }

    /// The file's partition values, of the types that the spec has by now.
    fn partition_of(&self, file: &DataFile) -> Result<Vec<Option<Datum>>> {
        let convert = |(value, primitive): (&Option<Datum>, &PrimitiveType)| {
            let Some(value) = value else { return Ok(None) };
            value.promoted_to(primitive).map(Some).ok_or_else(|| {
                let reason = format!(
                    "file \"{}\" has a partition value of type {}, not {primitive}",
                    file.file_path,
                    value.primitive_type()
                );
                Error::invalid_argument("manifest entry", reason)
            })
        };
        file.partition
            .iter()
            .zip(&self.partition_types)
            .map(convert)
            .collect()
    }
}

/// A data file's record, its fields in the order of [`manifest_entry_schema`].
pub(super) fn encode_file(
    avro: &mut AvroEncoder<'_>,
    version: FormatVersion,
    file: &DataFile,
    partition: &[Option<Datum>],
) {
    avro.int(file.content.code());
    avro.string(&file.file_path);
    avro.string(file.file_format.name());
    for value in partition {
        avro.optional(value.as_ref(), AvroEncoder::datum);
    }
    avro.long(file.record_count);
    avro.long(file.file_size_in_bytes);
    for counts in [
        &file.column_sizes,
        &file.value_counts,
        &file.null_value_counts,
        &file.nan_value_counts,
    ] {
        avro.map(counts, |avro, count| avro.long(*count));
    }
    for bounds in [&file.lower_bounds, &file.upper_bounds] {
        avro.map(bounds, |avro, bound| avro.bytes(bound));
    }
    avro.optional(file.key_metadata.as_ref(), |avro, key| avro.bytes(key));
    avro.optional(file.split_offsets.as_ref(), |avro, offsets| {
        avro.array(offsets.iter(), |avro, offset| avro.long(*offset));
    });
    avro.optional(file.equality_ids.as_ref(), |avro, ids| {
        avro.array(ids.iter(), |avro, id| avro.int(*id));
    });
    avro.optional(file.sort_order_id, AvroEncoder::int);
    avro.optional(file.referenced_data_file.as_deref(), AvroEncoder::string);
    if version >= FormatVersion::V3 {
        for number in [
            file.first_row_id,
            file.content_offset,
            file.content_size_in_bytes,
        ] {
            avro.optional(number, AvroEncoder::long);
        }
    }
}

/// A guess of an entry's share of the compressed manifest.
fn estimated_bytes(file: &DataFile) -> usize {
    let bounds = file.lower_bounds.values().chain(file.upper_bounds.values());
    let bound_bytes: usize = bounds.map(|bound| bound.len() + 2).sum();
    let counts = file.column_sizes.len() + file.value_counts.len() + file.null_value_counts.len();
    80 + (file.file_path.len() + counts * 4 + bound_bytes) / 2
}
