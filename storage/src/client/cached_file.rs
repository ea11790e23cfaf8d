//! A file of the daemon's cache, read without the daemon.

use std::{
    fs::File,
    ops::Range,
    os::{
        fd::{AsFd, BorrowedFd, OwnedFd},
        unix::fs::FileExt,
    },
    sync::atomic::{AtomicU64, Ordering},
};

use crate::{
    cache_file::{Layout, runs},
    protocol::{ByteRange, ObjectVersion},
};

/// An object as far as it is cached, for any thread to read.
///
/// Bytes are handed out only if their granules have their checksums, which is looked at once a granule.
#[derive(Debug)]
pub struct CachedFile {
    file: File,
    layout: Layout,
    etag: Option<String>,
    /// A bit for each granule that has been found to have its checksum.
    known: Box<[AtomicU64]>,
}

/// Ranges that are not in the cache, or are damaged there: to be wanted from the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing(Vec<ByteRange>);

impl Missing {
    pub fn into_ranges(self) -> Vec<ByteRange> {
        self.0
    }
}

impl CachedFile {
    pub(super) fn new(descriptor: OwnedFd, version: ObjectVersion) -> Self {
        let layout = Layout::new(version.size);
        let words = layout.granules().div_ceil(64);
        Self {
            file: File::from(descriptor),
            layout,
            etag: version.etag,
            known: (0..words).map(|_| AtomicU64::new(0)).collect(),
        }
    }

    /// Bytes of the object.
    pub fn size(&self) -> u64 {
        self.layout.size()
    }

    /// The object's entity tag, where the store has one.
    pub fn etag(&self) -> Option<&str> {
        self.etag.as_deref()
    }

    /// Fills `buffer` from `offset`, within the object.
    ///
    /// # Errors
    /// [`Missing`] tells what of it is not there. What cannot be read is not there either.
    pub fn read_exact_at(&self, buffer: &mut [u8], offset: u64) -> Result<(), Missing> {
        let wanted = ByteRange {
            offset,
            length: buffer.len() as u64,
        };
        let granules = self.layout.granules_of(wanted);
        let missing =
            (self.layout).missing(&self.file, &granules, |granule| self.is_known(granule));
        for granule in granules.clone() {
            let is_missing = || missing.iter().any(|run| run.contains(&granule));
            if !self.is_known(granule) && !is_missing() {
                self.note_known(granule);
            }
        }
        if !missing.is_empty() {
            return Err(self.missing_bytes(&missing));
        }
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|_| self.missing_bytes(std::slice::from_ref(&granules)))
    }

    /// What of these ranges is not there, as far as the map tells.
    pub fn missing(&self, wanted: &[ByteRange]) -> Vec<ByteRange> {
        let mut missing = Vec::new();
        for range in wanted {
            let granules = self.layout.granules_of(*range);
            match self.layout.checksums(&self.file, &granules) {
                Ok(sums) => missing.extend(runs(&granules, |granule| {
                    sums.get((granule - granules.start) as usize)
                        .is_none_or(|sum| *sum == 0)
                })),
                Err(_) => missing.push(granules),
            }
        }
        self.missing_bytes(&missing).0
    }

    fn missing_bytes(&self, granules: &[Range<u64>]) -> Missing {
        let bytes = granules.iter().map(|run| self.layout.bytes_of(run));
        let ranges = bytes.map(|bytes| ByteRange {
            offset: bytes.start,
            length: bytes.end - bytes.start,
        });
        Missing(ranges.collect())
    }

    fn is_known(&self, granule: u64) -> bool {
        let word = self.known.get((granule / 64) as usize);
        word.is_some_and(|word| word.load(Ordering::Relaxed) & (1 << (granule % 64)) != 0)
    }

    fn note_known(&self, granule: u64) {
        if let Some(word) = self.known.get((granule / 64) as usize) {
            word.fetch_or(1 << (granule % 64), Ordering::Relaxed);
        }
    }
}

impl AsFd for CachedFile {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests")]
mod tests {
    use super::*;
    use crate::cache_file::GRANULE_BYTES;

    fn cached(size: u64) -> (CachedFile, File) {
        let file = tempfile::tempfile().unwrap();
        file.set_len(Layout::new(size).file_length()).unwrap();
        let descriptor = file.try_clone().unwrap().into();
        let version = ObjectVersion { etag: None, size };
        (CachedFile::new(descriptor, version), file)
    }

    fn bytes(count: u64) -> Vec<u8> {
        (0..count).map(|byte| (byte % 251) as u8).collect()
    }

    const SIZE: u64 = 3 * GRANULE_BYTES + 10;

    #[test]
    fn what_is_there_is_read_and_what_is_not_is_told() {
        let (cached, file) = cached(SIZE);
        let mut buffer = vec![0; 20];
        let offset = GRANULE_BYTES - 10;
        let missing = cached.read_exact_at(&mut buffer, offset).unwrap_err();
        let two = ByteRange {
            offset: 0,
            length: 2 * GRANULE_BYTES,
        };
        assert_eq!(missing.into_ranges(), [two]);
        let object = bytes(SIZE);
        Layout::new(SIZE)
            .write(&file, 0, &object[..2 * GRANULE_BYTES as usize])
            .unwrap();
        cached.read_exact_at(&mut buffer, offset).unwrap();
        assert_eq!(buffer, object[offset as usize..offset as usize + 20]);
        let end = ByteRange {
            offset: 3 * GRANULE_BYTES,
            length: 10,
        };
        assert_eq!(cached.missing(&[two, end]), [end]);
    }

    #[test]
    fn what_is_damaged_before_it_was_read_is_missing() {
        let (cached, file) = cached(SIZE);
        Layout::new(SIZE).write(&file, 0, &bytes(SIZE)).unwrap();
        file.write_all_at(b"x", GRANULE_BYTES + 77).unwrap();
        let mut all = vec![0; SIZE as usize];
        let missing = cached.read_exact_at(&mut all, 0).unwrap_err().into_ranges();
        let damaged = ByteRange {
            offset: GRANULE_BYTES,
            length: GRANULE_BYTES,
        };
        assert_eq!(missing, [damaged]);
        file.set_len(GRANULE_BYTES).unwrap();
        let mut some = vec![0; 10];
        assert!(cached.read_exact_at(&mut some, 2 * GRANULE_BYTES).is_err());
    }
}
