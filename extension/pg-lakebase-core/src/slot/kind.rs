//! Kinds of slots.

use pgrx::pg_sys;

/// Which kind of slot an access method's tuples are stored in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SlotKind {
    /// Columns as datums; nothing behind them. The choice of most access methods.
    Virtual,
    /// As `Virtual`, and heap tuples copied out of the slot carry its TID. ANALYZE sorts its sample
    /// by these, and computes the correlation of columns from the order.
    VirtualWithTid,
    /// A heap tuple.
    Heap,
    /// A minimal tuple.
    Minimal,
    /// A heap tuple in a shared buffer.
    BufferHeap,
}

impl SlotKind {
    /// The C callbacks of the kind.
    pub fn as_ptr(self) -> *const pg_sys::TupleTableSlotOps {
        match self {
            Self::Virtual => &raw const pg_sys::TTSOpsVirtual,
            Self::VirtualWithTid => super::virtual_with_tid::ops(),
            Self::Heap => &raw const pg_sys::TTSOpsHeapTuple,
            Self::Minimal => &raw const pg_sys::TTSOpsMinimalTuple,
            Self::BufferHeap => &raw const pg_sys::TTSOpsBufferHeapTuple,
        }
    }
}
