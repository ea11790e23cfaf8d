//! Sets of row positions.

use std::ops::Range;

use parquet::arrow::arrow_reader::{RowSelection, RowSelector};

/// A set of row positions as disjoint, ascending, non-empty ranges that do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RowRanges(Vec<Range<u64>>);

impl RowRanges {
    /// All rows from `range`.
    pub fn from_range(range: Range<u64>) -> Self {
        if range.is_empty() {
            Self::default()
        } else {
            Self(vec![range])
        }
    }

    /// The rows of any number of ranges, in any order.
    pub fn from_ranges(ranges: impl IntoIterator<Item = Range<u64>>) -> Self {
        let mut ranges: Vec<_> = ranges
            .into_iter()
            .filter(|range| !range.is_empty())
            .collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let mut set = Self::default();
        for range in ranges {
            set.push(range);
        }
        set
    }

    /// The rows at these positions, in any order.
    pub fn from_positions(positions: impl IntoIterator<Item = u64>) -> Self {
        Self::from_ranges(positions.into_iter().map(|p| p..p.saturating_add(1)))
    }

    /// Adds a range that starts no earlier than any before.
    pub(super) fn push(&mut self, range: Range<u64>) {
        if range.is_empty() {
            return;
        }
        match self.0.last_mut() {
            Some(last) if range.start <= last.end => last.end = last.end.max(range.end),
            _ => self.0.push(range),
        }
    }

    /// The ranges.
    pub fn ranges(&self) -> &[Range<u64>] {
        &self.0
    }

    /// How many rows are in the set.
    pub fn count(&self) -> u64 {
        self.0.iter().map(|range| range.end - range.start).sum()
    }

    /// Bytes that the set takes in memory, about.
    pub fn memory_size(&self) -> usize {
        size_of::<Self>() + size_of_val(&self.0[..])
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether the row is in the set.
    pub fn contains(&self, row: u64) -> bool {
        let after = self.0.partition_point(|range| range.end <= row);
        self.0.get(after).is_some_and(|range| range.start <= row)
    }

    /// The rows in both sets.
    pub fn intersect(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut set = Self::default();
        while let (Some(a), Some(b)) = (left.peek(), right.peek()) {
            set.push(a.start.max(b.start)..a.end.min(b.end));
            if a.end < b.end {
                left.next();
            } else {
                right.next();
            }
        }
        set
    }

    /// The rows in either set.
    pub fn union(&self, other: &Self) -> Self {
        let (mut left, mut right) = (self.0.iter().peekable(), other.0.iter().peekable());
        let mut set = Self::default();
        while let Some(range) = match (left.peek(), right.peek()) {
            (Some(a), Some(b)) if b.start < a.start => right.next(),
            (Some(_), _) => left.next(),
            (None, _) => right.next(),
        } {
            set.push(range.clone());
        }
        set
    }

    /// The rows of this set that are not in the other.
    pub fn subtract(&self, other: &Self) -> Self {
        let mut set = Self::default();
        for range in &self.0 {
            let mut start = range.start;
            let first = other.0.partition_point(|hole| hole.end <= range.start);
            for hole in other.0[first..]
                .iter()
                .take_while(|hole| hole.start < range.end)
            {
                set.push(start..hole.start.max(start));
                start = hole.end;
            }
            set.push(start..range.end.max(start));
        }
        set
    }

    /// The first `count` rows, and the rest.
    pub(super) fn split(&self, count: u64) -> (Self, Self) {
        let (mut head, mut tail) = (Self::default(), Self::default());
        let mut left = count;
        for range in &self.0 {
            let taken = left.min(range.end - range.start);
            head.push(range.start..range.start + taken);
            tail.push(range.start + taken..range.end);
            left -= taken;
        }
        (head, tail)
    }

    /// The set as a selection of the rows of a row group.
    pub(super) fn to_selection(&self, row_group: &Range<u64>) -> RowSelection {
        let row_count = |from: u64, to: u64| usize::try_from(to - from).unwrap_or(usize::MAX);
        let mut selectors = Vec::with_capacity(self.0.len() * 2 + 1);
        let mut position = row_group.start;
        for range in self.intersect(&Self::from_range(row_group.clone())).0 {
            if range.start > position {
                selectors.push(RowSelector::skip(row_count(position, range.start)));
            }
            selectors.push(RowSelector::select(row_count(range.start, range.end)));
            position = range.end;
        }
        if position < row_group.end {
            selectors.push(RowSelector::skip(row_count(position, row_group.end)));
        }
        RowSelection::from(selectors)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn set(rows: &[bool]) -> RowRanges {
        let positions = rows
            .iter()
            .enumerate()
            .filter(|(_, on)| **on)
            .map(|(row, _)| row as u64);
        RowRanges::from_positions(positions)
    }

    proptest! {
        #[test]
        fn set_operations_agree_with_rows_taken_one_by_one(
            pairs in prop::collection::vec((any::<bool>(), any::<bool>()), 0..60),
            count in 0_u64..70,
        ) {
            let a: Vec<bool> = pairs.iter().map(|p| p.0).collect();
            let b: Vec<bool> = pairs.iter().map(|p| p.1).collect();
            let by_row = |op: fn(bool, bool) -> bool| {
                set(&pairs.iter().map(|p| op(p.0, p.1)).collect::<Vec<_>>())
            };
            prop_assert_eq!(set(&a).intersect(&set(&b)), by_row(|a, b| a && b));
            prop_assert_eq!(set(&a).union(&set(&b)), by_row(|a, b| a || b));
            prop_assert_eq!(set(&a).subtract(&set(&b)), by_row(|a, b| a && !b));
            prop_assert_eq!(set(&a).count(), a.iter().filter(|on| **on).count() as u64);
            for (row, on) in a.iter().enumerate() {
                prop_assert_eq!(set(&a).contains(row as u64), *on);
            }
            let (head, tail) = set(&a).split(count);
            prop_assert_eq!(head.count(), count.min(set(&a).count()));
            prop_assert_eq!(head.union(&tail), set(&a));
            prop_assert!(head.intersect(&tail).is_empty());
        }

        #[test]
        fn selections_select_the_rows_of_the_set(
            rows in prop::collection::vec(any::<bool>(), 1..60),
            start in 0_u64..30,
        ) {
            let group = start.min(rows.len() as u64)..rows.len() as u64;
            let selection = set(&rows).to_selection(&group);
            let mut selected = Vec::new();
            for selector in selection.iter() {
                selected.extend(std::iter::repeat_n(!selector.skip, selector.row_count));
            }
            selected.resize(usize::try_from(group.end - group.start).unwrap_or(0), false);
            prop_assert_eq!(&selected[..], &rows[usize::try_from(group.start).unwrap_or(0)..]);
        }
    }
}
