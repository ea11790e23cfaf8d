//! Writing which rows of a data file are deleted, for tables of version 3: a deletion vector in a Puffin file.

use std::num::TryFromIntError;

use serde_json::json;

use super::position_deletes::check_positions;
use crate::error::{Error, Result};
use crate::io::OutputFile;
use crate::manifest::{DataContentType, DataFile, DataFileFormat};
use crate::scan::{RowRanges, encode_deletion_vector};

/// How a Puffin file, and its footer, begin and end (Puffin specification, section "File structure").
const MAGIC: &[u8; 4] = b"PFA1";
/// Flags of a footer that is not compressed.
const FLAGS: [u8; 4] = [0; 4];
/// The field that deletion vectors say they are computed from: `_pos`.
const POSITION_FIELD_ID: i32 = 2_147_483_645;
/// The snapshot id and sequence number of blobs that are written before their snapshot is.
const NOT_KNOWN: i64 = -1;

/// Writes the Puffin file at `path`, into `output`, with the deletion vector by which the rows of `data_file` at
/// `positions` are deleted, one at least, and describes it.
///
/// Vectors may share a file, but DuckDB 1.5 then takes the rows of one for those of another.
pub fn write_deletion_vector(
    path: String,
    mut output: Box<dyn OutputFile>,
    data_file: &DataFile,
    positions: &RowRanges,
) -> Result<DataFile> {
    check_positions("write_deletion_vector", data_file, positions)?;
    let too_long =
        |e: TryFromIntError| Error::invalid_argument("write_deletion_vector", e.to_string());
    let vector = encode_deletion_vector(positions)
        .map_err(|e| Error::io("encode a deletion vector for", &*path, e))?;
    let about = &data_file.file_path;
    let offset = MAGIC.len() as i64;
    let length = i64::try_from(vector.len()).map_err(too_long)?;
    let cardinality = i64::try_from(positions.count()).map_err(too_long)?;
    let blob = json!({
        "type": "deletion-vector-v1",
        "fields": [POSITION_FIELD_ID],
        "snapshot-id": NOT_KNOWN,
        "sequence-number": NOT_KNOWN,
        "offset": offset,
        "length": length,
        "properties": {
            "referenced-data-file": about,
            "cardinality": cardinality.to_string(),
        },
    });
    let created_by = concat!("pg-lakebase iceberg-lite ", env!("CARGO_PKG_VERSION"));
    let footer = json!({ "blobs": [blob], "properties": { "created-by": created_by } }).to_string();
    let footer_length = u32::try_from(footer.len()).map_err(too_long)?;
    for part in [
        MAGIC,
        &vector[..],
        MAGIC,
        footer.as_bytes(),
        &footer_length.to_le_bytes(),
        &FLAGS,
        MAGIC,
    ] {
        output.write_all(part)?;
    }
    let size = output.finish()?;
    Ok(DataFile {
        content: DataContentType::PositionDeletes,
        file_path: path,
        file_format: DataFileFormat::Puffin,
        file_size_in_bytes: i64::try_from(size).map_err(too_long)?,
        partition: data_file.partition.clone(),
        partition_spec_id: data_file.partition_spec_id,
        record_count: cardinality,
        referenced_data_file: Some(about.clone()),
        content_offset: Some(offset),
        content_size_in_bytes: Some(length),
        ..DataFile::default()
    })
}
