//! The small data set kept in the repository: the chemical elements, see `docs/data/README.md`.

use crate::checkout;
use anyhow::{Context, Result};
use std::fs;

pub const TABLE: &str = "elements";

pub const COLUMNS: &str = "atomic_number smallint NOT NULL, symbol text NOT NULL, \
     name text NOT NULL, period smallint NOT NULL, group_number smallint, block char(1) NOT NULL, \
     atomic_weight numeric(8,4), phase text, stable boolean NOT NULL, name_approved date";

/// The file's text, header included.
pub fn read() -> Result<String> {
    let path = checkout::root().join("docs/data/elements.csv");
    fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_the_periodic_table() {
        let text = read().unwrap();
        let rows: Vec<Vec<&str>> = text
            .lines()
            .skip(1)
            .map(|line| line.split(',').collect())
            .collect();
        assert_eq!(rows.len(), 118);
        for (row, number) in rows.iter().zip(1..) {
            assert_eq!(row.len(), 10, "{row:?}");
            assert_eq!(row[0].parse::<i32>().unwrap(), number);
            let block_without_group = row[5] == "f";
            assert_eq!(row[4].is_empty(), block_without_group, "{row:?}");
        }
        // Each period ends with a noble gas.
        let last: Vec<&str> = (1..=7)
            .map(|period: i32| {
                rows.iter()
                    .rfind(|row| row[3] == period.to_string())
                    .unwrap()[1]
            })
            .collect();
        assert_eq!(last, ["He", "Ne", "Ar", "Kr", "Xe", "Rn", "Og"]);
    }

    #[test]
    fn columns_match_the_header() {
        let text = read().unwrap();
        let header: Vec<&str> = text.lines().next().unwrap().split(',').collect();
        // `numeric(8,4)` has a comma of its own.
        let columns = COLUMNS.replace("(8,4)", "");
        let names: Vec<&str> = columns
            .split(',')
            .map(|column| column.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(names, header);
    }
}
