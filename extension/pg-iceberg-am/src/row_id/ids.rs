//! The ids of rows that lie together.

use std::ops::Range;

use arrow::array::Int64Array;

use super::RowId;

/// The ids of rows in memory, in the order of the rows.
#[derive(Clone, Debug)]
pub enum RowIds {
    /// One after the other: the first one's, and how many they are.
    Run(RowId, usize),
    /// As the values of a column of row ids.
    List(Int64Array),
}

impl RowIds {
    /// Ids as values of a column of row ids.
    pub fn of(values: Vec<i64>) -> Self {
        let run = values
            .first()
            .copied()
            .filter(|_| {
                values
                    .windows(2)
                    .all(|pair| pair[0].checked_add(1) == Some(pair[1]))
            })
            .and_then(RowId::from_i64);
        match run {
            Some(first) => Self::Run(first, values.len()),
            None => Self::List(values.into()),
        }
    }

    /// Whether each id is one more than that of the row before.
    pub fn is_run(&self) -> bool {
        matches!(self, Self::Run(..))
    }

    /// The id of a row.
    pub fn get(&self, row: usize) -> Option<RowId> {
        match self {
            Self::Run(first, rows) => (row < *rows).then(|| first.advance(row as u64)),
            Self::List(values) => RowId::from_i64(*values.values().get(row)?),
        }
    }

    /// The row that has an id.
    pub fn position(&self, id: RowId) -> Option<usize> {
        match self {
            Self::Run(first, rows) => {
                let row = usize::try_from(id.rows_from(*first)?).ok()?;
                (row < *rows).then_some(row)
            }
            Self::List(values) => {
                let wanted = id.to_i64();
                values.values().iter().position(|&value| value == wanted)
            }
        }
    }

    /// From the least id to one past the greatest; `None` without rows.
    pub fn bounds(&self) -> Option<Range<RowId>> {
        let (first, last) = match self {
            Self::Run(_, 0) => return None,
            Self::Run(first, rows) => (*first, first.advance(*rows as u64 - 1)),
            Self::List(values) => {
                let values = values.values().iter().copied();
                let first = values.clone().min().and_then(RowId::from_i64)?;
                (first, values.max().and_then(RowId::from_i64)?)
            }
        };
        Some(first..last.advance(1))
    }

    /// The ids of `rows` rows from number `start` on.
    pub fn slice(&self, start: usize, rows: usize) -> Self {
        match self {
            Self::Run(first, _) => Self::Run(first.advance(start as u64), rows),
            Self::List(values) => {
                let part = values.slice(start, rows);
                // The whole may have gaps where the part has none.
                Self::of(part.values().to_vec())
            }
        }
    }

    /// The ids of the rows of several parts, one after the other.
    pub fn concat<'a>(parts: impl IntoIterator<Item = &'a Self>) -> Self {
        let mut values = Vec::new();
        let mut run: Option<(RowId, usize)> = None;
        for part in parts {
            match (part, run) {
                (Self::Run(_, 0), _) => {}
                (Self::Run(first, rows), None) if values.is_empty() => run = Some((*first, *rows)),
                (Self::Run(first, rows), Some((start, length)))
                    if *first == start.advance(length as u64) =>
                {
                    run = Some((start, length + rows));
                }
                (part, _) => {
                    if let Some((start, length)) = run.take() {
                        values.extend_from_slice(Self::Run(start, length).to_array().values());
                    }
                    values.extend_from_slice(part.to_array().values());
                }
            }
        }
        match run {
            Some((first, rows)) => Self::Run(first, rows),
            None => Self::of(values),
        }
    }

    /// The values of a column of row ids.
    pub fn to_array(&self) -> Int64Array {
        match self {
            Self::Run(first, rows) => {
                let first = first.to_i64();
                (first..first + *rows as i64).collect::<Vec<_>>().into()
            }
            Self::List(values) => values.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(ids: &RowIds) -> Vec<i64> {
        (0..)
            .map_while(|row| ids.get(row).map(RowId::to_i64))
            .collect()
    }

    #[test]
    fn ids_without_gaps_are_a_run() {
        assert!(RowIds::of(vec![4, 5, 6]).is_run());
        for values in [vec![4, 6], vec![5, 4]] {
            let ids = RowIds::of(values.clone());
            assert!(!ids.is_run());
            assert_eq!(list(&ids), values);
        }
    }

    #[test]
    fn parts_join_in_order_and_stay_a_run_while_they_can() {
        let run = |first, rows| RowIds::Run(RowId::new(first), rows);
        let joined = RowIds::concat([&run(3, 2), &run(0, 0), &run(5, 1)]);
        assert!(joined.is_run());
        assert_eq!(list(&joined), [3, 4, 5]);
        let joined = RowIds::concat([&run(3, 2), &run(7, 2), &RowIds::of(vec![12, 10])]);
        assert!(!joined.is_run());
        assert_eq!(list(&joined), [3, 4, 7, 8, 12, 10]);
        assert_eq!(joined.bounds(), Some(RowId::new(3)..RowId::new(13)));
        assert_eq!(RowIds::concat([]).bounds(), None);
    }

    #[test]
    fn rows_are_found_by_id_in_parts() {
        let ids = RowIds::of(vec![10, 12, 13, 14, 20]);
        assert_eq!(ids.position(RowId::new(13)), Some(2));
        assert_eq!(ids.position(RowId::new(11)), None);
        let part = ids.slice(1, 3);
        assert!(part.is_run());
        assert_eq!(part.position(RowId::new(14)), Some(2));
        assert_eq!(part.position(RowId::new(20)), None);
        assert_eq!(list(&part.slice(1, 1)), [13]);
    }
}
