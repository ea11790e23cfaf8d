//! Avro object container files: opened with care, and written with a header of our own.
//!
//! The header is not left to the Avro library because its schemas forget attributes that other
//! engines ask for (`logicalType` of arrays, `adjust-to-utc`).

use std::collections::HashSet;

use apache_avro::schema::{Name, RecordSchema};
use apache_avro::types::Value;
use apache_avro::{Codec, Reader, Schema, Writer};
use uuid::Uuid;

use crate::error::{Error, Result};
use crate::io::FileIo;

/// The longest Avro file that is read, in bytes.
pub const MAX_AVRO_BYTES: u64 = 512 << 20;

/// The most memory that one value or one decompressed block of a file may ask for, in bytes.
const MAX_ALLOCATION_BYTES: usize = 256 << 20;

/// Uncompressed bytes in a block.
const BLOCK_BYTES: usize = 64 << 10;

/// Files expected to be shorter are not compressed: they take a block of the file system all the
/// same, and setting up the compressor takes longer than everything else.
const COMPRESSED_FROM_BYTES: usize = 8 << 10;

/// An Avro file whose records are read one after the other.
pub struct AvroFile<'a> {
    path: &'a str,
    reader: Reader<'a, &'a [u8]>,
}

impl<'a> AvroFile<'a> {
    /// Reads the header; refuses what is not a file of records.
    pub fn open(path: &'a str, bytes: &'a [u8]) -> Result<Self> {
        apache_avro::util::max_allocation_bytes(MAX_ALLOCATION_BYTES);
        let reader = Reader::new(bytes).map_err(|e| Error::avro(path, e))?;
        if !matches!(reader.writer_schema(), Schema::Record(_)) {
            return Err(Error::invalid_metadata(
                path,
                "avro.schema",
                "must be a record",
            ));
        }
        check_names(path, reader.writer_schema(), &mut HashSet::new())?;
        Ok(Self { path, reader })
    }

    /// The schema of the records.
    pub fn record_schema(&self) -> Result<&RecordSchema> {
        match self.reader.writer_schema() {
            Schema::Record(record) => Ok(record),
            _ => Err(Error::invalid_metadata(
                self.path,
                "avro.schema",
                "must be a record",
            )),
        }
    }

    /// A value of the header.
    pub fn header(&self, key: &str) -> Option<&[u8]> {
        self.reader.user_metadata().get(key).map(Vec::as_slice)
    }

    /// The next record's fields in the order of the schema.
    pub fn next_record(&mut self) -> Result<Option<Vec<(String, Value)>>> {
        match self.reader.next() {
            None => Ok(None),
            Some(Ok(Value::Record(fields))) => Ok(Some(fields)),
            Some(Ok(_)) => Err(Error::invalid_metadata(self.path, "", "is not a record")),
            Some(Err(e)) => Err(Error::avro(self.path, e)),
        }
    }
}

/// Allows names to stand only for types without fields.
///
/// A record that is used by its name could contain itself, or itself twice, and a few bytes would
/// decode to values without end. No Iceberg file needs that.
fn check_names(path: &str, schema: &Schema, leaves: &mut HashSet<Name>) -> Result<()> {
    match schema {
        Schema::Ref { name } if !leaves.contains(name) => {
            let reason = format!("uses record \"{}\" by its name", name.name());
            Err(Error::invalid_metadata(path, "avro.schema", reason))
        }
        Schema::Fixed(fixed) => {
            leaves.insert(fixed.name.clone());
            Ok(())
        }
        Schema::Enum(symbols) => {
            leaves.insert(symbols.name.clone());
            Ok(())
        }
        // Decimals and UUIDs are leaves; the name is that of the fixed type below.
        Schema::Decimal(decimal) => {
            if let apache_avro::schema::InnerDecimalSchema::Fixed(fixed) = &decimal.inner {
                leaves.insert(fixed.name.clone());
            }
            Ok(())
        }
        Schema::Uuid(apache_avro::schema::UuidSchema::Fixed(fixed)) => {
            leaves.insert(fixed.name.clone());
            Ok(())
        }
        Schema::Array(array) => check_names(path, &array.items, leaves),
        Schema::Map(map) => check_names(path, &map.types, leaves),
        Schema::Union(union) => union
            .variants()
            .iter()
            .try_for_each(|variant| check_names(path, variant, leaves)),
        Schema::Record(record) => record
            .fields
            .iter()
            .try_for_each(|field| check_names(path, &field.schema, leaves)),
        _ => Ok(()),
    }
}

/// An Avro file that is being made in memory.
pub struct AvroWriter<'a> {
    writer: Writer<'a, Vec<u8>>,
}

impl<'a> AvroWriter<'a> {
    /// Starts a file.
    ///
    /// `encoding` lays out the bytes; `schema_text` is the schema for readers, equal but for
    /// attributes that do not change the bytes. `expected_bytes` is about what the records take.
    pub fn new(
        encoding: &'a Schema,
        schema_text: &str,
        header: &[(&str, &str)],
        expected_bytes: usize,
    ) -> std::result::Result<Self, apache_avro::Error> {
        let marker = Uuid::new_v4().into_bytes();
        let mut bytes = b"Obj\x01".to_vec();
        write_long(&mut bytes, header.len() as i64 + 2);
        let codec = if expected_bytes < COMPRESSED_FROM_BYTES {
            Codec::Null
        } else {
            Codec::Deflate(Default::default())
        };
        let standard = [("avro.schema", schema_text), ("avro.codec", codec.into())];
        for (key, value) in standard.iter().chain(header) {
            write_text(&mut bytes, key);
            write_text(&mut bytes, value);
        }
        write_long(&mut bytes, 0);
        bytes.extend_from_slice(&marker);
        let writer = Writer::builder()
            .schema(encoding)
            .writer(bytes)
            .codec(codec)
            .block_size(BLOCK_BYTES)
            .marker(marker)
            .has_header(true)
            .build()?;
        Ok(Self { writer })
    }

    /// Appends a record.
    pub fn append(&mut self, record: &Value) -> std::result::Result<(), apache_avro::Error> {
        // Records are built for the schema; checking each against it again would double the cost.
        self.writer.unvalidated_append_value_ref(record)?;
        Ok(())
    }

    /// The whole file.
    pub fn into_bytes(self) -> std::result::Result<Vec<u8>, apache_avro::Error> {
        self.writer.into_inner()
    }
}

/// Writes a file's bytes and makes them durable; returns their number.
pub fn write_file(io: &dyn FileIo, path: &str, bytes: &[u8]) -> Result<u64> {
    let mut file = io.create(path)?;
    file.write_all(bytes)?;
    file.finish()
}

/// Avro's zigzag variable-length integer.
fn write_long(bytes: &mut Vec<u8>, value: i64) {
    let mut rest = ((value << 1) ^ (value >> 63)).cast_unsigned();
    while rest >= 0x80 {
        bytes.push((rest & 0x7f) as u8 | 0x80);
        rest >>= 7;
    }
    bytes.push(rest as u8);
}

fn write_text(bytes: &mut Vec<u8>, text: &str) {
    write_long(bytes, text.len() as i64);
    bytes.extend_from_slice(text.as_bytes());
}
