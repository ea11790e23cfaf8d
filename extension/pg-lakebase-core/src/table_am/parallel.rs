//! The shared state of parallel scans.

use std::ptr::NonNull;
use std::sync::atomic::{AtomicU64, Ordering};

use pgrx::pg_sys;

use crate::relation::Relation;

/// What this crate keeps in shared memory for a parallel scan.
#[repr(C)]
struct Shared {
    base: pg_sys::ParallelTableScanDescData,
    next: AtomicU64,
}

const _: () = {
    assert!(std::mem::offset_of!(Shared, base) == 0);
    assert!(size_of::<Shared>().is_multiple_of(8));
};

/// A parallel scan's descriptor in shared memory. It outlives all scans that take part.
///
/// Each participant claims numbers from one shared counter: a number stands for whatever unit of
/// work the access method divides its tables into, in an order that all participants agree on.
#[derive(Debug, Clone, Copy)]
pub struct ParallelScan {
    raw: NonNull<pg_sys::ParallelTableScanDescData>,
}

impl ParallelScan {
    /// The size of the shared state, for `parallelscan_estimate`.
    pub const SIZE: usize = size_of::<Shared>();

    /// Wraps a C pointer.
    ///
    /// # Safety
    ///
    /// `raw` is a descriptor in shared memory, of at least [`ParallelScan::SIZE`] bytes, valid for
    /// as long as the handle is used.
    pub unsafe fn from_raw(raw: pg_sys::ParallelTableScanDesc) -> Self {
        debug_assert!(!raw.is_null());
        Self {
            // SAFETY: the caller says that the pointer is valid.
            raw: unsafe { NonNull::new_unchecked(raw) },
        }
    }

    /// The C pointer.
    pub fn as_ptr(self) -> pg_sys::ParallelTableScanDesc {
        self.raw.as_ptr()
    }

    fn next(&self) -> &AtomicU64 {
        // SAFETY: the descriptor is a `Shared`, by the contract of `from_raw`; the counter is
        // shared between processes as an atomic and in no other way.
        unsafe { &(*self.raw.as_ptr().cast::<Shared>()).next }
    }

    /// Fills the state in.
    pub fn initialize(self, rel: Relation<'_>) {
        // SAFETY: the descriptor is valid and not shared yet.
        unsafe {
            let raw = self.as_ptr();
            (*raw).phs_relid = rel.oid();
            (*raw).phs_syncscan = false;
        }
        self.reinitialize();
    }

    /// Starts the counter over. No participant is scanning meanwhile.
    pub fn reinitialize(self) {
        self.next().store(0, Ordering::Relaxed);
    }

    /// Claims the next unit of work: 0, 1, 2, … over all participants. The access method knows where
    /// the units end.
    pub fn claim_next(self) -> u64 {
        self.next().fetch_add(1, Ordering::Relaxed)
    }
}
