//! Chunks of row ids: what is said of many rows at once is said of one chunk after the other.

use super::RowId;

/// A run of [`Chunk::ROWS`] ids that begins at a multiple of that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Chunk(u32);

impl Chunk {
    /// Ids in a chunk.
    pub const ROWS: usize = 1 << 15;

    /// The chunk of an id, and its place there.
    pub fn of(row: RowId) -> (Self, u16) {
        let number = row.number();
        let rows = Self::ROWS as u64;
        (Self((number / rows) as u32), (number % rows) as u16)
    }

    /// The id at a place of the chunk.
    pub fn row(self, place: u16) -> RowId {
        RowId::new(u64::from(self.0) * Self::ROWS as u64 + u64::from(place))
    }

    /// What stands for the chunk in a column of row ids, where it is none.
    pub fn to_i64(self) -> i64 {
        -1 - i64::from(self.0)
    }

    /// The chunk that a value in a column of row ids stands for, if it stands for one.
    pub fn from_i64(value: i64) -> Option<Self> {
        u32::try_from(-1 - value).ok().map(Self)
    }

    /// The number of the chunk.
    pub fn number(self) -> u32 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_have_their_places_in_chunks() {
        for number in [0, 1, 32_767, 32_768, RowId::COUNT - 1] {
            let (chunk, place) = Chunk::of(RowId::new(number));
            assert_eq!(chunk.row(place), RowId::new(number));
            assert!(usize::from(place) < Chunk::ROWS);
            assert_eq!(Chunk::from_i64(chunk.to_i64()), Some(chunk));
            assert_eq!(RowId::from_i64(chunk.to_i64()), None);
        }
        assert_eq!(Chunk::from_i64(0), None);
    }
}
