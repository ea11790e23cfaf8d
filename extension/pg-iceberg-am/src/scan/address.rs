//! Row addresses and TIDs.

use pg_lakebase_core::slot::Tid;

/// Rows that one block number stands for. Below `SpecTokenOffsetNumber` (0xfffe), the first of the
/// offsets with a meaning of their own.
const ROWS_PER_BLOCK: u64 = 1 << 15;
/// One past the largest address.
const LIMIT: u64 = (u32::MAX as u64) * ROWS_PER_BLOCK;
/// Addresses from here on are those of pending rows.
const PENDING: u64 = LIMIT / 2;

/// Where a row of a table view is, in a form that a TID can hold.
///
/// Committed rows are counted through the view's data files in the order of their sequence numbers,
/// so that an address stays what it is while the table is only appended to. Rows that this
/// transaction has appended are counted by their row numbers. An address is good for the snapshot it
/// was made under; like a heap TID it means nothing beyond the row's life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RowAddress(u64);

impl RowAddress {
    /// The address of a committed row; `None` if the table has more rows than can be addressed.
    pub fn committed(ordinal: u64) -> Option<Self> {
        (ordinal < PENDING).then_some(Self(ordinal))
    }

    /// The address of a pending row.
    pub fn pending(row: u64) -> Option<Self> {
        (row < LIMIT - PENDING).then_some(Self(PENDING + row))
    }

    /// The number of the pending row this address names, if it names one.
    pub fn pending_row(self) -> Option<u64> {
        self.0.checked_sub(PENDING)
    }

    /// The address `rows` further on.
    pub fn advance(self, rows: u64) -> Self {
        Self(self.0 + rows)
    }

    /// How many rows lie between `start` and this address; `None` if it comes before.
    pub fn rows_from(self, start: Self) -> Option<u64> {
        self.0.checked_sub(start.0)
    }

    /// The TID that stands for this address.
    pub fn to_tid(self) -> Tid {
        Tid {
            block: (self.0 / ROWS_PER_BLOCK) as u32,
            offset: (self.0 % ROWS_PER_BLOCK) as u16 + 1,
        }
    }

    /// The address that a TID stands for, if one could have been made so.
    pub fn from_tid(tid: Tid) -> Option<Self> {
        let offset = u64::from(tid.offset).checked_sub(1)?;
        let address = u64::from(tid.block) * ROWS_PER_BLOCK + offset;
        (offset < ROWS_PER_BLOCK && address < LIMIT).then_some(Self(address))
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    #[test]
    fn addresses_survive_the_way_through_a_tid() {
        for ordinal in [0, 1, ROWS_PER_BLOCK - 1, ROWS_PER_BLOCK, PENDING - 1] {
            let address = RowAddress::committed(ordinal).unwrap();
            assert_eq!(RowAddress::from_tid(address.to_tid()), Some(address));
            assert_eq!(address.pending_row(), None);
            let address = RowAddress::pending(ordinal).unwrap();
            assert_eq!(RowAddress::from_tid(address.to_tid()), Some(address));
            assert_eq!(address.pending_row(), Some(ordinal));
        }
    }

    #[test]
    fn foreign_tids_are_not_addresses() {
        for (block, offset) in [(0, 0), (0, 0xfffd), (0, 0x8001), (u32::MAX, 1)] {
            assert_eq!(RowAddress::from_tid(Tid { block, offset }), None);
        }
    }
}
