//! The [`DataFile`] of a file just written: what its Parquet footer tells, as manifests say it.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use parquet::file::metadata::ParquetMetaData;

use super::bounds::{lower_bound, upper_bound};
use super::nan_counts::NanCounts;
use crate::error::{Error, Result};
use crate::manifest::{DataContentType, DataFile, DataFileFormat};
use crate::scan::parquet_value::datum_from_parquet;
use crate::spec::{Datum, PrimitiveType, Schema};

/// Describes the file at `path` of `size` bytes.
///
/// As other engines do, counts are kept for every leaf, with one value for each entry of a list,
/// map or null in its place, and bounds only for leaves that do not repeat.
pub(super) fn data_file(
    schema: &Schema,
    path: String,
    size: u64,
    metadata: &ParquetMetaData,
    nan_counts: NanCounts,
) -> Result<DataFile> {
    let mut columns = BTreeMap::new();
    let leaves = metadata.file_metadata().schema_descr();
    for (index, leaf) in leaves.columns().iter().enumerate() {
        let id = leaf.self_type().get_basic_info().id();
        let primitive = schema.type_of(id).and_then(|t| t.as_primitive());
        let mut column = Column::default();
        for row_group in metadata.row_groups() {
            let chunk = row_group.column(index);
            column.size += chunk.compressed_size();
            column.values += chunk.num_values();
            let statistics = chunk.statistics();
            column.nulls += statistics
                .and_then(|s| s.null_count_opt())
                .map_or(0, |count| i64::try_from(count).unwrap_or(i64::MAX));
            if let Some(primitive) = primitive.filter(|_| leaf.max_rep_level() == 0) {
                let value = |bytes: Option<&[u8]>| {
                    bytes.and_then(|bytes| datum_from_parquet(primitive, leaf, bytes))
                };
                let inexact_fixed =
                    |exact: bool| matches!(primitive, PrimitiveType::Fixed(_)) && !exact;
                let least = statistics
                    .filter(|s| !inexact_fixed(s.min_is_exact()))
                    .and_then(|s| value(s.min_bytes_opt()));
                let greatest = statistics
                    .filter(|s| !inexact_fixed(s.max_is_exact()))
                    .and_then(|s| value(s.max_bytes_opt()));
                let all_null = statistics.and_then(|s| s.null_count_opt())
                    == u64::try_from(chunk.num_values()).ok();
                // A row group of NaNs alone has no bounds, and adds nothing to the file's.
                let empty = all_null || is_float(primitive);
                column.least.add(least, empty, Ordering::is_lt);
                column.greatest.add(greatest, empty, Ordering::is_gt);
            }
        }
        columns.insert(id, column);
    }

    let mut file = DataFile {
        content: DataContentType::Data,
        file_path: path,
        file_format: DataFileFormat::Parquet,
        record_count: metadata.file_metadata().num_rows(),
        file_size_in_bytes: i64::try_from(size)
            .map_err(|e| Error::invalid_argument("DataFileWriter::finish", e.to_string()))?,
        nan_value_counts: nan_counts,
        split_offsets: Some(split_offsets(metadata)),
        ..DataFile::default()
    };
    for (id, column) in columns {
        file.column_sizes.insert(id, column.size);
        file.value_counts.insert(id, column.values);
        file.null_value_counts.insert(id, column.nulls);
        if let Some(bound) = column.least.value().map(lower_bound) {
            file.lower_bounds.insert(id, bound);
        }
        if let Some(bound) = column.greatest.value().and_then(upper_bound) {
            file.upper_bounds.insert(id, bound);
        }
    }
    Ok(file)
}

#[derive(Default)]
struct Column {
    size: i64,
    values: i64,
    nulls: i64,
    least: Extreme,
    greatest: Extreme,
}

/// The least or greatest value over row groups.
#[derive(Default)]
struct Extreme {
    value: Option<Datum>,
    /// A row group has values of which nothing is known.
    unknown: bool,
}

impl Extreme {
    /// Adds a row group's value; `empty` says that having none means having nothing to bound.
    fn add(&mut self, value: Option<Datum>, empty: bool, replaces: fn(Ordering) -> bool) {
        let Some(value) = value else {
            self.unknown |= !empty;
            return;
        };
        match self.value.as_ref().map(|old| value.compare(old)) {
            None => self.value = Some(value),
            Some(Some(order)) if replaces(order) => self.value = Some(value),
            Some(Some(_)) => {}
            Some(None) => self.unknown = true,
        }
    }

    fn value(self) -> Option<Datum> {
        self.value.filter(|_| !self.unknown)
    }
}

fn is_float(primitive: &PrimitiveType) -> bool {
    matches!(primitive, PrimitiveType::Float | PrimitiveType::Double)
}

/// Where row groups start.
fn split_offsets(metadata: &ParquetMetaData) -> Vec<i64> {
    metadata
        .row_groups()
        .iter()
        .filter_map(|group| {
            group
                .columns()
                .iter()
                .map(|chunk| chunk.byte_range().0)
                .min()
        })
        .filter_map(|offset| i64::try_from(offset).ok())
        .collect()
}
