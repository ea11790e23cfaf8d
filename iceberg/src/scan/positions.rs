//! Where the rows of a batch stand in their file.

use std::ops::Range;

use arrow::buffer::BooleanBuffer;

use super::row_ranges::RowRanges;

/// The positions, counted from 0, of a batch's rows in their file, in the batch's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RowPositions {
    /// Consecutive rows.
    Range(Range<u64>),
    /// Any rows, ascending.
    List(Vec<u64>),
}

impl RowPositions {
    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self {
            Self::Range(range) => usize::try_from(range.end - range.start).unwrap_or(usize::MAX),
            Self::List(rows) => rows.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The position of a row of the batch.
    pub fn get(&self, row: usize) -> Option<u64> {
        match self {
            Self::Range(range) => {
                let position = range.start.checked_add(row as u64)?;
                (position < range.end).then_some(position)
            }
            Self::List(rows) => rows.get(row).copied(),
        }
    }

    /// The row of the batch that stands at a position.
    pub fn row_at(&self, position: u64) -> Option<usize> {
        match self {
            Self::Range(range) if range.contains(&position) => {
                usize::try_from(position - range.start).ok()
            }
            Self::Range(_) => None,
            Self::List(rows) => rows.binary_search(&position).ok(),
        }
    }

    /// The positions in order.
    pub fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        (0..self.len()).filter_map(|row| self.get(row))
    }

    /// Those of the first `rows` rows, and of the others.
    pub fn split_at(self, rows: usize) -> (Self, Self) {
        match self {
            Self::Range(range) => {
                let middle = range.end.min(range.start.saturating_add(rows as u64));
                (
                    Self::Range(range.start..middle),
                    Self::Range(middle..range.end),
                )
            }
            Self::List(mut positions) => {
                let rest = positions.split_off(rows.min(positions.len()));
                (Self::List(positions), Self::List(rest))
            }
        }
    }

    /// Number of the first row that does not stand before `position`; that of all rows if there is none.
    pub fn first_from(&self, position: u64) -> usize {
        match self {
            Self::Range(range) => {
                let rows = position.clamp(range.start, range.end) - range.start;
                usize::try_from(rows).unwrap_or(usize::MAX)
            }
            Self::List(positions) => positions.partition_point(|&other| other < position),
        }
    }

    /// The positions of the rows that are set in `kept`.
    pub fn filter(&self, kept: &BooleanBuffer) -> Self {
        Self::List(kept.set_indices().filter_map(|row| self.get(row)).collect())
    }
}

/// Hands out the positions of rows that are read in order.
pub(super) struct PositionCursor {
    rows: std::vec::IntoIter<Range<u64>>,
    current: Range<u64>,
}

impl PositionCursor {
    pub(super) fn new(rows: &RowRanges) -> Self {
        Self {
            rows: rows.ranges().to_vec().into_iter(),
            current: 0..0,
        }
    }

    /// The positions of the next `count` rows; fewer if there are fewer.
    pub(super) fn take(&mut self, count: usize) -> RowPositions {
        let mut left = count as u64;
        let mut first = 0..0;
        let mut list = Vec::new();
        while left > 0 {
            if self.current.is_empty() {
                match self.rows.next() {
                    Some(next) => self.current = next,
                    None => break,
                }
            }
            let end = self
                .current
                .end
                .min(self.current.start.saturating_add(left));
            let taken = self.current.start..end;
            self.current.start = end;
            left -= taken.end - taken.start;
            if first.is_empty() && list.is_empty() {
                first = taken;
                continue;
            }
            if list.is_empty() {
                list.reserve(count);
                list.extend(first.clone());
            }
            list.extend(taken);
        }
        if list.is_empty() {
            RowPositions::Range(first)
        } else {
            RowPositions::List(list)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_rows_stay_a_range_and_others_become_a_list() {
        let rows = RowRanges::from_ranges([2..5, 7..9, 20..30]);
        let mut cursor = PositionCursor::new(&rows);
        assert_eq!(cursor.take(2), RowPositions::Range(2..4));
        assert_eq!(cursor.take(2), RowPositions::List(vec![4, 7]));
        assert_eq!(cursor.take(1), RowPositions::Range(8..9));
        assert_eq!(cursor.take(4), RowPositions::Range(20..24));
        assert_eq!(cursor.take(100), RowPositions::Range(24..30));
        assert!(cursor.take(1).is_empty());
    }

    #[test]
    fn positions_are_found_by_row() {
        let range = RowPositions::Range(5..8);
        assert_eq!(range.get(2), Some(7));
        assert_eq!(range.get(3), None);
        assert_eq!(range.row_at(7), Some(2));
        assert_eq!(range.row_at(8), None);
        assert_eq!(RowPositions::List(vec![1, 9]).row_at(9), Some(1));
        assert_eq!(RowPositions::List(vec![1, 9]).row_at(8), None);
        assert_eq!(
            range.clone().split_at(2),
            (RowPositions::Range(5..7), RowPositions::Range(7..8))
        );
        assert_eq!(
            RowPositions::List(vec![1, 9]).split_at(1),
            (RowPositions::List(vec![1]), RowPositions::List(vec![9]))
        );
        for (position, first) in [(0, 0), (1, 0), (2, 1), (9, 1), (10, 2)] {
            assert_eq!(RowPositions::List(vec![1, 9]).first_from(position), first);
        }
        for (position, first) in [(0, 0), (5, 0), (7, 2), (8, 3), (9, 3)] {
            assert_eq!(range.first_from(position), first);
        }
        let kept = BooleanBuffer::from(vec![true, false, true]);
        assert_eq!(range.filter(&kept), RowPositions::List(vec![5, 7]));
        assert_eq!(
            RowPositions::List(vec![1, 9]).filter(&BooleanBuffer::from(vec![false, true])),
            RowPositions::List(vec![9])
        );
    }
}
