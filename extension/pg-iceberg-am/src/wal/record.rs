//! The records' layout: version, storage, and what happened to it; little-endian.

use std::str;

use pg_lakebase_core::wal::RecordKind;
use pgrx::pg_sys::TransactionId;

use crate::directory::StorageKey;

/// The layout's version, the first byte of every record.
pub const VERSION: u8 = 1;

/// A table's directory was made.
pub const CREATE_DIRECTORY: RecordKind = RecordKind::new(0);
/// Bytes were written to files, which redo has to make durable at once.
pub const WRITE_FILES: RecordKind = RecordKind::new(1);
/// A table's directory was removed, with all that was in it.
pub const REMOVE_DIRECTORY: RecordKind = RecordKind::new(2);
/// Files were removed; with the transaction that made them superfluous, if anybody has ever needed them.
pub const REMOVE_FILES: RecordKind = RecordKind::new(3);
/// As [`WRITE_FILES`], but a [`SYNC_FILES`] follows before the next checkpoint whose redo pointer lies
/// behind: redo may leave the files to that.
pub const WRITE_FILES_UNSYNCED: RecordKind = RecordKind::new(4);
/// Files were made durable.
pub const SYNC_FILES: RecordKind = RecordKind::new(5);
/// The server writes to object stores under an identity.
pub const NOTE_IDENTITY: RecordKind = RecordKind::new(6);

const RAW: u8 = 0;
const EDITS: u8 = 1;

/// Bytes written to a file.
#[derive(Debug, PartialEq)]
pub struct FileWrite<'a> {
    /// The file, relative to the table's directory.
    pub name: &'a str,
    /// Where in the file the bytes begin.
    pub offset: u64,
    /// The bytes.
    pub payload: Payload<'a>,
}

/// What a file got.
#[derive(Debug, PartialEq)]
pub enum Payload<'a> {
    /// These bytes.
    Raw(&'a [u8]),
    /// What [edits](super::edits) make of another file.
    Edits {
        /// The other file, relative to the table's directory.
        base: &'a str,
        /// The edits.
        edits: &'a [u8],
    },
}

/// What comes first in every record.
pub fn head(key: &StorageKey) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    for number in [key.tablespace, key.database, key.rel_number] {
        bytes.extend_from_slice(&number.to_le_bytes());
    }
    bytes
}

/// Appends a name to the head of a record.
pub fn put_name(bytes: &mut Vec<u8>, name: &str) {
    bytes.extend_from_slice(&u16::try_from(name.len()).unwrap_or(u16::MAX).to_le_bytes());
    bytes.extend_from_slice(name.as_bytes());
}

/// Appends what describes a write to the head of a record; the payloads follow after all heads, in the
/// same order.
pub fn put_write(bytes: &mut Vec<u8>, write: &FileWrite<'_>) {
    put_name(bytes, write.name);
    bytes.extend_from_slice(&write.offset.to_le_bytes());
    let payload = match &write.payload {
        Payload::Raw(payload) => {
            bytes.push(RAW);
            payload
        }
        Payload::Edits { base, edits } => {
            bytes.push(EDITS);
            put_name(bytes, base);
            edits
        }
    };
    bytes.extend_from_slice(
        &u32::try_from(payload.len())
            .unwrap_or(u32::MAX)
            .to_le_bytes(),
    );
}

/// A record of the identity that the server has on a timeline.
pub fn identity(timeline: u32, identity: &str) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    bytes.extend_from_slice(&timeline.to_le_bytes());
    put_name(&mut bytes, identity);
    bytes
}

/// What a record of an identity says.
pub fn read_identity(content: &[u8]) -> Option<(u32, &str)> {
    let mut reader = Reader(content);
    if reader.take(1)? != [VERSION] {
        return None;
    }
    let timeline = reader.u32()?;
    // It is part of a file's name.
    let is_plain = |name: &&str| name.bytes().all(|byte| byte.is_ascii_hexdigit());
    Some((timeline, reader.name().filter(is_plain)?))
}

/// Reads a record; every function gives `None` for a record that is not of this layout.
pub struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    /// Reads the head.
    pub fn new(content: &'a [u8]) -> Option<(StorageKey, Self)> {
        let mut reader = Self(content);
        if reader.take(1)? != [VERSION] {
            return None;
        }
        let mut number = || reader.u32();
        let key = StorageKey {
            tablespace: number()?,
            database: number()?,
            rel_number: number()?,
            backend: pgrx::pg_sys::INVALID_PROC_NUMBER,
        };
        Some((key, reader))
    }

    /// A record of files that were removed: the horizon, and their names.
    pub fn removed(mut self) -> Option<(TransactionId, Vec<&'a str>)> {
        let horizon = TransactionId::from(self.u32()?);
        let count = self.u32()?;
        let names = (0..count).map(|_| self.name()).collect::<Option<_>>()?;
        Some((horizon, names))
    }

    /// A record of writes.
    pub fn writes(mut self) -> Option<Vec<FileWrite<'a>>> {
        let count = self.u32()?;
        let mut heads = Vec::new();
        for _ in 0..count {
            let name = self.name()?;
            let offset = u64::from_le_bytes(self.take(8)?.try_into().ok()?);
            let base = match self.take(1)? {
                [RAW] => None,
                [EDITS] => Some(self.name()?),
                _ => return None,
            };
            heads.push((name, offset, base, self.u32()? as usize));
        }
        heads
            .into_iter()
            .map(|(name, offset, base, length)| {
                let bytes = self.take(length)?;
                let payload = match base {
                    None => Payload::Raw(bytes),
                    Some(base) => Payload::Edits { base, edits: bytes },
                };
                Some(FileWrite {
                    name,
                    offset,
                    payload,
                })
            })
            .collect()
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn u32(&mut self) -> Option<u32> {
        Some(u32::from_le_bytes(self.take(4)?.try_into().ok()?))
    }

    fn name(&mut self) -> Option<&'a str> {
        let length = u16::from_le_bytes(self.take(2)?.try_into().ok()?);
        str::from_utf8(self.take(length.into())?).ok()
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::expect_used, reason = "tests fail by panicking")]

    use super::*;

    const KEY: StorageKey = StorageKey {
        tablespace: 1663,
        database: 5,
        rel_number: 16384,
        backend: pgrx::pg_sys::INVALID_PROC_NUMBER,
    };

    fn record() -> Vec<u8> {
        let writes = [
            FileWrite {
                name: "data/a.parquet",
                offset: 1 << 33,
                payload: Payload::Raw(b"PAR1"),
            },
            FileWrite {
                name: "metadata/2.json",
                offset: 0,
                payload: Payload::Edits {
                    base: "metadata/1.json",
                    edits: &[1, 1, 0, 0, 0, 9],
                },
            },
            FileWrite {
                name: "",
                offset: 0,
                payload: Payload::Raw(b""),
            },
        ];
        let mut bytes = head(&KEY);
        bytes.extend_from_slice(&3_u32.to_le_bytes());
        writes.iter().for_each(|write| put_write(&mut bytes, write));
        bytes.extend_from_slice(b"PAR1");
        bytes.extend_from_slice(&[1, 1, 0, 0, 0, 9]);
        let (key, reader) = Reader::new(&bytes).expect("a record");
        assert_eq!(key, KEY);
        assert_eq!(reader.writes().expect("writes"), writes);
        bytes
    }

    #[test]
    fn writes_are_read_as_written_and_cut_off_records_are_refused() {
        let bytes = record();
        for length in 0..bytes.len() {
            let read = Reader::new(&bytes[..length]).and_then(|(_, reader)| reader.writes());
            assert_eq!(read, None, "{length} bytes");
        }
    }

    #[test]
    fn an_identity_is_read_as_written() {
        let bytes = identity(3, "00aa");
        assert_eq!(read_identity(&bytes), Some((3, "00aa")));
        assert_eq!(read_identity(&bytes[..bytes.len() - 1]), None);
        assert_eq!(read_identity(&identity(3, "../a")), None);
    }

    #[test]
    fn damaged_records_never_panic() {
        let bytes = record();
        for at in 0..bytes.len() {
            for bit in 0..8 {
                let mut damaged = bytes.clone();
                damaged[at] ^= 1 << bit;
                if let Some((_, reader)) = Reader::new(&damaged) {
                    let _ = reader.writes();
                }
                if let Some((_, reader)) = Reader::new(&damaged) {
                    let _ = reader.removed();
                }
            }
        }
    }
}
