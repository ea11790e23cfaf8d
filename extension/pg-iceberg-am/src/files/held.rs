//! Content of whole files, held in memory until the commit logs it.

use std::cell::{Cell, RefCell};

/// The most bytes of whole files, of all tables, that are held in memory until the commit.
const MOST: usize = 16 << 20;

thread_local! {
    /// Bytes that [`Held`] values take.
    static BYTES: Cell<usize> = const { Cell::new(0) };
    /// A buffer that has had its day.
    static SPARE: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

/// Content of a file that is held in memory.
pub struct Held(Vec<u8>);

impl Held {
    /// Holds `bytes`.
    pub fn new(bytes: Vec<u8>) -> Self {
        BYTES.set(BYTES.get() + bytes.capacity());
        Self(bytes)
    }

    /// The content.
    pub fn bytes(&self) -> &[u8] {
        &self.0
    }

    /// The content, which is held no longer.
    pub fn take(mut self) -> Vec<u8> {
        BYTES.set(BYTES.get() - self.0.capacity());
        std::mem::take(&mut self.0)
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        BYTES.set(BYTES.get() - self.0.capacity());
    }
}

/// Whether more is held than should be.
pub fn is_too_much() -> bool {
    BYTES.get() > MOST
}

/// Leaves a buffer for the next file.
pub fn recycle(mut buffer: Vec<u8>) {
    buffer.clear();
    SPARE.set(buffer);
}

/// An empty buffer, with room where one was left.
pub fn buffer() -> Vec<u8> {
    SPARE.take()
}
