//! The id of a row, and the TID that stands for it.

use pg_lakebase_core::slot::Tid;

/// Rows that one block number stands for: `tidbitmap.c` takes no offset above `MaxHeapTuplesPerPage`, which is
/// this for blocks of 8 kB.
const ROWS_PER_BLOCK: u64 = 291;

/// The id of a row version, unique in its storage.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowId(u64);

impl RowId {
    /// How many ids a storage has: as many as TIDs, without `InvalidBlockNumber`.
    pub const COUNT: u64 = (u32::MAX as u64) * ROWS_PER_BLOCK;

    /// The id of this number, which is below [`Self::COUNT`].
    pub const fn new(number: u64) -> Self {
        Self(number)
    }

    /// The id that a value of the column of row ids stands for, if it stands for one.
    pub fn from_i64(value: i64) -> Option<Self> {
        u64::try_from(value)
            .ok()
            .filter(|&number| number < Self::COUNT)
            .map(Self)
    }

    /// The value in the column of row ids.
    pub fn to_i64(self) -> i64 {
        self.0.cast_signed()
    }

    /// The number of the id.
    pub fn number(self) -> u64 {
        self.0
    }

    /// The id `rows` further on.
    pub fn advance(self, rows: u64) -> Self {
        Self(self.0 + rows)
    }

    /// How many ids lie between `start` and this one; `None` if it comes before.
    pub fn rows_from(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    /// The TID that stands for this id.
    pub fn to_tid(self) -> Tid {
        Tid {
            block: (self.0 / ROWS_PER_BLOCK) as u32,
            offset: (self.0 % ROWS_PER_BLOCK) as u16 + 1,
        }
    }

    /// The id that a TID stands for, if it stands for one.
    pub fn from_tid(tid: Tid) -> Option<Self> {
        let offset = u64::from(tid.offset).checked_sub(1)?;
        let number = u64::from(tid.block) * ROWS_PER_BLOCK + offset;
        (offset < ROWS_PER_BLOCK && number < Self::COUNT).then_some(Self(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_survive_the_way_through_a_tid_and_keep_their_order() {
        let mut before = None;
        for number in [0, 1, ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, RowId::COUNT - 1] {
            let id = RowId::new(number);
            assert_eq!(RowId::from_tid(id.to_tid()), Some(id));
            assert_eq!(RowId::from_i64(id.to_i64()), Some(id));
            assert!(before < Some(id.to_tid()));
            before = Some(id.to_tid());
        }
    }

    #[test]
    fn foreign_tids_are_no_ids() {
        for (block, offset) in [(0, 0), (0, 292), (0, u16::MAX), (u32::MAX, 1)] {
            assert_eq!(RowId::from_tid(Tid { block, offset }), None);
        }
        assert_eq!(RowId::from_i64(-1), None);
        assert_eq!(RowId::from_i64(RowId::COUNT.cast_signed()), None);
    }
}
