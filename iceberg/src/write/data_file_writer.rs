//! Writing one data file.

use std::sync::Arc;

use arrow::array::{Array, ArrayRef, RecordBatch};
use arrow::datatypes::{DataType, SchemaRef};
use parquet::arrow::arrow_writer::{ArrowColumnChunk, ArrowRowGroupWriterFactory};
use parquet::basic::{Compression as Codec, Encoding, GzipLevel, ZstdLevel};
use parquet::errors::ParquetError;
use parquet::file::properties::{EnabledStatistics, WriterProperties};
use parquet::file::writer::SerializedFileWriter;
use parquet::schema::types::{ColumnPath, Type as ParquetType};

use super::arrow_schema::arrow_schema;
use super::conform::conform;
use super::encoder::ColumnEncoders;
use super::metrics::data_file;
use super::options::{Compression, Encoder, WriteOptions};
use super::output::PendingOutput;
use super::parquet_schema::parquet_schema;
use crate::error::{Error, Result};
use crate::io::OutputFile;
use crate::manifest::DataFile;
use crate::spec::Schema;

/// The most bytes in a dictionary before a column chunk does without: to fetch a single row its
/// whole dictionary has to be decoded, and columns that need a larger one gain little by it.
const DICTIONARY_BYTES: usize = 128 * 1024;

/// Writes Arrow batches to a Parquet data file.
///
/// Dropping it before [`finish`](Self::finish) leaves the incomplete output to the caller to delete.
pub struct DataFileWriter {
    schema: Schema,
    path: String,
    output: Box<dyn OutputFile>,
    options: WriteOptions,
    arrow_schema: SchemaRef,
    pending: PendingOutput,
    parquet: SerializedFileWriter<PendingOutput>,
    factory: ArrowRowGroupWriterFactory,
    encoders: ColumnEncoders,
    rows: u64,
    /// Rows of the open row group, and their bytes before encoding.
    group_rows: usize,
    group_bytes: usize,
    /// Row groups begun, and row groups written to `parquet`.
    groups_begun: usize,
    groups_written: usize,
}

impl DataFileWriter {
    /// A writer of rows of `schema` into `output`; `path` is what the [`DataFile`] will say.
    pub fn new(
        schema: &Schema,
        path: String,
        output: Box<dyn OutputFile>,
        options: WriteOptions,
    ) -> Result<Self> {
        if schema.columns().is_empty() {
            return Err(Error::unsupported("data files without columns"));
        }
        let parquet_error = |e| Error::parquet(&*path, e);
        let arrow_schema = arrow_schema(schema)?;
        let parquet_schema = parquet_schema(schema, &path)?;
        let properties = properties(&options, &parquet_schema).map_err(parquet_error)?;
        let properties = Arc::new(properties);
        let pending = PendingOutput::default();
        let parquet = SerializedFileWriter::new(pending.clone(), parquet_schema, properties)
            .map_err(parquet_error)?;
        let factory = ArrowRowGroupWriterFactory::new(&parquet, Arc::clone(&arrow_schema));
        let encoders = ColumnEncoders::new(&path, arrow_schema.fields(), options.queue_bytes);
        Ok(Self {
            schema: schema.clone(),
            path,
            output,
            options,
            arrow_schema,
            pending,
            parquet,
            factory,
            encoders,
            rows: 0,
            group_rows: 0,
            group_bytes: 0,
            groups_begun: 0,
            groups_written: 0,
        })
    }

    /// Appends the rows of a batch, whose columns are the schema's by position and type; the names
    /// and metadata of the batch's own schema do not matter.
    pub fn write(&mut self, batch: &RecordBatch) -> Result<()> {
        if batch.num_columns() != self.arrow_schema.fields().len() {
            return Err(Error::invalid_argument(
                "DataFileWriter::write",
                format!(
                    "the batch has {} columns, the schema has {}",
                    batch.num_columns(),
                    self.arrow_schema.fields().len()
                ),
            ));
        }
        let columns = self
            .arrow_schema
            .fields()
            .iter()
            .zip(batch.columns())
            .map(|(field, column)| conform(column, field))
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Error::arrow("write a batch", e))?;

        let mut start = 0;
        while start < batch.num_rows() {
            let room = self.options.row_group_rows.max(1) - self.group_rows;
            let rows = room.min(batch.num_rows() - start);
            let slice = |column: &ArrayRef| column.slice(start, rows);
            self.write_rows(columns.iter().map(slice).collect(), rows)?;
            start += rows;
        }
        Ok(())
    }

    /// Rows written so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// Whether the caller should start another file: this one has `target_bytes` or as many row groups as it may.
    pub fn is_full(&self, target_bytes: u64) -> bool {
        self.bytes() >= target_bytes || self.groups_begun >= self.options.file_row_groups
    }

    /// Bytes written so far, with an estimate for what is still being encoded.
    pub fn bytes(&self) -> u64 {
        self.parquet.bytes_written() as u64 + self.encoders.estimated_bytes()
    }

    /// Bytes of memory that rows not yet written take, about.
    pub fn memory_bytes(&self) -> usize {
        self.encoders.memory_bytes() + self.output.memory_bytes()
    }

    /// Ends the row group and writes all rows, so that they take no more memory.
    pub fn flush(&mut self) -> Result<()> {
        self.end_row_group()?;
        self.write_row_groups(self.groups_begun)?;
        self.output.flush()
    }

    /// Completes the file and describes it; partition values are the caller's to add.
    pub fn finish(mut self) -> Result<DataFile> {
        self.end_row_group()?;
        self.write_row_groups(self.groups_begun)?;
        let metadata = self
            .parquet
            .finish()
            .map_err(|e| Error::parquet(&*self.path, e))?;
        self.drain()?;
        let size = self.output.finish()?;
        data_file(
            &self.schema,
            self.path,
            size,
            &metadata,
            self.encoders.nan_counts(),
        )
    }

    fn write_rows(&mut self, columns: Vec<ArrayRef>, rows: usize) -> Result<()> {
        if self.group_rows == 0 {
            self.begin_row_group()?;
        }
        let arrays = columns
            .into_iter()
            .map(|array| {
                let bytes = array.to_data().get_slice_memory_size()?;
                Ok((array, bytes))
            })
            .collect::<Result<Vec<_>, _>>()
            .map_err(|e| Error::arrow("measure a batch", e))?;
        self.group_bytes += arrays.iter().map(|(_, bytes)| bytes).sum::<usize>();
        self.group_rows += rows;
        self.rows += rows as u64;
        self.use_threads()?;
        self.encoders.write(arrays)?;
        if self.group_rows >= self.options.row_group_rows
            || self.group_bytes >= self.options.row_group_bytes
        {
            self.end_row_group()?;
            // One row group may still be encoding while the next one begins.
            self.write_row_groups(self.groups_begun.saturating_sub(1))?;
        }
        self.write_encoded_row_groups()
    }

    fn use_threads(&mut self) -> Result<()> {
        match &self.options.encoder {
            Encoder::Threads(threads)
                if self.rows > self.options.inline_rows && !self.encoders.has_threads() =>
            {
                self.encoders.use_threads(threads)
            }
            _ => Ok(()),
        }
    }

    fn begin_row_group(&mut self) -> Result<()> {
        let writers = self
            .factory
            .create_column_writers(self.groups_begun)
            .map_err(|e| Error::parquet(&*self.path, e))?;
        let mut writers = writers.into_iter();
        let by_column = self
            .arrow_schema
            .fields()
            .iter()
            .map(|field| {
                writers
                    .by_ref()
                    .take(leaf_count(field.data_type()))
                    .collect()
            })
            .collect();
        self.groups_begun += 1;
        self.encoders.begin_row_group(by_column)
    }

    fn end_row_group(&mut self) -> Result<()> {
        if self.group_rows > 0 {
            self.group_rows = 0;
            self.group_bytes = 0;
            self.encoders.end_row_group(self.groups_begun - 1)?;
        }
        Ok(())
    }

    /// Writes row groups, waiting for their encoding, until `count` are written.
    fn write_row_groups(&mut self, count: usize) -> Result<()> {
        while self.groups_written < count {
            if let Some(chunks) = self.encoders.take_row_group(self.groups_written, true)? {
                self.write_row_group(chunks)?;
            }
        }
        Ok(())
    }

    /// Writes the row groups that are encoded.
    fn write_encoded_row_groups(&mut self) -> Result<()> {
        while let Some(chunks) = self.encoders.take_row_group(self.groups_written, false)? {
            self.write_row_group(chunks)?;
        }
        Ok(())
    }

    fn write_row_group(&mut self, chunks: Vec<ArrowColumnChunk>) -> Result<()> {
        let parquet_error = |e: ParquetError| Error::parquet(&*self.path, e);
        let mut row_group = self.parquet.next_row_group().map_err(parquet_error)?;
        for chunk in chunks {
            chunk
                .append_to_row_group(&mut row_group)
                .map_err(parquet_error)?;
            self.output.write_all(&self.pending.take())?;
        }
        row_group.close().map_err(parquet_error)?;
        self.groups_written += 1;
        self.drain()
    }

    fn drain(&mut self) -> Result<()> {
        self.output.write_all(&self.pending.take())
    }
}

/// Leaf columns of a value of the type.
fn leaf_count(data_type: &DataType) -> usize {
    match data_type {
        DataType::Struct(fields) => fields.iter().map(|f| leaf_count(f.data_type())).sum(),
        DataType::List(field) | DataType::Map(field, _) => leaf_count(field.data_type()),
        _ => 1,
    }
}

fn properties(
    options: &WriteOptions,
    schema: &ParquetType,
) -> Result<WriterProperties, ParquetError> {
    let compression = match options.compression {
        Compression::Uncompressed => Codec::UNCOMPRESSED,
        Compression::Snappy => Codec::SNAPPY,
        Compression::Lz4 => Codec::LZ4_RAW,
        Compression::Gzip => Codec::GZIP(GzipLevel::default()),
        Compression::Zstd { level } => Codec::ZSTD(ZstdLevel::try_new(level)?),
    };
    let mut builder = WriterProperties::builder();
    for field in schema.get_fields() {
        let info = field.get_basic_info();
        if info.has_id() && options.delta_encoded.contains(&info.id()) {
            let column = ColumnPath::new(vec![info.name().to_owned()]);
            builder = builder
                .set_column_dictionary_enabled(column.clone(), false)
                .set_column_encoding(column, Encoding::DELTA_BINARY_PACKED);
        }
    }
    // Row groups are ended by the writer, never by these properties.
    Ok(builder
        .set_compression(compression)
        .set_statistics_enabled(EnabledStatistics::Page)
        .set_statistics_truncate_length(Some(64))
        .set_column_index_truncate_length(Some(64))
        .set_dictionary_page_size_limit(DICTIONARY_BYTES)
        .set_data_page_size_limit(options.page_bytes)
        .set_data_page_row_count_limit(options.page_rows)
        .set_created_by(concat!("pg-lakebase iceberg-lite ", env!("CARGO_PKG_VERSION")).to_owned())
        .build())
}
