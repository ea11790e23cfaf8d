//! Many changed rows of one chunk, in a row of `lakebase.row_change`.

use super::row_change::{Mark, Successor};
use crate::row_id::{Chunk, RowId};
use pg_lakebase_core::table_am::LockTupleMode;

/// Bytes of a bit for each row of a chunk, the least first.
const BITMAP_BYTES: usize = Chunk::ROWS / 8;

/// Most updated rows that one set has: what tells of them is never toasted.
pub const MAX_UPDATED: usize = 1_700;

/// What became of the rows of a set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SetKind {
    /// They were deleted.
    Deleted,
    /// They were updated, and their next versions are in other partitions.
    Moved,
    /// They were updated, and their next versions are in this chunk.
    Updated(Chunk),
}

/// Rows of a chunk that one command has changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowSet {
    pub chunk: Chunk,
    pub kind: SetKind,
    /// Places in the chunk, ascending: numbers of two bytes, the least first. Those of updated rows are followed by the
    /// places of their next versions, in the same order; the others are a bitmap where that is as short.
    bytes: Vec<u8>,
}

impl RowSet {
    /// The set that `bytes` tell of, if they tell of one.
    pub fn read(chunk: Chunk, kind: SetKind, bytes: Vec<u8>) -> Option<Self> {
        let unit = if matches!(kind, SetKind::Updated(_)) {
            4
        } else {
            2
        };
        (bytes.len() <= BITMAP_BYTES.max(4 * MAX_UPDATED) && bytes.len().is_multiple_of(unit))
            .then_some(Self { chunk, kind, bytes })
    }

    /// Rows at these places, which ascend, that were deleted or, as `kind` says, moved.
    pub fn gone(chunk: Chunk, kind: SetKind, places: &[u16]) -> Self {
        let bytes = if places.len() * 2 < BITMAP_BYTES {
            places
                .iter()
                .flat_map(|place| place.to_le_bytes())
                .collect()
        } else {
            let mut bitmap = vec![0; BITMAP_BYTES];
            for &place in places {
                bitmap[usize::from(place / 8)] |= 1 << (place % 8);
            }
            bitmap
        };
        Self { chunk, kind, bytes }
    }

    /// Rows at these places, which ascend, with the places of their next versions in `next`; at most [`MAX_UPDATED`].
    pub fn updated(chunk: Chunk, next: Chunk, places: &[(u16, u16)]) -> Self {
        debug_assert!(places.len() <= MAX_UPDATED);
        let old = places.iter().map(|&(old, _)| old);
        let new = places.iter().map(|&(_, new)| new);
        Self {
            chunk,
            kind: SetKind::Updated(next),
            bytes: old.chain(new).flat_map(u16::to_le_bytes).collect(),
        }
    }

    /// What is written down of it.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The rows, in their order.
    pub fn rows(&self) -> impl Iterator<Item = RowId> {
        let bits = self.is_bitmap().then(|| {
            let set = |(index, &byte): (usize, &u8)| {
                let bits = (0..8).filter(move |bit| byte & (1 << bit) != 0);
                bits.map(move |bit| (index * 8) as u16 + bit)
            };
            self.bytes.iter().enumerate().flat_map(set)
        });
        let listed = if self.is_bitmap() {
            &[][..]
        } else {
            self.places()
        };
        let listed = listed.iter().map(|place| u16::from_le_bytes(*place));
        bits.into_iter()
            .flatten()
            .chain(listed)
            .map(|place| self.chunk.row(place))
    }

    /// How many rows there are.
    pub fn len(&self) -> usize {
        match self.is_bitmap() {
            true => self
                .bytes
                .iter()
                .map(|byte| byte.count_ones() as usize)
                .sum(),
            false => self.places().len(),
        }
    }

    /// What became of a row; `None` if it is not in the set.
    pub fn mark_of(&self, row: RowId) -> Option<Mark> {
        let (chunk, place) = Chunk::of(row);
        if chunk != self.chunk {
            return None;
        }
        if self.is_bitmap() {
            let byte = self.bytes[usize::from(place / 8)];
            return (byte & (1 << (place % 8)) != 0).then(|| self.mark(0));
        }
        let found = self
            .places()
            .binary_search_by_key(&place, |place| u16::from_le_bytes(*place));
        found.ok().map(|index| self.mark(index))
    }

    /// The row whose next version `next` is.
    pub fn predecessor_of(&self, next: RowId) -> Option<RowId> {
        let (chunk, place) = Chunk::of(next);
        if self.kind != SetKind::Updated(chunk) {
            return None;
        }
        let index = self
            .next_places()
            .iter()
            .position(|next| u16::from_le_bytes(*next) == place)?;
        Some(self.chunk.row(u16::from_le_bytes(self.places()[index])))
    }

    /// The places, in their chunk, of the rows' next versions.
    pub fn places_of_next_versions(&self) -> impl Iterator<Item = u16> {
        let listed = match self.kind {
            SetKind::Updated(_) => self.next_places(),
            SetKind::Deleted | SetKind::Moved => &[],
        };
        listed.iter().map(|place| u16::from_le_bytes(*place))
    }

    /// The greatest id of the rows and of their next versions.
    pub fn greatest(&self) -> Option<RowId> {
        let next = match self.kind {
            SetKind::Updated(chunk) => {
                (self.places_of_next_versions().max()).map(|place| chunk.row(place))
            }
            SetKind::Deleted | SetKind::Moved => None,
        };
        self.rows().last().max(next)
    }

    /// What became of the row of a number.
    fn mark(&self, index: usize) -> Mark {
        match self.kind {
            SetKind::Deleted => Mark::Changed(Successor::None, LockTupleMode::Exclusive),
            SetKind::Moved => Mark::Changed(Successor::Elsewhere, LockTupleMode::Exclusive),
            SetKind::Updated(chunk) => {
                let next = chunk.row(u16::from_le_bytes(self.next_places()[index]));
                Mark::Changed(Successor::Row(next), LockTupleMode::NoKeyExclusive)
            }
        }
    }

    fn is_bitmap(&self) -> bool {
        self.bytes.len() == BITMAP_BYTES && !matches!(self.kind, SetKind::Updated(_))
    }

    /// The places of the rows, where they are listed.
    fn places(&self) -> &[[u8; 2]] {
        let (listed, _) = self.bytes.as_chunks::<2>();
        match self.kind {
            SetKind::Updated(_) => &listed[..listed.len() / 2],
            SetKind::Deleted | SetKind::Moved => listed,
        }
    }

    /// The places of the next versions.
    fn next_places(&self) -> &[[u8; 2]] {
        let (listed, _) = self.bytes.as_chunks::<2>();
        &listed[listed.len() / 2..]
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    fn row(number: u64) -> RowId {
        RowId::new(number)
    }

    fn chunk(number: u64) -> Chunk {
        Chunk::of(row(number * Chunk::ROWS as u64)).0
    }

    fn again(set: &RowSet) -> RowSet {
        RowSet::read(set.chunk, set.kind, set.bytes().to_vec()).unwrap()
    }

    #[test]
    fn few_and_many_gone_rows_are_told() {
        for count in [1_u16, 2_047, 2_048, 32_768 / 3] {
            let places: Vec<u16> = (0..count).map(|place| place * 3).collect();
            let set = again(&RowSet::gone(chunk(2), SetKind::Deleted, &places));
            assert!(set.bytes().len() <= BITMAP_BYTES);
            let rows: Vec<_> = places.iter().map(|&place| chunk(2).row(place)).collect();
            assert_eq!(set.rows().collect::<Vec<_>>(), rows);
            assert_eq!(set.len(), rows.len());
            assert_eq!(set.greatest(), rows.last().copied());
            for place in [0, 1, 2, 3, 3 * count, 32_767] {
                let row = chunk(2).row(place);
                let gone = Mark::Changed(Successor::None, LockTupleMode::Exclusive);
                assert_eq!(
                    set.mark_of(row),
                    rows.contains(&row).then_some(gone),
                    "{place}"
                );
            }
            assert_eq!(set.mark_of(row(3)), None);
        }
    }

    #[test]
    fn moved_rows_are_told() {
        let set = again(&RowSet::gone(chunk(0), SetKind::Moved, &[7]));
        let moved = Mark::Changed(Successor::Elsewhere, LockTupleMode::Exclusive);
        assert_eq!(set.mark_of(row(7)), Some(moved));
    }

    #[test]
    fn updated_rows_are_told_with_their_next_versions() {
        let set = again(&RowSet::updated(chunk(0), chunk(3), &[(1, 9), (4, 2)]));
        assert_eq!(set.rows().collect::<Vec<_>>(), [row(1), row(4)]);
        let next = |place| {
            let next = Successor::Row(chunk(3).row(place));
            Some(Mark::Changed(next, LockTupleMode::NoKeyExclusive))
        };
        assert_eq!(set.mark_of(row(1)), next(9));
        assert_eq!(set.mark_of(row(4)), next(2));
        assert_eq!(set.mark_of(row(2)), None);
        assert_eq!(set.predecessor_of(chunk(3).row(2)), Some(row(4)));
        assert_eq!(set.predecessor_of(chunk(3).row(1)), None);
        assert_eq!(set.predecessor_of(chunk(2).row(2)), None);
        assert_eq!(set.greatest(), Some(chunk(3).row(9)));
    }

    #[test]
    fn as_many_updated_rows_as_a_bitmap_has_bytes_are_no_bitmap() {
        let places: Vec<_> = (0..1_024).map(|place| (place, place + 5)).collect();
        let set = again(&RowSet::updated(chunk(0), chunk(0), &places));
        assert_eq!(set.bytes().len(), BITMAP_BYTES);
        assert_eq!(set.len(), 1_024);
        assert_eq!(set.mark_of(row(1_024)), None);
    }
}
