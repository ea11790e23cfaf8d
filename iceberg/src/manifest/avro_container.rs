//! Avro object container files, opened with care.

use std::collections::HashSet;

use apache_avro::schema::{Name, RecordSchema};
use apache_avro::types::Value;
use apache_avro::{Reader, Schema};

use crate::error::{Error, Result};
use crate::spec::ENCRYPTED_MAGIC;

/// The longest Avro file that is read, in bytes.
pub const MAX_AVRO_BYTES: u64 = 512 << 20;

/// The most memory that one value or one decompressed block of a file may ask for, in bytes.
pub(super) const MAX_ALLOCATION_BYTES: usize = 256 << 20;

/// An Avro file whose records are read one after the other.
pub struct AvroFile<'a> {
    path: &'a str,
    reader: Reader<'a, &'a [u8]>,
}

impl<'a> AvroFile<'a> {
    /// Reads the header; refuses what is not a file of records.
    pub fn open(path: &'a str, bytes: &'a [u8]) -> Result<Self> {
        if bytes.starts_with(ENCRYPTED_MAGIC) {
            return Err(Error::unsupported(format!("encrypted file \"{path}\"")));
        }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_encrypted_file_is_named_as_such() {
        let error = AvroFile::open("/t/m.avro", b"AGS1\0\0\x10\0").err();
        let message = error.map(|error| error.to_string());
        let expected = "not supported: encrypted file \"/t/m.avro\"";
        assert_eq!(message.as_deref(), Some(expected));
    }
}
