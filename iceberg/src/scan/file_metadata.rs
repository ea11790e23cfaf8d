//! The footer of a Parquet file, read once and shared by all readers of the file.

use std::collections::HashMap;
use std::sync::Arc;

use arrow::datatypes::{DataType, Field, FieldRef, Fields, Schema as ArrowSchema, TimeUnit};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::basic::Type as PhysicalType;
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData};

use super::input::ParquetInput;
use super::unwind::catch_panic;
use crate::error::{Error, Result};
use crate::io::InputFile;

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
        let input = ParquetInput::new(Arc::clone(file), None);
        // Types are taken from the Parquet schema alone: what other writers' embedded Arrow schema
        // adds (dictionaries, large strings) would only have to be undone.
        let options = ArrowReaderOptions::new()
            .with_skip_arrow_metadata(true)
            .with_page_index_policy(PageIndexPolicy::Optional);
        let arrow =
            ArrowReaderMetadata::load(&input, options.clone()).map_err(|e| input.error(e))?;
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

    /// Bytes that the metadata takes in memory.
    pub fn memory_size(&self) -> usize {
        self.parquet().memory_size()
    }

    pub(super) fn parquet(&self) -> &ParquetMetaData {
        self.arrow.metadata()
    }
}

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
