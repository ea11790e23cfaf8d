//! Writing which rows of a data file are deleted.

use std::sync::Arc;

use arrow::array::{ArrayRef, Int64Array, RecordBatch, StringArray};

use super::arrow_schema::arrow_schema;
use super::data_file_writer::DataFileWriter;
use super::options::WriteOptions;
use crate::error::{Error, Result};
use crate::io::OutputFile;
use crate::manifest::{DataContentType, DataFile};
use crate::scan::{DELETE_FILE_PATH, DELETE_POS, RowRanges, position_delete_schema};

/// Rows that are written at a time: each has the data file's path in memory.
const BATCH_ROWS: usize = 8192;

/// Writes the position delete file at `path`, into `output`, by which the rows of `data_file` at `positions` are
/// deleted, one at least, and describes it.
///
/// Its bounds of the data file's path are the whole path: that they are equal tells readers that it is about no other
/// file, and truncated ones would not be.
pub fn write_position_deletes(
    path: String,
    output: Box<dyn OutputFile>,
    data_file: &DataFile,
    positions: &RowRanges,
    options: WriteOptions,
) -> Result<DataFile> {
    check_positions("write_position_deletes", data_file, positions)?;
    let mut delta_encoded = options.delta_encoded;
    delta_encoded.push(DELETE_POS);
    let options = WriteOptions {
        delta_encoded,
        // Next to nothing is left of the paths in memory once they are encoded.
        row_group_bytes: usize::MAX,
        ..options
    };
    let schema = position_delete_schema();
    let arrow = arrow_schema(&schema)?;
    let about = &data_file.file_path;
    let mut writer = DataFileWriter::new(&schema, path, output, options)?;
    let mut rows = positions.ranges().iter().cloned().flatten();
    let paths = StringArray::from_iter_values(std::iter::repeat_n(about, BATCH_ROWS));
    loop {
        let batch = rows.by_ref().take(BATCH_ROWS).map(u64::cast_signed);
        let batch = Int64Array::from_iter_values(batch);
        if batch.is_empty() {
            break;
        }
        let columns: Vec<ArrayRef> = vec![Arc::new(paths.slice(0, batch.len())), Arc::new(batch)];
        let batch = RecordBatch::try_new(Arc::clone(&arrow), columns)
            .map_err(|e| Error::arrow("make a batch of deleted positions", e))?;
        writer.write(&batch)?;
    }
    let mut file = writer.finish()?;
    let bounds = [&mut file.lower_bounds, &mut file.upper_bounds];
    for bounds in bounds {
        bounds.insert(DELETE_FILE_PATH, about.clone().into_bytes());
    }
    Ok(DataFile {
        content: DataContentType::PositionDeletes,
        referenced_data_file: Some(about.clone()),
        partition: data_file.partition.clone(),
        partition_spec_id: data_file.partition_spec_id,
        ..file
    })
}

/// Refuses positions that are not those of rows of the data file, and none at all.
pub(super) fn check_positions(
    operation: &'static str,
    data_file: &DataFile,
    positions: &RowRanges,
) -> Result<()> {
    let (path, rows) = (&data_file.file_path, data_file.record_count);
    let reason = match positions.ranges().last() {
        None => format!("no rows of \"{path}\" are deleted"),
        Some(last) if u64::try_from(rows).is_ok_and(|rows| last.end <= rows) => return Ok(()),
        Some(last) => {
            let position = last.end - 1;
            format!("position {position} of \"{path}\", which has {rows} rows")
        }
    };
    Err(Error::invalid_argument(operation, reason))
}
