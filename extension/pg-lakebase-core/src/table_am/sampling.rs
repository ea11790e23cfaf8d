//! The blocks that ANALYZE and TABLESAMPLE choose.

use std::marker::PhantomData;
use std::ptr::NonNull;

use pgrx::pg_sys;

use crate::guard::call_c;

/// The blocks that ANALYZE has chosen, in order.
pub struct BlockStream<'a> {
    raw: NonNull<pg_sys::ReadStream>,
    _owner: PhantomData<&'a mut pg_sys::ReadStream>,
}

impl BlockStream<'_> {
    /// Borrows a read stream.
    ///
    /// # Safety
    ///
    /// `raw` is a valid stream for all of the handle's lifetime.
    pub(crate) unsafe fn from_raw(raw: *mut pg_sys::ReadStream) -> Self {
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
            _owner: PhantomData,
        }
    }

    /// The next chosen block, as a number only: nothing is read (`read_stream_next_block`). It is
    /// below the number of blocks that `relation_size` gave.
    pub fn next_block(&mut self) -> Option<u32> {
        let mut strategy: pg_sys::BufferAccessStrategy = std::ptr::null_mut();
        // SAFETY: the stream is valid; the strategy is written to a local of ours and not kept.
        let block = unsafe { pg_sys::read_stream_next_block(self.raw.as_ptr(), &mut strategy) };
        (block != pg_sys::InvalidBlockNumber).then_some(block)
    }
}

/// A TABLESAMPLE scan's sampling method.
pub struct SampleScan<'a> {
    raw: NonNull<pg_sys::SampleScanState>,
    /// The last block of a sequential walk, for methods that do not choose blocks.
    position: &'a mut Option<u32>,
}

impl<'a> SampleScan<'a> {
    /// Borrows a sample scan's state.
    ///
    /// # Safety
    ///
    /// `raw` is a valid state whose sampling method has begun, for all of `'a`.
    pub(crate) unsafe fn from_raw(
        raw: *mut pg_sys::SampleScanState,
        position: &'a mut Option<u32>,
    ) -> Self {
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
            position,
        }
    }

    /// The C pointer.
    pub fn as_ptr(&self) -> *mut pg_sys::SampleScanState {
        self.raw.as_ptr()
    }

    /// The next block to look at, of a table of `nblocks` blocks; `None` at the end. A method that
    /// does not choose blocks looks at all, in order.
    pub fn next_block(&mut self, nblocks: u32) -> Option<u32> {
        if nblocks == 0 {
            return None;
        }
        let raw = self.as_ptr();
        // SAFETY: the state is valid, and every state has its method's routine.
        let next_sample_block = unsafe { (*(*raw).tsmroutine).NextSampleBlock };
        let block = match next_sample_block {
            // SAFETY: the callback is called as nodeSamplescan.c does; the call is guarded.
            Some(next_sample_block) => unsafe { call_c!(next_sample_block, raw, nblocks) },
            None => match *self.position {
                None => 0,
                Some(last) if last + 1 < nblocks => last + 1,
                Some(_) => pg_sys::InvalidBlockNumber,
            },
        };
        if block == pg_sys::InvalidBlockNumber {
            *self.position = None;
            None
        } else {
            *self.position = Some(block);
            Some(block)
        }
    }

    /// The next tuple to look at in the block, whose offsets run from 1 to `max_offset`; `None` when
    /// the sampling method wants no more of it.
    pub fn next_tuple(&mut self, block: u32, max_offset: u16) -> Option<u16> {
        let raw = self.as_ptr();
        // SAFETY: as in `next_block`.
        let next_sample_tuple = unsafe { (*(*raw).tsmroutine).NextSampleTuple }?;
        // SAFETY: the callback is called as heapam does; the call is guarded.
        let offset = unsafe { call_c!(next_sample_tuple, raw, block, max_offset) };
        (offset != 0).then_some(offset)
    }
}
