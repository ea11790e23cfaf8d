//! Which rows of a data file are deleted.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::{Array, ArrayRef, AsArray, StructArray};
use arrow::datatypes::{DataType, Float32Type, Float64Type};
use arrow::row::{OwnedRow, RowConverter, SortField};

use super::data_file_reader::{DataFileReader, ReadOptions};
use super::equality_columns::equality_schema;
use super::file_metadata::FileMetadata;
use super::name_mapping::NameMapping;
use super::partition_constants::PartitionConstants;
use super::plan::ScanFile;
use super::position_deletes::deleted_positions;
use super::row_ranges::RowRanges;
use crate::error::{Error, Result};
use crate::io::{FileIo, InputFile};
use crate::manifest::{DataContentType, DataFile, DataFileFormat};
use crate::spec::{Schema, TableMetadata};

impl ScanFile {
    /// Opens the data file for reading, without the rows that its deletes remove.
    ///
    /// `metadata` is the table's, `schema` the one to read the rows by. Rows, deleted rows and predicate of `options`
    /// hold as they do for [`DataFileReader`]; its name mapping and partition constants are set here.
    pub fn open(
        &self,
        io: &dyn FileIo,
        metadata: &TableMetadata,
        schema: &Schema,
        options: ReadOptions,
    ) -> Result<DataFileReader> {
        let file = self.open_file(io)?;
        let footer = FileMetadata::of(io, &file)?;
        self.open_with(io, &file, &footer, metadata, schema, options)
    }

    /// Opens the data file's bytes.
    pub fn open_file(&self, io: &dyn FileIo) -> Result<Arc<dyn InputFile>> {
        require_parquet(&self.data_file)?;
        io.open(&self.data_file.file_path, self.data_file.length())
    }

    /// The same as [`open`](Self::open) for a file that is open and whose footer is known.
    pub fn open_with(
        &self,
        io: &dyn FileIo,
        file: &Arc<dyn InputFile>,
        footer: &FileMetadata,
        metadata: &TableMetadata,
        schema: &Schema,
        options: ReadOptions,
    ) -> Result<DataFileReader> {
        check_record_count(&self.data_file, footer.num_rows())?;
        let mut deleted = self.deleted_rows(io, file, footer, metadata)?;
        if let Some(others) = &options.deleted_rows {
            deleted = Arc::new(deleted.union(others));
        }
        let options = ReadOptions {
            deleted_rows: (!deleted.is_empty()).then_some(deleted),
            ..self.in_table(metadata, options)?
        };
        DataFileReader::with_metadata(Arc::clone(file), footer, schema, options)
    }

    /// How the table says that the file is to be read.
    fn in_table(&self, metadata: &TableMetadata, options: ReadOptions) -> Result<ReadOptions> {
        Ok(ReadOptions {
            name_mapping: name_mapping(metadata)?,
            partition_constants: PartitionConstants::of(&self.data_file, metadata)?,
            ..options
        })
    }

    /// The positions of the rows that the file's deletes remove.
    pub fn deleted_rows(
        &self,
        io: &dyn FileIo,
        file: &Arc<dyn InputFile>,
        footer: &FileMetadata,
        metadata: &TableMetadata,
    ) -> Result<Arc<RowRanges>> {
        let mut deleted = Arc::<RowRanges>::default();
        for delete in &self.deletes {
            let rows = match delete.content {
                DataContentType::PositionDeletes => {
                    deleted_positions(io, delete, &self.data_file.file_path)?
                }
                DataContentType::EqualityDeletes => self
                    .equality_deletes(io, delete, file, footer, metadata)?
                    .into(),
                DataContentType::Data => {
                    return Err(Error::invalid_metadata(
                        &*delete.file_path,
                        "content",
                        "a data file stands among deletes",
                    ));
                }
            };
            // Those of a single file may be a cache's: they are not copied.
            deleted = if deleted.is_empty() {
                rows
            } else {
                Arc::new(deleted.union(&rows))
            };
        }
        Ok(deleted)
    }

    /// The rows of the data file whose values are among those of an equality delete file; nulls are
    /// equal to nulls there.
    fn equality_deletes(
        &self,
        io: &dyn FileIo,
        delete: &DataFile,
        file: &Arc<dyn InputFile>,
        footer: &FileMetadata,
        metadata: &TableMetadata,
    ) -> Result<RowRanges> {
        let schema = equality_schema(delete, metadata)?;
        let options = ReadOptions {
            projection: schema.columns().iter().map(|field| field.id).collect(),
            ..ReadOptions::default()
        };

        let deletes = open_deletes(io, delete, &schema, options.clone())?;
        let arrow_error = |e| Error::arrow("compare rows with equality deletes", e);
        let sort_fields = |reader: &DataFileReader| {
            reader
                .schema()
                .fields()
                .iter()
                .map(|f| SortField::new(f.data_type().clone()))
                .collect()
        };
        let converter = RowConverter::new(sort_fields(&deletes)).map_err(arrow_error)?;
        let mut removed: HashSet<OwnedRow> = HashSet::new();
        for batch in deletes {
            let columns = with_one_nan(batch?.batch.columns());
            let rows = converter.convert_columns(&columns).map_err(arrow_error)?;
            removed.extend(rows.iter().map(|row| row.owned()));
        }
        let mut found = Vec::new();
        let options = self.in_table(metadata, options)?;
        for batch in DataFileReader::with_metadata(Arc::clone(file), footer, &schema, options)? {
            let batch = batch?;
            let columns = with_one_nan(batch.batch.columns());
            let rows = converter.convert_columns(&columns).map_err(arrow_error)?;
            for (row, position) in rows.iter().zip(batch.positions.iter()) {
                if removed.contains(&row.owned()) {
                    found.push(position);
                }
            }
        }
        Ok(RowRanges::from_positions(found))
    }
}

/// The columns with all NaNs the same: equality deletes take them for equal.
fn with_one_nan(columns: &[ArrayRef]) -> Vec<ArrayRef> {
    let with_one_nan = |column: &ArrayRef| -> ArrayRef {
        match column.data_type() {
            DataType::Float32 => {
                let column = column.as_primitive::<Float32Type>();
                let one = |v: f32| if v.is_nan() { f32::NAN } else { v };
                Arc::new(column.unary::<_, Float32Type>(one))
            }
            DataType::Float64 => {
                let column = column.as_primitive::<Float64Type>();
                let one = |v: f64| if v.is_nan() { f64::NAN } else { v };
                Arc::new(column.unary::<_, Float64Type>(one))
            }
            DataType::Struct(fields) => {
                let column = column.as_struct();
                let columns = with_one_nan(column.columns());
                let nulls = column.nulls().cloned();
                Arc::new(StructArray::new(fields.clone(), columns, nulls))
            }
            _ => Arc::clone(column),
        }
    };
    columns.iter().map(with_one_nan).collect()
}

fn name_mapping(metadata: &TableMetadata) -> Result<Option<Arc<NameMapping>>> {
    let json = metadata.properties.get(NameMapping::PROPERTY);
    json.map(|json| NameMapping::parse(json).map(Arc::new))
        .transpose()
}

fn require_parquet(file: &DataFile) -> Result<()> {
    if file
        .key_metadata
        .as_ref()
        .is_some_and(|key| !key.is_empty())
    {
        return Err(Error::unsupported(format!(
            "encrypted file \"{}\"",
            file.file_path
        )));
    }
    match file.file_format {
        DataFileFormat::Parquet => Ok(()),
        format => Err(Error::unsupported(format!(
            "file \"{}\" in format {}",
            file.file_path,
            format.name()
        ))),
    }
}

/// Opens a Parquet delete file, which must have the columns of `schema`.
pub(super) fn open_deletes(
    io: &dyn FileIo,
    delete: &DataFile,
    schema: &Schema,
    options: ReadOptions,
) -> Result<DataFileReader> {
    require_parquet(delete)?;
    let file = io.open(&delete.file_path, delete.length())?;
    let footer = FileMetadata::of(io, &file)?;
    check_record_count(delete, footer.num_rows())?;
    for field in schema.columns() {
        if !footer.has_all_of(field) {
            let reason = format!(
                "column \"{}\" (field id {}), by which it deletes, is not in the file",
                field.name, field.id
            );
            return Err(Error::invalid_data(&*delete.file_path, reason));
        }
    }
    DataFileReader::with_metadata(file, &footer, schema, options)
}

/// Refuses files that do not hold as many rows as their manifest entry says.
pub(super) fn check_record_count(file: &DataFile, rows: u64) -> Result<()> {
    if u64::try_from(file.record_count) == Ok(rows) {
        return Ok(());
    }
    let reason = format!(
        "it has {rows} rows, its manifest entry says {}",
        file.record_count
    );
    Err(Error::invalid_data(&*file.file_path, reason))
}
