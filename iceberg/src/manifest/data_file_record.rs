//! Data files outside of manifests: a record each, for whoever keeps them until a manifest lists them.

use std::sync::OnceLock;

use apache_avro::Schema;
use apache_avro::reader::datum::GenericDatumReader;
use apache_avro::schema::RecordSchema;
use apache_avro::types::Value;

use super::avro_container::MAX_ALLOCATION_BYTES;
use super::avro_encoder::AvroEncoder;
use super::avro_schema::{entry_id, manifest_entry_schema};
use super::avro_value::nested_record;
use super::data_file::{DataContentType, DataFile};
use super::manifest_reader::Layout;
use super::manifest_writer::encode_file;
use crate::error::{Error, Result};
use crate::spec::{FormatVersion, PartitionSpec};

/// The first byte of a record: what follows is struct `data_file` of a version 2 manifest of an
/// unpartitioned table, in Avro's binary encoding.
const FORMAT: u8 = 1;

/// Encodes a data file of an unpartitioned table, which no manifest lists yet.
pub fn encode_data_file(file: &DataFile) -> Result<Vec<u8>> {
    let is_plain = file.content == DataContentType::Data
        && file.partition.is_empty()
        && file.first_row_id.is_none()
        && file.content_offset.is_none();
    if !is_plain {
        return Err(Error::unsupported(format!(
            "a record of \"{}\", which is no new data file of an unpartitioned table",
            file.file_path
        )));
    }
    let mut record = vec![FORMAT];
    encode_file(
        &mut AvroEncoder::new(&mut record),
        FormatVersion::V2,
        file,
        &[],
    );
    Ok(record)
}

/// Decodes what [`encode_data_file`] made; errors name it by `source`.
pub fn decode_data_file(source: &str, record: &[u8]) -> Result<DataFile> {
    let Some((&FORMAT, mut avro)) = record.split_first() else {
        return Err(Error::invalid_metadata(
            source,
            "data_file",
            "is of an unknown format",
        ));
    };
    apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
    let value = reader()?
        .read_value(&mut avro)
        .map_err(|e| Error::avro(source, e))?;
    let Value::Record(fields) = value else {
        return Err(Error::invalid_metadata(source, "data_file", "is no record"));
    };
    if !avro.is_empty() {
        return Err(Error::invalid_metadata(
            source,
            "data_file",
            "is followed by something",
        ));
    }
    Layout::of_data_file(source, record_schema()?).read_data_file(fields)
}

/// The schema of struct `data_file`.
fn schema() -> Result<&'static Schema> {
    static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
    SCHEMA
        .get_or_init(|| {
            let entry = manifest_entry_schema(
                FormatVersion::V2,
                &PartitionSpec::unpartitioned(),
                &crate::spec::Schema::new(0, Vec::new()),
            );
            let Ok(Schema::Record(entry)) = Schema::parse_str(&entry) else {
                return None;
            };
            nested_record(&entry, entry_id::DATA_FILE).map(|record| Schema::Record(record.clone()))
        })
        .as_ref()
        .ok_or_else(|| Error::invalid_argument("data file record", "there is no schema for it"))
}

fn reader() -> Result<&'static GenericDatumReader<'static>> {
    static READER: OnceLock<Option<GenericDatumReader<'static>>> = OnceLock::new();
    let schema = schema()?;
    READER
        .get_or_init(|| GenericDatumReader::builder(schema).build().ok())
        .as_ref()
        .ok_or_else(|| Error::invalid_argument("data file record", "its schema has no reader"))
}

fn record_schema() -> Result<&'static RecordSchema> {
    match schema()? {
        Schema::Record(record) => Ok(record),
        _ => Err(Error::invalid_argument(
            "data file record",
            "its schema is no record",
        )),
    }
}
