//! Memory for the values of one batch: few large allocations in its memory context.

use crate::codec::array::{MAX_ALLOC_SIZE, align};
use crate::error::ValueError;
use crate::varlena::{VARHDRSZ, plain_header};
use pgrx::pg_sys::{self, Datum, MemoryContext};
use std::slice;

/// What is allocated at least, for many rows.
const CHUNK: usize = 64 * 1024;
/// And for each of few rows.
const ROW: usize = 512;
/// `MAXIMUM_ALIGNOF`, which palloc keeps.
const MAXIMUM_ALIGNOF: usize = 8;

pub(super) struct Arena {
    context: MemoryContext,
    /// Unused part of the newest chunk.
    free: *mut u8,
    left: usize,
    /// Bytes that are allocated at least.
    chunk: usize,
}

impl Arena {
    /// Memory for so many rows.
    ///
    /// # Safety
    ///
    /// `context` is a valid memory context, and stays so while what is allocated here is used.
    pub(super) unsafe fn new(context: MemoryContext, rows: usize) -> Self {
        Self {
            context,
            free: std::ptr::null_mut(),
            left: 0,
            chunk: rows.saturating_mul(ROW).min(CHUNK),
        }
    }

    pub(super) fn context(&self) -> MemoryContext {
        self.context
    }

    /// Makes room for `size` bytes, so that the next allocations up to it are contiguous.
    pub(super) fn reserve(&mut self, size: usize) {
        if size <= self.left {
            return;
        }
        let size = size.max(self.chunk);
        // SAFETY: the context is valid by `new`. Raises through the guard when out of memory, and
        // does not return NULL.
        self.free = unsafe {
            pg_sys::MemoryContextAllocExtended(
                self.context,
                size,
                pg_sys::MCXT_ALLOC_HUGE as std::ffi::c_int,
            )
        }
        .cast();
        self.left = size;
    }

    /// Uninitialised memory, aligned for every type.
    #[inline]
    pub(super) fn alloc(&mut self, size: usize) -> *mut u8 {
        let size = align(size, MAXIMUM_ALIGNOF);
        if size > self.left {
            self.reserve(size);
        }
        let start = self.free;
        // SAFETY: at least `size` bytes of the chunk are left.
        self.free = unsafe { start.add(size) };
        self.left -= size;
        start
    }

    /// A varlena datum with the bytes that `parts` hold, one after the other.
    #[inline]
    pub(super) fn varlena(&mut self, bytes: &[u8]) -> Result<Datum, ValueError> {
        let size = varlena_size(bytes.len())?;
        let start = self.alloc(size);
        // SAFETY: `size` bytes were allocated for the header and the bytes.
        unsafe {
            start
                .cast::<[u8; VARHDRSZ]>()
                .write_unaligned(plain_header(size));
            start
                .add(VARHDRSZ)
                .copy_from_nonoverlapping(bytes.as_ptr(), bytes.len());
        }
        Ok(Datum::from(start))
    }

    /// A zeroed varlena datum of `size` bytes, header included, and those bytes.
    pub(super) fn zeroed_varlena(&mut self, size: usize) -> Result<(Datum, &mut [u8]), ValueError> {
        let size = varlena_size(size.saturating_sub(VARHDRSZ))?;
        let start = self.alloc(size);
        // SAFETY: `size` bytes were allocated, and nothing else refers to them.
        let bytes = unsafe {
            start.write_bytes(0, size);
            slice::from_raw_parts_mut(start, size)
        };
        bytes[..VARHDRSZ].copy_from_slice(&plain_header(size));
        Ok((Datum::from(start), bytes))
    }

    /// Bytes that [`varlena`](Self::varlena) takes for a value, at most.
    pub(super) const fn varlena_space(length: usize) -> usize {
        length + VARHDRSZ + MAXIMUM_ALIGNOF
    }
}

/// The size with header, if a datum can be that large.
#[inline]
fn varlena_size(length: usize) -> Result<usize, ValueError> {
    match length + VARHDRSZ {
        size if size <= MAX_ALLOC_SIZE => Ok(size),
        size => Err(ValueError::DatumTooLarge { size }),
    }
}
