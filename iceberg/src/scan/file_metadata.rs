//! The footer of a Parquet file, read once and shared by all readers of the file.

use std::collections::{BTreeSet, HashMap};
use std::ops::{Range, RangeInclusive};
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::{Compression, Type as PhysicalType};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::file_schema::own_id;
use super::input::ParquetInput;
use super::unwind::catch_panic;
use crate::error::{Error, Result};
use crate::io::InputFile;
use crate::spec::{ENCRYPTED_MAGIC, NestedField, Type};

/// What is fetched of the end of a file to find its footer in: this part of it, within bounds. Most footers, page index
/// included, are shorter.
const FOOTER_PART: u64 = 512;
const FOOTER_BYTES: RangeInclusive<u64> = 64 << 10..=1 << 20;

/// Where the footer of a file is, page index included, unless it is longer than most are.
pub(super) fn footer_of(file: &dyn InputFile) -> Range<u64> {
    let length = file.len();
    let footer = (length / FOOTER_PART).clamp(*FOOTER_BYTES.start(), *FOOTER_BYTES.end());
    length.saturating_sub(footer)..length
}

/// The footer and page index of a Parquet file; cheap to clone and shareable between threads.
#[derive(Debug, Clone)]
pub struct FileMetadata {
    pub(super) arrow: ArrowReaderMetadata,
}

impl FileMetadata {
    /// Reads the footer and, where there is one, the page index.
    pub fn read(file: &Arc<dyn InputFile>) -> Result<Self> {
        catch_panic(file.path(), || Self::read_footer(file))
    }

    fn read_footer(file: &Arc<dyn InputFile>) -> Result<Self> {
        file.prepare(&[footer_of(&**file)])?;
        let input = ParquetInput::new(Arc::clone(file), &[]);
        // Types are taken from the Parquet schema alone: what other writers' embedded Arrow schema
        // adds (dictionaries, large strings) would only have to be undone.
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Optional);
        let arrow = ArrowReaderMetadata::load(&input, options.clone())
            .map_err(|e| encryption(&**file).unwrap_or_else(|| input.error(e)))?;
        let arrow = match with_microsecond_int96(&arrow) {
            Some(schema) => {
                let metadata = Arc::clone(arrow.metadata());
                ArrowReaderMetadata::try_new(metadata, options.with_schema(schema))
                    .map_err(|e| Error::parquet(file.path(), e))?
            }
            None => arrow,
        };
        Ok(Self { arrow })
    }

    /// Rows in the file.
    pub fn num_rows(&self) -> u64 {
        self.parquet()
            .row_groups()
            .iter()
            .map(|group| u64::try_from(group.num_rows()).unwrap_or(0))
            .sum()
    }

    /// Bytes that the metadata takes in memory, about.
    pub fn memory_size(&self) -> usize {
        // The Arrow schema and the field levels repeat the Parquet schema in other words.
        let schema = 512 * self.parquet().file_metadata().schema_descr().num_columns();
        self.parquet().memory_size() + schema
    }

    /// Whether a top-level column has this field id in the file itself.
    pub(crate) fn has_column(&self, field_id: i32) -> bool {
        let fields = self.arrow.schema().fields();
        fields.iter().any(|field| own_id(field) == Some(field_id))
    }

    /// Whether the file itself has this top-level column and, of a struct, all fields.
    pub(super) fn has_all_of(&self, column: &NestedField) -> bool {
        has_all_of(self.arrow.schema().fields(), column)
    }

    /// Refuses to read these leaves if they are compressed by a codec that is not built in.
    pub(super) fn require_codecs(&self, path: &str, leaves: &BTreeSet<usize>) -> Result<()> {
        for row_group in self.parquet().row_groups() {
            for column in leaves
                .iter()
                .filter_map(|leaf| row_group.columns().get(*leaf))
            {
                let codec = match column.compression() {
                    Compression::BROTLI(_) => "brotli",
                    Compression::LZO => "lzo",
                    _ => continue,
                };
                let column = column.column_path().string();
                return Err(Error::unsupported(format!(
                    "column \"{column}\" of data file \"{path}\" compressed with {codec}"
                )));
            }
        }
        Ok(())
    }

    pub(super) fn parquet(&self) -> &ParquetMetaData {
        self.arrow.metadata()
    }
}

fn has_all_of(fields: &Fields, wanted: &NestedField) -> bool {
    let found = fields.iter().find(|field| own_id(field) == Some(wanted.id));
    found.is_some_and(|field| match (field.data_type(), &wanted.field_type) {
        (DataType::Struct(inner), Type::Struct(wanted)) => {
            wanted.fields.iter().all(|field| has_all_of(inner, field))
        }
        _ => true,
    })
}

/// The error for a file that cannot be read because it is encrypted, if it is.
fn encryption(file: &dyn InputFile) -> Option<Error> {
    let four_bytes = |offset: u64| {
        let mut bytes = [0; 4];
        file.read_at(offset, &mut bytes).ok()?;
        Some(bytes)
    };
    let end = file.len().checked_sub(4)?;
    let encrypted = four_bytes(0)? == *ENCRYPTED_MAGIC || four_bytes(end)? == *ENCRYPTED_FOOTER;
    encrypted.then(|| Error::unsupported(format!("encrypted file \"{}\"", file.path())))
}

/// How a Parquet file ends whose footer is encrypted.
const ENCRYPTED_FOOTER: &[u8; 4] = b"PARE";

/// The file's Arrow schema with INT96 timestamps in microseconds, if it has any: in nanoseconds,
/// which is the default, they would only reach from 1677 to 2262.
fn with_microsecond_int96(arrow: &ArrowReaderMetadata) -> Option<Arc<ArrowSchema>> {
    let int96: Vec<bool> = arrow
        .parquet_schema()
        .columns()
        .iter()
        .map(|leaf| leaf.physical_type() == PhysicalType::INT96)
        .collect();
    int96.contains(&true).then(|| {
        let mut leaf = 0;
        let fields = retype_fields(arrow.schema().fields(), &int96, &mut leaf);
        Arc::new(ArrowSchema::new_with_metadata(
            fields,
            HashMap::clone(&arrow.schema().metadata),
        ))
    })
}

fn retype_fields(fields: &Fields, int96: &[bool], leaf: &mut usize) -> Fields {
    fields
        .iter()
        .map(|field| retype(field, int96, leaf))
        .collect()
}

fn retype(field: &FieldRef, int96: &[bool], leaf: &mut usize) -> FieldRef {
    let data_type = match field.data_type() {
        DataType::Struct(fields) => DataType::Struct(retype_fields(fields, int96, leaf)),
        DataType::List(element) => DataType::List(retype(element, int96, leaf)),
        DataType::Map(entries, sorted) => DataType::Map(retype(entries, int96, leaf), *sorted),
        other => {
            *leaf += 1;
            if int96.get(*leaf - 1) == Some(&true) {
                DataType::Timestamp(TimeUnit::Microsecond, None)
            } else {
                other.clone()
            }
        }
    };
    Arc::new(Field::clone(field).with_data_type(data_type))
}
