//! Rows by id.

use std::ops::Range;

use arrow::array::AsArray;
use arrow::datatypes::Int64Type;
use iceberg_lite::expr::{CompareOp, Literal, Predicate};
use pg_lakebase_core::error::PgResult;

use super::reader::Projection;
use super::segment::{Segment, SegmentIds};
use super::segment_reader::SegmentReader;
use super::view::TableView;
use crate::row_id::{RowId, column};

/// The segments of a view by the ids of their rows. Those of several may lie between one another.
#[derive(Clone, Debug, Default)]
pub struct SegmentsByRowId {
    /// Bounds of row ids and numbers of segments, in the order of the least ids; and the greatest end up to there.
    entries: Vec<Entry>,
}

#[derive(Clone, Debug)]
struct Entry {
    ids: Range<RowId>,
    segment: usize,
    greatest_end: RowId,
}

impl SegmentsByRowId {
    fn of(segments: &[Segment]) -> Self {
        Self::of_bounds(segments.iter().map(|segment| segment.ids.bounds()))
    }

    fn of_bounds(bounds: impl Iterator<Item = Option<Range<RowId>>>) -> Self {
        let mut entries: Vec<_> = bounds
            .enumerate()
            .filter_map(|(segment, ids)| {
                let ids = ids?;
                Some(Entry {
                    greatest_end: ids.end,
                    ids,
                    segment,
                })
            })
            .collect();
        entries.sort_by_key(|entry| entry.ids.start);
        let mut greatest = RowId::new(0);
        for entry in &mut entries {
            greatest = greatest.max(entry.greatest_end);
            entry.greatest_end = greatest;
        }
        Self { entries }
    }

    /// The segments that may have a row with the id.
    fn candidates(&self, id: RowId) -> impl Iterator<Item = usize> {
        let behind = self.entries.partition_point(|entry| entry.ids.start <= id);
        self.entries[..behind]
            .iter()
            .rev()
            .take_while(move |entry| id < entry.greatest_end)
            .filter(move |entry| entry.ids.contains(&id))
            .map(|entry| entry.segment)
    }
}

impl TableView {
    /// Number, in the view, of the row with an id.
    pub fn row_of(&self, id: RowId) -> PgResult<Option<u64>> {
        let by_row_id = self
            .by_row_id
            .get_or_init(|| SegmentsByRowId::of(&self.segments));
        for index in by_row_id.candidates(id) {
            let segment = &self.segments[index];
            let position = match &segment.ids {
                SegmentIds::Known(ids) => ids.position(id).map(|position| position as u64),
                SegmentIds::InFile(_) => self.position_in_file(segment, id)?,
            };
            if let Some(position) = position.filter(|&position| position < segment.rows) {
                return Ok(Some(segment.start + position));
            }
        }
        Ok(None)
    }

    /// Looks an id up in a file's column of row ids.
    fn position_in_file(&self, segment: &Segment, id: RowId) -> PgResult<Option<u64>> {
        let predicate = Predicate::Compare {
            field_id: column::FIELD_ID,
            op: CompareOp::Eq,
            value: Literal::Long(id.to_i64()),
        };
        let rows = 0..segment.rows;
        let only_ids = Projection::default().with_row_ids();
        let mut reader = SegmentReader::open(self, segment, rows, &only_ids, Some(&predicate))?;
        while let Some(found) = reader.next()? {
            // What the predicate does not let through may be among it.
            let row = found.ids.as_ref().and_then(|ids| {
                let values = ids.as_primitive::<Int64Type>().values();
                values.binary_search(&id.to_i64()).ok()
            });
            if let Some(row) = row {
                return Ok(found.positions.get(row));
            }
        }
        Ok(None)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_segments_whose_bounds_an_id_lies_in_are_found() {
        let bounds = [(10, 20), (0, 5), (5, 100), (20, 30), (3, 4), (200, 201)];
        let segments = SegmentsByRowId::of_bounds(
            bounds
                .iter()
                .map(|&(start, end)| Some(RowId::new(start)..RowId::new(end)))
                .chain([None]),
        );
        for number in 0..=210 {
            let mut found: Vec<_> = segments.candidates(RowId::new(number)).collect();
            found.sort_unstable();
            let expected: Vec<_> = bounds
                .iter()
                .enumerate()
                .filter(|(_, (start, end))| (*start..*end).contains(&number))
                .map(|(segment, _)| segment)
                .collect();
            assert_eq!(found, expected, "{number}");
        }
    }
}
