//! Writing which rows of data files are deleted, for tables of version 3: deletion vectors in a Puffin file.

use serde_json::json;

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

/// Writes a Puffin file of deletion vectors, one for each data file.
///
/// Dropping it before [`finish`](Self::finish) leaves the incomplete output to the caller to delete.
pub(crate) struct DeletionVectorWriter {
    path: String,
    output: Box<dyn OutputFile>,
    bytes: u64,
    blobs: Vec<serde_json::Value>,
    vectors: Vec<DataFile>,
}

impl DeletionVectorWriter {
    /// A writer into `output`; `path` is what the delete files will say.
    pub(crate) fn new(path: String, output: Box<dyn OutputFile>) -> Result<Self> {
        let mut writer = Self {
            path,
            output,
            bytes: 0,
            blobs: Vec::new(),
            vectors: Vec::new(),
        };
        writer.append(MAGIC)?;
        Ok(writer)
    }

    /// Adds the vector by which the rows of `data_file` at `positions` are deleted.
    pub(crate) fn add(&mut self, data_file: &DataFile, positions: &RowRanges) -> Result<()> {
        let blob = encode_deletion_vector(positions)
            .map_err(|e| Error::io("encode a deletion vector for", &*self.path, e))?;
        let too_long = |e: std::num::TryFromIntError| {
            Error::invalid_argument("DeletionVectorWriter::add", e.to_string())
        };
        let about = &data_file.file_path;
        let offset = i64::try_from(self.bytes).map_err(too_long)?;
        let length = i64::try_from(blob.len()).map_err(too_long)?;
        let cardinality = i64::try_from(positions.count()).map_err(too_long)?;
        self.blobs.push(json!({
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
        }));
        self.vectors.push(DataFile {
            content: DataContentType::PositionDeletes,
            file_path: self.path.clone(),
            file_format: DataFileFormat::Puffin,
            partition: data_file.partition.clone(),
            partition_spec_id: data_file.partition_spec_id,
            record_count: cardinality,
            referenced_data_file: Some(about.clone()),
            content_offset: Some(offset),
            content_size_in_bytes: Some(length),
            ..DataFile::default()
        });
        self.append(&blob)
    }

    /// Completes the file and describes its vectors, in the order in which they were added.
    pub(crate) fn finish(mut self) -> Result<Vec<DataFile>> {
        let created_by = concat!("pg-lakebase iceberg-lite ", env!("CARGO_PKG_VERSION"));
        let payload = json!({
            "blobs": std::mem::take(&mut self.blobs),
            "properties": { "created-by": created_by },
        })
        .to_string();
        let length = u32::try_from(payload.len())
            .map_err(|e| Error::invalid_argument("DeletionVectorWriter::finish", e.to_string()))?;
        for part in [
            &MAGIC[..],
            payload.as_bytes(),
            &length.to_le_bytes(),
            &FLAGS,
            MAGIC,
        ] {
            self.append(part)?;
        }
        let size = self.output.finish()?;
        let size = i64::try_from(size).unwrap_or(i64::MAX);
        for vector in &mut self.vectors {
            vector.file_size_in_bytes = size;
        }
        Ok(self.vectors)
    }

    fn append(&mut self, bytes: &[u8]) -> Result<()> {
        self.output.write_all(bytes)?;
        self.bytes += bytes.len() as u64;
        Ok(())
    }
}
