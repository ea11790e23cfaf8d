//! The layout of a file of the cache, which the daemon writes and its clients read.
//!
//! The bytes of the object lie at their own offsets; those that were not fetched are holes. Behind them, from the next
//! multiple of a granule on, lies the map: eight bytes for each granule, little-endian, 0 where the granule is not
//! there, else its checksum. The last granule ends with the object.
//!
//! Only a granule that has its checksum counts. So nothing needs to be synced, and what a crash, a full disk or a
//! damaged one leaves behind is fetched again.

use std::{fs::File, io, ops::Range, os::unix::fs::FileExt};

use crate::protocol::ByteRange;

/// Bytes of a granule: what is fetched, checked and remembered at once.
pub const GRANULE_BYTES: u64 = 16 * 1024;
/// Bytes of a checksum in the map.
const CHECKSUM_BYTES: u64 = 8;

/// Where things are in the file of an object of some size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    size: u64,
}

impl Layout {
    /// Of an object of `size` bytes.
    pub fn new(size: u64) -> Self {
        Self { size }
    }

    /// Bytes of the object.
    pub fn size(self) -> u64 {
        self.size
    }

    /// Number of granules.
    pub fn granules(self) -> u64 {
        self.size.div_ceil(GRANULE_BYTES)
    }

    /// Length of the file.
    pub fn file_length(self) -> u64 {
        self.map_offset(self.granules())
    }

    /// Where the checksum of a granule is.
    fn map_offset(self, granule: u64) -> u64 {
        self.granules() * GRANULE_BYTES + granule * CHECKSUM_BYTES
    }

    /// The granules that a range touches, as far as it lies within the object.
    pub fn granules_of(self, range: ByteRange) -> Range<u64> {
        let end = range.offset.saturating_add(range.length).min(self.size);
        if range.offset >= end {
            return 0..0;
        }
        range.offset / GRANULE_BYTES..end.div_ceil(GRANULE_BYTES)
    }

    /// The bytes of granules.
    pub fn bytes_of(self, granules: &Range<u64>) -> Range<u64> {
        granules.start * GRANULE_BYTES..(granules.end * GRANULE_BYTES).min(self.size)
    }

    /// The checksums of granules, as the file's map has them; 0 for those that are not there.
    ///
    /// # Errors
    /// What reading the file says.
    pub fn checksums(self, file: &File, granules: &Range<u64>) -> io::Result<Vec<u64>> {
        let count = usize::try_from(granules.end.saturating_sub(granules.start))
            .map_err(|_| io::Error::from(io::ErrorKind::InvalidInput))?;
        let mut bytes = vec![0; count * CHECKSUM_BYTES as usize];
        file.read_exact_at(&mut bytes, self.map_offset(granules.start))?;
        let (chunks, _) = bytes.as_chunks::<{ CHECKSUM_BYTES as usize }>();
        Ok(chunks
            .iter()
            .map(|chunk| u64::from_le_bytes(*chunk))
            .collect())
    }

    /// The runs of granules that a file lacks or has damaged; what cannot be read is lacking. Of those that `is_known`
    /// nothing is read.
    pub fn missing(
        self,
        file: &File,
        granules: &Range<u64>,
        is_known: impl Fn(u64) -> bool,
    ) -> Vec<Range<u64>> {
        let mut missing = Vec::new();
        for run in runs(granules, |granule| !is_known(granule)) {
            let Ok(sums) = self.checksums(file, &run) else {
                missing.push(run);
                continue;
            };
            let mut buffer = vec![0; GRANULE_BYTES as usize];
            missing.extend(runs(&run, |granule| {
                let sum = sums[(granule - run.start) as usize];
                let bytes = self.bytes_of(&(granule..granule + 1));
                let mut is_good = || {
                    let buffer = buffer.get_mut(..(bytes.end - bytes.start) as usize)?;
                    file.read_exact_at(buffer, bytes.start).ok()?;
                    (checksum(buffer) == sum).then_some(())
                };
                sum == 0 || is_good().is_none()
            }));
        }
        missing
    }

    /// Writes whole granules, the first of which is number `first`, and then their checksums.
    ///
    /// # Errors
    /// What writing the file says. What was written then is not there.
    pub fn write(self, file: &File, first: u64, data: &[u8]) -> io::Result<()> {
        file.write_all_at(data, first * GRANULE_BYTES)?;
        let checksums: Vec<u8> = data
            .chunks(GRANULE_BYTES as usize)
            .flat_map(|granule| checksum(granule).to_le_bytes())
            .collect();
        file.write_all_at(&checksums, self.map_offset(first))
    }
}

/// What the map has of a granule: XXH3 of its bytes, and never 0.
pub fn checksum(granule: &[u8]) -> u64 {
    xxhash_rust::xxh3::xxh3_64(granule).max(1)
}

/// Ranges of granules that `is_missing` of the granules in `within`, in order.
pub fn runs(within: &Range<u64>, mut is_missing: impl FnMut(u64) -> bool) -> Vec<Range<u64>> {
    let mut runs: Vec<Range<u64>> = Vec::new();
    for granule in within.clone().filter(|granule| is_missing(*granule)) {
        match runs.last_mut() {
            Some(last) if last.end == granule => last.end += 1,
            _ => runs.push(granule..granule + 1),
        }
    }
    runs
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;

    const SIZES: [u64; 6] = [
        0,
        1,
        GRANULE_BYTES - 1,
        GRANULE_BYTES,
        GRANULE_BYTES + 1,
        100_000,
    ];

    fn range(offset: u64, length: u64) -> ByteRange {
        ByteRange { offset, length }
    }

    #[test]
    fn what_was_written_and_nothing_else_has_checksums() {
        for size in SIZES {
            let layout = Layout::new(size);
            let file = tempfile::tempfile().unwrap();
            file.set_len(layout.file_length()).unwrap();
            let all = 0..layout.granules();
            assert!(
                layout
                    .checksums(&file, &all)
                    .unwrap()
                    .iter()
                    .all(|sum| *sum == 0)
            );
            let Some(last) = layout.granules().checked_sub(1) else {
                continue;
            };
            let bytes = layout.bytes_of(&(last..last + 1));
            assert_eq!(bytes.end, size);
            let data = vec![7; usize::try_from(bytes.end - bytes.start).unwrap()];
            layout.write(&file, last, &data).unwrap();
            let sums = layout.checksums(&file, &all).unwrap();
            assert_eq!(sums.iter().filter(|sum| **sum != 0).count(), 1);
            assert_eq!(*sums.last().unwrap(), checksum(&data));
            assert_eq!(file.metadata().unwrap().len(), layout.file_length());
        }
    }

    #[test]
    fn ranges_touch_the_granules_that_hold_them() {
        let layout = Layout::new(3 * GRANULE_BYTES + 5);
        assert_eq!(layout.granules(), 4);
        assert_eq!(layout.granules_of(range(0, 1)), 0..1);
        assert_eq!(layout.granules_of(range(GRANULE_BYTES - 1, 2)), 0..2);
        assert_eq!(layout.granules_of(range(GRANULE_BYTES, u64::MAX)), 1..4);
        assert_eq!(layout.granules_of(range(7, 0)), 0..0);
        assert_eq!(layout.granules_of(range(layout.size(), 1)), 0..0);
    }

    #[test]
    fn runs_are_the_longest_that_are_missing() {
        assert_eq!(runs(&(0..6), |granule| granule != 2), [0..2, 3..6]);
        assert!(runs(&(0..6), |_| false).is_empty());
    }
}
