//! Writing manifest lists, in version 2 or 3 of the format.

use super::avro_encoder::{AvroEncoder, AvroRecords};
use super::avro_schema::manifest_file_schema;
use super::manifest_file::{FieldSummary, ManifestFile, UNASSIGNED_SEQUENCE_NUMBER};
use crate::error::{Error, Result};
use crate::io::FileIo;
use crate::spec::FormatVersion;

/// What a manifest list says about its snapshot.
#[derive(Debug, Clone, Copy)]
pub struct ManifestListHeader {
    /// The snapshot.
    pub snapshot_id: i64,
    /// The snapshot's parent.
    pub parent_snapshot_id: Option<i64>,
    /// The snapshot's sequence number.
    pub sequence_number: i64,
    /// The first row id that the snapshot gives, in version 3; `None` in version 2.
    pub first_row_id: Option<i64>,
}

/// Writes the manifest list of a new snapshot, and returns the manifests as it describes them:
/// those whose sequence number is unassigned get the snapshot's. Row ids they have already, in version 3.
pub fn write_manifest_list(
    io: &dyn FileIo,
    path: &str,
    header: ManifestListHeader,
    manifests: Vec<ManifestFile>,
) -> Result<Vec<ManifestFile>> {
    let parent = header
        .parent_snapshot_id
        .map_or("null".to_owned(), |id| id.to_string());
    let version = match header.first_row_id {
        None => FormatVersion::V2,
        Some(_) => FormatVersion::V3,
    };
    let (snapshot_id, sequence_number, version_number, first_row_id) = (
        header.snapshot_id.to_string(),
        header.sequence_number.to_string(),
        version.number().to_string(),
        header.first_row_id.map(|id| id.to_string()),
    );
    let mut texts = vec![
        ("snapshot-id", &*snapshot_id),
        ("parent-snapshot-id", &*parent),
        ("sequence-number", &*sequence_number),
        ("format-version", &*version_number),
    ];
    texts.extend(first_row_id.iter().map(|id| ("first-row-id", &**id)));
    let mut records = AvroRecords::default();
    let mut written = Vec::with_capacity(manifests.len());
    for mut manifest in manifests {
        assign_sequence_number(&mut manifest, header.sequence_number);
        append(&mut records, version, path, &manifest)?;
        written.push(manifest);
    }
    records.write(io, path, manifest_file_schema(version), &texts)?;
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

/// Appends the record of one manifest, its fields in the order of [`manifest_file_schema`].
fn append(
    records: &mut AvroRecords,
    version: FormatVersion,
    list: &str,
    manifest: &ManifestFile,
) -> Result<()> {
    let missing = |name: &'static str| {
        let reason = format!("manifest \"{}\" was not counted", manifest.manifest_path);
        Error::invalid_metadata(list, name, reason)
    };
    let files = [
        ("added_files_count", manifest.added_files_count),
        ("existing_files_count", manifest.existing_files_count),
        ("deleted_files_count", manifest.deleted_files_count),
    ];
    let rows = [
        ("added_rows_count", manifest.added_rows_count),
        ("existing_rows_count", manifest.existing_rows_count),
        ("deleted_rows_count", manifest.deleted_rows_count),
    ];
    let mut counts = [0; 6];
    let counted = files
        .map(|(name, count)| (name, count.map(i64::from)))
        .into_iter()
        .chain(rows);
    for (slot, (name, count)) in counts.iter_mut().zip(counted) {
        *slot = count.ok_or_else(|| missing(name))?;
    }
    records.append(|avro| {
        avro.string(&manifest.manifest_path);
        avro.long(manifest.manifest_length);
        avro.int(manifest.partition_spec_id);
        avro.int(manifest.content.code());
        avro.long(manifest.sequence_number);
        avro.long(manifest.min_sequence_number);
        avro.long(manifest.added_snapshot_id);
        counts.iter().for_each(|&count| avro.long(count));
        avro.optional(manifest.partitions.as_ref(), |avro, summaries| {
            avro.array(summaries.iter(), summary);
        });
        avro.optional(manifest.key_metadata.as_ref(), |avro, key| avro.bytes(key));
        if version >= FormatVersion::V3 {
            avro.optional(manifest.first_row_id, AvroEncoder::long);
        }
    });
    Ok(())
}

fn summary(avro: &mut AvroEncoder<'_>, summary: &FieldSummary) {
    avro.boolean(summary.contains_null);
    avro.optional(summary.contains_nan, AvroEncoder::boolean);
    for bound in [&summary.lower_bound, &summary.upper_bound] {
        avro.optional(bound.as_ref(), |avro, bound| avro.bytes(bound));
    }
}
