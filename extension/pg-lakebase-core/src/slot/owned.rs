//! Slots of one's own.

use std::ptr::NonNull;

use pgrx::pg_sys;

use super::{Slot, SlotKind};
use crate::relation::TupleDesc;
use crate::xact;

/// A slot that this handle frees.
///
/// It lives in the memory context that was current when it was made, which must not go first.
/// While an error unwinds, and once the (sub)transaction is aborting, the slot is left to that
/// context, and its reference to the tuple descriptor to the resource owner.
pub struct OwnedSlot {
    raw: NonNull<pg_sys::TupleTableSlot>,
}

impl OwnedSlot {
    /// An empty virtual slot for tuples of this shape, in the current memory context.
    pub fn create(tuple_desc: TupleDesc<'_>) -> Self {
        Self::new(tuple_desc, SlotKind::Virtual)
    }

    /// An empty virtual slot for tuples of this shape.
    pub fn virtual_for(tuple_desc: TupleDesc<'_>) -> Self {
        Self::new(tuple_desc, SlotKind::Virtual)
    }

    /// An empty slot for tuples of this shape.
    pub fn new(tuple_desc: TupleDesc<'_>, kind: SlotKind) -> Self {
        // SAFETY: the descriptor is valid, and the slot keeps a reference to it if it is counted;
        // raises or gives a slot, never null.
        unsafe {
            Self {
                raw: NonNull::new_unchecked(pg_sys::MakeSingleTupleTableSlot(
                    tuple_desc.as_ptr(),
                    kind.as_ptr(),
                )),
            }
        }
    }

    /// The slot, borrowed from this handle.
    #[inline]
    pub fn slot(&mut self) -> Slot<'_> {
        // SAFETY: the slot is valid until drop, and borrowed mutably.
        unsafe { Slot::from_raw(self.raw.as_ptr()) }
    }
}

impl Drop for OwnedSlot {
    fn drop(&mut self) {
        if std::thread::panicking() || !xact::is_in_progress() {
            return;
        }
        // SAFETY: made by this handle, freed once.
        unsafe { pg_sys::ExecDropSingleTupleTableSlot(self.raw.as_ptr()) }
    }
}
