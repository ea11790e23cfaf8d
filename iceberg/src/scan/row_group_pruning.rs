//! Which rows of a row group a predicate leaves, going by the file's statistics and page index.

use std::collections::BTreeMap;
use std::ops::Range;

use parquet::basic::{ColumnOrder, LogicalType, SortOrder, Type as PhysicalType};
use parquet::file::metadata::ParquetMetaData;
use parquet::file::page_index::column_index::ColumnIndexMetaData;

use super::parquet_value::datum_from_parquet;
use super::pruning::{ColumnBounds, is_float, may_match};
use super::row_ranges::RowRanges;
use crate::expr::Predicate;
use crate::spec::PrimitiveType;

/// A predicate's column in the file.
#[derive(Debug, Clone)]
pub(super) struct StatisticsColumn {
    /// The Parquet leaf.
    pub(super) leaf: usize,
    /// The type of the column in the table.
    pub(super) primitive: PrimitiveType,
}

/// Statistics of a file, for the columns of a predicate by field id.
pub(super) struct FileStatistics<'a> {
    pub(super) metadata: &'a ParquetMetaData,
    pub(super) columns: &'a BTreeMap<i32, StatisticsColumn>,
}

impl FileStatistics<'_> {
    /// The rows of a row group that may satisfy a [normalized](Predicate::normalize) predicate;
    /// `rows` are the positions of the row group in the file.
    pub(super) fn rows(
        &self,
        predicate: &Predicate,
        row_group: usize,
        rows: Range<u64>,
    ) -> RowRanges {
        if !may_match(predicate, &|field_id| {
            self.row_group_bounds(field_id, row_group)
        }) {
            return RowRanges::default();
        }
        self.page_rows(predicate, row_group, &rows)
            .unwrap_or_else(|| RowRanges::from_range(rows))
    }

    fn row_group_bounds(&self, field_id: i32, row_group: usize) -> Option<ColumnBounds> {
        let StatisticsColumn { leaf, primitive } = self.columns.get(&field_id)?;
        let chunk = self.metadata.row_group(row_group).column(*leaf);
        let statistics = chunk.statistics()?;
        let trusted = self.is_ordered(*leaf, statistics.is_min_max_deprecated());
        let bound = |bytes: Option<&[u8]>| {
            let bytes = bytes.filter(|_| trusted)?;
            datum_from_parquet(primitive, chunk.column_descr(), bytes)
        };
        Some(ColumnBounds {
            lower: bound(statistics.min_bytes_opt()),
            upper: bound(statistics.max_bytes_opt()),
            nulls: statistics.null_count_opt(),
            values: u64::try_from(chunk.num_values()).ok(),
            may_have_nan: is_float(primitive),
            exact: false,
        })
    }

    /// Whether the order that the bounds of a leaf are taken in is the order of its values.
    fn is_ordered(&self, leaf: usize, deprecated: bool) -> bool {
        let schema = self.metadata.file_metadata();
        let column = schema.schema_descr().column(leaf);
        let order = schema.column_order(leaf);
        match order {
            ColumnOrder::TYPE_DEFINED_ORDER(SortOrder::UNDEFINED) => false,
            ColumnOrder::TYPE_DEFINED_ORDER(_) if !deprecated => true,
            ColumnOrder::UNKNOWN => false,
            // Before orders were defined all values were compared as signed ones.
            ColumnOrder::TYPE_DEFINED_ORDER(_) | ColumnOrder::UNDEFINED => {
                match column.physical_type() {
                    PhysicalType::INT32 | PhysicalType::INT64 => !matches!(
                        column.logical_type_ref(),
                        Some(LogicalType::Integer(integer)) if !integer.is_signed
                    ),
                    _ => false,
                }
            }
        }
    }

    /// The rows of the pages that may satisfy the predicate; `None` where the page index does not
    /// tell.
    fn page_rows(
        &self,
        predicate: &Predicate,
        row_group: usize,
        rows: &Range<u64>,
    ) -> Option<RowRanges> {
        let field_id = match predicate {
            Predicate::And(parts) => {
                let parts = parts
                    .iter()
                    .filter_map(|part| self.page_rows(part, row_group, rows));
                return parts.reduce(|a, b| a.intersect(&b));
            }
            Predicate::Or(parts) => {
                let mut union = RowRanges::default();
                for part in parts {
                    union = union.union(&self.page_rows(part, row_group, rows)?);
                }
                return Some(union);
            }
            Predicate::Compare { field_id, .. }
            | Predicate::In { field_id, .. }
            | Predicate::NotIn { field_id, .. }
            | Predicate::IsNull { field_id }
            | Predicate::NotNull { field_id } => field_id,
            Predicate::AlwaysTrue | Predicate::AlwaysFalse | Predicate::Not(_) => return None,
        };
        let StatisticsColumn { leaf, primitive } = self.columns.get(field_id)?;
        if !self.is_ordered(*leaf, false) {
            return None;
        }
        let index = self.metadata.column_index()?.get(row_group)?.get(*leaf)?;
        let pages = self
            .metadata
            .offset_index()?
            .get(row_group)?
            .get(*leaf)?
            .page_locations();
        let counted = match index {
            // Which has not even a number of pages.
            ColumnIndexMetaData::NONE => return None,
            _ => index
                .null_counts()
                .is_none_or(|counts| counts.len() == pages.len()),
        };
        if pages.is_empty() || !counted || index.num_pages() != pages.len() as u64 {
            return None;
        }
        let descriptor = self.metadata.file_metadata().schema_descr().column(*leaf);
        let mut kept = RowRanges::default();
        for (page, location) in pages.iter().enumerate() {
            let start = rows.start + u64::try_from(location.first_row_index).ok()?;
            let end = match pages.get(page + 1) {
                Some(next) => rows.start + u64::try_from(next.first_row_index).ok()?,
                None => rows.end,
            };
            let nulls = index
                .null_count(page)
                .and_then(|count| u64::try_from(count).ok());
            let bounds = if index.is_null_page(page) {
                ColumnBounds::all_null()
            } else {
                let (lower, upper) = page_bounds(index, page);
                let bound =
                    |bytes: Option<Vec<u8>>| datum_from_parquet(primitive, &descriptor, &bytes?);
                ColumnBounds {
                    lower: bound(lower),
                    upper: bound(upper),
                    nulls,
                    values: end.checked_sub(start),
                    may_have_nan: is_float(primitive),
                    exact: false,
                }
            };
            if may_match(predicate, &|_| Some(bounds.clone())) {
                kept.push(start..end);
            }
        }
        Some(kept)
    }
}

/// The bounds of a page in plain form.
fn page_bounds(index: &ColumnIndexMetaData, page: usize) -> (Option<Vec<u8>>, Option<Vec<u8>>) {
    macro_rules! plain {
        ($index:expr, $bytes:expr) => {
            (
                $index.min_value(page).map($bytes),
                $index.max_value(page).map($bytes),
            )
        };
    }
    match index {
        ColumnIndexMetaData::BOOLEAN(index) => plain!(index, |value| vec![u8::from(*value)]),
        ColumnIndexMetaData::INT32(index) => plain!(index, |value| value.to_le_bytes().to_vec()),
        ColumnIndexMetaData::INT64(index) => plain!(index, |value| value.to_le_bytes().to_vec()),
        ColumnIndexMetaData::FLOAT(index) => plain!(index, |value| value.to_le_bytes().to_vec()),
        ColumnIndexMetaData::DOUBLE(index) => plain!(index, |value| value.to_le_bytes().to_vec()),
        ColumnIndexMetaData::BYTE_ARRAY(index)
        | ColumnIndexMetaData::FIXED_LEN_BYTE_ARRAY(index) => plain!(index, |value| value.to_vec()),
        ColumnIndexMetaData::INT96(_) | ColumnIndexMetaData::NONE => (None, None),
    }
}
