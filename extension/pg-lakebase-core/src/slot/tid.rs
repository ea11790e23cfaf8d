//! Tuple identifiers.

use pgrx::pg_sys;

/// A tuple identifier: block number and offset within the block.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Tid {
    /// The block number.
    pub block: u32,
    /// The offset number, from 1 for a valid identifier.
    pub offset: u16,
}

impl Tid {
    /// The identifier that names no tuple.
    pub const INVALID: Self = Self {
        block: pg_sys::InvalidBlockNumber,
        offset: 0,
    };

    /// From the C struct.
    #[inline]
    pub const fn from_raw(raw: pg_sys::ItemPointerData) -> Self {
        Self {
            block: ((raw.ip_blkid.bi_hi as u32) << 16) | raw.ip_blkid.bi_lo as u32,
            offset: raw.ip_posid,
        }
    }

    /// To the C struct.
    #[inline]
    pub const fn to_raw(self) -> pg_sys::ItemPointerData {
        pg_sys::ItemPointerData {
            ip_blkid: pg_sys::BlockIdData {
                bi_hi: (self.block >> 16) as u16,
                bi_lo: (self.block & 0xffff) as u16,
            },
            ip_posid: self.offset,
        }
    }
}
