//! Which rows of a data file are deleted.

use std::collections::HashSet;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use arrow::row::{OwnedRow, RowConverter, SortField};

use super::data_file_reader::{DataFileReader, ReadOptions};
use super::deletion_vector::parse_deletion_vector;
use super::file_metadata::FileMetadata;
use super::name_mapping::NameMapping;
use super::plan::{DELETE_FILE_PATH, DELETE_POS, ScanFile};
use super::row_ranges::RowRanges;
use crate::error::{Error, Result};
use crate::expr::{CompareOp, Literal, Predicate};
use crate::io::{FileIo, InputFile};
use crate::manifest::{DataContentType, DataFile, DataFileFormat};
use crate::spec::{NestedField, PrimitiveType, Schema, TableMetadata};

/// The largest deletion vector that is read, in bytes.
const MAX_VECTOR_BYTES: i64 = 1 << 30;

impl ScanFile {
    /// Opens the data file for reading, without the rows that its deletes remove.
    ///
    /// `metadata` is the table's, `schema` the one to read the rows by. Rows and predicate of
    /// `options` hold as they do for [`DataFileReader`]; its deleted rows and name mapping are set
    /// here.
    pub fn open(
        &self,
        io: &dyn FileIo,
        metadata: &TableMetadata,
        schema: &Schema,
        options: ReadOptions,
    ) -> Result<DataFileReader> {
        let file = self.open_file(io)?;
        let footer = FileMetadata::read(&file)?;
        self.open_with(io, &file, &footer, metadata, schema, options)
    }

    /// Opens the data file's bytes.
    pub fn open_file(&self, io: &dyn FileIo) -> Result<Arc<dyn InputFile>> {
        require_parquet(&self.data_file)?;
        io.open(&self.data_file.file_path)
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
        let name_mapping = name_mapping(metadata)?;
        let deleted = self.deleted_rows(io, file, footer, metadata)?;
        let options = ReadOptions {
            deleted_rows: (!deleted.is_empty()).then(|| Arc::new(deleted)),
            name_mapping,
            ..options
        };
        DataFileReader::with_metadata(Arc::clone(file), footer, schema, options)
    }

    /// The positions of the rows that the file's deletes remove.
    pub fn deleted_rows(
        &self,
        io: &dyn FileIo,
        file: &Arc<dyn InputFile>,
        footer: &FileMetadata,
        metadata: &TableMetadata,
    ) -> Result<RowRanges> {
        let mut deleted = RowRanges::default();
        for delete in &self.deletes {
            let rows = match (delete.content, delete.file_format) {
                (DataContentType::PositionDeletes, DataFileFormat::Puffin) => {
                    deletion_vector(io, delete)?
                }
                (DataContentType::PositionDeletes, _) => {
                    position_deletes(io, delete, &self.data_file.file_path)?
                }
                (DataContentType::EqualityDeletes, _) => {
                    equality_deletes(io, delete, file, footer, metadata)?
                }
                (DataContentType::Data, _) => {
                    return Err(Error::invalid_metadata(
                        &*delete.file_path,
                        "content",
                        "a data file stands among deletes",
                    ));
                }
            };
            deleted = deleted.union(&rows);
        }
        Ok(deleted)
    }
}

fn name_mapping(metadata: &TableMetadata) -> Result<Option<Arc<NameMapping>>> {
    let json = metadata.properties.get(NameMapping::PROPERTY);
    json.map(|json| NameMapping::parse(json).map(Arc::new))
        .transpose()
}

fn require_parquet(file: &DataFile) -> Result<()> {
    match file.file_format {
        DataFileFormat::Parquet => Ok(()),
        format => Err(Error::unsupported(format!(
            "file \"{}\" in format {}",
            file.file_path,
            format.name()
        ))),
    }
}

fn deletion_vector(io: &dyn FileIo, delete: &DataFile) -> Result<RowRanges> {
    let path = &*delete.file_path;
    let (Some(offset), Some(length @ 0..=MAX_VECTOR_BYTES)) =
        (delete.content_offset, delete.content_size_in_bytes)
    else {
        return Err(Error::invalid_metadata(
            path,
            "content_size_in_bytes",
            "a deletion vector has no offset and length within the limits",
        ));
    };
    let invalid = |e: String| Error::invalid_data(path, e);
    let offset = u64::try_from(offset).map_err(|e| invalid(e.to_string()))?;
    let length = usize::try_from(length).map_err(|e| invalid(e.to_string()))?;
    let mut blob = vec![0; length];
    io.open(path)?.read_at(offset, &mut blob)?;
    parse_deletion_vector(&blob).map_err(invalid)
}

fn position_deletes(io: &dyn FileIo, delete: &DataFile, data_path: &str) -> Result<RowRanges> {
    require_parquet(delete)?;
    let schema = Schema::new(
        0,
        vec![
            NestedField::required(DELETE_FILE_PATH, "file_path", PrimitiveType::String),
            NestedField::required(DELETE_POS, "pos", PrimitiveType::Long),
        ],
    );
    let options = ReadOptions {
        projection: vec![DELETE_FILE_PATH, DELETE_POS],
        predicate: Some(Predicate::Compare {
            field_id: DELETE_FILE_PATH,
            op: CompareOp::Eq,
            value: Literal::String(data_path.to_owned()),
        }),
        ..ReadOptions::default()
    };
    let mut rows = Vec::new();
    for batch in DataFileReader::open(io.open(&delete.file_path)?, &schema, options)? {
        let batch = batch?.batch;
        let paths = batch.column(0).as_string::<i32>();
        let positions = batch.column(1).as_primitive::<Int64Type>().values();
        for (path, position) in paths.iter().zip(positions) {
            if path == Some(data_path) {
                rows.push(u64::try_from(*position).map_err(|_| {
                    Error::invalid_data(&*delete.file_path, format!("position {position}"))
                })?);
            }
        }
    }
    Ok(RowRanges::from_positions(rows))
}

/// The rows of the data file whose values are among those of an equality delete file; nulls are
/// equal to nulls there.
fn equality_deletes(
    io: &dyn FileIo,
    delete: &DataFile,
    file: &Arc<dyn InputFile>,
    footer: &FileMetadata,
    metadata: &TableMetadata,
) -> Result<RowRanges> {
    require_parquet(delete)?;
    let ids = delete.equality_ids.clone().unwrap_or_default();
    if ids.is_empty() {
        return Err(Error::invalid_metadata(
            &*delete.file_path,
            "equality_ids",
            "an equality delete file names no columns",
        ));
    }
    // The columns may be gone from the current schema.
    let schemas = || {
        metadata
            .current_schema()
            .into_iter()
            .chain(metadata.schemas.iter().rev())
    };
    let column = |id: &i32| {
        schemas()
            .find_map(|schema| schema.fields.field(*id))
            .cloned()
            .ok_or_else(|| {
                Error::unsupported(format!(
                    "equality delete file \"{}\" over field {id}, which is no top-level column",
                    delete.file_path
                ))
            })
    };
    let optional = |field: NestedField| NestedField {
        required: false,
        ..field
    };
    let fields = ids
        .iter()
        .map(|id| column(id).map(optional))
        .collect::<Result<Vec<_>>>()?;
    let schema = Schema::new(0, fields);
    let options = || -> Result<ReadOptions> {
        let name_mapping = name_mapping(metadata)?;
        Ok(ReadOptions {
            projection: ids.clone(),
            name_mapping,
            ..ReadOptions::default()
        })
    };

    let deletes = DataFileReader::open(io.open(&delete.file_path)?, &schema, options()?)?;
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
        let rows = converter
            .convert_columns(batch?.batch.columns())
            .map_err(arrow_error)?;
        removed.extend(rows.iter().map(|row| row.owned()));
    }
    let mut found = Vec::new();
    for batch in DataFileReader::with_metadata(Arc::clone(file), footer, &schema, options()?)? {
        let batch = batch?;
        let rows = converter
            .convert_columns(batch.batch.columns())
            .map_err(arrow_error)?;
        for (row, position) in rows.iter().zip(batch.positions.iter()) {
            if removed.contains(&row.owned()) {
                found.push(position);
            }
        }
    }
    Ok(RowRanges::from_positions(found))
}
