//! The descriptors that PostgreSQL holds of scans and index fetches.
//!
//! Each lives in a small memory context of its own below the one that was current when it began.
//! Ending it deletes the context; an error deletes the context with its parent. Either way the
//! context's reset callback drops the Rust state, unless the end callback took it out before.

use std::ptr::NonNull;

use pgrx::pg_sys;

use super::{IndexFetch, ScanFlags, ScanMethods, TableAm};
use crate::error::PgResult;
use crate::memory::{AllocSetSizes, ContextOwned, MemoryContext};
use crate::relation::Relation;

/// What `scan_begin` returns to PostgreSQL.
#[repr(C)]
pub struct ScanDesc<T: ScanMethods> {
    base: pg_sys::TableScanDescData,
    context: MemoryContext,
    state: ContextOwned<T::Scan>,
    /// See [`super::SampleScan::next_block`].
    pub(super) sample_position: Option<u32>,
}

/// What `index_fetch_begin` returns to PostgreSQL.
#[repr(C)]
pub(super) struct IndexFetchDesc {
    base: pg_sys::IndexFetchTableData,
    context: MemoryContext,
    state: ContextOwned<Box<dyn IndexFetch>>,
}

impl<T: TableAm> ScanDesc<T> {
    /// Gives a scan's state to a memory context of its own.
    pub(super) fn begin(
        rel: Relation<'_>,
        snapshot: pg_sys::Snapshot,
        parallel: pg_sys::ParallelTableScanDesc,
        flags: ScanFlags,
        state: T::Scan,
    ) -> pg_sys::TableScanDesc {
        const { assert!(std::mem::offset_of!(Self, base) == 0) };
        let context = MemoryContext::create_alloc_set(
            MemoryContext::current(),
            "table scan",
            AllocSetSizes::Small,
        );
        let desc = context.alloc_zeroed(size_of::<Self>()).cast::<Self>();
        let base = pg_sys::TableScanDescData {
            rs_rd: rel.as_ptr(),
            rs_snapshot: snapshot,
            rs_flags: flags.bits(),
            rs_parallel: parallel,
            ..Default::default()
        };
        // SAFETY: fresh memory of the right size, and MAXALIGNed as every field wants it at most.
        unsafe {
            desc.write(Self {
                base,
                context,
                state: ContextOwned::new(context, state),
                sample_position: None,
            });
        }
        desc.as_ptr().cast()
    }

    /// The descriptor behind PostgreSQL's pointer.
    ///
    /// # Safety
    ///
    /// `scan` came from [`ScanDesc::begin`] of the same access method, did not end, and is used by
    /// nobody else during `'a`.
    #[inline]
    pub(super) unsafe fn from_raw<'a>(scan: pg_sys::TableScanDesc) -> &'a mut Self {
        // SAFETY: the caller's promise; the base comes first.
        unsafe { &mut *scan.cast::<Self>() }
    }

    /// The scan's state, its relation, and the position of a sequential sample scan.
    #[inline]
    pub(super) fn parts(
        &mut self,
    ) -> PgResult<(&mut T::Scan, Relation<'static>, &mut Option<u32>)> {
        // SAFETY: the descriptor, its state and its relation live until `end`, which takes the
        // descriptor for good.
        let state = unsafe { self.state.get_mut() };
        // SAFETY: PostgreSQL keeps the relation open as long as the scan.
        let rel = unsafe { Relation::from_raw(self.base.rs_rd) };
        match state {
            Some(state) => Ok((state, rel, &mut self.sample_position)),
            None => Err(crate::error::PgError::internal(
                "table scan is used after it has ended",
            )),
        }
    }

    /// Ends the scan: the state in good order, then the snapshot, then the memory.
    ///
    /// # Safety
    ///
    /// As [`ScanDesc::from_raw`], and nobody uses `scan` afterwards.
    pub(super) unsafe fn end(scan: pg_sys::TableScanDesc) -> PgResult<()> {
        // SAFETY: the caller's promise.
        let desc = unsafe { Self::from_raw(scan) };
        // SAFETY: PostgreSQL keeps the relation open as long as the scan.
        let rel = unsafe { Relation::from_raw(desc.base.rs_rd) };
        // SAFETY: no reference to the state is alive.
        if let Some(state) = unsafe { desc.state.take() } {
            T::scan_end(state, rel)?;
        }
        if ScanFlags::from_bits(desc.base.rs_flags).contains(ScanFlags::TEMP_SNAPSHOT) {
            // SAFETY: the flag says that the scan owns a registration of its snapshot.
            unsafe { pg_sys::UnregisterSnapshot(desc.base.rs_snapshot) }
        }
        let context = desc.context;
        // SAFETY: nothing but the descriptor lives in the context.
        unsafe { context.delete() }
        Ok(())
    }
}

impl IndexFetchDesc {
    /// Gives a fetch's state to a memory context of its own.
    pub(super) fn begin(
        rel: Relation<'_>,
        state: Box<dyn IndexFetch>,
    ) -> *mut pg_sys::IndexFetchTableData {
        const { assert!(std::mem::offset_of!(Self, base) == 0) };
        let context = MemoryContext::create_alloc_set(
            MemoryContext::current(),
            "index fetch",
            AllocSetSizes::Small,
        );
        let desc = context.alloc_zeroed(size_of::<Self>()).cast::<Self>();
        // SAFETY: as in `ScanDesc::begin`.
        unsafe {
            desc.write(Self {
                base: pg_sys::IndexFetchTableData { rel: rel.as_ptr() },
                context,
                state: ContextOwned::new(context, state),
            });
        }
        desc.as_ptr().cast()
    }

    /// The fetch's state and relation; `None` for a null or ended fetch.
    ///
    /// # Safety
    ///
    /// `fetch` came from [`IndexFetchDesc::begin`] and is used by nobody else during `'a`.
    pub(super) unsafe fn parts<'a>(
        fetch: *mut pg_sys::IndexFetchTableData,
    ) -> Option<(&'a mut (dyn IndexFetch + 'static), Relation<'a>)> {
        let desc = NonNull::new(fetch.cast::<Self>())?;
        // SAFETY: the caller's promise; the base comes first; PostgreSQL keeps the relation open.
        unsafe {
            let desc = &mut *desc.as_ptr();
            let rel = Relation::from_raw(desc.base.rel);
            desc.state.get_mut().map(|state| (&mut **state, rel))
        }
    }

    /// Ends the fetch.
    ///
    /// # Safety
    ///
    /// As [`IndexFetchDesc::parts`], and nobody uses `fetch` afterwards.
    pub(super) unsafe fn end(fetch: *mut pg_sys::IndexFetchTableData) {
        // SAFETY: the caller's promise. Deleting the context drops the state.
        unsafe { (*fetch.cast::<Self>()).context.delete() }
    }
}
