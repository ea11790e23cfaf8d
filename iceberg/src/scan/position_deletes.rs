//! Deleted rows by position: position delete files (specification, section "Position Delete Files"), and where
//! deletion vectors are.

use std::ops::Range;
use std::sync::Arc;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;

use super::data_file_reader::ReadOptions;
use super::deletes::{check_record_count, open_deletes};
use super::deletion_vector::parse_deletion_vector;
use super::row_ranges::RowRanges;
use crate::error::{Error, Result};
use crate::expr::{CompareOp, Literal, Predicate};
use crate::io::FileIo;
use crate::manifest::{DataContentType, DataFile};
use crate::spec::{NestedField, PrimitiveType, Schema};

/// The id of `file_path` in position delete files.
pub(crate) const DELETE_FILE_PATH: i32 = 2_147_483_546;
/// The id of `pos` in position delete files.
pub(crate) const DELETE_POS: i32 = 2_147_483_545;

/// The largest deletion vector that is read, in bytes.
const MAX_VECTOR_BYTES: i64 = 1 << 30;

/// The columns of position delete files, without those of the deleted rows.
pub(crate) fn position_delete_schema() -> Schema {
    let columns = vec![
        NestedField::required(DELETE_FILE_PATH, "file_path", PrimitiveType::String),
        NestedField::required(DELETE_POS, "pos", PrimitiveType::Long),
    ];
    Schema::new(0, columns)
}

/// The data file that all deletes of a delete file are about, if it says so.
pub(crate) fn only_file_of(delete: &DataFile) -> Option<&str> {
    if delete.content != DataContentType::PositionDeletes {
        return None;
    }
    let lower = delete.lower_bounds.get(&DELETE_FILE_PATH);
    let upper = delete.upper_bounds.get(&DELETE_FILE_PATH);
    // Bounds that were cut short are not equal.
    let bound = lower.zip(upper).filter(|(lower, upper)| lower == upper);
    let bound = bound.and_then(|(path, _)| std::str::from_utf8(path).ok());
    delete.referenced_data_file.as_deref().or(bound)
}

/// The rows of the data file at `data_path` that a position delete file or deletion vector deletes: from the cache
/// of `io`, or read. Those of a file about several data files are read each time.
pub(crate) fn deleted_positions(
    io: &dyn FileIo,
    delete: &DataFile,
    data_path: &str,
) -> Result<Arc<RowRanges>> {
    let is_vector = delete.is_deletion_vector();
    let cache = io
        .delete_cache()
        .filter(|_| is_vector || only_file_of(delete) == Some(data_path));
    if let Some(known) = cache.as_ref().and_then(|cache| cache.get(delete)) {
        return Ok(known);
    }
    let rows = Arc::new(if is_vector {
        deletion_vector(io, delete)?
    } else {
        position_deletes(io, delete, data_path)?
    });
    if let Some(cache) = cache {
        cache.put(delete, &rows);
    }
    Ok(rows)
}

fn position_deletes(io: &dyn FileIo, delete: &DataFile, data_path: &str) -> Result<RowRanges> {
    let schema = position_delete_schema();
    let options = ReadOptions {
        projection: vec![DELETE_FILE_PATH, DELETE_POS],
        predicate: Some(Predicate::Compare {
            field_id: DELETE_FILE_PATH,
            op: CompareOp::Eq,
            value: Literal::String(data_path.to_owned()),
        }),
        ..ReadOptions::default()
    };
    // They ascend in files that follow the specification: ranges are as few as can be then.
    let mut rows: Vec<Range<u64>> = Vec::new();
    for batch in open_deletes(io, delete, &schema, options)? {
        let batch = batch?.batch;
        let paths = batch.column(0).as_string::<i32>();
        let positions = batch.column(1).as_primitive::<Int64Type>().values();
        for (path, position) in paths.iter().zip(positions) {
            if path == Some(data_path) {
                let position = u64::try_from(*position).map_err(|_| {
                    Error::invalid_data(&*delete.file_path, format!("position {position}"))
                })?;
                match rows.last_mut() {
                    Some(last) if last.end == position => last.end += 1,
                    _ => rows.push(position..position + 1),
                }
            }
        }
    }
    Ok(RowRanges::from_ranges(rows))
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
    io.open(path, delete.length())?.read_at(offset, &mut blob)?;
    let rows = parse_deletion_vector(&blob).map_err(invalid)?;
    check_record_count(delete, rows.count())?;
    Ok(rows)
}
