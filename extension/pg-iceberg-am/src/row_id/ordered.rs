//! Ids of rows in their order, such as those of rows that were changed.

use std::ops::Range;

use arrow::array::BooleanArray;

use super::RowId;

/// Those of `rows`, which are in order, that lie within `bounds`.
pub fn within<'a>(rows: &'a [RowId], bounds: &Range<RowId>) -> &'a [RowId] {
    let from = rows.partition_point(|&row| row < bounds.start);
    let to = rows.partition_point(|&row| row < bounds.end);
    &rows[from..to]
}

/// Which of the values of a column of row ids are not among `rows`, which are in order.
pub fn none_of(rows: &[RowId], values: &[i64]) -> BooleanArray {
    let is_other = |value: &i64| {
        let found = rows.binary_search_by_key(value, |row| row.to_i64());
        Some(found.is_err())
    };
    values.iter().map(is_other).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_bounds_and_by_value() {
        let rows = [3, 5, 9].map(RowId::new);
        let bounds = |from, to| RowId::new(from)..RowId::new(to);
        assert_eq!(within(&rows, &bounds(0, 3)), []);
        assert_eq!(within(&rows, &bounds(3, 9)), [3, 5].map(RowId::new));
        assert_eq!(within(&rows, &bounds(4, 100)), [5, 9].map(RowId::new));
        let others: Vec<_> = none_of(&rows, &[3, 4, 9, 10]).iter().collect();
        assert_eq!(others, [Some(false), Some(true), Some(false), Some(true)]);
    }
}
