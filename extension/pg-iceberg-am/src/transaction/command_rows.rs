//! Which rows each command has inserted.

use iceberg_lite::scan::RowRanges;
use pgrx::pg_sys::CommandId;

/// Which command has inserted which rows of a storage, and so what a snapshot of the transaction sees of them.
///
/// Commands follow one another, and what a snapshot sees is a prefix of the rows; unless an INSERT takes its rows
/// from a function that inserts as well: then rows of its command come between those of later ones.
#[derive(Debug, Default)]
pub struct CommandRows {
    /// For each run of rows of one command, the command and the number of the first row.
    runs: Vec<(CommandId, u64)>,
    /// Number of the first row that comes after one of a later command.
    first_out_of_order: Option<u64>,
}

impl CommandRows {
    /// Notes that `cid` inserts row number `row`, which is the next.
    pub fn push(&mut self, cid: CommandId, row: u64) {
        match self.runs.last() {
            Some(&(last, _)) if last == cid => return,
            Some(&(last, _)) if last > cid && self.first_out_of_order.is_none() => {
                self.first_out_of_order = Some(row);
            }
            _ => {}
        }
        self.runs.push((cid, row));
    }

    /// Forgets all rows from number `rows` on.
    pub fn truncate(&mut self, rows: u64) {
        self.first_out_of_order.take_if(|first| *first >= rows);
        let kept = self.runs.partition_point(|&(_, first)| first < rows);
        self.runs.truncate(kept);
    }

    /// The rows, of `len` rows, that a snapshot with this command counter sees; `None` sees all.
    pub fn visible(&self, curcid: Option<CommandId>, len: u64) -> RowRanges {
        let Some(curcid) = curcid else {
            return RowRanges::from_range(0..len);
        };
        let end_of = |run: usize| self.runs.get(run).map_or(len, |&(_, first)| first);
        if self.first_out_of_order.is_none() {
            let seen = self.runs.partition_point(|&(cid, _)| cid < curcid);
            return RowRanges::from_range(0..end_of(seen));
        }
        let seen = self.runs.iter().enumerate();
        RowRanges::from_ranges(
            seen.filter(|(_, (cid, _))| *cid < curcid)
                .map(|(run, &(_, first))| first..end_of(run + 1)),
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(commands: &CommandRows, rows: &[CommandId]) {
        let len = rows.len() as u64;
        for curcid in 0..4 {
            let seen = (0..).zip(rows).filter(|(_, cid)| **cid < curcid);
            let expected = RowRanges::from_positions(seen.map(|(row, _)| row));
            let visible = commands.visible(Some(curcid), len);
            assert_eq!(visible, expected, "{curcid} of {rows:?}");
        }
        assert_eq!(commands.visible(None, len).count(), len);
    }

    #[test]
    fn a_snapshot_sees_the_rows_of_earlier_commands_in_whatever_order_they_came() {
        // All orders of six rows of three commands, each cut off and continued.
        for order in 0..3_u32.pow(6) {
            let rows: Vec<CommandId> = (0..6).map(|row| order / 3_u32.pow(row) % 3).collect();
            for kept in 0..rows.len() {
                let mut commands = CommandRows::default();
                for (row, &cid) in (0..).zip(&rows) {
                    commands.push(cid, row);
                }
                check(&commands, &rows);
                commands.truncate(kept as u64);
                check(&commands, &rows[..kept]);
                commands.push(1, kept as u64);
                check(&commands, &[&rows[..kept], &[1]].concat());
            }
        }
    }

    #[test]
    fn rows_that_are_rolled_back_leave_the_others_in_order() {
        let mut commands = CommandRows::default();
        for (row, cid) in [1, 2, 1].into_iter().enumerate() {
            commands.push(cid, row as u64);
        }
        assert_eq!(commands.first_out_of_order, Some(2));
        commands.truncate(2);
        assert_eq!(commands.first_out_of_order, None);
    }
}
