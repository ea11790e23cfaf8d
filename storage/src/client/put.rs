//! What is to be written.

use std::{
    fs::File,
    io,
    os::{
        fd::{AsFd, BorrowedFd},
        unix::fs::FileExt,
    },
};

use xxhash_rust::xxh3::Xxh3;

use crate::protocol::{ObjectRef, PutCondition};

/// Bytes that are read at once.
const BUFFER: usize = 1 << 20;

/// An object to be written from a file, which stays as it is meanwhile.
#[derive(Debug, Clone)]
pub struct Put<'a> {
    pub(super) object: &'a ObjectRef,
    pub(super) file: BorrowedFd<'a>,
    pub(super) length: u64,
    pub(super) checksum: u64,
    pub(super) condition: PutCondition,
}

impl<'a> Put<'a> {
    /// The first `length` bytes of a file as an object that must not be there yet. Reads them.
    ///
    /// # Errors
    /// What reading the file says.
    pub fn new(object: &'a ObjectRef, file: &'a File, length: u64) -> io::Result<Self> {
        Ok(Self {
            object,
            file: file.as_fd(),
            length,
            checksum: checksum(file, length)?,
            condition: PutCondition::Absent,
        })
    }

    /// The same under another condition.
    #[must_use]
    pub fn when(mut self, condition: PutCondition) -> Self {
        self.condition = condition;
        self
    }
}

fn checksum(file: &File, length: u64) -> io::Result<u64> {
    let mut sum = Xxh3::new();
    let mut buffer = vec![0; BUFFER.min(usize::try_from(length).unwrap_or(BUFFER))];
    let mut offset = 0;
    while offset < length {
        let part = (buffer.len() as u64).min(length - offset);
        let part = &mut buffer[..part as usize];
        file.read_exact_at(part, offset)?;
        sum.update(part);
        offset += part.len() as u64;
    }
    Ok(sum.digest())
}
