//! A bit for each row of a chunk.

use crate::row_id::Chunk;

const WORDS: usize = Chunk::ROWS / 64;

/// Places in a chunk.
#[derive(Clone, Debug)]
pub struct Bits(Box<[u64; WORDS]>);

impl Default for Bits {
    fn default() -> Self {
        Self(Box::new([0; WORDS]))
    }
}

impl Bits {
    /// Adds a place.
    pub fn set(&mut self, place: u16) {
        self.0[usize::from(place / 64)] |= 1 << (place % 64);
    }

    /// Whether a place is among them.
    pub fn has(&self, place: u16) -> bool {
        self.0[usize::from(place / 64)] & (1 << (place % 64)) != 0
    }
}

impl Extend<u16> for Bits {
    fn extend<T: IntoIterator<Item = u16>>(&mut self, places: T) {
        for place in places {
            self.set(place);
        }
    }
}
